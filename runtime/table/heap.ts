/**
 * The memory of one vnode: objects of any size in spans of the worker's pool, so that dropping the
 * vnode gives back spans, not objects. After mimalloc: a span holds objects of one size class, with
 * its own free list and live count; spans are small at first and grow with their class.
 *
 *   span: | next | previous | live:16 order:8 class:8 | bump:16 free:16 | object | object | ...
 *
 * `bump` and `free` are offsets in 8-byte units; a free object begins with the offset of the next
 * one. An object larger than every class, or one of a large class with few objects, has a run of its
 * own (order RUN) with the same header.
 *
 * Invariant: a span is in exactly one list: `available` of its class iff it has room, else `full`.
 */
import { assert } from "../base/assert.ts";
import type { Ref, SlabPool } from "./slab-pool.ts";
import { SLAB_SHIFT, UNIT_MASK } from "./slab-pool.ts";

export type { Ref } from "./slab-pool.ts";

const HEADER_BYTES = 16;
const HEADER_UNITS = HEADER_BYTES >>> 3;
const SMALL_BYTES_MAX = 512;
const SMALL_CLASSES = SMALL_BYTES_MAX >>> 3;
/** Above the small ones, eight classes a doubling: an 8th to a 15th of a span of 8, 16 ... 256 KB. */
const DOUBLINGS = 6;
const CLASSES = 1 + SMALL_CLASSES + 8 * DOUBLINGS;
/** Largest span: 1 KB << 8. */
const ORDER_MAX = 8;
/** Largest span of classes that fit it eight times. */
const COMMON_ORDER_MAX = 6;
/** In place of a span's order: the object has a run to itself. */
const RUN = 0xff;
/** Objects above this size start in runs, so that one of them never costs a span. */
const RUN_FIRST_BYTES = 2048;
/** Doublings of what a class holds, in KB, that make a difference to the size of its next span. */
const GROWTH_STEPS = 16;

const SIZES = new Uint32Array(CLASSES);
/** Class by (bytes + 63) / 64: the smallest one that may fit. */
const CLASS_BY_LINE = new Uint8Array(513);
/**
 * Order of a new span, by class and by log2 of the KBs that the class holds: the one with the least
 * waste if the class grows threefold: tails and headers of its spans, and half of the last span.
 */
const SPAN_ORDERS = new Uint8Array(CLASSES * GROWTH_STEPS);
/** Smallest span of a class. */
const SPAN_ORDER_MIN = new Uint8Array(CLASSES);

function fillClasses(): void {
  for (let i = 1; i <= SMALL_CLASSES; i++) SIZES[i] = i * 8;
  let next = SMALL_CLASSES + 1;
  for (let span = 8192; next < CLASSES; span *= 2) {
    for (let n = 15; n >= 8; n--) SIZES[next++] = Math.floor((span - HEADER_BYTES) / n / 8) * 8;
  }
  for (let line = 0, fit = 0; line < CLASS_BY_LINE.length; line++) {
    while (fit < CLASSES - 1 && (SIZES[fit] as number) <= (line - 1) * 64) fit++;
    CLASS_BY_LINE[line] = fit;
  }
  for (let c = 1; c < CLASSES; c++) fillOrders(c, SIZES[c] as number);
}

function fillOrders(sizeClass: number, size: number): void {
  const waste = (order: number) =>
    (HEADER_BYTES + (((1024 << order) - HEADER_BYTES) % size)) / (1024 << order);
  let min = 0;
  while ((1024 << min) - HEADER_BYTES < size || waste(min) > 1 / 4) min++;
  const max = size * 8 <= 1024 << COMMON_ORDER_MAX ? COMMON_ORDER_MAX : ORDER_MAX;
  SPAN_ORDER_MIN[sizeClass] = min;
  for (let step = 0; step < GROWTH_STEPS; step++) {
    const cost = (order: number) => waste(order) * (2048 << step) + (512 << order);
    let best = min;
    for (let order = min + 1; order <= max; order++) if (cost(order) < cost(best)) best = order;
    SPAN_ORDERS[sizeClass * GROWTH_STEPS + step] = best;
  }
}
fillClasses();

const OBJECT_BYTES_MAX = SIZES[CLASSES - 1] as number;
const NO_TABLE = new Uint32Array(0);

/** See the file comment. `Ref`s of one heap must not be freed in another. */
export class Heap {
  readonly pool: SlabPool;
  /** Live bytes, each object counted as its class (what it really takes). */
  bytesUsed = 0;
  /** Bytes of the pool that this heap holds: live, free and headers. */
  spanBytes = 0;

  readonly #u32: Uint32Array[];
  /** First available span of each class, then KBs held by each class. Made at the first object. */
  #table: Uint32Array = NO_TABLE;
  #full: Ref = 0;

  constructor(pool: SlabPool) {
    this.pool = pool;
    this.#u32 = pool.u32;
  }

