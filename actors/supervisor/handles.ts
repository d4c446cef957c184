/**
 * The main thread's ends of the handles that an embedding application has on the workers: RESP
 * bytes over the batch ports (see gateway/local-transport.ts for the other ends).
 *
 * Invariant: a handle that was opened ends with exactly one `closed`, unless its owner closes it.
 */
import { CoterieError } from "../../runtime/base/errors.ts";
import type { BatchPort } from "../../runtime/thread/batch-port.ts";
import {
  MESSAGE_CLOSE_HANDLE,
  MESSAGE_HANDLE_BYTES,
  MESSAGE_OPEN_HANDLE,
} from "../gateway/messages.ts";

/** What the owner of a handle is told. */
export interface HandleEvents {
  /** Whole replies, in order. The buffer is valid only during the call. */
  received(buffer: Buffer, start: number, end: number): void;
  /** `send` was refused; now there is room. */
  writable(): void;
  /** The other end is gone: what was sent and is not answered is unknown. */
  closed(reason: CoterieError): void;
}

/** One connection of the application to a worker. */
export interface Handle {
  /** Sends commands, `bytes` long together. False: no room now; `writable` follows. */
  send(commands: readonly Buffer[], bytes: number): boolean;
  /** Ends it; no event follows. Idempotent. */
  close(): void;
}

/** Where the application gets handles. */
export interface HandleSource {
  /** Opens one; undefined while no worker serves. */
  open(events: HandleEvents): Handle | undefined;
  /** Calls back once a worker serves (again), or the node has stopped. */
  whenReady(run: () => void): void;
  readonly isStopped: boolean;
}

interface Open {
  readonly id: number;
  readonly worker: number;
  readonly events: HandleEvents;
  isRefused: boolean;
}

export class Handles implements HandleSource {
  isStopped = false;
  #ports: readonly BatchPort[] = [];
  #isReady: (worker: number) => boolean = () => false;
  readonly #open = new Map<number, Open>();
  #waiting: (() => void)[] = [];
  #nextId = 1;

  /** The workers are there: their ports, and whether one serves. */
  attach(ports: readonly BatchPort[], isReady: (worker: number) => boolean): void {
    this.#ports = ports;
    this.#isReady = isReady;
  }

  open(events: HandleEvents): Handle | undefined {
    if (this.isStopped) return undefined;
    const id = this.#nextId;
    for (let i = 0; i < this.#ports.length; i++) {
      const worker = (id + i) % this.#ports.length;
      const port = this.#ports[worker] as BatchPort;
      const at = this.#isReady(worker) ? port.beginReply(MESSAGE_OPEN_HANDLE, id, 0) : -1;
      if (at < 0) continue;
      port.end(0);
      this.#nextId++;
      const open: Open = { id, worker, events, isRefused: false };
      this.#open.set(id, open);
      return {
        send: (commands, bytes) => this.#send(open, commands, bytes),
        close: () => this.#close(open),
      };
    }
    return undefined;
  }

  whenReady(run: () => void): void {
    this.#waiting.push(run);
  }

  #send(open: Open, commands: readonly Buffer[], bytes: number): boolean {
    if (!this.#open.has(open.id)) return false;
    const port = this.#ports[open.worker] as BatchPort;
    let at = port.begin(MESSAGE_HANDLE_BYTES, open.id, bytes);
    if (at < 0) {
      open.isRefused = true;
      return false;
    }
    for (const command of commands) {
      command.copy(port.out, at);
      at += command.length;
    }
    port.end(bytes);
    port.flush();
    return true;
  }

  #close(open: Open): void {
    if (!this.#open.delete(open.id)) return;
    const port = this.#ports[open.worker] as BatchPort;
    if (port.beginReply(MESSAGE_CLOSE_HANDLE, open.id, 0) < 0) return;
    port.end(0);
    port.flush();
  }

  /** A message of a worker about a handle. */
  serve(kind: number, id: number, buffer: Buffer, start: number, end: number): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    if (kind === MESSAGE_HANDLE_BYTES) open.events.received(buffer, start, end);
    else if (kind === MESSAGE_CLOSE_HANDLE) {
      this.#open.delete(id);
      open.events.closed(new CoterieError("WORKER_DOWN", "the node has closed this handle"));
    }
  }

  /** A worker has read, or sent: its port may have room again. */
  portMoved(worker: number): void {
    for (const open of [...this.#open.values()]) {
      if (!open.isRefused || open.worker !== worker) continue;
      open.isRefused = false;
      open.events.writable();
    }
  }

  workerUp(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) run();
  }

  workerDown(worker: number, reason: CoterieError): void {
    for (const open of [...this.#open.values()]) {
      if (open.worker !== worker || !this.#open.delete(open.id)) continue;
      open.events.closed(reason);
    }
  }

  /** No handle is opened any more; what waits for a worker is told. */
  stop(): void {
    this.isStopped = true;
    this.workerUp();
  }
}
