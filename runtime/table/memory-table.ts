/**
 * The memory table of one vnode: every key and element as a record off-heap, found by hash and kept
 * in order. It knows cells and versions, not commands; every change comes as a mutation of an op.
 *
 * The common case (one version, replaced or removed by an op that covers it) is done in place here;
 * everything else goes through the algebra of causality/cell in general-cells.ts.
 *
 * Invariants: a key has a record iff it has a head version or an element; a collection block exists
 * iff its collection has an element (or its elements are being freed); nothing here allocates on
 * the JS heap in the common case.
 */
import { copyBytes } from "../base/bytes.ts";
import { hashBytes, mixHash } from "../base/hash.ts";
import type { Covers } from "../causality/cell.ts";
import { LIST, ZSET } from "../causality/cell.ts";
import { UNTIL_NEVER } from "../causality/op.ts";
import { Garbage } from "./garbage.ts";
import { HashIndex } from "./hash-index.ts";
import { Heap } from "./heap.ts";
import { OrderedIndex } from "./ordered-index.ts";
import {
  BLOB,
  BLOCK_BYTES,
  BLOCK_CHANGED_DOUBLE,
  BLOCK_COPY_DOUBLE,
  BLOCK_KEY,
  BLOCK_NEXT,
  BLOCK_ROOT,
  BLOCK_TYPE,
  COLLECTION,
  COPY,
  EXPIRY,
  HEADLESS,
  KIND_ELEMENT,
  KIND_TYPE,
  MARKED,
  Records,
  recordBytes,
} from "./record.ts";
import type { Ref, SlabPool } from "./slab-pool.ts";

/** The op whose mutations are being applied. */
export interface TableOp {
  slot: number;
  counter: number;
  hlc: number;
  /** Which dots it covers; null: all that this table holds. */
  covers: Covers | null;
  /** The vnode's sequence number of the op. */
  sequence: number;
}

export class MemoryTable {
  readonly op: TableOp = { slot: 0, counter: 0, hlc: 0, covers: null, sequence: 0 };
  readonly records: Records;
  readonly heap: Heap;
  keys: HashIndex;
  readonly garbage: Garbage;
  /** Root of all keys in byte order. */
  keyRoot: Ref = 0;
  readonly keyOrder: OrderedIndex;
  /**
   * Keys that carry an expiry or several versions, and collections with elements that carry a copy
   * of one: what a sweep looks for.
   */
  expiring = 0;
  /** Hash of the key or name last looked up. */
  hash = 0;
  /** MARKED or 0: what a record that the running snapshot has, or needs no more, is marked with. */
  mark = 0;
  /** Told of every record that is about to change while a snapshot has not got it; else null. */
  onBeforeChange: ((ref: Ref) => void) | null = null;

  #elements: HashIndex;
  readonly #positions: OrderedIndex;
  readonly #names: OrderedIndex;
  readonly #scores: OrderedIndex;
  readonly #seed: number;
  #probe: Ref = 0;
  #probeBytes = 0;

  constructor(pool: SlabPool, seed: number) {
    this.#seed = seed;
    this.heap = new Heap(pool);
    const records = new Records(pool);
    this.records = records;
    this.keys = new HashIndex(this.heap, (ref) => this.keyHashOf(ref));
    this.#elements = new HashIndex(this.heap, (ref) => this.elementHashOf(ref));
    this.keyOrder = new OrderedIndex(this.heap, (a, b) => records.compareKeys(a, b));
    this.#positions = this.keyOrder;
    this.#names = new OrderedIndex(this.heap, (a, b) => records.compareHashes(a, b));
    this.#scores = new OrderedIndex(this.heap, (a, b) => records.compareScores(a, b));
    this.garbage = new Garbage(this);
  }

  get keyCount(): number {
    return this.keys.count;
  }

