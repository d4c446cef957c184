/**
 * The snapshots of a vnode under test, taken at once or in tiny slices while the scenario goes on.
 *
 * Invariant: a finished snapshot holds what the vnode held when its scan began.
 */
import { isDeepStrictEqual } from "node:util";
import type { Partition } from "../../runtime/table/partition.ts";
import { SnapshotScan } from "../../runtime/table/snapshot-scan.ts";
import { loadState } from "../../runtime/table/state-loader.ts";
import { ChunkMemory } from "../../runtime/table/state-writer.ts";
import type { CanonicalState } from "./harness.ts";
import { canonicalState } from "./vnode-state.ts";

export interface Snapshot {
  readonly chunks: readonly Buffer[];
  readonly sequence: number;
}

/** Of all scans, as on a worker; a megabyte a chunk is much for states of a few keys. */
const memory = new ChunkMemory();

export class VnodeSnapshots {
  /** The newest whole one; not durable by itself. */
  last: Snapshot | undefined;
  readonly #empty: () => Partition;
  #scan: SnapshotScan | undefined;
  #chunks: Buffer[] = [];
  /** The state when the scan began. */
  #cut: CanonicalState | undefined;

  /** `empty`: makes a partition to load a snapshot into. */
  constructor(empty: () => Partition) {
    this.#empty = empty;
  }

  get isScanning(): boolean {
    return this.#scan !== undefined;
  }

  begin(partition: Partition): void {
    this.#cut = canonicalState(partition);
    this.#scan = new SnapshotScan(partition, memory);
    this.#chunks = [];
    this.#take(this.#scan);
  }

  /** Copies what is finished: the scan goes on in the same memory. */
  #take(scan: SnapshotScan): void {
    for (let chunk = scan.take(); chunk !== undefined; chunk = scan.take()) {
      this.#chunks.push(Buffer.from(chunk));
      memory.give(chunk);
    }
  }

  advance(itemsMax: number): void {
    const scan = this.#scan;
    if (scan === undefined) return;
    const state = scan.next(itemsMax);
    this.#take(scan);
    if (state === "going") return;
    this.#scan = undefined;
    if (state !== "done") return;
    this.last = { chunks: this.#chunks, sequence: scan.sequence };
    const copy = this.#empty();
    loadState(copy, this.#chunks);
    if (!isDeepStrictEqual(canonicalState(copy), this.#cut))
      throw new Error("a scan holds its cut");
    copy.release();
  }

  /** Gives the running scan up, as a disk that refuses does; it goes on for its marks only. */
  abort(): void {
    this.#scan?.abort();
  }

  /** The state as it is now, whole. */
  take(partition: Partition, itemsMax: number): Snapshot {
    while (this.#scan !== undefined) this.advance(itemsMax);
    this.begin(partition);
    while (this.#scan !== undefined) this.advance(itemsMax);
    if (this.last === undefined) throw new Error("nobody aborts a scan here");
    return this.last;
  }

  /** The vnode is another one, which comes from this snapshot. */
  restart(last: Snapshot | undefined): void {
    this.#scan = undefined;
    this.last = last;
  }
}
