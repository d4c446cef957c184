/**
 * Layout of the records in the memory table: one for each key (its head) and one for each element.
 *
 * ```
 *  0  u8   kind: type (3 bits) | ELEMENT | counter kind (2 bits) | FLOAT
 *  1  u8   flags: EXPIRY | ADDS | BLOB | COLLECTION | HEADLESS | COPY | MARKED
 *  2  u16  origin slot  ┐
 *  4  u32  counter      │ dot and stamp of the only version (meaningless with BLOB or HEADLESS)
 *  8  u16  counter high ┘
 * 10  u16  key length (of an element: its name, or a list position)
 * 12  u32  value length
 * 16  f64  HLC
 * 24  [ELEMENT     u32 owner (collection block), u32 hash of the name]
 *     [COLLECTION  u32 first collection block, u32 unused]
 *     [EXPIRY      f64 at (0 = never), f64 HLC, u32 origin slot, u32 unused]
 *     [ADDS        f64 counter, u32 origin slot, u32 unused, i64 sum, f64 sum if FLOAT]
 *     [COPY        f64 the key's expiry when the element was written]
 *     key bytes, value bytes
 * ```
 *
 * A record with BLOB keeps all versions of its cell in the value bytes (version-codec); those of a
 * sorted set's element follow eight bytes of the shown score, so that every such record is ordered
 * by its first eight value bytes.
 *
 * Collections are in blocks.ts.
 */
import { compareBytes, equalBytes } from "../base/bytes.ts";
import { onePerPool, type Ref, type SlabPool } from "./slab-pool.ts";

export const KIND_TYPE = 7;
export const KIND_ELEMENT = 8;
/** Two bits: cell.PLAIN, INTEGER_COUNTER or FLOAT_COUNTER. */
export const KIND_COUNTER_SHIFT = 4;
export const KIND_COUNTER = 48;
/** The sum of the add entry is a float. */
export const KIND_FLOAT = 64;

export const EXPIRY = 1;
export const ADDS = 2;
export const BLOB = 4;
export const COLLECTION = 8;
export const HEADLESS = 16;
export const COPY = 32;
export const MARKED = 128;

export const HEADER_BYTES = 24;
/** Words of a cache line. */
const LINE_WORDS = 16;
const ELEMENT_BYTES = 8;
const COLLECTION_BYTES = 8;
const EXPIRY_BYTES = 24;
const ADDS_BYTES = 32;
const COPY_BYTES = 8;

/** Bytes between header and key, by (flags & 43) | 4 if the record is an element's. */
const EXTENSION_BYTES = new Uint8Array(64);
for (let i = 0; i < 64; i++) {
  EXTENSION_BYTES[i] =
    (i & EXPIRY ? EXPIRY_BYTES : 0) +
    (i & ADDS ? ADDS_BYTES : 0) +
    (i & 4 ? ELEMENT_BYTES : 0) +
    (i & COLLECTION ? COLLECTION_BYTES : 0) +
    (i & COPY ? COPY_BYTES : 0);
}

/** Bytes of the extensions of a record with this kind and these flags. */
export function extensionBytes(kind: number, flags: number): number {
  return EXTENSION_BYTES[(flags & 43) | ((kind & KIND_ELEMENT) >>> 1)] as number;
}

/** Bytes of a whole record. */
export function recordBytes(kind: number, flags: number, key: number, value: number): number {
  return HEADER_BYTES + extensionBytes(kind, flags) + key + value;
}

/** Fields of records by reference. Byte positions are inside the slab `u8(ref)`. */
export class Records {
  readonly #u8: Buffer[];
  readonly #u32: Uint32Array[];
  readonly #f64: Float64Array[];

  /** The records in a pool: no state of its own, and what all tables share stays in the cache. */
  static readonly of = onePerPool((pool) => new Records(pool));

  private constructor(pool: SlabPool) {
    this.#u8 = pool.u8;
    this.#u32 = pool.u32;
    this.#f64 = pool.f64;
  }

