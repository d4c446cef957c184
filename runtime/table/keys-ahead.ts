/**
 * Looks up the keys of several commands at a time, before the commands run (decision 0055).
 *
 * On the way to a record each step is a load that the next one waits for, and hardly any of them is
 * in the processor's cache. Here every step is taken for all keys before the next step for any: the
 * processor then waits for many loads at once. What was found is kept for the commands' own look-ups.
 *
 * Invariant: nothing changes but caches, and what was found is given out only for the same bytes
 * while the index has not changed since.
 */
import type { HashIndex } from "./hash-index.ts";
import type { Partition } from "./partition.ts";
import { Records } from "./record.ts";
import { onePerPool, type Ref } from "./slab-pool.ts";

// limits:
/** Keys looked up at a time. */
export const KEYS_AHEAD_MAX = 16;

export class KeysAhead {
  /** Hash of the key last recalled. */
  hash = 0;

  #count = 0;
  /** The first key that may still be asked for: commands run in order. */
  #next = 0;
  readonly #starts = new Int32Array(KEYS_AHEAD_MAX);
  readonly #ends = new Int32Array(KEYS_AHEAD_MAX);
  readonly #hashes = new Int32Array(KEYS_AHEAD_MAX);
  readonly #refs = new Uint32Array(KEYS_AHEAD_MAX);
  readonly #chunks = new Uint32Array(KEYS_AHEAD_MAX);
  readonly #changes = new Int32Array(KEYS_AHEAD_MAX);
  readonly #partitions: (Partition | undefined)[] = [];
  readonly #indexes: (HashIndex | undefined)[] = [];
  readonly #records: Records;
  /** Takes what is read only to have it in the cache: what nobody uses is not read at all. */
  #touched = 0;

  /** The one of a pool. */
  static readonly of = onePerPool((pool) => new KeysAhead(Records.of(pool)));

  private constructor(records: Records) {
    this.#records = records;
  }

  /** Forgets what was found. */
  clear(): void {
    // Nothing of a partition that is gone is held on to.
    for (let i = 0; i < this.#count; i++) {
      this.#partitions[i] = undefined;
      this.#indexes[i] = undefined;
    }
    this.#count = 0;
    this.#next = 0;
  }

  /** Adds a key to look up, KEYS_AHEAD_MAX at most, in the order in which keys will be asked for. */
  add(partition: Partition, start: number, end: number): void {
    const i = this.#count++;
    this.#partitions[i] = partition;
    this.#starts[i] = start;
    this.#ends[i] = end;
  }

  /** Looks up the keys added, which lie in `source`: step by step, each for all keys. */
  look(source: Buffer): void {
    const count = this.#count;
    const hashes = this.#hashes;
    const refs = this.#refs;
    const chunks = this.#chunks;
    const partitions = this.#partitions;
    const indexes = this.#indexes;
    let touched = 0;
    for (let i = 0; i < count; i++) touched ^= (partitions[i] as Partition).touch();
    for (let i = 0; i < count; i++) {
      const { table } = partitions[i] as Partition;
      indexes[i] = table.keys;
      hashes[i] = table.hashOf(source, this.#starts[i] as number, this.#ends[i] as number);
      this.#changes[i] = table.keys.changes;
    }
    // A segment, then a chunk of it, then a record.
    for (let i = 0; i < count; i++) {
      refs[i] = (indexes[i] as HashIndex).segmentOf(hashes[i] as number);
    }
    for (let i = 0; i < count; i++) {
      chunks[i] = (indexes[i] as HashIndex).chunkOf(refs[i] as Ref, hashes[i] as number);
    }
    for (let i = 0; i < count; i++) {
      touched ^= (indexes[i] as HashIndex).touchChunk(chunks[i] as Ref);
    }
    for (let i = 0; i < count; i++) {
      refs[i] = (indexes[i] as HashIndex).firstIn(
        chunks[i] as Ref,
        refs[i] as Ref,
        hashes[i] as number,
      );
    }
    for (let i = 0; i < count; i++) touched ^= this.#records.touch(refs[i] as Ref);
    this.#touched ^= touched;
  }

  /** The record of this key, if it was found and is still in its place; its hash in `hash`. Or 0. */
  recall(index: HashIndex, source: Buffer, start: number, end: number): Ref {
    const count = this.#count;
    let i = this.#next;
    while (i < count && (this.#starts[i] as number) < start) i++;
    this.#next = i;
    if (i === count || this.#starts[i] !== start || this.#indexes[i] !== index) return 0;
    if (this.#changes[i] !== index.changes) return 0;
    const ref = this.#refs[i] as Ref;
    // The bytes may be others now, and a hash may have several keys.
    if (ref === 0 || !this.#records.keyEquals(ref, source, start, end)) return 0;
    this.hash = this.#hashes[i] as number;
    return ref;
  }
}
