/**
 * Collection blocks: one for each (key, type), 32 bytes in the heap, which names the order of its
 * elements. A block's address is the owner id of its elements; it outlives its key while they are
 * being freed.
 *
 * ```
 *  0  u32  type | CUT
 *  4  u32  root of the elements' order
 *  8  u32  next block of the key
 * 12  u32  key record; 0: gone, the elements are being freed
 * 16  f64  last change (vnode sequence)
 * 24  f64  smallest copy of an expiry that an element was written with; Infinity: none
 * ```
 *
 * Invariant: the blocks of a key are a chain from its record; each names that record.
 */
import type { Records } from "./record.ts";
import type { Ref } from "./slab-pool.ts";

export const BLOCK_BYTES = 32;
const TYPE = 0;
const ROOT = 1;
const NEXT = 2;
const KEY = 3;
const CHANGED_DOUBLE = 2;
const COPY_DOUBLE = 3;
/** A pass is to judge elements of this collection first (garbage.ts). */
const CUT = 8;

export class Blocks {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  /** Fills a fresh block and makes it the first of its key. */
  open(block: Ref, type: number, key: Ref, sequence: number): void {
    const words = this.#records.words(block);
    const at = this.#records.at(block) >>> 2;
    words[at + TYPE] = type;
    words[at + ROOT] = 0;
    words[at + NEXT] = this.#records.block(key);
    words[at + KEY] = key;
    this.setCopyMin(block, Number.POSITIVE_INFINITY);
    this.setChanged(block, sequence);
    this.#records.setBlock(key, block);
  }

  type(block: Ref): number {
    return this.#word(block, TYPE) & ~CUT;
  }

  /** Whether elements of it wait for a pass: its order is not all of it. */
  isCut(block: Ref): boolean {
    return (this.#word(block, TYPE) & CUT) !== 0;
  }

  setCut(block: Ref, isCut: boolean): void {
    this.#setWord(block, TYPE, this.type(block) | (isCut ? CUT : 0));
  }

  root(block: Ref): Ref {
    return this.#word(block, ROOT);
  }

  next(block: Ref): Ref {
    return this.#word(block, NEXT);
  }

  key(block: Ref): Ref {
    return this.#word(block, KEY);
  }

  /** The smallest copy of an expiry that an element was written with; Infinity without any. */
  copyMin(block: Ref): number {
    return this.#double(block, COPY_DOUBLE);
  }

  /** Sequence of the last op that changed an element. */
  changed(block: Ref): number {
    return this.#double(block, CHANGED_DOUBLE);
  }

  setRoot(block: Ref, root: Ref): void {
    this.#setWord(block, ROOT, root);
  }

  /** The key record has moved, or (0) is gone. */
  setKey(block: Ref, key: Ref): void {
    this.#setWord(block, KEY, key);
  }

  setCopyMin(block: Ref, copyAt: number): void {
    this.#records.doubles(block)[(this.#records.at(block) >>> 3) + COPY_DOUBLE] = copyAt;
  }

  setChanged(block: Ref, sequence: number): void {
    this.#records.doubles(block)[(this.#records.at(block) >>> 3) + CHANGED_DOUBLE] = sequence;
  }

  /** The collection of a type under a key record, or 0. */
  of(ref: Ref, type: number): Ref {
    let block = this.#records.block(ref);
    while (block !== 0 && this.type(block) !== type) block = this.next(block);
    return block;
  }

  /** Takes a block out of its key's chain; the key record stays. Does not free it. */
  unlink(block: Ref): void {
    const records = this.#records;
    const key = this.key(block);
    const next = this.next(block);
    if (records.block(key) === block) {
      records.setBlock(key, next);
      return;
    }
    let before = records.block(key);
    while (this.next(before) !== block) before = this.next(before);
    this.#setWord(before, NEXT, next);
  }

  #word(block: Ref, word: number): number {
    return this.#records.words(block)[(this.#records.at(block) >>> 2) + word] as number;
  }

  #setWord(block: Ref, word: number, value: number): void {
    this.#records.words(block)[(this.#records.at(block) >>> 2) + word] = value;
  }

  #double(block: Ref, double: number): number {
    return this.#records.doubles(block)[(this.#records.at(block) >>> 3) + double] as number;
  }
}