  /** The hash of a key or element name under this data folder's seed. */
  hashOf(source: Buffer, start: number, end: number): number {
    return hashBytes(source, start, end, this.#seed);
  }

  keyHashOf(ref: Ref): number {
    const at = this.records.keyAt(ref);
    return this.hashOf(this.records.bytes(ref), at, at + this.records.keyLength(ref));
  }

  elementHashOf(ref: Ref): number {
    return mixHash(this.records.nameHash(ref), this.records.owner(ref));
  }

  /** The record of a key, or 0. Leaves the key's hash in `hash`. */
  find(source: Buffer, start: number, end: number): Ref {
    const hash = hashBytes(source, start, end, this.#seed);
    this.hash = hash;
    const keys = this.keys;
    for (let ref = keys.first(hash); ref !== 0; ref = keys.next()) {
      if (this.records.keyEquals(ref, source, start, end)) return ref;
    }
    return 0;
  }

  /** Calls the snapshot before a record changes. */
  touch(ref: Ref): void {
    if (this.onBeforeChange === null) return;
    if ((this.records.flags(ref) & MARKED) !== this.mark) this.onBeforeChange(ref);
  }

  // ---- keys -------------------------------------------------------------------------------------

  /** A fresh key record in both indexes; its value bytes are the caller's to fill. */
  insertKey(
    source: Buffer,
    start: number,
    end: number,
    kind: number,
    flags: number,
    valueLength: number,
  ): Ref {
    const ref = this.newKey(source, start, end, kind, flags, valueLength);
    this.keys.insert(this.hash, ref);
    this.keyRoot = this.keyOrder.insert(this.keyRoot, ref);
    if (flags & (EXPIRY | BLOB)) this.expiring++;
    return ref;
  }

  /** As `insertKey`, for a key that follows all others; not yet in the hash index (`keys.fill`). */
  appendKey(
    source: Buffer,
    start: number,
    end: number,
    kind: number,
    flags: number,
    valueLength: number,
  ): Ref {
    const ref = this.newKey(source, start, end, kind, flags, valueLength);
    this.keyRoot = this.keyOrder.insert(this.keyRoot, ref);
    if (flags & (EXPIRY | BLOB)) this.expiring++;
    return ref;
  }

  newKey(
    source: Buffer,
    start: number,
    end: number,
    kind: number,
    flags: number,
    valueLength: number,
  ): Ref {
    const ref = this.heap.allocate(recordBytes(kind, flags, end - start, valueLength));
    this.records.setShape(ref, kind, flags | this.mark, end - start, valueLength);
    if (flags & COLLECTION) this.records.setBlock(ref, 0);
    copyBytes(this.records.bytes(ref), this.records.keyAt(ref), source, start, end);
    return ref;
  }

  /** Puts a rebuilt record in the old one's place. */
  replaceKey(old: Ref, made: Ref): void {
    const records = this.records;
    const hash = this.keyHashOf(old);
    this.keys.replace(hash, old, made);
    this.keyRoot = this.keyOrder.replace(this.keyRoot, old, made);
    for (let block = records.block(made); block !== 0; block = this.blockNext(block)) {
      records.words(block)[(records.at(block) >>> 2) + BLOCK_KEY] = made;
    }
    const counted = (ref: Ref) => (records.flags(ref) & (EXPIRY | BLOB) ? 1 : 0);
    this.expiring += counted(made) - counted(old);
    this.heap.free(old);
  }

  /** Takes a key record out; its collections are gone or detached. */
  removeKey(ref: Ref): void {
    this.touch(ref);
    if (this.records.flags(ref) & (EXPIRY | BLOB)) this.expiring--;
    this.keys.remove(this.keyHashOf(ref), ref);
    this.keyRoot = this.keyOrder.remove(this.keyRoot, ref);
    this.heap.free(ref);
  }

  /**
   * `set` on the head cell where it covers all there is: key record `ref` (0: none) becomes one
   * version. Its collections, if any, stay. `until` as in an op. Returns the record.
   */
  setHead(
    ref: Ref,
    key: Buffer,
    start: number,
    end: number,
    kind: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
    until: number,
  ): Ref {
    const records = this.records;
    const length = valueEnd - valueStart;
    const expiry = until === 0 ? 0 : EXPIRY;
    let made = ref;
    if (ref === 0) {
      made = this.insertKey(key, start, end, kind, expiry, length);
    } else {
      this.touch(ref);
      const oldFlags = records.flags(ref);
      const flags = (oldFlags & COLLECTION) | expiry;
      const keyLength = end - start;
      const oldBytes = recordBytes(
        records.kind(ref),
        oldFlags,
        keyLength,
        records.valueLength(ref),
      );
      const bytes = recordBytes(kind, flags, keyLength, length);
      if ((bytes + 7) >>> 3 === (oldBytes + 7) >>> 3) {
        this.#reshapeInPlace(ref, kind, flags, key, start, end, length);
      } else {
        made = this.newKey(key, start, end, kind, flags, length);
        if (flags & COLLECTION) records.setBlock(made, records.block(ref));
        this.replaceKey(ref, made);
      }
    }
    records.setDot(made, this.op.slot, this.op.counter, this.op.hlc);
    if (expiry !== 0) {
      const at = until === UNTIL_NEVER ? 0 : until;
      records.setExpiry(made, at, this.op.hlc, this.op.slot);
    }
    copyBytes(records.bytes(made), records.valueAt(made), value, valueStart, valueEnd);
    return made;
  }

  #reshapeInPlace(
    ref: Ref,
    kind: number,
    flags: number,
    key: Buffer,
    start: number,
    end: number,
    valueLength: number,
  ): void {
    const records = this.records;
    const before = records.flags(ref);
    if ((before & ~MARKED) === flags) {
      // Same layout: the key stays where it is.
      records.bytes(ref)[records.at(ref)] = kind;
      records.setFlags(ref, flags | this.mark);
      records.setValueLength(ref, valueLength);
      return;
    }
    const block = records.block(ref);
    const counted = before & (EXPIRY | BLOB) ? 1 : 0;
    this.expiring += (flags & EXPIRY ? 1 : 0) - counted;
    records.setShape(ref, kind, flags | this.mark, end - start, valueLength);
    if (block !== 0) records.setBlock(ref, block);
    copyBytes(records.bytes(ref), records.keyAt(ref), key, start, end);
  }

  /** The same record with other extensions: fields that both have are kept. Returns the record. */
  reshapeKey(ref: Ref, flags: number): Ref {
    const records = this.records;
    this.touch(ref);
    const keyAt = records.keyAt(ref);
    const keyEnd = keyAt + records.keyLength(ref);
    const length = records.valueLength(ref);
    const kind = records.kind(ref);
    const made = this.newKey(records.bytes(ref), keyAt, keyEnd, kind, flags, length);
    this.copyFields(ref, made);
    copyBytes(
      records.bytes(made),
      records.valueAt(made),
      records.bytes(ref),
      keyEnd,
      keyEnd + length,
    );
    this.replaceKey(ref, made);
    return made;
  }

  /** Copies dot and the extensions that both records have. */
  copyFields(from: Ref, to: Ref): void {
    const records = this.records;
    const shared = records.flags(from) & records.flags(to);
    records.setDot(to, records.slot(from), records.counter(from), records.hlc(from));
    if (shared & COLLECTION) records.setBlock(to, records.block(from));
    if (shared & EXPIRY) {
      copyDoubles(records, from, records.expiryIndex(from), to, records.expiryIndex(to), 3);
    }
    if (shared & 2)
      copyDoubles(records, from, records.addsIndex(from), to, records.addsIndex(to), 4);
    if (shared & COPY) records.setCopyAt(to, records.copyAt(from));
  }

  // ---- collections ------------------------------------------------------------------------------

  blockType(block: Ref): number {
    return this.#blockWord(block, BLOCK_TYPE);
  }

  blockRoot(block: Ref): Ref {
    return this.#blockWord(block, BLOCK_ROOT);
  }

  blockNext(block: Ref): Ref {
    return this.#blockWord(block, BLOCK_NEXT);
  }

  blockKey(block: Ref): Ref {
    return this.#blockWord(block, BLOCK_KEY);
  }

  /** The smallest copy of an expiry that an element was written with; Infinity without any. */
  blockCopyMin(block: Ref): number {
    return this.records.doubles(block)[(this.records.at(block) >>> 3) + BLOCK_COPY_DOUBLE] as number;
  }

  /** Notes an element's copy of its key's expiry. */
  noteCopy(block: Ref, copyAt: number): void {
    if (copyAt !== 0 && copyAt < this.blockCopyMin(block)) this.setBlockCopyMin(block, copyAt);
  }

  /** Says anew which is the smallest copy of an expiry: Infinity if no element has one. */
  setBlockCopyMin(block: Ref, copyAt: number): void {
    const before = this.blockCopyMin(block);
    this.records.doubles(block)[(this.records.at(block) >>> 3) + BLOCK_COPY_DOUBLE] = copyAt;
    const counted = (at: number) => (at === Number.POSITIVE_INFINITY ? 0 : 1);
    this.expiring += counted(copyAt) - counted(before);
  }

  /** Sequence of the last op that changed an element. */
  blockChanged(block: Ref): number {
    const index = (this.records.at(block) >>> 3) + BLOCK_CHANGED_DOUBLE;
    return this.records.doubles(block)[index] as number;
  }

  setBlockRoot(block: Ref, root: Ref): void {
    this.records.words(block)[(this.records.at(block) >>> 2) + BLOCK_ROOT] = root;
  }

  /** Says that a block's key is gone: its elements are being freed. */
  orphanBlock(block: Ref): void {
    this.setBlockCopyMin(block, Number.POSITIVE_INFINITY);
    this.records.words(block)[(this.records.at(block) >>> 2) + BLOCK_KEY] = 0;
  }

  setBlockChanged(block: Ref): void {
    const index = (this.records.at(block) >>> 3) + BLOCK_CHANGED_DOUBLE;
    this.records.doubles(block)[index] = this.op.sequence;
  }

  #blockWord(block: Ref, word: number): number {
    return this.records.words(block)[(this.records.at(block) >>> 2) + word] as number;
  }