  /** Room for at least `bytes`, aligned to 8, its content undefined. */
  allocate(bytes: number): Ref {
    if (bytes > OBJECT_BYTES_MAX) return this.#allocateRun(bytes, 0);
    const sizeClass = bytes <= SMALL_BYTES_MAX ? (bytes + 7) >>> 3 || 1 : largeClass(bytes);
    if (this.#table.length === 0) this.#table = new Uint32Array(2 * CLASSES);
    const span = this.#table[sizeClass] as number;
    if (span === 0) return this.#allocateSlowly(sizeClass, bytes);
    return this.#allocateIn(span, sizeClass);
  }

  /** Gives an object back. */
  free(ref: Ref): void {
    const slab = ref >>> SLAB_SHIFT;
    const unit = ref & UNIT_MASK;
    const order = ((this.pool.map[slab] as Uint8Array)[unit >>> 7] as number) & 31;
    const spanUnit = (((unit >>> 7) >>> order) << order) << 7;
    const span = ref - unit + spanUnit;
    const words = this.#u32[slab] as Uint32Array;
    const base = spanUnit << 1;
    const meta = words[base + 2] as number;
    if (((meta >>> 8) & 0xff) === RUN) {
      this.#freeRun(span, meta & 0xff);
      return;
    }
    const sizeClass = meta & 0xff;
    const size = SIZES[sizeClass] as number;
    assert(meta >>> 16 !== 0, "an object is freed once");
    const state = words[base + 3] as number;
    const next = state & 0xffff;
    words[unit << 1] = next;
    words[base + 3] = state - next + (unit - spanUnit);
    words[base + 2] = meta - 0x10000;
    this.bytesUsed -= size;
    if (next === 0 && (state >>> 16) + (size >>> 3) > 128 << order) this.#becameAvailable(span);
    if (meta >>> 16 === 1) this.#becameEmpty(span);
  }

  /** Usable bytes of an object: what was asked for or a little more. */
  capacity(ref: Ref): number {
    const slab = ref >>> SLAB_SHIFT;
    const unit = ref & UNIT_MASK;
    const order = ((this.pool.map[slab] as Uint8Array)[unit >>> 7] as number) & 31;
    const spanUnit = (((unit >>> 7) >>> order) << order) << 7;
    const meta = (this.#u32[slab] as Uint32Array)[(spanUnit << 1) + 2] as number;
    if (((meta >>> 8) & 0xff) !== RUN) return SIZES[meta & 0xff] as number;
    return this.pool.blockBytes(ref - HEADER_UNITS) - HEADER_BYTES;
  }

  /** Forgets every object at once: costs by spans. */
  releaseAll(): void {
    for (let c = 0; c < this.#table.length / 2; c++) this.#releaseList(this.#table[c] as number);
    this.#releaseList(this.#full);
    this.#full = 0;
    this.#table = NO_TABLE;
    this.bytesUsed = 0;
    this.spanBytes = 0;
  }

  #releaseList(first: Ref): void {
    for (let span = first; span !== 0; ) {
      const next = this.#words(span)[baseOf(span)] as number;
      this.pool.freeBlock(span);
      span = next;
    }
  }

  #allocateIn(span: Ref, sizeClass: number): Ref {
    const words = this.#u32[span >>> SLAB_SHIFT] as Uint32Array;
    const base = (span & UNIT_MASK) << 1;
    const size = SIZES[sizeClass] as number;
    const state = words[base + 3] as number;
    const meta = (words[base + 2] as number) + 0x10000;
    words[base + 2] = meta;
    this.bytesUsed += size;
    const free = state & 0xffff;
    let after: number;
    let offset: number;
    if (free !== 0) {
      offset = free;
      after = state - free + (words[base + (free << 1)] as number);
    } else {
      offset = state >>> 16;
      after = ((offset + (size >>> 3)) << 16) >>> 0;
    }
    words[base + 3] = after;
    const full = 128 << ((meta >>> 8) & 0xff);
    if ((after & 0xffff) === 0 && (after >>> 16) + (size >>> 3) > full) {
      this.#unlink(span, sizeClass);
      this.#linkFull(span);
    }
    return span + offset;
  }

  #allocateSlowly(sizeClass: number, bytes: number): Ref {
    const size = SIZES[sizeClass] as number;
    const heldKb = this.#table[CLASSES + sizeClass] as number;
    const orderMin = SPAN_ORDER_MIN[sizeClass] as number;
    if (size > RUN_FIRST_BYTES && heldKb < 4 << orderMin)
      return this.#allocateRun(bytes, sizeClass);
    const step = Math.min(GROWTH_STEPS - 1, 31 - Math.clz32(heldKb | 1));
    const order = SPAN_ORDERS[sizeClass * GROWTH_STEPS + step] as number;
    const span = this.pool.allocateBlock(order);
    const words = this.#words(span);
    const base = baseOf(span);
    words[base] = 0;
    words[base + 1] = 0;
    words[base + 2] = (order << 8) | sizeClass;
    words[base + 3] = HEADER_UNITS << 16;
    this.#table[sizeClass] = span;
    this.#table[CLASSES + sizeClass] = heldKb + (1 << order);
    this.spanBytes += 1024 << order;
    return this.#allocateIn(span, sizeClass);
  }

