/**
 * Drives a load over raw sockets and measures it: so many connections, each with so many commands
 * under way.
 *
 *   closed loop: a connection sends its next batch when the last is answered; latency counts from
 *                the sending
 *   at a rate:   batches are due at fixed times, whatever the server does; latency counts from when
 *                a batch was due, so a stall is seen by everyone who would have met it
 *
 * Invariants: no object a command; every reply is read and counted, errors apart.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Histogram } from "../runtime/base/histogram.ts";
import { ReplyCounter } from "./reply-counter.ts";
import type { Workload } from "./workload.ts";

/** Latencies are kept in tenths of a microsecond, to within 0.8 %. */
const UNITS_A_MS = 10_000;
const LATENCY_BITS = 7;
const READ_BYTES = 256 * 1024;
/** No reply for so long means that the server hangs. */
const SILENCE_MS = 30_000;

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  /** Commands that a connection has under way. */
  readonly pipeline: number;
  readonly workload: Workload;
  /** Ends after this time … */
  readonly seconds?: number;
  /** … or after so many commands, whichever comes first. */
  readonly requests?: number;
  /** Commands a second over all connections; absent: as many as the server answers. */
  readonly rate?: number;
}

export interface LoadResult {
  readonly replies: number;
  readonly seconds: number;
  readonly opsPerSecond: number;
  /** Null replies: keys that were not there. */
  readonly nulls: number;
  readonly errors: number;
  readonly firstError: string;
  /** Latency at a share (0 … 1), ms. */
  latencyMs(share: number): number;
}

/** One socket and what it waits for. */
class LoadConnection {
  readonly replies = new ReplyCounter();
  /** From when the batch under way counts, ms. */
  sinceMs = 0;
  /** Replies missing of the batch under way. */
  missing = 0;
  readonly #out: Buffer;
  readonly #workload: Workload;
  #socket: Socket | undefined;

  constructor(workload: Workload, pipeline: number) {
    this.#workload = workload;
    this.#out = Buffer.alloc(workload.bytesMax * pipeline);
  }

  async open(port: number, received: (at: this, count: number) => void): Promise<void> {
    const { replies } = this;
    // One buffer for all: a callback is done with it when it returns.
    const onread = {
      buffer: SHARED_INPUT,
      callback: (bytes: number, buffer: Uint8Array) => {
        received(this, replies.count(buffer, bytes));
        return true;
      },
    };
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, onread });
    await once(this.#socket, "connect");
  }

  onEnd(failed: (error: Error) => void): void {
    this.#socket?.on("error", failed);
    this.#socket?.on("close", () => failed(new Error("the server closed a connection")));
  }

  send(commands: number, sinceMs: number): void {
    const out = this.#out;
    const workload = this.#workload;
    let end = 0;
    for (let i = 0; i < commands; i++) end = workload.write(out, end);
    this.missing = commands;
    this.sinceMs = sinceMs;
    this.#socket?.write(end === out.length ? out : out.subarray(0, end));
  }

  close(): void {
    this.#socket?.removeAllListeners("close");
    this.#socket?.destroy();
  }
}

const SHARED_INPUT = Buffer.allocUnsafeSlow(READ_BYTES);

