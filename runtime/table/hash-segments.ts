/**
 * Segments of the extendible hash index (hash-index.ts): keys of one hash prefix, sorted by tag.
 *
 *   segment: | count | room:24 depth:8 | chunk ref ... |     room = chunk refs that fit
 *   chunk:   | tag:16 x 16 | ref:32 x 16 |                   96 bytes, all full but the last
 *
 * A tag is 16 hash bits from the segment's window on, which moves by four bits each four splits, so
 * that at least 12 of them differ between keys. Hashes are uniform, so a tag's slot is guessed by
 * interpolation and found a few steps away: no gaps, no tombstones. All chunks have one size: as
 * all segments of a uniform table grow in step, sizes of their own would leave a trail of half-empty
 * spans (measured: 30 % of the index).
 *
 * Invariant: tags ascend; a segment has exactly the chunks that its count needs.
 */
import type { Heap, Ref } from "./heap.ts";
import { SLAB_SHIFT, UNIT_MASK } from "./slab-pool.ts";

const CHUNK_SHIFT = 4;
const CHUNK_KEYS = 1 << CHUNK_SHIFT;
const CHUNK_LAST = CHUNK_KEYS - 1;
const CHUNK_BYTES = 6 * CHUNK_KEYS;
/** Words of a chunk's tags: its refs follow. */
const TAG_WORDS = CHUNK_KEYS / 2;
const HEADER_WORDS = 2;
/** Chunk refs of a segment in a table of several: enough for all keys before it splits. */
const COMMON_ROOM = 8;
const WINDOW_MAX = 16;

/** First hash bit that the tags of a segment of this depth hold. */
function windowOf(depth: number): number {
  return depth < WINDOW_MAX ? depth & ~3 : WINDOW_MAX;
}

function baseOf(segment: Ref): number {
  return (segment & UNIT_MASK) << 1;
}

/** The slot that a tag should have in a segment of this depth and count. */
function guessSlot(tag: number, depth: number, count: number): number {
  // The first depth - window bits are equal in all tags of the segment.
  return (((tag << (depth - windowOf(depth))) & 0xffff) * count) >>> 16;
}

/** The segments of one index: makes, reads and changes them. */
export class HashSegments {
  /** Bytes of the heap that the segments hold. */
  bytes = 0;

  readonly #heap: Heap;
  readonly #u16: Uint16Array[];
  readonly #u32: Uint32Array[];

  constructor(heap: Heap) {
    this.#heap = heap;
    this.#u16 = heap.pool.u16;
    this.#u32 = heap.pool.u32;
  }

  count(segment: Ref): number {
    return this.#words(segment)[baseOf(segment)] as number;
  }

