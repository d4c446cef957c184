/**
 * Commands over keys of several workers: split key by key, each part run by the worker that owns
 * its keys, the parts' replies put together (MGET, MSET, DEL, EXISTS …). Atomic per key, as the
 * docs say.
 */
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { Request } from "../../runtime/codec/request.ts";
import type { KeysCommand } from "../command.ts";
import type { WorkerView } from "../worker/worker-view.ts";
import type { Connection } from "./connection.ts";
import { encodeError } from "./dispatcher.ts";
import type { Exchange } from "./exchange.ts";
import { MESSAGE_RUN, runBytes, writeRun } from "./messages.ts";
import { endOfReply } from "./replies.ts";

/** What runs parts here and elsewhere. */
export interface ScatterHost extends WorkerView {
  readonly exchange: Exchange;
  /** Runs a part on this worker; the reply's bytes are valid until the next call. */
  runPart(
    request: Request,
    indexes: readonly number[],
    keyspace: number,
    done: (reply: Buffer, gate: number) => void,
  ): void;
}

interface Part {
  readonly worker: number;
  /** Arguments of the part's request: the name, then its keys with what belongs to them. */
  readonly indexes: number[];
  /** Which keys these are, by their order in the request. */
  readonly keys: number[];
  reply: Buffer | null;
}

const CROSS_WORKERS =
  "CROSSSLOT Keys in request don't hash to the same slot, and this node's worker threads share none of its partitions: use a {hash tag}";

export class Scatter {
  readonly #host: ScatterHost;

  constructor(host: ScatterHost) {
    this.#host = host;
  }

  /** Runs a command whose keys (at `indexes`) belong to several workers. */
  run(
    connection: Connection,
    request: Request,
    command: KeysCommand,
    indexes: readonly number[],
  ): void {
    const { split } = command;
    const slot = connection.defer();
    if (split === undefined) {
      connection.fill(slot, encodeError(CROSS_WORKERS), 0);
      return;
    }
    const parts = this.#split(connection, request, command, indexes);
    let waiting = parts.length;
    let gate = 0;
    const finished = (part: Part, reply: Buffer, partGate: number) => {
      part.reply = Buffer.from(reply);
      gate = Math.max(gate, partGate);
      if (--waiting === 0) connection.fill(slot, merge(split, parts, indexes.length), gate);
    };
    for (const part of parts) this.#send(connection, request, part, finished);
  }

  #split(
    connection: Connection,
    request: Request,
    command: KeysCommand,
    indexes: readonly number[],
  ): Part[] {
    const host = this.#host;
    const { keyspace } = connection.client;
    const step = command.keys?.step ?? 1;
    const parts = new Map<number, Part>();
    indexes.forEach((index, key) => {
      const start = request.starts[index] as number;
      const end = request.ends[index] as number;
      const partition = host.executor.partitionOf(keyspace, request.bytes, start, end);
      const worker = host.ownerOf(keyspace, partition);
      let part = parts.get(worker);
      if (part === undefined) {
        part = { worker, indexes: [0], keys: [], reply: null };
        parts.set(worker, part);
      }
      for (let i = 0; i < step; i++) part.indexes.push(index + i);
      part.keys.push(key);
    });
    return [...parts.values()];
  }

  #send(
    connection: Connection,
    request: Request,
    part: Part,
    finished: (part: Part, reply: Buffer, gate: number) => void,
  ): void {
    const host = this.#host;
    const { keyspace, protocol } = connection.client;
    if (part.worker === host.index) {
      host.runPart(request, part.indexes, keyspace, (reply, gate) => finished(part, reply, gate));
      return;
    }
    host.exchange.ask(
      part.worker,
      MESSAGE_RUN,
      runBytes(request, part.indexes),
      (target, start) =>
        writeRun(target, start, { keyspace, protocol, partition: 0 }, request, part.indexes),
      host.nowMs,
      (buffer, start, end) => finished(part, buffer.subarray(start, end), 0),
      (text) => finished(part, encodeError(text), 0),
    );
  }
}

const MINUS = 0x2d;

/** One reply out of the parts' replies: the first error, if there is one. */
function merge(split: "sum" | "array" | "ok", parts: readonly Part[], keys: number): Buffer {
  for (const { reply } of parts) if (reply !== null && reply[0] === MINUS) return reply;
  if (split === "ok") return parts[0]?.reply as Buffer;
  const writer = new RespWriter({ bytesMax: Number.MAX_SAFE_INTEGER });
  if (split === "sum") {
    let sum = 0;
    for (const { reply } of parts) sum += Number((reply as Buffer).toString("latin1", 1));
    writer.integer(sum);
    return writer.take();
  }
  const items: Buffer[] = new Array(keys);
  for (const { reply, keys: places } of parts) {
    const bytes = reply as Buffer;
    let at = bytes.indexOf(10) + 1;
    for (const place of places) {
      const end = endOfReply(bytes, at);
      items[place] = bytes.subarray(at, end);
      at = end;
    }
  }
  writer.array(keys);
  for (const item of items) writer.raw(item, 0, item.length);
  return writer.take();
}