  #allocateRun(bytes: number, sizeClass: number): Ref {
    if (this.#table.length === 0) this.#table = new Uint32Array(2 * CLASSES);
    const span = this.pool.allocateRun(bytes + HEADER_BYTES);
    const held = this.pool.blockBytes(span);
    const words = this.#words(span);
    const base = baseOf(span);
    words[base + 2] = 0x10000 + (RUN << 8) + sizeClass;
    words[base + 3] = 0;
    this.#linkFull(span);
    this.#countKb(sizeClass, held >>> 10);
    this.bytesUsed += held - HEADER_BYTES;
    this.spanBytes += held;
    return span + HEADER_UNITS;
  }

  #freeRun(span: Ref, sizeClass: number): void {
    const held = this.pool.blockBytes(span);
    this.#unlinkFull(span);
    this.pool.freeBlock(span);
    this.#countKb(sizeClass, -(held >>> 10));
    this.bytesUsed -= held - HEADER_BYTES;
    this.spanBytes -= held;
  }

  /** A full span got room: it goes first, and the empty one that stood in for it goes back. */
  #becameAvailable(span: Ref): void {
    const words = this.#words(span);
    const base = baseOf(span);
    const sizeClass = (words[base + 2] as number) & 0xff;
    this.#unlinkFull(span);
    const first = this.#table[sizeClass] as number;
    words[base] = first;
    words[base + 1] = 0;
    if (first !== 0) this.#words(first)[baseOf(first) + 1] = span;
    this.#table[sizeClass] = span;
    if (first !== 0 && (this.#words(first)[baseOf(first) + 2] as number) < 0x10000) {
      this.#releaseSpan(first);
    }
  }

  /** An empty span goes back, unless it is the only one with room while its class lives on. */
  #becameEmpty(span: Ref): void {
    const words = this.#words(span);
    const base = baseOf(span);
    const meta = words[base + 2] as number;
    const held = this.#table[CLASSES + (meta & 0xff)] as number;
    const small = (SIZES[meta & 0xff] as number) <= RUN_FIRST_BYTES;
    const alone = words[base] === 0 && words[base + 1] === 0;
    if (small && alone && held > 1 << ((meta >>> 8) & 0xff)) return;
    this.#releaseSpan(span);
  }

  #releaseSpan(span: Ref): void {
    const meta = this.#words(span)[baseOf(span) + 2] as number;
    const order = (meta >>> 8) & 0xff;
    this.#unlink(span, meta & 0xff);
    this.#countKb(meta & 0xff, -(1 << order));
    this.spanBytes -= 1024 << order;
    this.pool.freeBlock(span);
  }

  #countKb(sizeClass: number, kb: number): void {
    this.#table[CLASSES + sizeClass] = (this.#table[CLASSES + sizeClass] as number) + kb;
  }

  #unlink(span: Ref, sizeClass: number): void {
    const words = this.#words(span);
    const base = baseOf(span);
    const next = words[base] as number;
    const previous = words[base + 1] as number;
    if (next !== 0) this.#words(next)[baseOf(next) + 1] = previous;
    if (previous !== 0) this.#words(previous)[baseOf(previous)] = next;
    else this.#table[sizeClass] = next;
  }

  #linkFull(span: Ref): void {
    const words = this.#words(span);
    const base = baseOf(span);
    const next = this.#full;
    words[base] = next;
    words[base + 1] = 0;
    if (next !== 0) this.#words(next)[baseOf(next) + 1] = span;
    this.#full = span;
  }

  #unlinkFull(span: Ref): void {
    const words = this.#words(span);
    const base = baseOf(span);
    const next = words[base] as number;
    const previous = words[base + 1] as number;
    if (next !== 0) this.#words(next)[baseOf(next) + 1] = previous;
    if (previous !== 0) this.#words(previous)[baseOf(previous)] = next;
    else this.#full = next;
  }

  #words(ref: Ref): Uint32Array {
    return this.#u32[ref >>> SLAB_SHIFT] as Uint32Array;
  }
}

function baseOf(ref: Ref): number {
  return (ref & UNIT_MASK) << 1;
}

function largeClass(bytes: number): number {
  let sizeClass = CLASS_BY_LINE[(bytes + 63) >>> 6] as number;
  while ((SIZES[sizeClass] as number) < bytes) sizeClass++;
  return sizeClass;
}
