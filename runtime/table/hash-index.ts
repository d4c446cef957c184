/**
 * Which record has this hash: extendible hashing in bit order (Fagin et al.), so that growing never
 * costs more than one segment's split, and a scan by hash position survives every resize.
 *
 *   directory: the top `depth` bits of a hash -> segment; a shallower segment has several entries
 *
 * Segments are in hash-segments.ts; a key costs about seven bytes, all counted.
 *
 * Invariant: segments tile the hash space in order, each key is in the segment of its hash. Two
 * buddies with few keys are one segment; the directory is as deep as its deepest segment.
 */
import { assert } from "../base/assert.ts";
import { HashSegments } from "./hash-segments.ts";
import type { Heap, Ref } from "./heap.ts";
import { SLAB_SHIFT, UNIT_MASK } from "./slab-pool.ts";

// limits:
/** Keys of a segment before it splits: bounds the cost of one insert. */
export const SEGMENT_KEYS_MAX = 128;
/** Bits of the directory, at most. Past it, or where hashes are skewed, segments grow instead. */
export const DIRECTORY_DEPTH_MAX = 24;

/** Buddies merge when they have this many keys together; looked at below half of it. */
const MERGE_KEYS_MAX = SEGMENT_KEYS_MAX / 2;
/** The directory doubles only while it has at most this many entries a segment. */
const DIRECTORY_SPARSITY_MAX = 16;

/**
 * See the file comment. A ref is in the index at most once. A hash is 32 bits, signed or not, hot callers pass signed ones, which V8 never boxes.
 */
export class HashIndex {
  // What a lookup needs comes first, as in MemoryTable.
  readonly #segments: HashSegments;
  readonly #u32: Uint32Array[];
  #directory: Ref = 0;
  #depth = 0;
  // The lookup in progress: the next slot to look at.
  #tag = 0;
  #segment: Ref = 0;
  #slot = 0;
  #end = 0;

  count = 0;
  /** Another number after every change of what is where. */
  changes = 0;
  /** Refs that the last `scan` found. */
  scanned = 0;
  /** Where the last `scan` put them: its `out`, or a larger array if one group did not fit it. */
  scannedRefs: Uint32Array = NO_REFS;

  readonly #heap: Heap;
  readonly #hashOf: (ref: Ref) => number;
  #directoryBytes = 0;
  #segmentCount = 0;
  /** Segments as deep as the directory; at none it halves. */
  #deepest = 0;

  /** `hashOf` is asked about refs already in the index, never about the one being inserted. */
  constructor(heap: Heap, hashOf: (ref: Ref) => number) {
    this.#heap = heap;
    this.#hashOf = hashOf;
    this.#segments = new HashSegments(heap);
    this.#u32 = heap.pool.u32;
  }

  /** Bytes of the heap that the index holds. */
  get bytes(): number {
    return this.#segments.bytes + this.#directoryBytes;
  }

  /** Where a look-up begins: the segment of a hash, or 0. */
  segmentOf(hash: number): Ref {
    return this.#directory === 0 ? 0 : this.#segmentOf(hash);
  }

  /** Where it goes on: the chunk in which this segment (0: none) should hold the hash, or 0. */
  chunkOf(segment: Ref, hash: number): Ref {
    return segment === 0 ? 0 : this.#segments.guess(segment, hash);
  }

  /** Brings a chunk (0: none) into the cache. Use the result, or nothing is read. */
  touchChunk(chunk: Ref): number {
    return chunk === 0 ? 0 : this.#segments.touch(chunk);
  }

  /** Where it ends: as `first`, with the segment and the chunk that the steps before gave. */
  firstIn(chunk: Ref, segment: Ref, hash: number): Ref {
    const found = chunk === 0 ? 0 : this.#segments.firstIn(chunk, segment, hash);
    return found < 0 ? this.first(hash) : found;
  }