  /** The collection of a type under a key record, or 0. */
  blockOf(ref: Ref, type: number): Ref {
    let block = this.records.block(ref);
    while (block !== 0 && this.blockType(block) !== type) block = this.blockNext(block);
    return block;
  }

  /** The collection of a type, made if there is none; `blockKey` of it is the (moved) key record. */
  ensureBlock(ref: Ref, type: number): Ref {
    const known = this.blockOf(ref, type);
    if (known !== 0) return known;
    const records = this.records;
    const flags = records.flags(ref);
    const owner = flags & COLLECTION ? ref : this.reshapeKey(ref, (flags & ~MARKED) | COLLECTION);
    const block = this.heap.allocate(BLOCK_BYTES);
    const words = records.words(block);
    const at = records.at(block) >>> 2;
    words[at + BLOCK_TYPE] = type;
    words[at + BLOCK_ROOT] = 0;
    words[at + BLOCK_NEXT] = records.block(owner);
    words[at + BLOCK_KEY] = owner;
    records.doubles(block)[(at >>> 1) + BLOCK_COPY_DOUBLE] = Number.POSITIVE_INFINITY;
    this.setBlockChanged(block);
    records.setBlock(owner, block);
    return block;
  }

  /** Takes a block out of its key's chain; the key record stays. Does not free it. */
  unlinkBlock(block: Ref): void {
    const records = this.records;
    const key = this.blockKey(block);
    const next = this.blockNext(block);
    if (records.block(key) === block) {
      records.setBlock(key, next);
      return;
    }
    let before = records.block(key);
    while (this.blockNext(before) !== block) before = this.blockNext(before);
    records.words(before)[(records.at(before) >>> 2) + BLOCK_NEXT] = next;
  }

