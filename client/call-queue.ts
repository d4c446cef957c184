/**
 * Commands on their way to a node in this process, and their replies back: in order, pipelined,
 * over one handle at a time.
 *
 *   call ─▶ waiting ─▶ sent ─▶ answered         waiting: bounded in bytes, refused past that
 *                       │                        sent:    a window of bytes, so that the worker's
 *                       └─▶ unknown (handle lost)         input is bounded too
 *
 * Invariant: every call settles once: with its reply, or with an error that says whether it may
 * have been executed. Replies are matched by order, so nothing that has no reply may be sent.
 */

import type { Handle, HandleSource } from "../actors/supervisor/handles.ts";
import { Ring } from "../runtime/actor/mailbox.ts";
import type { Clock, TimerHandle, Timers } from "../runtime/base/clock.ts";
import { CoterieError } from "../runtime/base/errors.ts";
import { type Decode, type Reply, ReplyReader } from "./replies.ts";

// limits:
/** Bytes of commands that wait to be sent before more are refused. */
export const CALLS_WAITING_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of commands that are sent and unanswered; one larger command goes alone. */
export const CALLS_SENT_BYTES_MAX = 4 * 1024 * 1024;
/** How long a call takes at most unless the caller says otherwise. */
export const CALL_TIMEOUT_MS = 30_000;

/** How often deadlines are looked at, of a call's time. */
const DEADLINE_CHECKS = 8;

export interface CallQueueOptions<Text extends string | Buffer> {
  readonly handles: HandleSource;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly decode: Decode<Text>;
  readonly timeoutMs: number;
  /** Commands that each new handle begins with, and again after RESET; nobody reads their replies. */
  readonly preamble: readonly Buffer[];
}

/** A command, or several that go together: over one handle, or not at all. */
interface Call<Text extends string | Buffer> {
  readonly bytes: Buffer;
  /** How many replies it has; of several, those that have come. */
  readonly commands: number;
  readonly replies: Reply<Text>[];
  readonly deadlineMs: number;
  settle: ((value: Reply<Text> | CoterieError) => void) | undefined;
}

export class CallQueue<Text extends string | Buffer> {
  readonly #options: CallQueueOptions<Text>;
  readonly #reader: ReplyReader<Text>;
  readonly #waiting = new Ring<Call<Text>>();
  /** Taken from those that wait, to be sent next; they count as waiting until they are. */
  #batch: Call<Text>[] = [];
  #batchBytes = 0;
  readonly #sent = new Ring<Call<Text>>();
  #waitingBytes = 0;
  #sentBytes = 0;
  #handle: Handle | undefined;
  /** The handle is new: the preamble goes before the first commands. */
  #isPreambleDue = false;
  /** Calls that have not settled. */
  #unsettled = 0;
  #isPumpDue = false;
  #awaitsWorker = false;
  #watch: TimerHandle | undefined;
  #closing: (() => void) | undefined;
  #isClosed = false;

  constructor(options: CallQueueOptions<Text>) {
    this.#options = options;
    this.#reader = new ReplyReader(options.decode);
  }

