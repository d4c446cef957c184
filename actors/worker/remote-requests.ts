/**
 * What other workers and the main thread ask of this one: commands on its partitions, its part of
 * a node command.
 *
 * Invariants: every request is answered once, with a whole reply; the requests of one client run in
 * the order in which they came, whatever one of them waits for.
 */
import { Request } from "../../runtime/codec/request.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { type CommandEntry, keyIndexes } from "../command-table.ts";
import { REPLY_BYTES_MAX } from "../gateway/connection.ts";
import type { DispatchHost } from "../gateway/dispatcher.ts";
import {
  MESSAGE_FAILED,
  MESSAGE_PART,
  MESSAGE_REPLY,
  type RunHeader,
  readRun,
} from "../gateway/messages.ts";
import { copyOf } from "../gateway/other-steps.ts";
import { sliceHere } from "../gateway/sliced.ts";
import { FAILED_INSIDE } from "./participant.ts";
import { beginRun } from "./worker-stats.ts";

/** Sends an answer back to who asked; held until its gate is open. */
export type Answer = (
  kind: number,
  bytes: Buffer,
  start: number,
  end: number,
  gate: number,
) => void;

/** A request that waits for a partition, or behind one of the same client that does. */
interface Kept {
  readonly kind: "run" | "collect";
  readonly entry: CommandEntry;
  readonly request: Request;
  readonly header: RunHeader;
  readonly answer: Answer;
}

const TOO_LARGE = "ERR the reply is too large";
const MINUS = 0x2d;

export class RemoteRequests {
  readonly #host: DispatchHost;
  readonly #pack: (value: unknown) => Buffer;
  readonly #request = new Request();
  readonly #header: RunHeader = { keyspace: 0, protocol: 2, partition: 0, client: 0 };
  readonly #writer = new RespWriter({ bytesMax: REPLY_BYTES_MAX });
  /** What waits, by client: usually nobody's. */
  readonly #waiting = new Map<number, Kept[]>();

  constructor(host: DispatchHost, pack: (value: unknown) => Buffer) {
    this.#host = host;
    this.#pack = pack;
  }