  /** The slab that a record lies in. */
  bytes(ref: Ref): Buffer {
    return this.#u8[ref >>> 23] as Buffer;
  }

  words(ref: Ref): Uint32Array {
    return this.#u32[ref >>> 23] as Uint32Array;
  }

  doubles(ref: Ref): Float64Array {
    return this.#f64[ref >>> 23] as Float64Array;
  }

  /** Byte position of a record in its slab. */
  at(ref: Ref): number {
    return (ref & 0x7fffff) << 3;
  }

  /**
   * Brings a record (0: none) into the cache, of a larger one the beginning: how large it is would have
   * to be waited for. Use the result, or nothing is read.
   */
  touch(ref: Ref): number {
    if (ref === 0) return 0;
    const words = this.words(ref);
    const at = this.at(ref) >>> 2;
    const next = Math.min(at + LINE_WORDS, words.length - 1);
    return (words[at] as number) ^ (words[next] as number);
  }

  kind(ref: Ref): number {
    return this.bytes(ref)[this.at(ref)] as number;
  }

  flags(ref: Ref): number {
    return this.bytes(ref)[this.at(ref) + 1] as number;
  }

  setFlags(ref: Ref, flags: number): void {
    this.bytes(ref)[this.at(ref) + 1] = flags;
  }

  slot(ref: Ref): number {
    return (this.words(ref)[this.at(ref) >>> 2] as number) >>> 16;
  }

  counter(ref: Ref): number {
    const words = this.words(ref);
    const at = this.at(ref) >>> 2;
    return (words[at + 1] as number) + ((words[at + 2] as number) & 0xffff) * 4294967296;
  }

  keyLength(ref: Ref): number {
    return (this.words(ref)[(this.at(ref) >>> 2) + 2] as number) >>> 16;
  }

  valueLength(ref: Ref): number {
    return this.words(ref)[(this.at(ref) >>> 2) + 3] as number;
  }

  hlc(ref: Ref): number {
    return this.doubles(ref)[(this.at(ref) >>> 3) + 2] as number;
  }

  /** Writes dot and stamp. */
  setDot(ref: Ref, slot: number, counter: number, hlc: number): void {
    const words = this.words(ref);
    const at = this.at(ref) >>> 2;
    words[at] = ((words[at] as number) & 0xffff) | (slot << 16);
    words[at + 1] = counter >>> 0;
    words[at + 2] = ((words[at + 2] as number) & 0xffff0000) | Math.floor(counter / 4294967296);
    this.doubles(ref)[(at >>> 1) + 2] = hlc;
  }

  /** Writes kind, flags and lengths of a fresh record; its dot comes with `setDot`. */
  setShape(ref: Ref, kind: number, flags: number, keyLength: number, valueLength: number): void {
    const words = this.words(ref);
    const at = this.at(ref) >>> 2;
    words[at] = kind | (flags << 8);
    words[at + 2] = keyLength << 16;
    words[at + 3] = valueLength;
  }

  setValueLength(ref: Ref, length: number): void {
    this.words(ref)[(this.at(ref) >>> 2) + 3] = length;
  }

  /** Where the key bytes begin. */
  keyAt(ref: Ref): number {
    const bytes = this.bytes(ref);
    const at = this.at(ref);
    return at + HEADER_BYTES + extensionBytes(bytes[at] as number, bytes[at + 1] as number);
  }

  valueAt(ref: Ref): number {
    return this.keyAt(ref) + this.keyLength(ref);
  }

  owner(ref: Ref): Ref {
    return this.words(ref)[(this.at(ref) >>> 2) + 6] as number;
  }

  nameHash(ref: Ref): number {
    return this.words(ref)[(this.at(ref) >>> 2) + 7] as number;
  }

  setElement(ref: Ref, owner: Ref, hash: number): void {
    const words = this.words(ref);
    const at = this.at(ref) >>> 2;
    words[at + 6] = owner;
    words[at + 7] = hash;
  }

