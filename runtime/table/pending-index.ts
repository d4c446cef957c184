/**
 * Keys that a load has made, in their order, and that are still to go into the indexes of a table, all
 * at once: the order is built from the leaves up, without comparing; sorted by hash they go into the
 * hash index at a fifth of the cost of random order, which meets a cold segment each time.
 *
 * Invariant: nothing is looked up in the indexes before `settle`.
 */
import type { MemoryTable } from "./memory-table.ts";
import type { Ref } from "./slab-pool.ts";

/** What of a table is filled. */
type KeyIndexes = Pick<MemoryTable, "keys" | "keyOrder" | "keyRoot">;

const FIRST_CAPACITY = 1024;
const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;
const PASSES = 3;

export class PendingIndex {
  #hashes = new Uint32Array(FIRST_CAPACITY);
  #refs = new Uint32Array(FIRST_CAPACITY);
  #count = 0;

  push(hash: number, ref: Ref): void {
    if (this.#count === this.#refs.length) this.#grow();
    this.#hashes[this.#count] = hash;
    this.#refs[this.#count++] = ref;
  }

  /** The record pushed last has moved. */
  moveLast(ref: Ref): void {
    this.#refs[this.#count - 1] = ref;
  }

  /** Puts all of them into the indexes, which must be empty. */
  settle(table: KeyIndexes): void {
    const count = this.#count;
    table.keyRoot = table.keyOrder.build(this.#refs, count);
    let hashes = this.#hashes;
    let refs = this.#refs;
    let hashesTo = new Uint32Array(count);
    let refsTo = new Uint32Array(count);
    for (let pass = 0; pass < PASSES; pass++) {
      const shift = pass * DIGIT_BITS;
      const places = placesOf(hashes, count, shift);
      for (let i = 0; i < count; i++) {
        const hash = hashes[i] as number;
        const digit = (hash >>> shift) & (DIGITS - 1);
        const place = places[digit] as number;
        places[digit] = place + 1;
        hashesTo[place] = hash;
        refsTo[place] = refs[i] as number;
      }
      [hashes, hashesTo] = [hashesTo, hashes];
      [refs, refsTo] = [refsTo, refs];
    }
    table.keys.fill(hashes, refs, count);
    this.#hashes = new Uint32Array(FIRST_CAPACITY);
    this.#refs = new Uint32Array(FIRST_CAPACITY);
    this.#count = 0;
  }

  #grow(): void {
    const hashes = new Uint32Array(this.#count * 2);
    const refs = new Uint32Array(this.#count * 2);
    hashes.set(this.#hashes);
    refs.set(this.#refs);
    this.#hashes = hashes;
    this.#refs = refs;
  }
}

/** Where the first hash with each digit goes. */
function placesOf(hashes: Uint32Array, count: number, shift: number): Uint32Array {
  const places = new Uint32Array(DIGITS);
  for (let i = 0; i < count; i++) {
    const digit = ((hashes[i] as number) >>> shift) & (DIGITS - 1);
    places[digit] = (places[digit] as number) + 1;
  }
  let place = 0;
  for (let digit = 0; digit < DIGITS; digit++) {
    const here = places[digit] as number;
    places[digit] = place;
    place += here;
  }
  return places;
}