  /** First record that may have this hash (compare its key), or 0. `next` gives the others. */
  first(hash: number): Ref {
    this.#end = 0;
    this.#slot = 0;
    if (this.#directory === 0) return 0;
    const segment = this.#segmentOf(hash);
    this.#segment = segment;
    this.#tag = this.#segments.tag(segment, hash);
    this.#slot = this.#segments.lowerBound(segment, this.#tag);
    this.#end = this.#segments.count(segment);
    return this.next();
  }

  /** The next candidate of the last `first`; valid until the index changes. */
  next(): Ref {
    const slot = this.#slot;
    if (slot >= this.#end || this.#segments.tagAt(this.#segment, slot) !== this.#tag) return 0;
    this.#slot = slot + 1;
    return this.#segments.refAt(this.#segment, slot);
  }

  insert(hash: number, ref: Ref): void {
    this.#changed();
    if (this.#directory === 0) this.#open();
    let segment = this.#segmentOf(hash);
    if (this.#segments.count(segment) >= SEGMENT_KEYS_MAX && this.#splits(segment)) {
      this.#split(segment, hash);
      segment = this.#segmentOf(hash);
    }
    const tag = this.#segments.tag(segment, hash);
    const slot = this.#segments.lowerBound(segment, tag);
    const moved = this.#segments.insert(segment, slot, tag, ref);
    if (moved !== segment) this.#point(hash, this.#segments.depth(moved), moved);
    this.count++;
  }

  /**
   * Puts many refs into an empty index at once, far cheaper than one by one: `hashes` ascend as
   * unsigned numbers, `refs[i]` has `hashes[i]`.
   */
  fill(hashes: Uint32Array, refs: Uint32Array, count: number): void {
    assert(this.#directory === 0, "only an empty index is filled");
    this.#changed();
    if (count === 0) return;
    this.#open();
    const sparse = Math.ceil(Math.log2((count * DIRECTORY_SPARSITY_MAX) / SEGMENT_KEYS_MAX));
    const depthMax = Math.max(0, Math.min(DIRECTORY_DEPTH_MAX, sparse));
    this.#segments.free(this.#segmentOf(0));
    this.#segmentCount = 0;
    this.#deepest = 0;
    this.#fillPrefix(hashes, refs, 0, count, 0, 0, depthMax);
    this.count = count;
  }

  /** Makes the segments of the hashes [start, end), which begin with the same `depth` bits. */
  #fillPrefix(
    hashes: Uint32Array,
    refs: Uint32Array,
    start: number,
    end: number,
    prefix: number,
    depth: number,
    depthMax: number,
  ): void {
    if (end - start > SEGMENT_KEYS_MAX && depth < depthMax) {
      const upper = (prefix | (1 << (31 - depth))) >>> 0;
      let middle = start;
      let high = end;
      while (middle < high) {
        const at = (middle + high) >>> 1;
        if ((hashes[at] as number) < upper) middle = at + 1;
        else high = at;
      }
      this.#fillPrefix(hashes, refs, start, middle, prefix, depth + 1, depthMax);
      this.#fillPrefix(hashes, refs, middle, end, upper, depth + 1, depthMax);
      return;
    }
    while (depth > this.#depth) this.#deepen();
    const segments = this.#segments;
    let segment = segments.create(depth);
    for (let i = start; i < end; i++) {
      const tag = segments.tag(segment, hashes[i] as number);
      segment = segments.insert(segment, i - start, tag, refs[i] as number);
    }
    this.#point(prefix, depth, segment);
    this.#segmentCount++;
    if (depth === this.#depth) this.#deepest++;
  }

  /** Takes one ref out; false if it is not there. Free its record afterwards. */
  remove(hash: number, ref: Ref): boolean {
    if (!this.#find(hash, ref)) return false;
    this.#changed();
    const segment = this.#segment;
    this.#segments.remove(segment, this.#slot - 1);
    this.#end = 0;
    this.count--;
    if (this.count === 0) this.clear();
    else if (this.#segments.count(segment) <= MERGE_KEYS_MAX / 2) this.#merge(segment, hash);
    return true;
  }

  /** A record moved; false if it is not there. */
  replace(hash: number, oldRef: Ref, newRef: Ref): boolean {
    if (!this.#find(hash, oldRef)) return false;
    this.#changed();
    this.#segments.setRef(this.#segment, this.#slot - 1, newRef);
    return true;
  }

  /**
   * Puts refs into `out` in hash order from the position `cursor` on (0 = the beginning), sets
   * `scanned` and `scannedRefs`, and returns the next cursor, 0 at the end.
   *
   * What is in the index during a whole scan is found at least once, however it grows or shrinks
   * meanwhile. Refs of equal hash come in one call: past `limit` by the rest of such a group; if
   * `out` has no room for it the call ends before it, and only a group larger than `out` alone makes
   * `scannedRefs` another array.
   */
  scan(cursor: number, limit: number, out: Uint32Array): number {
    assert(limit > 0 && out.length > 0, "a scan makes progress");
    this.scanned = 0;
    this.scannedRefs = out;
    if (this.#directory === 0) return 0;
    let position = cursor >>> 0;
    for (;;) {
      const segment = this.#segmentOf(position);
      const depth = this.#segments.depth(segment);
      const left = this.#scanSegment(segment, position, limit);
      if (left >= 0) return this.#segments.hashOfTag(segment, position, left);
      position = nextPrefix(position, depth);
      if (position === 0 || this.scanned >= limit) return position;
    }
  }

  /** Forgets everything and gives the memory back; the records are the caller's. */
  clear(): void {
    if (this.#directory === 0) return;
    this.#changed();
    let position = 0;
    do {
      const segment = this.#segmentOf(position);
      position = nextPrefix(position, this.#segments.depth(segment));
      this.#segments.free(segment);
    } while (position !== 0);
    this.#heap.free(this.#directory);
    this.#directory = 0;
    this.#directoryBytes = 0;
    this.#depth = 0;
    this.#segmentCount = 0;
    this.#deepest = 0;
    this.count = 0;
    this.#end = 0;
  }

  /** Returns the tag of the first group left out, -1 if the segment was done. */
  #scanSegment(segment: Ref, position: number, limit: number): number {
    const segments = this.#segments;
    const count = segments.count(segment);
    let slot = segments.lowerBound(segment, segments.tag(segment, position));
    while (slot < count) {
      const group = segments.tagAt(segment, slot);
      let end = slot + 1;
      while (end < count && segments.tagAt(segment, end) === group) end++;
      const after = this.scanned + end - slot;
      const room = this.scannedRefs.length;
      if (this.scanned >= limit || (after > room && this.scanned > 0)) return group;
      if (after > room) this.scannedRefs = new Uint32Array(after);
      for (; slot < end; slot++) this.scannedRefs[this.scanned++] = segments.refAt(segment, slot);
    }
    return -1;
  }

  #changed(): void {
    // A small integer always: V8 boxes larger ones.
    this.changes = (this.changes + 1) & 0x3fffffff;
  }

  /** Leaves the lookup one past the ref. */
  #find(hash: number, ref: Ref): boolean {
    for (let found = this.first(hash); found !== 0; found = this.next()) {
      if (found === ref) return true;
    }
    return false;
  }

  #segmentOf(hash: number): Ref {
    const directory = this.#directory;
    const words = this.#u32[directory >>> SLAB_SHIFT] as Uint32Array;
    return words[baseOf(directory) + prefixOf(hash, this.#depth)] as number;
  }

  /** Whether a full segment may split: not when its hashes are too alike for the directory. */
  #splits(segment: Ref): boolean {
    const depth = this.#segments.depth(segment);
    if (depth < this.#depth) return true;
    return depth < DIRECTORY_DEPTH_MAX && 1 << depth <= this.#segmentCount * DIRECTORY_SPARSITY_MAX;
  }

  #split(segment: Ref, hash: number): void {
    const segments = this.#segments;
    const depth = segments.depth(segment) + 1;
    if (depth > this.#depth) this.#deepen();
    const middle = segments.middle(segment);
    const count = segments.count(segment);
    const bit = 1 << (32 - depth);
    const lower = segments.append(segments.create(depth), segment, 0, middle, this.#hashOf);
    this.#point(hash & ~bit, depth, lower);
    const upper = segments.append(segments.create(depth), segment, middle, count, this.#hashOf);
    this.#point(hash | bit, depth, upper);
    segments.free(segment);
    this.#segmentCount++;
    if (depth === this.#depth) this.#deepest += 2;
  }

  /** Merges a segment with its buddy if both have few keys. */
  #merge(segment: Ref, hash: number): void {
    const segments = this.#segments;
    const depth = segments.depth(segment);
    if (depth === 0) return;
    const bit = 1 << (32 - depth);
    const lower = this.#segmentOf(hash & ~bit);
    const upper = this.#segmentOf(hash | bit);
    if (segments.depth(lower) !== segments.depth(upper)) return;
    const lowerCount = segments.count(lower);
    const upperCount = segments.count(upper);
    if (lowerCount + upperCount > MERGE_KEYS_MAX) return;
    let merged = segments.create(depth - 1);
    merged = segments.append(merged, lower, 0, lowerCount, this.#hashOf);
    merged = segments.append(merged, upper, 0, upperCount, this.#hashOf);
    this.#point(hash, depth - 1, merged);
    segments.free(lower);
    segments.free(upper);
    this.#segmentCount--;
    if (depth === this.#depth) this.#deepest -= 2;
    while (this.#deepest === 0 && this.#depth > 0) this.#flatten();
  }

  #open(): void {
    this.#becomeDirectory(this.#heap.allocate(4), 0);
    this.#segmentCount = 1;
    this.#deepest = 1;
    this.#point(0, 0, this.#segments.create(0));
  }

  /** Doubles the directory: every entry twice. */
  #deepen(): void {
    const old = this.#directory;
    const entries = 1 << this.#depth;
    const directory = this.#heap.allocate(entries * 8);
    const from = this.#u32[old >>> SLAB_SHIFT] as Uint32Array;
    const to = this.#u32[directory >>> SLAB_SHIFT] as Uint32Array;
    for (let i = 0; i < entries; i++) {
      const segment = from[baseOf(old) + i] as number;
      to[baseOf(directory) + 2 * i] = segment;
      to[baseOf(directory) + 2 * i + 1] = segment;
    }
    this.#becomeDirectory(directory, this.#depth + 1);
    this.#heap.free(old);
    this.#deepest = 0;
  }

  /** Halves the directory and counts the segments that are as deep as it is now. */
  #flatten(): void {
    const old = this.#directory;
    const entries = 1 << (this.#depth - 1);
    const directory = this.#heap.allocate(entries * 4);
    const from = this.#u32[old >>> SLAB_SHIFT] as Uint32Array;
    const to = this.#u32[directory >>> SLAB_SHIFT] as Uint32Array;
    this.#deepest = 0;
    for (let i = 0; i < entries; i++) {
      const segment = from[baseOf(old) + 2 * i] as number;
      to[baseOf(directory) + i] = segment;
      if (this.#segments.depth(segment) === this.#depth - 1) this.#deepest++;
    }
    this.#becomeDirectory(directory, this.#depth - 1);
    this.#heap.free(old);
  }

  #becomeDirectory(directory: Ref, depth: number): void {
    this.#directory = directory;
    this.#directoryBytes = this.#heap.capacity(directory);
    this.#depth = depth;
  }

  /** Points the entries of a prefix, the first `depth` bits of `hash`, to its segment. */
  #point(hash: number, depth: number, segment: Ref): void {
    const length = 1 << (this.#depth - depth);
    const words = this.#u32[this.#directory >>> SLAB_SHIFT] as Uint32Array;
    const base = baseOf(this.#directory) + prefixOf(hash, depth) * length;
    for (let i = 0; i < length; i++) words[base + i] = segment;
  }
}

const NO_REFS = new Uint32Array(0);

function baseOf(ref: Ref): number {
  return (ref & UNIT_MASK) << 1;
}

/** The top `depth` bits. */
function prefixOf(hash: number, depth: number): number {
  return (hash >>> 1) >>> (31 - depth);
}

/** First hash after the segment of this depth around `hash`; 0 after the last one. */
function nextPrefix(hash: number, depth: number): number {
  return depth === 0 ? 0 : ((prefixOf(hash, depth) + 1) << (32 - depth)) >>> 0;
}
