/**
 * Commands over everything that a node holds (KEYS), slice by slice: each worker collects a slice a
 * turn, and other clients are served between them.
 *
 *   gateway      slice ─▶ next turn ─▶ slice ─▶ …          (its own worker)
 *                ask ──▶ slice ──▶ ask ──▶ slice ──▶ …     (each other worker)
 *                all have ended ──▶ the reply: *N, then the items of all slices
 *
 * The client's later commands wait meanwhile, so that the reply is of what it had done before. A
 * worker does one slice a turn, whoever asks for it: ten clients' KEYS take ten times as long, not
 * turns ten times as long.
 *
 * Invariant: one reply, whole or an error; nobody works on for a client that is gone; the slices of
 * one reply have a bound.
 */
import type { Request } from "../../runtime/codec/request.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { Slice, SlicedCommand } from "../command.ts";
import type { CommandEntry } from "../command-table.ts";
import { beginRun } from "../worker/worker-stats.ts";
import type { Client } from "./client.ts";
import { type Connection, REPLY_BYTES_MAX } from "./connection.ts";
import type { DispatchHost } from "./dispatcher.ts";
import { MESSAGE_COLLECT } from "./messages.ts";
import { asBuffer, encodeError } from "./replies.ts";
import { argumentsOf, requestOf } from "./steps.ts";
import { askWorker, headerOf } from "./worker-ask.ts";

export const REPLY_TOO_LARGE =
  "ERR the reply is too large: ask for less at a time (KEYS: a narrower pattern, or SCAN)";
const GONE = "ERR the client is gone";

/** A reply in pieces, or the error to reply; the gate that it waits for. */
export type OnSlices = (error: string | null, pieces: readonly Buffer[], gate: number) => void;

/** A command that is collected slice by slice, and for whom. */
export interface SlicedJob {
  readonly client: Client;
  readonly entry: CommandEntry;
  readonly command: SlicedCommand;
  /** A copy. */
  readonly request: Request;
  readonly keyspace: number;
}

/** Runs such a command of a connection, by a copy of its request; its later commands wait. */
export function runSliced(
  host: DispatchHost,
  connection: Connection,
  entry: CommandEntry,
  command: SlicedCommand,
  request: Request,
): void {
  const { client } = connection;
  const { stats } = entry;
  stats.calls++;
  host.stats.commands++;
  const slot = connection.defer(0, client.mutesReply());
  connection.block();
  const job = { client, entry, command, request, keyspace: client.keyspace };
  collectSlices(host, job, (error, pieces, gate) => {
    if (error !== null) {
      stats.failed++;
      host.stats.noteError(error);
    }
    connection.fill(slot, error === null ? Buffer.concat(pieces) : encodeError(error), gate);
    connection.unblock();
  });
}

/** One slice of this worker, timed. */
export function sliceHere(
  host: DispatchHost,
  { stats }: CommandEntry,
  command: SlicedCommand,
  request: Request,
  keyspace: number,
): Slice {
  const beganMs = beginRun(stats, host.clock);
  const slice = command.slice(host, request, keyspace);
  host.stats.endRun(stats, host.clock, beganMs);
  return slice;
}

/** Every slice of a worker in one turn: inside a transaction of it. */
export function everySlice(request: Request, sliceOf: (asked: Request) => Slice): Slice[] {
  const slices: Slice[] = [];
  for (let asked: Request | null = request; asked !== null; ) {
    const slice = sliceOf(asked);
    slices.push(slice);
    asked = slice.rest === null ? null : followUp(request, slice.rest);
  }
  return slices;
}

/** Replies the items of slices as one array. */
export function replySlices(slices: readonly Slice[], reply: RespWriter): void {
  const failed = slices.find(({ error }) => error !== null);
  if (failed !== undefined) {
    reply.error(failed.error ?? "");
    return;
  }
  reply.array(slices.reduce((sum, { count }) => sum + count, 0));
  for (const { items } of slices) reply.raw(asBuffer(items), 0, items.length);
}

/** Calls back once with the reply: at once where one slice is all, else in a later turn. */
export function collectSlices(host: DispatchHost, job: SlicedJob, done: OnSlices): void {
  new Collection(host, job, done).start();
}

/** What a worker is asked next: the client's request with more arguments. */
function followUp(request: Request, rest: readonly string[]): Request {
  return requestOf([...argumentsOf(request, null), ...rest.map((text) => Buffer.from(text))]);
}

class Collection {
  readonly #host: DispatchHost;
  readonly #job: SlicedJob;
  readonly #done: OnSlices;
  readonly #items: Buffer[] = [];
  #count = 0;
  #bytes = 0;
  #error: string | null = null;
  /** Workers that have not ended. */
  #waiting = 0;

  constructor(host: DispatchHost, job: SlicedJob, done: OnSlices) {
    this.#host = host;
    this.#job = job;
    this.#done = done;
  }

  start(): void {
    const { config, index } = this.#host;
    const { client, command, request } = this.#job;
    const isPerWorker = client.isDirect && command.isPerWorker === true;
    this.#waiting = isPerWorker ? 1 : config.workers;
    for (let worker = 0; worker < config.workers && !isPerWorker; worker++) {
      if (worker !== index) this.#askOther(worker, request, false);
    }
    this.#askHere(request);
  }

  #askHere(request: Request): void {
    const { entry, command, keyspace } = this.#job;
    const slice = sliceHere(this.#host, entry, command, request, keyspace);
    const next = this.#take(slice);
    if (next === null) this.#ended();
    else this.#host.slices.add(() => this.#askHere(next));
  }

  #askOther(worker: number, request: Request, isBegun: boolean): void {
    const host = this.#host;
    const { client, keyspace } = this.#job;
    const { protocol, id } = client;
    const header = headerOf({ keyspace, protocol, id }, 0);
    askWorker(
      host,
      { worker, kind: MESSAGE_COLLECT, header, request, indexes: null, isBegun },
      (buffer, start, end) => {
        const next = this.#take(host.unpack(buffer.subarray(start, end)) as Slice);
        if (next === null) this.#ended();
        else this.#askOther(worker, next, true);
      },
      (text) => {
        this.#error ??= text;
        this.#ended();
      },
    );
  }

  /** Keeps a slice; what to ask its worker next, or null. */
  #take({ count, items, rest, error }: Slice): Request | null {
    const { client, request } = this.#job;
    this.#error ??= error;
    if (client.connection?.closed) this.#error ??= GONE;
    if (this.#bytes + items.length > REPLY_BYTES_MAX) this.#error ??= REPLY_TOO_LARGE;
    if (this.#error !== null) return null;
    this.#count += count;
    this.#bytes += items.length;
    if (count > 0) this.#items.push(asBuffer(items));
    return rest === null ? null : followUp(request, rest);
  }

  #ended(): void {
    if (--this.#waiting > 0) return;
    const { gates } = this.#host;
    if (this.#error !== null) this.#done(this.#error, [], 0);
    else {
      const pieces = [Buffer.from(`*${this.#count}\r\n`), ...this.#items];
      this.#done(null, pieces, gates.gateOfAll(this.#job.keyspace));
    }
  }
}
