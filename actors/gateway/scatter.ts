/**
 * Commands over keys of several workers that are done key by key: each part is run by the worker
 * that owns its keys, and the parts' replies are put together (MGET, DEL, EXISTS …). Atomic per
 * key, as the docs say.
 */
import type { Request } from "../../runtime/codec/request.ts";
import type { KeysCommand } from "../command.ts";
import type { WorkerView } from "../worker/worker-view.ts";
import type { Connection } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import { MESSAGE_RUN, type RunHeader } from "./messages.ts";
import { encodeError, mergeReplies, type SplitKind } from "./replies.ts";
import { askWorker, headerOf } from "./worker-ask.ts";

/** What runs parts here and elsewhere. */
export interface ScatterHost extends WorkerView {
  readonly exchange: Exchange;
  /** Runs a part on this worker; the reply's bytes are valid until the next call. */
  runPart(
    request: Request,
    indexes: readonly number[],
    header: RunHeader,
    done: (reply: Buffer, gate: number) => void,
  ): void;
}

interface Part {
  readonly worker: number;
  /** Arguments of the part's request: the name, then its keys with what belongs to them. */
  readonly indexes: number[];
  /** Which keys these are, by their order in the request. */
  readonly keys: number[];
  reply: Buffer;
}

const NOTHING = Buffer.alloc(0);

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
    split: SplitKind,
    indexes: readonly number[],
  ): void {
    const parts = this.#split(connection, request, command, indexes);
    const bytes = (request.ends[request.count - 1] as number) - (request.starts[0] as number);
    const slot = connection.defer(bytes, connection.client.mutesReply());
    let waiting = parts.length;
    let gate = 0;
    const finished = (part: Part, reply: Buffer, partGate: number) => {
      part.reply = Buffer.from(reply);
      gate = Math.max(gate, partGate);
      if (--waiting === 0) connection.fill(slot, mergeReplies(split, parts, indexes.length), gate);
    };
    for (const part of parts) this.#send(connection, request, part, finished);
  }

  /** Runs the part of this worker's keys. While it waits, the client's later commands do. */
  #runHere(
    connection: Connection,
    request: Request,
    part: Part,
    header: RunHeader,
    finished: (part: Part, reply: Buffer, gate: number) => void,
  ): void {
    let isDone = false;
    let isHeld = false;
    this.#host.runPart(request, part.indexes, header, (reply, gate) => {
      isDone = true;
      finished(part, reply, gate);
      if (isHeld) connection.unblock();
    });
    if (isDone) return;
    isHeld = true;
    connection.block();
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
      const partition = host.executor.partitionOfArgument(keyspace, request, index);
      const worker = host.ownerOf(keyspace, partition);
      let part = parts.get(worker);
      if (part === undefined) {
        part = { worker, indexes: [0], keys: [], reply: NOTHING };
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
    const { worker, indexes } = part;
    const header = headerOf(connection.client, 0);
    if (worker === host.index) {
      this.#runHere(connection, request, part, header, finished);
      return;
    }
    askWorker(
      host,
      { worker, kind: MESSAGE_RUN, header, request, indexes },
      (buffer, start, end) => finished(part, buffer.subarray(start, end), 0),
      (text) => finished(part, encodeError(text), 0),
    );
  }
}
