/**
 * The off-heap memory of one worker: few large ArrayBuffers (slabs), cut into blocks of 1 KB << order
 * by a buddy allocator in each slab. Whoever holds a ref reads and writes the views directly:
 *
 *   const slab = ref >>> SLAB_SHIFT;
 *   const at = (ref & UNIT_MASK) << 3;      // byte; u16 index at >>> 1, u32 at >>> 2, f64 at >>> 3
 *   pool.u8[slab][at]
 *
 *   ref   = | slab: 9 bits | offset / 8: 23 bits |      0 is never a ref (the first KB is reserved)
 *   map[] = one byte a KB: | free head | used | run goes on | order: 5 bits |
 *
 * Invariant: every KB of a slab belongs to exactly one block; the head of each block has its order
 * and state in the map, all KBs of a used block have its order; free buddies are always merged.
 */
import { assert } from "../base/assert.ts";

/** A place in the pool: 0 = none. Stays valid until it is freed: nothing moves by itself. */
export type Ref = number;

export const SLAB_SHIFT = 23;
export const UNIT_MASK = 0x7fffff;

// limits:
/** Largest slab: what 23 bits of 8-byte units address. Few large buffers keep full GCs short. */
export const SLAB_BYTES_MAX = 64 * 1024 * 1024;
/** Slabs and huge blocks of a worker: what 9 bits name. 32 GB with slabs of 64 MB. */
export const SLABS_MAX = 512;

const BLOCK_SHIFT = 10;
/** Index shift from KB to u32 words. */
const WORD_SHIFT = BLOCK_SHIFT - 2;
const UNIT_SHIFT = BLOCK_SHIFT - 3;

const FREE = 0x80;
const USED = 0x40;
const CONTINUES = 0x20;
const ORDER_MASK = 0x1f;

const NO_BYTES = Buffer.from(new ArrayBuffer(0));
const NO_HALVES = new Uint16Array(0);
const NO_WORDS = new Uint32Array(0);
const NO_DOUBLES = new Float64Array(0);
const NO_MAP = new Uint8Array(0);

/** See the file comment. Not for use by two threads. */
export class SlabPool {
  readonly u8: Buffer[] = [];
  readonly u16: Uint16Array[] = [];
  readonly u32: Uint32Array[] = [];
  readonly f64: Float64Array[] = [];
  /** One byte a KB of each slab; its low five bits are the order of the used block around it. */
  readonly map: Uint8Array[] = [];
  /** Bytes of blocks in use. */
  bytesUsed = 0;
  /** The most that they were. */
  bytesPeak = 0;
  /** Bytes of ArrayBuffers held; untouched parts take no memory from the system yet. */
  bytesReserved = 0;

  readonly #slabBytes: number;
  readonly #orderMax: number;
  /** Per slab: which orders have free blocks (a bit each), the heads of their lists, KB in use. */
  readonly #masks = new Int32Array(SLABS_MAX);
  readonly #heads: Uint32Array[] = [];
  readonly #usedKb = new Uint32Array(SLABS_MAX);
  readonly #freeIndexes: number[] = [];
  /** The one slab above the first that may stay although nothing is in it; 0 = none. */
  #spare = 0;
  /** What the next slabs are made of. */
  readonly #given: SharedArrayBuffer[];

  /** `given`: zeroed slabs that are taken first, out of the list: the pool alone may free them. */
  constructor(options: { readonly slabBytes?: number; readonly given?: SharedArrayBuffer[] } = {}) {
    const slabBytes = options.slabBytes ?? SLAB_BYTES_MAX;
    const order = 31 - Math.clz32(slabBytes >>> BLOCK_SHIFT);
    assert(
      slabBytes === 1024 << order && order >= 1 && slabBytes <= SLAB_BYTES_MAX,
      "a slab is a power of two between 2 KB and 64 MB",
    );
    this.#slabBytes = slabBytes;
    this.#orderMax = order;
    this.#given = options.given ?? [];
    assert(
      this.#given.every(({ byteLength }) => byteLength === slabBytes),
      "what is given are whole slabs",
    );
  }

  /** Slabs and huge blocks that can still be opened. */
  get slabsLeft(): number {
    return SLABS_MAX - this.u8.length + this.#freeIndexes.length;
  }

  /** Makes the first slab before anybody waits: V8 answers its size with a full collection. */
  warm(): this {
    this.freeBlock(this.allocateBlock(0));
    return this;
  }

  /** A block of 1 KB << order, aligned to its size, its bytes undefined. */
  allocateBlock(order: number): Ref {
    const ref = this.#take(order);
    const slab = ref >>> SLAB_SHIFT;
    const kb = (ref & UNIT_MASK) >>> UNIT_SHIFT;
    const map = this.map[slab] as Uint8Array;
    if (order === 0) map[kb] = USED;
    else map.fill(USED | order, kb, kb + (1 << order));
    this.#notePeak();
    return ref;
  }