  depth(segment: Ref): number {
    return (this.#words(segment)[baseOf(segment) + 1] as number) & 0xff;
  }

  /** What this segment knows a hash by. */
  tag(segment: Ref, hash: number): number {
    return (hash << windowOf(this.depth(segment))) >>> 16;
  }

  /** Smallest hash of a tag in the segment around `hash`. */
  hashOfTag(segment: Ref, hash: number, tag: number): number {
    const window = windowOf(this.depth(segment));
    const above = window === 0 ? 0 : (hash >>> (32 - window)) << (32 - window);
    return (above | (tag << (16 - window))) >>> 0;
  }

  tagAt(segment: Ref, slot: number): number {
    const chunk = this.#chunk(segment, slot >>> CHUNK_SHIFT);
    const tags = this.#u16[chunk >>> SLAB_SHIFT] as Uint16Array;
    return tags[((chunk & UNIT_MASK) << 2) + (slot & CHUNK_LAST)] as number;
  }

  refAt(segment: Ref, slot: number): Ref {
    const chunk = this.#chunk(segment, slot >>> CHUNK_SHIFT);
    return this.#words(chunk)[baseOf(chunk) + TAG_WORDS + (slot & CHUNK_LAST)] as number;
  }

  setRef(segment: Ref, slot: number, ref: Ref): void {
    const chunk = this.#chunk(segment, slot >>> CHUNK_SHIFT);
    this.#words(chunk)[baseOf(chunk) + TAG_WORDS + (slot & CHUNK_LAST)] = ref;
  }

  /** First slot whose tag is not smaller; `count` if there is none. */
  lowerBound(segment: Ref, tag: number): number {
    const words = this.#words(segment);
    const base = baseOf(segment);
    const count = words[base] as number;
    let slot = guessSlot(tag, (words[base + 1] as number) & 0xff, count);
    if (slot < count && this.tagAt(segment, slot) < tag) {
      do slot++;
      while (slot < count && this.tagAt(segment, slot) < tag);
    } else {
      while (slot > 0 && this.tagAt(segment, slot - 1) >= tag) slot--;
    }
    return slot;
  }

  /** The chunk that should hold a hash; 0 if the segment is empty. */
  guess(segment: Ref, hash: number): Ref {
    const words = this.#words(segment);
    const base = baseOf(segment);
    const count = words[base] as number;
    if (count === 0) return 0;
    const slot = guessSlot(this.tag(segment, hash), this.depth(segment), count);
    return words[base + HEADER_WORDS + (slot >>> CHUNK_SHIFT)] as Ref;
  }

  /**
   * The ref in the first slot of this hash, looked for in the chunk that `guess` gave (not 0) only:
   * 0 if there is none, -1 if another chunk may have it.
   */
  firstIn(chunk: Ref, segment: Ref, hash: number): number {
    const header = this.#words(segment);
    const base = baseOf(segment);
    const count = header[base] as number;
    const depth = (header[base + 1] as number) & 0xff;
    const tag = (hash << windowOf(depth)) >>> 16;
    const slot = guessSlot(tag, depth, count);
    const tags = this.#u16[chunk >>> SLAB_SHIFT] as Uint16Array;
    const first = (chunk & UNIT_MASK) << 2;
    const start = slot & ~CHUNK_LAST;
    const end = first + Math.min(count - start, CHUNK_KEYS);
    let at = first + (slot & CHUNK_LAST);
    if ((tags[at] as number) < tag) {
      do at++;
      while (at < end && (tags[at] as number) < tag);
      if (at === end) return start + CHUNK_KEYS < count ? -1 : 0;
    } else {
      while (at > first && (tags[at - 1] as number) >= tag) at--;
      if (at === first && start > 0) return -1;
    }
    if (tags[at] !== tag) return 0;
    return this.#words(chunk)[baseOf(chunk) + TAG_WORDS + at - first] as number;
  }

  /** Reads a word of each cache line that a chunk may lie in. */
  touch(chunk: Ref): number {
    const words = this.#words(chunk);
    const base = baseOf(chunk);
    const last = base + CHUNK_BYTES / 4 - 1;
    return (words[base] as number) ^ (words[base + TAG_WORDS] as number) ^ (words[last] as number);
  }

  /** First slot of the upper half, as the hash bit behind the segment's prefix says. */
  middle(segment: Ref): number {
    const depth = this.depth(segment);
    const bit = 0x8000 >>> (depth - windowOf(depth));
    const count = this.count(segment);
    let slot = 0;
    while (slot < count && (this.tagAt(segment, slot) & bit) === 0) slot++;
    return slot;
  }

  create(depth: number): Ref {
    return this.#create(depth, depth === 0 ? 2 : COMMON_ROOM);
  }

  free(segment: Ref): void {
    const chunks = (this.count(segment) + CHUNK_LAST) >>> CHUNK_SHIFT;
    for (let i = 0; i < chunks; i++) this.#freeChunk(this.#chunk(segment, i));
    this.#freeHeader(segment);
  }

  /** Inserts at `slot`. Returns the segment, or its successor if it moved. */
  insert(source: Ref, slot: number, tag: number, ref: Ref): Ref {
    let segment = source;
    const count = this.count(source);
    const last = count >>> CHUNK_SHIFT;
    if ((count & CHUNK_LAST) === 0) {
      const room = (this.#words(segment)[baseOf(segment) + 1] as number) >>> 8;
      if (last === room) segment = this.#widen(segment, room);
      const chunk = this.#heap.allocate(CHUNK_BYTES);
      this.bytes += CHUNK_BYTES;
      this.#words(segment)[baseOf(segment) + HEADER_WORDS + last] = chunk;
    }
    this.#words(segment)[baseOf(segment)] = count + 1;
    let place = slot & CHUNK_LAST;
    let tagIn = tag;
    let refIn = ref;
    for (let i = slot >>> CHUNK_SHIFT; i <= last; i++) {
      const chunk = this.#chunk(segment, i);
      const tags = this.#u16[chunk >>> SLAB_SHIFT] as Uint16Array;
      const refs = this.#words(chunk);
      const tagBase = (chunk & UNIT_MASK) << 2;
      const refBase = baseOf(chunk) + TAG_WORDS;
      const end = i === last ? count & CHUNK_LAST : CHUNK_LAST;
      // Of a full chunk the last key goes on to the next one.
      const tagOut = tags[tagBase + end] as number;
      const refOut = refs[refBase + end] as number;
      for (let at = end; at > place; at--) {
        tags[tagBase + at] = tags[tagBase + at - 1] as number;
        refs[refBase + at] = refs[refBase + at - 1] as number;
      }
      tags[tagBase + place] = tagIn;
      refs[refBase + place] = refIn;
      tagIn = tagOut;
      refIn = refOut;
      place = 0;
    }
    return segment;
  }

  remove(segment: Ref, slot: number): void {
    const words = this.#words(segment);
    const base = baseOf(segment);
    const count = (words[base] as number) - 1;
    const last = count >>> CHUNK_SHIFT;
    let place = slot & CHUNK_LAST;
    for (let i = slot >>> CHUNK_SHIFT; i <= last; i++) {
      const chunk = this.#chunk(segment, i);
      const tags = this.#u16[chunk >>> SLAB_SHIFT] as Uint16Array;
      const refs = this.#words(chunk);
      const tagBase = (chunk & UNIT_MASK) << 2;
      const refBase = baseOf(chunk) + TAG_WORDS;
      const end = i === last ? count & CHUNK_LAST : CHUNK_LAST;
      for (let at = place; at < end; at++) {
        tags[tagBase + at] = tags[tagBase + at + 1] as number;
        refs[refBase + at] = refs[refBase + at + 1] as number;
      }
      if (i < last) {
        tags[tagBase + CHUNK_LAST] = this.tagAt(segment, (i + 1) << CHUNK_SHIFT);
        refs[refBase + CHUNK_LAST] = this.refAt(segment, (i + 1) << CHUNK_SHIFT);
      }
      place = 0;
    }
    if ((count & CHUNK_LAST) === 0) this.#freeChunk(words[base + HEADER_WORDS + last] as number);
    words[base] = count;
  }

  /**
   * Appends keys [start, end) of `source`, which lie behind those in `target`, in order. Asks for
   * their hashes only where the window differs. Returns the target, or its successor.
   */
  append(target: Ref, source: Ref, start: number, end: number, hashOf: (ref: Ref) => number): Ref {
    const window = windowOf(this.depth(target));
    const moved = window !== windowOf(this.depth(source));
    const first = this.count(target);
    let to = target;
    for (let i = start; i < end; i++) {
      const ref = this.refAt(source, i);
      const tag = moved ? (hashOf(ref) << window) >>> 16 : this.tagAt(source, i);
      let slot = first + i - start;
      // Only a moved window tells apart tags that were equal, and finds them in another order.
      if (moved) while (slot > first && this.tagAt(to, slot - 1) > tag) slot--;
      to = this.insert(to, slot, tag, ref);
    }
    return to;
  }

  #create(depth: number, room: number): Ref {
    const segment = this.#heap.allocate(4 * (HEADER_WORDS + room));
    this.bytes += this.#heap.capacity(segment);
    const words = this.#words(segment);
    const base = baseOf(segment);
    words[base] = 0;
    words[base + 1] = (room << 8) | depth;
    return segment;
  }

  /** Moves a segment's header to one with twice the room. */
  #widen(segment: Ref, room: number): Ref {
    const wide = this.#create(this.depth(segment), room * 2);
    const from = this.#words(segment);
    const to = this.#words(wide);
    const fromBase = baseOf(segment);
    const toBase = baseOf(wide);
    to[toBase] = from[fromBase] as number;
    for (let i = 0; i < room; i++) {
      to[toBase + HEADER_WORDS + i] = from[fromBase + HEADER_WORDS + i] as number;
    }
    this.#freeHeader(segment);
    return wide;
  }

  #freeHeader(segment: Ref): void {
    this.bytes -= this.#heap.capacity(segment);
    this.#heap.free(segment);
  }

  #freeChunk(chunk: Ref): void {
    this.bytes -= CHUNK_BYTES;
    this.#heap.free(chunk);
  }

  #chunk(segment: Ref, index: number): Ref {
    return this.#words(segment)[baseOf(segment) + HEADER_WORDS + index] as number;
  }

  #words(ref: Ref): Uint32Array {
    return this.#u32[ref >>> SLAB_SHIFT] as Uint32Array;
  }
}