class Load {
  readonly #options: LoadOptions;
  readonly #connections: LoadConnection[] = [];
  readonly #idle: LoadConnection[] = [];
  readonly #latency = new Histogram(LATENCY_BITS);
  readonly #done = Promise.withResolvers<void>();
  #sent = 0;
  #answered = 0;
  #startMs = 0;
  #endMs = Number.POSITIVE_INFINITY;
  #lastMs = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    for (let i = 0; i < options.connections; i++) {
      this.#connections.push(new LoadConnection(options.workload, options.pipeline));
    }
  }

  async run(): Promise<LoadResult> {
    const { port, seconds, rate } = this.#options;
    try {
      const received = (at: LoadConnection, count: number) => this.#received(at, count);
      await Promise.all(this.#connections.map((each) => each.open(port, received)));
      for (const each of this.#connections) each.onEnd(this.#done.reject);
      this.#startMs = performance.now();
      this.#lastMs = this.#startMs;
      if (seconds !== undefined) this.#endMs = this.#startMs + seconds * 1000;
      const silence = setInterval(() => this.#checkSilence(), 1000);
      this.#idle.push(...this.#connections);
      if (rate === undefined) this.#sendAll();
      else this.#sendDue(rate);
      await this.#done.promise.finally(() => clearInterval(silence));
      return this.#result();
    } finally {
      for (const each of this.#connections) each.close();
    }
  }

  /** Commands of the next batch; 0: the load has ended. */
  #batch(nowMs: number): number {
    if (nowMs >= this.#endMs) return 0;
    const { requests, pipeline } = this.#options;
    const left = requests === undefined ? pipeline : requests - this.#sent;
    return Math.max(0, Math.min(pipeline, left));
  }

  #sendAll(): void {
    for (const each of this.#idle.splice(0)) this.#sendNext(each, this.#startMs);
    this.#checkEnd();
  }

  #sendNext(to: LoadConnection, nowMs: number): void {
    const batch = this.#batch(nowMs);
    this.#sent += batch;
    if (batch === 0) this.#idle.push(to);
    else to.send(batch, nowMs);
  }

  /** Sends every batch that is due to a connection that is free; spins until the end. */
  #sendDue(rate: number): void {
    const nowMs = performance.now();
    for (let to = this.#idle.pop(); to !== undefined; to = this.#idle.pop()) {
      const dueMs = this.#startMs + (this.#sent / rate) * 1000;
      const batch = dueMs > nowMs ? 0 : this.#batch(dueMs);
      if (batch === 0) {
        this.#idle.push(to);
        break;
      }
      this.#sent += batch;
      to.send(batch, dueMs);
    }
    const nextMs = this.#startMs + (this.#sent / rate) * 1000;
    if (this.#batch(nextMs) > 0) setImmediate(() => this.#sendDue(rate));
    else this.#endMs = Number.NEGATIVE_INFINITY;
    this.#checkEnd();
  }

  #received(from: LoadConnection, count: number): void {
    const nowMs = performance.now();
    this.#lastMs = nowMs;
    const units = (nowMs - from.sinceMs) * UNITS_A_MS;
    for (let i = 0; i < count; i++) this.#latency.note(units);
    this.#answered += count;
    from.missing -= count;
    if (from.missing < 0) this.#done.reject(new Error("more replies than commands"));
    if (from.missing > 0) return;
    if (this.#options.rate === undefined) this.#sendNext(from, nowMs);
    else this.#idle.push(from);
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (this.#idle.length < this.#connections.length) return;
    if (this.#options.rate === undefined || this.#endMs < this.#startMs) this.#done.resolve();
  }

  #checkSilence(): void {
    if (performance.now() - this.#lastMs < SILENCE_MS) return;
    const missing = this.#connections.reduce((sum, each) => sum + each.missing, 0);
    const waiting = `${missing} of ${this.#sent} commands are not answered`;
    this.#done.reject(new Error(`no reply for ${SILENCE_MS / 1000} s; ${waiting}`));
  }

  #result(): LoadResult {
    const seconds = (this.#lastMs - this.#startMs) / 1000;
    const counters = this.#connections.map(({ replies }) => replies);
    const sum = (of: (counter: ReplyCounter) => number) => {
      return counters.reduce((total, counter) => total + of(counter), 0);
    };
    return {
      replies: this.#answered,
      seconds,
      opsPerSecond: this.#answered / seconds,
      nulls: sum(({ nulls }) => nulls),
      errors: sum(({ errors }) => errors),
      firstError: counters.find(({ errors }) => errors > 0)?.firstError ?? "",
      latencyMs: (share) => this.#latency.percentile(share) / UNITS_A_MS,
    };
  }
}

/** Runs a load to its end. Rejects if the server closes a connection or falls silent. */
export function runLoad(options: LoadOptions): Promise<LoadResult> {
  if (options.seconds === undefined && options.requests === undefined) {
    throw new Error("a load ends after a time or a number of commands");
  }
  return new Load(options).run();
}

/** As `runLoad`, for loads in which every command must succeed. */
export async function mustRun(options: LoadOptions): Promise<LoadResult> {
  const result = await runLoad(options);
  if (result.errors > 0) throw new Error(`${result.errors} error replies: ${result.firstError}`);
  return result;
}
