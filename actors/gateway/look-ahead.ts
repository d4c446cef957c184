/**
 * Looks ahead in a client's pipeline, so that the keys of its next commands are looked up together
 * (see keys-ahead.ts). A guess: a command's first argument is taken for its key, and what is not
 * plain, not this worker's or not served now is left to its command.
 */
import { RespSkim } from "../../runtime/codec/resp-skim.ts";
import { KEYS_AHEAD_MAX, KeysAhead } from "../../runtime/table/keys-ahead.ts";
import type { WorkerView } from "../worker/worker-view.ts";

// limits:
/** Longest argument that is taken for a key: longer ones would cost more than they may save. */
export const KEY_AHEAD_BYTES_MAX = 256;

/** What it needs to know of its worker. */
export type WorkerAhead = Pick<WorkerView, "executor" | "pool" | "findVnode">;

export class LookAhead {
  readonly #keys: KeysAhead;
  readonly #worker: WorkerAhead;
  readonly #skim = new RespSkim();
  readonly #starts = new Int32Array(KEYS_AHEAD_MAX);
  readonly #ends = new Int32Array(KEYS_AHEAD_MAX);
  readonly #partitions = new Int32Array(KEYS_AHEAD_MAX);

  constructor(worker: WorkerAhead) {
    this.#keys = KeysAhead.of(worker.pool);
    this.#worker = worker;
  }

  /** Forgets what was found: other bytes come. */
  forget(): void {
    this.#keys.clear();
  }

  /** Looks at the commands from `start` on. Returns where to look again: past `start`. */
  look(buffer: Buffer, start: number, end: number, keyspace: number): number {
    const keys = this.#keys;
    const skim = this.#skim;
    const { executor } = this.#worker;
    let count = 0;
    let at = start;
    while (count < KEYS_AHEAD_MAX) {
      const next = skim.next(buffer, at, end);
      if (next < 0) break;
      at = next;
      const { argumentStart, argumentEnd } = skim;
      if (argumentEnd - argumentStart > KEY_AHEAD_BYTES_MAX) continue;
      this.#starts[count] = argumentStart;
      this.#ends[count] = argumentEnd;
      const partition = executor.partitionOf(keyspace, buffer, argumentStart, argumentEnd);
      this.#partitions[count++] = partition;
    }
    keys.clear();
    // A loop of its own: its loads, too, are waited for together.
    for (let i = 0; i < count; i++) {
      const vnode = this.#worker.findVnode(keyspace, this.#partitions[i] as number);
      if (vnode === undefined) continue;
      keys.add(vnode.partition, this.#starts[i] as number, this.#ends[i] as number);
    }
    keys.look(buffer);
    return Math.max(at, start + 1);
  }
}