  /** The order that a type's elements are kept in. */
  orderOf(type: number): OrderedIndex {
    if (type === LIST) return this.#positions;
    return type === ZSET ? this.#scores : this.#names;
  }

  countOf(block: Ref): number {
    return this.orderOf(this.blockType(block)).count(this.blockRoot(block));
  }

  /** An element by name (of a list: by position), or 0. Leaves the name's hash in `hash`. */
  findElement(block: Ref, source: Buffer, start: number, end: number): Ref {
    const records = this.records;
    const hash = hashBytes(source, start, end, this.#seed);
    this.hash = hash;
    if (this.blockType(block) === LIST) return this.#findPosition(block, source, start, end);
    const elements = this.#elements;
    const mixed = mixHash(hash, block);
    for (let ref = elements.first(mixed); ref !== 0; ref = elements.next()) {
      if (records.owner(ref) === block && records.keyEquals(ref, source, start, end)) return ref;
    }
    return 0;
  }

  #findPosition(block: Ref, source: Buffer, start: number, end: number): Ref {
    const root = this.blockRoot(block);
    if (root === 0) return 0;
    const rank = this.#positions.lowerBound(root, this.probe(source, start, end, 0));
    if (rank >= this.#positions.count(root)) return 0;
    const ref = this.#positions.at(root, rank);
    return this.records.keyEquals(ref, source, start, end) ? ref : 0;
  }

  /** A scratch element record with that name, for searches; valid until the next one. */
  probe(source: Buffer, start: number, end: number, valueLength: number): Ref {
    const bytes = recordBytes(KIND_ELEMENT, 0, end - start, valueLength);
    if (bytes > this.#probeBytes) {
      if (this.#probe !== 0) this.heap.free(this.#probe);
      this.#probeBytes = Math.max(bytes, 128);
      this.#probe = this.heap.allocate(this.#probeBytes);
    }
    this.records.setShape(this.#probe, KIND_ELEMENT, 0, end - start, valueLength);
    this.records.setElement(this.#probe, 0, this.hash);
    copyBytes(this.records.bytes(this.#probe), this.records.keyAt(this.#probe), source, start, end);
    return this.#probe;
  }

  /** Gives the scratch record back: an empty table holds nothing. */
  freeProbe(): void {
    if (this.#probe !== 0) this.heap.free(this.#probe);
    this.#probe = 0;
    this.#probeBytes = 0;
  }

  newElement(
    block: Ref,
    hash: number,
    source: Buffer,
    start: number,
    end: number,
    kind: number,
    flags: number,
    valueLength: number,
  ): Ref {
    const ref = this.heap.allocate(recordBytes(kind, flags, end - start, valueLength));
    this.records.setShape(ref, kind, flags | this.mark, end - start, valueLength);
    this.records.setElement(ref, block, hash);
    copyBytes(this.records.bytes(ref), this.records.keyAt(ref), source, start, end);
    return ref;
  }

  /** The same plain element in another block of its key. */
  copyElement(from: Ref, block: Ref): Ref {
    const records = this.records;
    const nameAt = records.keyAt(from);
    const nameEnd = nameAt + records.keyLength(from);
    const length = records.valueLength(from);
    const flags = records.flags(from) & ~MARKED;
    const bytes = records.bytes(from);
    const hash = records.nameHash(from);
    const kind = records.kind(from);
    const made = this.newElement(block, hash, bytes, nameAt, nameEnd, kind, flags, length);
    this.copyFields(from, made);
    copyBytes(records.bytes(made), records.valueAt(made), bytes, nameEnd, nameEnd + length);
    this.noteCopy(block, records.copyAt(made));
    this.linkElement(block, made);
    return made;
  }

  /** Puts a filled element record into the indexes of its collection. */
  linkElement(block: Ref, ref: Ref): void {
    const type = this.blockType(block);
    if (type !== LIST) this.#elements.insert(this.elementHashOf(ref), ref);
    this.setBlockRoot(block, this.orderOf(type).insert(this.blockRoot(block), ref));
    this.setBlockChanged(block);
  }

  /** Takes an element out of the indexes; its block stays, even when empty. */
  unlinkElement(block: Ref, ref: Ref): void {
    const type = this.blockType(block);
    if (type !== LIST) this.#elements.remove(this.elementHashOf(ref), ref);
    this.setBlockRoot(block, this.orderOf(type).remove(this.blockRoot(block), ref));
    this.setBlockChanged(block);
  }

  /** Takes an element out of the hash index only: its order is being dismantled. */
  forgetElement(type: number, ref: Ref): void {
    if (type !== LIST) this.#elements.remove(this.elementHashOf(ref), ref);
  }

  /**
   * `set` on an element where it covers all there is. `ref` is the element's record (0: none), and
   * `hash` holds its name's hash; `typeKind` is its type and, shifted, its counter kind. Returns
   * the record.
   */
  setElement(
    block: Ref,
    ref: Ref,
    name: Buffer,
    start: number,
    end: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
    copyAt: number,
    typeKind: number,
  ): Ref {
    const records = this.records;
    const hash = this.hash;
    const type = typeKind & KIND_TYPE;
    const kind = typeKind | KIND_ELEMENT;
    const flags = copyAt === 0 ? 0 : COPY;
    const length = valueEnd - valueStart;
    this.noteCopy(block, copyAt);
    if (ref !== 0 && type !== ZSET && this.#fits(ref, kind, flags, length)) {
      this.touch(ref);
      records.setFlags(ref, flags | this.mark);
      records.bytes(ref)[records.at(ref)] = kind;
      records.setValueLength(ref, length);
      this.#fillElement(ref, value, valueStart, valueEnd, copyAt);
      this.setBlockChanged(block);
      return ref;
    }
    const made = this.newElement(block, hash, name, start, end, kind, flags, length);
    this.#fillElement(made, value, valueStart, valueEnd, copyAt);
    if (ref !== 0) this.freeElement(block, ref);
    this.linkElement(block, made);
    return made;
  }

  #fits(ref: Ref, kind: number, flags: number, valueLength: number): boolean {
    const records = this.records;
    if ((records.flags(ref) & ~MARKED) !== flags) return false;
    const before = records.valueLength(ref);
    if (before === valueLength) return true;
    const key = records.keyLength(ref);
    const oldBytes = recordBytes(kind, flags, key, before);
    return (recordBytes(kind, flags, key, valueLength) + 7) >>> 3 === (oldBytes + 7) >>> 3;
  }

  #fillElement(ref: Ref, value: Buffer, start: number, end: number, copyAt: number): void {
    const records = this.records;
    records.setDot(ref, this.op.slot, this.op.counter, this.op.hlc);
    if (copyAt !== 0) records.setCopyAt(ref, copyAt);
    copyBytes(records.bytes(ref), records.valueAt(ref), value, start, end);
  }

  /** Takes an element out and frees it. */
  freeElement(block: Ref, ref: Ref): void {
    this.touch(ref);
    this.unlinkElement(block, ref);
    this.heap.free(ref);
  }

  /** After a removal: drops an empty block, and a key record that names nothing more. */
  dropEmpty(block: Ref): void {
    if (this.blockRoot(block) !== 0) return;
    const key = this.blockKey(block);
    this.setBlockCopyMin(block, Number.POSITIVE_INFINITY);
    this.unlinkBlock(block);
    this.heap.free(block);
    this.dropNamelessKey(key);
  }

  /** Removes a key record without head versions and collections. */
  dropNamelessKey(key: Ref): void {
    if (this.records.flags(key) & HEADLESS && this.records.block(key) === 0) this.removeKey(key);
  }

  /** Forgets everything at once: a flush by an op that covers all. */
  reset(): void {
    this.garbage.reset();
    this.heap.releaseAll();
    this.keys = new HashIndex(this.heap, (ref) => this.keyHashOf(ref));
    this.#elements = new HashIndex(this.heap, (ref) => this.elementHashOf(ref));
    this.keyRoot = 0;
    this.expiring = 0;
    this.#probe = 0;
    this.#probeBytes = 0;
  }

  /** `clear` by an op that covers all: the key is gone at once, its elements are freed in slices. */
  clear(ref: Ref): void {
    let block = this.records.block(ref);
    while (block !== 0) {
      const next = this.blockNext(block);
      this.garbage.detach(ref, block);
      block = next;
    }
    this.removeKey(ref);
  }

  /** `remove` of the head by an op that covers all its versions. */
  removeHead(ref: Ref): void {
    if (this.records.block(ref) === 0) {
      this.removeKey(ref);
      return;
    }
    const made = this.reshapeKey(ref, COLLECTION | HEADLESS);
    this.records.setValueLength(made, 0);
  }
}

function copyDoubles(
  records: Records,
  from: Ref,
  fromIndex: number,
  to: Ref,
  toIndex: number,
  count: number,
): void {
  const source = records.doubles(from);
  const target = records.doubles(to);
  for (let i = 0; i < count; i++) target[toIndex + i] = source[fromIndex + i] as number;
}
