/**
 * Runs pipelines: the commands that a client has sent together are parsed some at a time, and their
 * keys are looked up together (see keys-ahead.ts), before the first of them runs. A guess: a
 * command's first argument is taken for its key, and what is not this worker's or not served now is
 * left to its command.
 */
import { Pipeline } from "../../runtime/codec/pipeline.ts";
import { slotOf } from "../../runtime/ring/slots.ts";
import { KEYS_AHEAD_MAX, KeysAhead } from "../../runtime/table/keys-ahead.ts";
import type { WorkerView } from "../worker/worker-view.ts";
import type { Connection } from "./connection.ts";

// limits:
/** Longest argument that is taken for a key: longer ones would cost more than they may save. */
export const KEY_AHEAD_BYTES_MAX = 256;

/**
 * How far is parsed ahead: a connection may be stopped at each command, and what lies behind is parsed
 * again.
 */
export const PARSED_AHEAD_BYTES_MAX = 64 * 1024;

/** What it needs to know of its worker. */
export type WorkerAhead = Pick<WorkerView, "executor" | "pool" | "findVnode">;

export class Pipelines {
  readonly #keys: KeysAhead;
  readonly #worker: WorkerAhead;
  /** More than one where a command lets another connection go on. */
  readonly #unused: Pipeline[] = [];

  constructor(worker: WorkerAhead) {
    this.#keys = KeysAhead.of(worker.pool);
    this.#worker = worker;
  }

  /** Forgets what was found: other bytes come. */
  forget(): void {
    this.#keys.clear();
  }

  /**
   * Runs the command that the connection's reader has just parsed, and some of buffer[.., end) behind
   * it. Returns where the rest begins.
   */
  run(connection: Connection, buffer: Buffer, end: number): number {
    const { reader } = connection;
    if (reader.next === end) {
      connection.execute(reader.request);
      return end;
    }
    const { limits } = reader;
    const pipeline = this.#unused.pop() ?? new Pipeline(KEYS_AHEAD_MAX);
    pipeline.fill(reader, buffer, Math.min(end, reader.next + PARSED_AHEAD_BYTES_MAX));
    if (pipeline.count > 1) this.look(pipeline, buffer, connection.client.keyspace);
    let ran = 0;
    do connection.execute(pipeline.at(ran++));
    while (ran < pipeline.count && reader.limits === limits && connection.mayRun());
    // What was parsed behind it is parsed again, as things are then.
    if (ran < pipeline.count) reader.reset();
    pipeline.clear();
    this.#unused.push(pipeline);
    return pipeline.ends[ran - 1] as number;
  }

  /** Looks up the keys of commands which lie in `buffer`. */
  look(pipeline: Pipeline, buffer: Buffer, keyspace: number): void {
    const keys = this.#keys;
    const { executor } = this.#worker;
    const { count } = pipeline;
    for (let i = 0; i < count; i++) {
      const request = pipeline.at(i);
      // An inline command with quotes lies elsewhere.
      if (request.bytes !== buffer || request.count < 2) continue;
      if (request.length(1) > KEY_AHEAD_BYTES_MAX) continue;
      request.slotAhead = slotOf(buffer, request.starts[1] as number, request.ends[1] as number);
    }
    keys.clear();
    // A loop of its own: its loads, too, are waited for together.
    for (let i = 0; i < count; i++) {
      const { slotAhead, starts, ends } = pipeline.at(i);
      if (slotAhead < 0) continue;
      const partition = executor.partitionOfSlot(keyspace, slotAhead);
      const vnode = this.#worker.findVnode(keyspace, partition);
      if (vnode === undefined) continue;
      keys.add(vnode.partition, starts[1] as number, ends[1] as number);
    }
    keys.look(buffer);
  }
}
