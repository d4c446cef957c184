/**
 * Counts how often keys come to be, apart by their hashes: what WATCH of an absent key compares,
 * which may have come and gone again before EXEC.
 *
 * Invariant: between two equal counts no key with that hash was made. Unequal ones may be another
 * key's; then a transaction is tried again for nothing.
 */
import { onePerPool } from "./slab-pool.ts";

/** Counters: keys that share one make each other's transactions fail, rarely. */
const COUNTERS = 16_384;

export class KeyBirths {
  readonly #counts = new Uint32Array(COUNTERS);

  /** The one of a pool. */
  static readonly of = onePerPool(() => new KeyBirths());

  private constructor() {}

  /** A key with this hash was made. */
  note(hash: number): void {
    const at = hash & (COUNTERS - 1);
    this.#counts[at] = (this.#counts[at] as number) + 1;
  }

  count(hash: number): number {
    return this.#counts[hash & (COUNTERS - 1)] as number;
  }
}