  /** Sends a command with what else is called in this turn; an error reply is a value here. */
  call(bytes: Buffer): Promise<Reply<Text>> {
    return new Promise((resolve) => this.#enqueue(bytes, 1, resolve));
  }

  /** As `call`, of RESET: the handle is like a new one then, also for what is sent behind it. */
  async reset(bytes: Buffer): Promise<Reply<Text>> {
    const { preamble } = this.#options;
    if (preamble.length === 0) return this.call(bytes);
    const replies = await this.together([bytes, ...preamble]);
    return replies instanceof CoterieError ? replies : (replies[0] as Reply<Text>);
  }

  /** Sends several commands over one handle, or none: their replies, or why there are none. */
  together(commands: readonly Buffer[]): Promise<readonly Reply<Text>[] | CoterieError> {
    return new Promise((resolve) => {
      this.#enqueue(Buffer.concat(commands), commands.length, (value) => {
        resolve(value as readonly Reply<Text>[] | CoterieError);
      });
    });
  }

  #enqueue(bytes: Buffer, commands: number, settle: Call<Text>["settle"]): void {
    const refusal = this.#refusal(bytes.length);
    if (refusal !== undefined) {
      settle?.(refusal);
      return;
    }
    const deadlineMs = this.#options.clock.monotonicMs() + this.#options.timeoutMs;
    this.#waiting.push({ bytes, commands, replies: [], deadlineMs, settle });
    this.#unsettled++;
    this.#waitingBytes += bytes.length;
    this.#pumpSoon();
    this.#watchDeadlines();
  }

  #refusal(bytes: number): CoterieError | undefined {
    if (this.#isClosed) return new CoterieError("WORKER_DOWN", "this client is closed");
    if (this.#options.handles.isStopped) return stopped();
    if (this.#waitingBytes === 0 || this.#waitingBytes + bytes <= CALLS_WAITING_BYTES_MAX) {
      return undefined;
    }
    const message = `more than ${CALLS_WAITING_BYTES_MAX} bytes of commands wait to be sent: wait for replies before calling more`;
    return new CoterieError("OVERLOADED", message);
  }

  /** Refuses further calls; resolves when all earlier ones have settled. */
  close(): Promise<void> {
    this.#isClosed = true;
    return new Promise((resolve) => {
      const before = this.#closing;
      this.#closing = () => {
        before?.();
        resolve();
      };
      this.#checkClosing();
    });
  }

  /** Ends a call, unless its time was over before. */
  #settle(call: Call<Text>, value: Reply<Text> | CoterieError): void {
    const { settle } = call;
    if (settle === undefined) return;
    call.settle = undefined;
    this.#unsettled--;
    settle(value);
  }

  #checkClosing(): void {
    if (this.#closing === undefined || this.#unsettled > 0) return;
    this.#handle?.close();
    this.#handle = undefined;
    this.#closing();
    this.#closing = undefined;
  }

  // ---- out --------------------------------------------------------------------------------------

  #pumpSoon(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    queueMicrotask(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  /** Sends what fits into the window, in one message. */
  #pump(): void {
    if (this.#batch.length === 0 && this.#waiting.size === 0) return;
    const handle = this.#handle ?? this.#open();
    if (handle === undefined) return;
    while (this.#sentBytes + this.#batchBytes < CALLS_SENT_BYTES_MAX) {
      const call = this.#waiting.shift();
      if (call === undefined) break;
      this.#batch.push(call);
      this.#batchBytes += call.bytes.length;
    }
    if (this.#batch.length === 0) return;
    const preamble = this.#isPreambleDue ? this.#options.preamble.map(unasked<Text>) : [];
    const calls = [...preamble, ...this.#batch];
    const bytes = calls.reduce((sum, call) => sum + call.bytes.length, 0);
    // Refused where too much is under way to the worker; `writable` follows.
    const isSent = handle.send(
      calls.map((call) => call.bytes),
      bytes,
    );
    if (!isSent) return;
    this.#isPreambleDue = false;
    for (const call of calls) this.#sent.push(call);
    this.#waitingBytes -= this.#batchBytes;
    this.#sentBytes += bytes;
    this.#batch = [];
    this.#batchBytes = 0;
  }

  #open(): Handle | undefined {
    const { handles } = this.#options;
    if (handles.isStopped) {
      this.#failWaiting(stopped());
      return undefined;
    }
    const handle = handles.open({
      received: (buffer, start, end) => this.#received(buffer, start, end),
      writable: () => this.#pump(),
      closed: (reason) => this.#lost(reason),
    });
    if (handle === undefined) {
      this.#awaitWorker();
      return undefined;
    }
    this.#handle = handle;
    this.#isPreambleDue = true;
    return handle;
  }

  #awaitWorker(): void {
    if (this.#awaitsWorker) return;
    this.#awaitsWorker = true;
    this.#options.handles.whenReady(() => {
      this.#awaitsWorker = false;
      this.#pump();
    });
  }

  // ---- back -------------------------------------------------------------------------------------

  #received(buffer: Buffer, start: number, end: number): void {
    this.#reader.open(buffer, start, end);
    while (!this.#reader.isDone) {
      const reply = this.#reader.next();
      if (reply === undefined) continue;
      const call = this.#sent.first;
      if (call === undefined) continue;
      if (call.commands > 1 && call.replies.push(reply) < call.commands) continue;
      this.#sent.shift();
      this.#sentBytes -= call.bytes.length;
      this.#settle(call, call.commands > 1 ? call.replies : reply);
    }
    this.#pumpSoon();
    this.#checkClosing();
  }

  /** The handle is gone: what was sent is unknown, what waits goes to another. */
  #lost(reason: CoterieError): void {
    this.#handle = undefined;
    this.#sentBytes = 0;
    for (let call = this.#sent.shift(); call !== undefined; call = this.#sent.shift()) {
      this.#settle(call, unknown(reason));
    }
    this.#pumpSoon();
    this.#checkClosing();
  }

  #failWaiting(error: CoterieError): void {
    this.#dropWaiting(() => true, error);
    this.#checkClosing();
  }

  /** Settles calls that were never sent. */
  #dropWaiting(isWanted: (call: Call<Text>) => boolean, error: CoterieError): void {
    const keeps = (call: Call<Text>) => {
      if (!isWanted(call)) return true;
      this.#waitingBytes -= call.bytes.length;
      this.#settle(call, error);
      return false;
    };
    this.#batch = this.#batch.filter(keeps);
    this.#batchBytes = this.#batch.reduce((sum, call) => sum + call.bytes.length, 0);
    this.#waiting.retain(keeps);
  }

  // ---- deadlines --------------------------------------------------------------------------------

  #watchDeadlines(): void {
    const { timers, timeoutMs } = this.#options;
    this.#watch ??= timers.after(timeoutMs / DEADLINE_CHECKS, () => {
      this.#watch = undefined;
      this.#expire();
      if (this.#unsettled > 0) this.#watchDeadlines();
    });
  }

  #expire(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const { timeoutMs } = this.#options;
    const noReply = `no reply within ${timeoutMs} ms: the command may or may not have been executed`;
    this.#sent.retain((call) => {
      if (call.deadlineMs <= nowMs) {
        this.#settle(call, new CoterieError("TIMEOUT", noReply, { detail: { timeoutMs } }));
      }
      return true; // it keeps its place: its reply may still come
    });
    const notSent = `not sent within ${timeoutMs} ms, since no worker took it: it was not executed`;
    const error = new CoterieError("OVERLOADED", notSent, { detail: { timeoutMs } });
    this.#dropWaiting((call) => call.deadlineMs <= nowMs, error);
    this.#checkClosing();
  }
}

/** A command whose reply nobody waits for. */
function unasked<Text extends string | Buffer>(bytes: Buffer): Call<Text> {
  return { bytes, commands: 1, replies: [], deadlineMs: Infinity, settle: undefined };
}

function stopped(): CoterieError {
  return new CoterieError("WORKER_DOWN", "the node has stopped");
}

function unknown(reason: CoterieError): CoterieError {
  if (reason.code === "UNKNOWN_OUTCOME") return reason;
  const text = `${reason.message} before it answered: the command may or may not have been executed`;
  return new CoterieError("UNKNOWN_OUTCOME", text, { cause: reason });
}
