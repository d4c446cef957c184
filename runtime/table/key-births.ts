/**
 * Counts how often keys come to be, apart by their hashes: what WATCH of an absent key compares,
 * which may have come and gone again before EXEC. Tables of a pool share the counters, and a key is
 * counted by another one in each of them: in other keyspaces there are keys of the same names.
 *
 * Invariant: between two equal counts no key with that hash was made. Unequal ones may be another
 * key's; then a transaction is tried again for nothing.
 */
import { onePerPool, type SlabPool } from "./slab-pool.ts";

/** Counters: keys that share one make each other's transactions fail, rarely. */
const COUNTERS = 16_384;
/** How far apart the counters of a key are in two tables that were made one after the other; odd. */
const STRIDE = 6_367;

interface Shared {
  readonly counts: Uint32Array;
  tables: number;
}

const sharedOf = onePerPool((): Shared => ({ counts: new Uint32Array(COUNTERS), tables: 0 }));

export class KeyBirths {
  readonly #counts: Uint32Array;
  readonly #salt: number;

  /** Those of one table. */
  constructor(pool: SlabPool) {
    const shared = sharedOf(pool);
    this.#counts = shared.counts;
    this.#salt = (STRIDE * shared.tables++) % COUNTERS;
  }

  /** A key with this hash was made. */
  note(hash: number): void {
    const at = (hash ^ this.#salt) & (COUNTERS - 1);
    this.#counts[at] = (this.#counts[at] as number) + 1;
  }

  count(hash: number): number {
    return this.#counts[(hash ^ this.#salt) & (COUNTERS - 1)] as number;
  }
}
