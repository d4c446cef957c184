/**
 * Collections that a covering `clear` has hidden, freed piece by piece so that deleting a million
 * elements holds nobody up.
 *
 * This is the lazy cut of design 4.4 for a clear that covers every version of the collection: the
 * whole order is detached from its key, so nothing of it exists for reads, counts, joins or new
 * snapshots, and what the key gets next starts in a fresh block. A snapshot that began before the
 * clear still sees the elements: each is handed to it before it is freed.
 */
import { assert } from "../base/assert.ts";
import type { MemoryTable } from "./memory-table.ts";
import type { Ref } from "./slab-pool.ts";

/** What is freed at once costs less than remembering it. */
const EAGER_ITEMS_MAX = 64;

interface Detached {
  readonly block: Ref;
  readonly type: number;
  /** The key's bytes, which a snapshot may still ask for. */
  readonly key: Buffer;
  root: Ref;
  /** Detached before the running snapshot began: not part of it. */
  hiddenFromSnapshot: boolean;
}

export class Garbage {
  /** Collections up to this size are freed at once. */
  eagerItemsMax = EAGER_ITEMS_MAX;

  readonly #table: MemoryTable;
  /** By block, in the order in which they were detached. */
  readonly #detached = new Map<Ref, Detached>();
  /** Entries that the running snapshot has yet to see. */
  #held = 0;

  constructor(table: MemoryTable) {
    this.#table = table;
  }

  get isEmpty(): boolean {
    return this.#detached.size === 0;
  }

  /** Whether elements remain that the running snapshot has yet to see. */
  get holdsSnapshot(): boolean {
    return this.#held > 0;
  }

  /** Called when a snapshot begins: what is detached already is no part of it. */
  hideFromSnapshot(): void {
    for (const entry of this.#detached.values()) entry.hiddenFromSnapshot = true;
    this.#held = 0;
  }

  /** The key of a detached block. */
  keyOf(block: Ref): Buffer {
    const entry = this.#detached.get(block);
    assert(entry !== undefined, "a block without a key is detached");
    return entry.key;
  }

  /** Forgets everything: the heap has been given back as a whole. */
  reset(): void {
    this.#detached.clear();
    this.#held = 0;
  }

  /** Takes a block from its (still linked) key record. The caller removes or relinks the key. */
  detach(keyRef: Ref, block: Ref): void {
    const table = this.#table;
    const records = table.records;
    const keyAt = records.keyAt(keyRef);
    const entry: Detached = {
      block,
      type: table.blocks.type(block),
      key: Buffer.from(records.bytes(keyRef).subarray(keyAt, keyAt + records.keyLength(keyRef))),
      root: table.blocks.root(block),
      hiddenFromSnapshot: false,
    };
    const count = table.elements.countOf(block);
    table.orphanBlock(block);
    this.#detached.set(block, entry);
    this.#held++;
    if (count <= this.eagerItemsMax) this.#free(entry, count);
  }

  /** Frees up to about `itemsMax` elements; returns whether any remain. */
  collect(itemsMax: number): boolean {
    let left = itemsMax;
    for (const entry of this.#detached.values()) {
      if (left <= 0) break;
      left -= this.#free(entry, left);
    }
    return this.#detached.size > 0;
  }

  /** Frees items of one entry; drops it when done. Returns how many it visited (at least one). */
  #free(entry: Detached, itemsMax: number): number {
    const table = this.#table;
    let visited = 0;
    entry.root = table.elements.orderOf(entry.type).freeSlice(entry.root, itemsMax, (ref) => {
      visited++;
      if (!entry.hiddenFromSnapshot) table.touch(ref);
      table.elements.forget(entry.type, ref);
      table.heap.free(ref);
    });
    if (entry.root === 0) {
      if (!entry.hiddenFromSnapshot) this.#held--;
      this.#detached.delete(entry.block);
      table.heap.free(entry.block);
    }
    return Math.max(visited, 1);
  }
}
