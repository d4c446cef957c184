/**
 * Requests of this worker to the others, and theirs to it, over the batch ports.
 *
 * Invariant: every request ends exactly once: by its reply, by its deadline, or by the death of the
 * worker that had it; the last two mean that the outcome is unknown.
 */
import { movedDeadline } from "../../runtime/base/clock-steps.ts";
import { type BatchPort, PORT_MESSAGE_BYTES_MAX } from "../../runtime/thread/batch-port.ts";
import type { Peer } from "../../runtime/thread/worker-context.ts";
import type { Gates } from "./connection.ts";

/** How long a request to another worker may take. */
const EXCHANGE_TIMEOUT_MS = 30_000;
/** Requests of one worker that may be under way … */
const EXCHANGES_MAX = 65_536;
/** … and from how many on clients wait. */
const EXCHANGES_BEHIND = EXCHANGES_MAX / 2;

export const OVERLOADED =
  "BUSY too many requests are under way to the worker that owns this key; try again later";
export const NOT_THERE =
  "TRYAGAIN the worker that owns this key restarts: nothing was executed; try again";
export const TOO_LARGE = "ERR this request is too large to be forwarded between worker threads";
export const OUTCOME_UNKNOWN =
  "UNKNOWN the worker that owns this key restarted: the command may or may not have been executed; read the key before trying again";
export const OUTCOME_TIMED_OUT =
  "UNKNOWN the worker that owns this key did not answer in time: the command may or may not have been executed; read the key before trying again";

/** How a request ended that was made by `request`. */
export type Outcome =
  | { readonly kind: "answer"; readonly bytes: Buffer }
  | { readonly kind: "failed"; readonly text: string };

/** What is asked, and of whom. */
export interface Ask {
  readonly worker: Peer;
  readonly kind: number;
  readonly isBegun: boolean;
}

/** Ends a request. The buffer is valid only during the call. */
export type OnReply = (buffer: Buffer, start: number, end: number) => void;
/** Ends a request without a reply. */
export type OnFailure = (text: string) => void;

interface Open {
  readonly worker: Peer;
  deadlineMs: number;
  readonly onReply: OnReply;
  readonly onFailure: OnFailure;
}

interface Held {
  readonly worker: Peer;
  readonly kind: number;
  readonly id: number;
  readonly gate: number;
  readonly bytes: Buffer;
}

export interface ExchangeEvents {
  /** Something waits in a port, or requests end without a reply: a turn must follow. */
  moved(): void;
  /** `isBehind` is true. */
  behind(): void;
}

export class Exchange {
  readonly #port: (peer: Peer) => BatchPort;
  readonly #gates: Gates;
  readonly #events: ExchangeEvents;
  /** Requests refused because too much was under way. */
  overloads = 0;
  readonly #open = new Map<number, Open>();
  #held: Held[] = [];
  #nextId = 1;
  /** The peer that fell behind last. */
  #slow: BatchPort | null = null;
  /**
   * Workers that have died, or let a deadline pass, and have said nothing since. That may take long, and
   * concerns nobody whose keys are elsewhere: no client waits for one, and what is too much for it is
   * refused.
   */
  readonly #silent = new Set<Peer>();

  constructor(port: (peer: Peer) => BatchPort, gates: Gates, events: ExchangeEvents) {
    this.#port = port;
    this.#gates = gates;
    this.#events = events;
  }