  /** Runs a command on a partition of this worker. */
  run(source: Buffer, start: number, answer: Answer): void {
    readRun(source, start, this.#header, this.#request);
    this.runRequest(this.#request, this.#header, answer);
  }

  /** Runs a request whose keys are this worker's. */
  runRequest(request: Request, header: Readonly<RunHeader>, answer: Answer): void {
    const entry = this.#host.table.find(request) as CommandEntry;
    const queue = this.#queueOf(header);
    if (queue === undefined && this.#notReady(entry, request, header) < 0) {
      this.#runNow(entry, request, header, answer);
      return;
    }
    const copies = { request: copyOf(request), header: { ...header } };
    const kept: Kept = { kind: "run", entry, ...copies, answer };
    if (queue !== undefined) {
      queue.push(kept);
      return;
    }
    const own = [kept];
    this.#waiting.set(header.client, own);
    this.#goOn(header.client, own);
  }

  /** What waits of a request's client: it comes behind that. */
  #queueOf({ client }: Readonly<RunHeader>): Kept[] | undefined {
    return this.#waiting.size === 0 ? undefined : this.#waiting.get(client);
  }

  /** Runs what a client has waiting, up to a request whose partition does not serve yet. */
  #goOn(client: number, queue: Kept[]): void {
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      const { kind, entry, request, header, answer } = next;
      const busy = kind === "run" ? this.#notReady(entry, request, header) : -1;
      if (busy >= 0) {
        this.#host.whenReady(header.keyspace, busy, (error) => {
          if (error === null) this.#goOn(client, queue);
          else this.#giveUp(client, queue, error);
        });
        return;
      }
      queue.shift();
      if (kind === "run") this.#runNow(entry, request, header, answer);
      else this.#collectNow(entry, request, header, answer);
    }
    this.#waiting.delete(client);
  }

  /** The first request has waited too long: what came behind it was not executed either. */
  #giveUp(client: number, queue: readonly Kept[], error: string): void {
    this.#waiting.delete(client);
    for (const { kind, answer } of queue) {
      if (kind === "run") this.#fail(error, answer);
      else answerFailure(error, answer);
    }
  }

  #runNow(
    entry: CommandEntry,
    request: Request,
    header: Readonly<RunHeader>,
    answer: Answer,
  ): void {
    const host = this.#host;
    const { protocol } = header;
    const refusal = entry.isWrite ? host.refusesWrite(entry.deniesOom) : null;
    if (refusal !== null) {
      entry.stats.rejected++;
      this.#fail(refusal, answer);
      return;
    }
    const writer = this.#writer;
    writer.reset();
    writer.protocol = protocol;
    const mark = host.mark();
    const beganMs = beginRun(entry.stats, host.clock);
    let gate = 0;
    try {
      gate = this.#execute(entry, request, header, writer);
      host.stats.endRun(entry.stats, host.clock, beganMs);
    } catch (error) {
      host.rollBack(mark, error);
      this.#fail(FAILED_INSIDE, answer);
      return;
    }
    host.stats.commands++;
    if (writer.overflowed) {
      this.#fail(TOO_LARGE, answer);
      return;
    }
    if (writer.buffer[0] === MINUS) {
      entry.stats.failed++;
      host.stats.noteError(writer.buffer.toString("latin1", 1, writer.at));
    }
    answer(MESSAGE_REPLY, writer.buffer, 0, writer.at, gate);
  }

  /** A partition of the request that does not serve now; -1: all do. */
  #notReady(entry: CommandEntry, request: Request, header: Readonly<RunHeader>): number {
    const host = this.#host;
    const { keyspace, partition } = header;
    const { command } = entry;
    if (command.scope === "key") {
      const at = command.keys?.first ?? 1;
      const { bytes, starts, ends } = request;
      return host.canRun(keyspace, partition, bytes, starts[at], ends[at]) ? -1 : partition;
    }
    // What only looks over a partition waits for no transaction: its own may hold the partition.
    if (command.scope !== "keys") {
      return host.vnodesHere.isReady(keyspace, partition) ? -1 : partition;
    }
    for (const index of keyIndexes(command, request)) {
      const start = request.starts[index] as number;
      const end = request.ends[index] as number;
      const own = host.executor.partitionOfArgument(keyspace, request, index);
      if (!host.canRun(keyspace, own, request.bytes, start, end)) return own;
    }
    return -1;
  }

  #execute(
    entry: CommandEntry,
    request: Request,
    { keyspace, partition }: Readonly<RunHeader>,
    writer: RespWriter,
  ): number {
    const { executor } = this.#host;
    const { command } = entry;
    executor.nowMs = this.#host.nowMs;
    executor.gate = 0;
    if (command.scope === "key") {
      executor.runOnKey(command, keyspace, partition, request, writer);
    } else if (command.scope === "keys") {
      executor.runOnKeys(command, keyspace, request, writer);
    } else if (command.scope === "partition") {
      command.execute(this.#host, keyspace, partition, request, writer);
      return this.#host.gates.gateOfAll(keyspace);
    }
    return executor.gate;
  }

  #fail(text: string, answer: Answer): void {
    this.#host.stats.noteError(text);
    const writer = this.#writer;
    writer.reset();
    writer.error(text);
    answer(MESSAGE_REPLY, writer.buffer, 0, writer.at, 0);
  }

  /** Collects this worker's part of a node command. */
  collect(source: Buffer, start: number, answer: Answer): void {
    readRun(source, start, this.#header, this.#request);
    const request = this.#request;
    const header = this.#header;
    const entry = this.#host.table.find(request) as CommandEntry;
    const queue = this.#queueOf(header);
    if (queue === undefined) this.#collectNow(entry, request, header, answer);
    else {
      const copies = { request: copyOf(request), header: { ...header } };
      queue.push({ kind: "collect", entry, ...copies, answer });
    }
  }

  #collectNow(
    entry: CommandEntry,
    request: Request,
    { keyspace }: Readonly<RunHeader>,
    answer: Answer,
  ): void {
    const host = this.#host;
    const { command } = entry;
    if (command.scope === "sliced") {
      const kept = copyOf(request);
      host.slices.add(() => {
        this.#answerPart(sliceHere(host, entry, command, kept, keyspace), 0, keyspace, answer);
      });
      return;
    }
    if (command.scope !== "node") {
      answerFailure("ERR no such node command", answer);
      return;
    }
    host.executor.nowMs = host.nowMs;
    host.executor.gate = 0;
    const beganMs = beginRun(entry.stats, host.clock);
    const part = command.collect(host, request, keyspace, 0);
    host.stats.endRun(entry.stats, host.clock, beganMs);
    this.#answerPart(part, host.executor.gate, keyspace, answer);
  }

  /** A part is a look at all keys: it waits for what is not durable. */
  #answerPart(part: unknown, ownGate: number, keyspace: number, answer: Answer): void {
    const packed = this.#pack(part);
    const gate = Math.max(ownGate, this.#host.gates.gateOfAll(keyspace));
    answer(MESSAGE_PART, packed, 0, packed.length, gate);
  }
}

function answerFailure(text: string, answer: Answer): void {
  const bytes = Buffer.from(text);
  answer(MESSAGE_FAILED, bytes, 0, bytes.length, 0);
}