  /**
   * At least this many bytes, rounded up to whole KBs: blocks of falling order side by side, so
   * that 33 KB take 33 KB and not 64. Larger than a slab: a huge block. `freeBlock` frees it whole.
   */
  allocateRun(bytes: number): Ref {
    if (bytes > this.#slabBytes) return this.allocateHuge(bytes);
    const kb = Math.max(1, Math.ceil(bytes / 1024));
    const order = 32 - Math.clz32(kb - 1);
    const ref = this.#take(order);
    const slab = ref >>> SLAB_SHIFT;
    const map = this.map[slab] as Uint8Array;
    let at = (ref & UNIT_MASK) >>> UNIT_SHIFT;
    const end = at + kb;
    const blockEnd = at + (1 << order);
    while (at < end) {
      const piece = 31 - Math.clz32(end - at);
      const next = at + (1 << piece);
      map[at] = USED | piece | (next < end ? CONTINUES : 0);
      at = next;
    }
    // What is left goes back in pieces of rising order, each aligned to its size.
    while (at < blockEnd) {
      const piece = 31 - Math.clz32(at & -at);
      this.#give(slab, at, piece);
      at += 1 << piece;
    }
    this.#notePeak();
    return ref;
  }

  /** A block of its own ArrayBuffer, for more bytes than a slab has. Zeroed. */
  allocateHuge(bytes: number): Ref {
    assert(bytes > this.#slabBytes, "a huge block is larger than a slab");
    const rounded = Math.ceil(bytes / 4096) * 4096;
    const slab = this.#openSlab(rounded, Uint8Array.of(USED));
    this.bytesUsed += rounded;
    this.#notePeak();
    return slab * (UNIT_MASK + 1);
  }

  /** Gives back a block, a run or a huge block. `ref` is what the allocation returned. */
  freeBlock(ref: Ref): void {
    const slab = ref >>> SLAB_SHIFT;
    let kb = (ref & UNIT_MASK) >>> UNIT_SHIFT;
    const map = this.map[slab] as Uint8Array;
    const bytes = (this.u8[slab] as Buffer).length;
    if (bytes > this.#slabBytes) {
      this.bytesUsed -= bytes;
      this.#closeSlab(slab);
      return;
    }
    for (;;) {
      const state = map[kb] as number;
      assert((state & USED) !== 0, "only a used block is freed");
      const order = state & ORDER_MASK;
      this.#give(slab, kb, order);
      if ((state & CONTINUES) === 0) break;
      kb += 1 << order;
    }
    if (this.#usedKb[slab] === 0 && slab !== 0) this.#retire(slab);
  }

  /** Bytes of the block, run or huge block that starts at `ref`. */
  blockBytes(ref: Ref): number {
    const slab = ref >>> SLAB_SHIFT;
    const bytes = (this.u8[slab] as Buffer).length;
    if (bytes > this.#slabBytes) return bytes;
    const map = this.map[slab] as Uint8Array;
    const start = (ref & UNIT_MASK) >>> UNIT_SHIFT;
    let kb = start;
    for (;;) {
      const state = map[kb] as number;
      kb += 1 << (state & ORDER_MASK);
      if ((state & CONTINUES) === 0) return (kb - start) << BLOCK_SHIFT;
    }
  }

  /** Takes an aligned block off the free lists of the first slab that has one; splits as needed. */
  #take(order: number): Ref {
    assert(order >= 0 && order <= this.#orderMax, "a block fits a slab");
    let slab = 0;
    const slabs = this.u8.length;
    while (slab < slabs && (this.#masks[slab] as number) >>> order === 0) slab++;
    if (slab === slabs) slab = this.#openNormalSlab(order);
    const mask = (this.#masks[slab] as number) >>> order;
    let from = order + 31 - Math.clz32(mask & -mask);
    const kb = ((this.#heads[slab] as Uint32Array)[from] as number) - 1;
    this.#unlink(slab, kb, from);
    while (from > order) {
      from--;
      this.#link(slab, kb + (1 << from), from);
    }
    if (slab === this.#spare) this.#spare = 0;
    this.#usedKb[slab] = (this.#usedKb[slab] as number) + (1 << order);
    this.bytesUsed += 1024 << order;
    return slab * (UNIT_MASK + 1) + (kb << UNIT_SHIFT);
  }

  /** Called when a block is whole: a run takes more at first. */
  #notePeak(): void {
    if (this.bytesUsed > this.bytesPeak) this.bytesPeak = this.bytesUsed;
  }

  /** Frees one block and merges it with its buddy as often as possible. */
  #give(slab: number, block: number, blockOrder: number): void {
    this.#usedKb[slab] = (this.#usedKb[slab] as number) - (1 << blockOrder);
    this.bytesUsed -= 1024 << blockOrder;
    const map = this.map[slab] as Uint8Array;
    let kb = block;
    let order = blockOrder;
    while (order < this.#orderMax) {
      const buddy = kb ^ (1 << order);
      if (map[buddy] !== (FREE | order)) break;
      this.#unlink(slab, buddy, order);
      kb = Math.min(kb, buddy);
      order++;
    }
    this.#link(slab, kb, order);
  }

  /** Links are in the free block itself: word 0 = next, 1 = previous (KB + 1; 0 = none). */
  #link(slab: number, kb: number, order: number): void {
    const heads = this.#heads[slab] as Uint32Array;
    const words = this.u32[slab] as Uint32Array;
    const next = heads[order] as number;
    words[kb << WORD_SHIFT] = next;
    words[(kb << WORD_SHIFT) + 1] = 0;
    if (next !== 0) words[((next - 1) << WORD_SHIFT) + 1] = kb + 1;
    heads[order] = kb + 1;
    this.#masks[slab] = (this.#masks[slab] as number) | (1 << order);
    (this.map[slab] as Uint8Array)[kb] = FREE | order;
  }

  #unlink(slab: number, kb: number, order: number): void {
    const heads = this.#heads[slab] as Uint32Array;
    const words = this.u32[slab] as Uint32Array;
    const next = words[kb << WORD_SHIFT] as number;
    const previous = words[(kb << WORD_SHIFT) + 1] as number;
    if (next !== 0) words[((next - 1) << WORD_SHIFT) + 1] = previous;
    if (previous !== 0) words[(previous - 1) << WORD_SHIFT] = next;
    else heads[order] = next;
    if (heads[order] === 0) this.#masks[slab] = (this.#masks[slab] as number) & ~(1 << order);
  }

  /** Opens a slab with room for `order`. The first one keeps its first KB for ever. */
  #openNormalSlab(order: number): number {
    const slab = this.#openSlab(this.#slabBytes, new Uint8Array(1 << this.#orderMax));
    this.#heads[slab] = new Uint32Array(this.#orderMax + 1);
    if (slab !== 0) {
      this.#link(slab, 0, this.#orderMax);
      return slab;
    }
    for (let piece = 0; piece < this.#orderMax; piece++) this.#link(0, 1 << piece, piece);
    (this.map[0] as Uint8Array)[0] = USED;
    return order < this.#orderMax ? 0 : this.#openNormalSlab(order);
  }

  #openSlab(bytes: number, map: Uint8Array): number {
    // Slab 0 is always a normal one, so that no huge block gets ref 0.
    if (this.u8.length === 0 && bytes > this.#slabBytes) this.#openNormalSlab(0);
    const slab = this.#freeIndexes.pop() ?? this.u8.length;
    assert(slab < SLABS_MAX, "the memory limit keeps a worker below its addressable slabs");
    const given = bytes === this.#slabBytes ? this.#given.shift() : undefined;
    const buffer = given ?? new ArrayBuffer(bytes);
    this.u8[slab] = Buffer.from(buffer);
    this.u16[slab] = new Uint16Array(buffer);
    this.u32[slab] = new Uint32Array(buffer);
    this.f64[slab] = new Float64Array(buffer);
    this.map[slab] = map;
    this.#heads[slab] = NO_WORDS;
    this.bytesReserved += bytes;
    return slab;
  }

  /** Nothing is in this slab any more: it becomes the spare one, or goes if there is one. */
  #retire(slab: number): void {
    if (this.#spare === 0) this.#spare = slab;
    else this.#closeSlab(slab);
  }

  #closeSlab(slab: number): void {
    this.bytesReserved -= (this.u8[slab] as Buffer).length;
    this.u8[slab] = NO_BYTES;
    this.u16[slab] = NO_HALVES;
    this.u32[slab] = NO_WORDS;
    this.f64[slab] = NO_DOUBLES;
    this.map[slab] = NO_MAP;
    this.#heads[slab] = NO_WORDS;
    this.#masks[slab] = 0;
    this.#freeIndexes.push(slab);
  }
}

/** Makes one thing for each pool, at its first use: what all tables in a pool share. */
export function onePerPool<Shared>(make: (pool: SlabPool) => Shared): (pool: SlabPool) => Shared {
  const made = new WeakMap<SlabPool, Shared>();
  return (pool) => {
    let shared = made.get(pool);
    if (shared === undefined) {
      shared = make(pool);
      made.set(pool, shared);
    }
    return shared;
  };
}