  /**
   * Whether a peer has so much to do that no more commands should be taken in: they wait in their
   * connections, which are then not read from. They go on with a turn, which follows all that ends
   * it: a batch from a peer (replies, freed buffers), a deadline, a death.
   */
  get isBehind(): boolean {
    if (this.#open.size >= EXCHANGES_BEHIND && this.#silent.size === 0) return true;
    if (this.#slow === null) return false;
    if (this.#slow.isBehind) return true;
    this.#slow = null;
    return false;
  }

  /** Requests under way. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Sends a request of at most `bytesMax` bytes that `write` puts into the port's buffer (it
   * returns the end). Exactly one of the callbacks follows. What goes on with something that has
   * begun is sent however much is under way.
   */
  ask(
    { worker, kind, isBegun }: Ask,
    bytesMax: number,
    write: (target: Buffer, start: number) => number,
    nowMs: number,
    onReply: OnReply,
    onFailure: OnFailure,
  ): void {
    const port = this.#port(worker);
    const id = this.#nextId;
    if (bytesMax > PORT_MESSAGE_BYTES_MAX) {
      onFailure(TOO_LARGE);
      return;
    }
    if (!port.connected) {
      onFailure(NOT_THERE);
      return;
    }
    const isRefused = !isBegun && (this.#open.size >= EXCHANGES_MAX || port.full);
    const at = isRefused ? -1 : port.beginReply(kind, id, bytesMax);
    if (at < 0) {
      this.overloads++;
      onFailure(OVERLOADED);
      return;
    }
    port.end(write(port.out, at) - at);
    this.#nextId = id === 0xffffffff ? 1 : id + 1;
    const deadlineMs = nowMs + EXCHANGE_TIMEOUT_MS;
    this.#open.set(id, { worker, deadlineMs, onReply, onFailure });
    this.#sent(worker, port);
  }

  /** After each message, whatever it is: all of them make a peer fall behind. */
  #sent(worker: Peer, port: BatchPort): void {
    this.#events.moved();
    if (port.isBehind && !this.#silent.has(worker)) this.#slow = port;
    if (this.isBehind) this.#events.behind();
  }

  /**
   * Asks for something that must be done, however much is under way; `message` is packed. The answer
   * is a copy.
   */
  request(worker: Peer, kind: number, message: Buffer, nowMs: number): Promise<Outcome> {
    const port = this.#port(worker);
    const id = this.#nextId;
    if (message.length > PORT_MESSAGE_BYTES_MAX) {
      return Promise.resolve({ kind: "failed", text: TOO_LARGE });
    }
    const at = port.beginReply(kind, id, message.length);
    if (at < 0) return Promise.resolve({ kind: "failed", text: NOT_THERE });
    message.copy(port.out, at);
    port.end(message.length);
    this.#sent(worker, port);
    this.#nextId = id === 0xffffffff ? 1 : id + 1;
    return new Promise((resolve) => {
      this.#open.set(id, {
        worker,
        deadlineMs: nowMs + EXCHANGE_TIMEOUT_MS,
        onReply: (buffer, start, end) => {
          resolve({ kind: "answer", bytes: Buffer.from(buffer.subarray(start, end)) });
        },
        onFailure: (text) => resolve({ kind: "failed", text }),
      });
    });
  }

  /** Sends what needs no answer, if the other worker is there. */
  tell(worker: Peer, kind: number, message: Buffer): void {
    const port = this.#port(worker);
    const at = port.beginReply(kind, 0, message.length);
    if (at < 0) return;
    message.copy(port.out, at);
    port.end(message.length);
    this.#sent(worker, port);
  }

  /** A reply came in, or (`isFailure`) the reason why there is none. Late ones are dropped. */
  answered(id: number, isFailure: boolean, buffer: Buffer, start: number, end: number): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    this.#silent.delete(open.worker);
    if (isFailure) open.onFailure(buffer.toString("latin1", start, end));
    else open.onReply(buffer, start, end);
  }

  /** Answers another worker's request, once its gate is open. */
  reply(
    worker: Peer,
    kind: number,
    id: number,
    source: Buffer,
    start: number,
    end: number,
    gate: number,
  ): void {
    this.#silent.delete(worker);
    if (gate !== 0 && !this.#gates.isOpen(gate)) {
      const bytes = Buffer.from(source.subarray(start, end));
      this.#held.push({ worker, kind, id, gate, bytes });
      return;
    }
    this.#send(worker, kind, id, source, start, end);
  }

  #send(worker: Peer, kind: number, id: number, source: Buffer, start: number, end: number): void {
    const port = this.#port(worker);
    const at = port.beginReply(kind, id, end - start);
    if (at < 0) return; // the asker is gone, and knows that it is unknown
    source.copy(port.out, at, start, end);
    port.end(end - start);
    this.#sent(worker, port);
  }

  /** Sends the replies whose gates have opened; at the end of a turn. */
  release(): void {
    if (this.#held.length === 0) return;
    const waiting: Held[] = [];
    for (const held of this.#held) {
      if (!this.#gates.isOpen(held.gate)) waiting.push(held);
      else this.#send(held.worker, held.kind, held.id, held.bytes, 0, held.bytes.length);
    }
    this.#held = waiting;
  }

  /** A worker died: what it had is unknown, and nobody waits for what it asked. */
  workerDied(worker: Peer): void {
    this.#events.moved();
    this.#ignore(worker);
    this.#held = this.#held.filter((held) => held.worker !== worker);
    for (const [id, open] of this.#open) {
      if (open.worker !== worker) continue;
      this.#open.delete(id);
      open.onFailure(OUTCOME_UNKNOWN);
    }
  }

  #ignore(worker: Peer): void {
    this.#silent.add(worker);
    if (this.#slow === this.#port(worker)) this.#slow = null;
  }

  /** Ends what is past its deadline. `stepMs`: the wall clock was set by that meanwhile. */
  expire(nowMs: number, stepMs = 0): void {
    const times = { nowMs, stepMs, timeoutMs: EXCHANGE_TIMEOUT_MS };
    for (const [id, open] of this.#open) {
      open.deadlineMs = movedDeadline(open.deadlineMs, times);
      if (open.deadlineMs > nowMs) continue;
      this.#open.delete(id);
      this.#ignore(open.worker);
      this.#events.moved();
      open.onFailure(OUTCOME_TIMED_OUT);
    }
  }
}