  /** First collection block of a key record; 0 without any. */
  block(ref: Ref): Ref {
    if ((this.flags(ref) & COLLECTION) === 0) return 0;
    return this.words(ref)[(this.at(ref) >>> 2) + 6] as number;
  }

  setBlock(ref: Ref, block: Ref): void {
    this.words(ref)[(this.at(ref) >>> 2) + 6] = block;
  }

  /** Position of the expiry register, as an index of doubles. */
  expiryIndex(ref: Ref): number {
    const prefix = this.flags(ref) & COLLECTION ? 1 : 0;
    return (this.at(ref) >>> 3) + 3 + prefix + (this.kind(ref) & KIND_ELEMENT ? 1 : 0);
  }

  expiryAt(ref: Ref): number {
    return this.doubles(ref)[this.expiryIndex(ref)] as number;
  }

  setExpiry(ref: Ref, at: number, hlc: number, slot: number): void {
    const index = this.expiryIndex(ref);
    const doubles = this.doubles(ref);
    doubles[index] = at;
    doubles[index + 1] = hlc;
    this.words(ref)[(index + 2) * 2] = slot;
  }

  /** Position of the add entry, as an index of doubles. */
  addsIndex(ref: Ref): number {
    return this.expiryIndex(ref) + (this.flags(ref) & EXPIRY ? 3 : 0);
  }

  copyAt(ref: Ref): number {
    const flags = this.flags(ref);
    if ((flags & COPY) === 0) return 0;
    return this.doubles(ref)[this.addsIndex(ref) + (flags & ADDS ? 4 : 0)] as number;
  }

  setCopyAt(ref: Ref, at: number): void {
    const index = this.addsIndex(ref) + (this.flags(ref) & ADDS ? 4 : 0);
    this.doubles(ref)[index] = at;
  }

  /** Copies dot and the extensions that both records have. */
  copyFields(from: Ref, to: Ref): void {
    const shared = this.flags(from) & this.flags(to);
    this.setDot(to, this.slot(from), this.counter(from), this.hlc(from));
    if (shared & COLLECTION) this.setBlock(to, this.block(from));
    if (shared & EXPIRY) {
      this.#copyDoubles(from, this.expiryIndex(from), to, this.expiryIndex(to), 3);
    }
    if (shared & ADDS) {
      this.#copyDoubles(from, this.addsIndex(from), to, this.addsIndex(to), 4);
    }
    if (shared & COPY) this.setCopyAt(to, this.copyAt(from));
  }

  #copyDoubles(from: Ref, fromIndex: number, to: Ref, toIndex: number, count: number): void {
    const source = this.doubles(from);
    const target = this.doubles(to);
    for (let i = 0; i < count; i++) target[toIndex + i] = source[fromIndex + i] as number;
  }

  /** Whether a record's key is these bytes. */
  keyEquals(ref: Ref, source: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (this.keyLength(ref) !== length) return false;
    return equalBytes(this.bytes(ref), this.keyAt(ref), source, start, length);
  }

  /** Order of keys and of list positions: by bytes. */
  compareKeys(a: Ref, b: Ref): number {
    const aAt = this.keyAt(a);
    const bAt = this.keyAt(b);
    return compareBytes(
      this.bytes(a),
      aAt,
      aAt + this.keyLength(a),
      this.bytes(b),
      bAt,
      bAt + this.keyLength(b),
    );
  }

  /** Order of a hash's or set's elements: by (hash of the name, name). */
  compareHashes(a: Ref, b: Ref): number {
    const difference = this.nameHash(a) - this.nameHash(b);
    return difference !== 0 ? difference : this.compareKeys(a, b);
  }

  /** Order of a sorted set's elements: by (score, member); scores are stored sortable. */
  compareScores(a: Ref, b: Ref): number {
    const aAt = this.valueAt(a);
    const bAt = this.valueAt(b);
    const order = compareBytes(this.bytes(a), aAt, aAt + 8, this.bytes(b), bAt, bAt + 8);
    return order !== 0 ? order : this.compareKeys(a, b);
  }
}
