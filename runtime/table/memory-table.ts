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
import { type HashKey, hashName } from "../base/hash.ts";
import type { Covers } from "../causality/cell.ts";
import { UNTIL_NEVER } from "../causality/op.ts";
import type { Origins } from "../causality/origins.ts";
import { BLOCK_BYTES, Blocks } from "./blocks.ts";
import { Elements } from "./elements.ts";
import { Garbage, SETTLE_ITEMS_MAX } from "./garbage.ts";
import { GeneralCells } from "./general-cells.ts";
import { HashIndex } from "./hash-index.ts";
import { Heap } from "./heap.ts";
import { KeyBirths } from "./key-births.ts";
import { KeysAhead } from "./keys-ahead.ts";
import { OrderedIndex } from "./ordered-index.ts";
import { BLOB, COLLECTION, EXPIRY, HEADLESS, MARKED, Records, recordBytes } from "./record.ts";
import type { Ref, SlabPool } from "./slab-pool.ts";

/** The op whose mutations are being applied. */
export interface TableOp {
  slot: number;
  counter: number;
  hlc: number;
  /** Which dots it covers; null: all that this table holds. */
  covers: Covers | null;
  /** Its past; not read where it covers all. */
  past: Float64Array;
  /** The vnode's sequence number of the op. */
  sequence: number;
}

const NO_PAST = new Float64Array(0);

export class MemoryTable {
  // What most commands look at comes first: of each vnode it should lie in few cache lines.
  readonly records: Records;
  keys: HashIndex;
  /** Whether any collection is under a cut: looked at before every command. */
  hasCuts = false;
  /** Hash of the key last looked up. */
  hash = 0;
  readonly #hashHigh: number;
  readonly #hashLow: number;
  readonly #ahead: KeysAhead;
  /** MARKED or 0: what a record that the running snapshot has, or needs no more, is marked with. */
  mark = 0;
  /** Told of every record that is about to change while a snapshot has not got it; else null. */
  onBeforeChange: ((ref: Ref) => void) | null = null;
  readonly op: TableOp = { slot: 0, counter: 0, hlc: 0, covers: null, past: NO_PAST, sequence: 0 };

  readonly heap: Heap;
  readonly garbage: Garbage;
  /** Root of all keys in byte order. */
  keyRoot: Ref = 0;
  readonly keyOrder: OrderedIndex;
  readonly blocks: Blocks;
  readonly births: KeyBirths;
  readonly elements: Elements;
  readonly cells: GeneralCells;
  /**
   * Keys that carry an expiry or several versions, and collections with elements that carry a copy
   * of one: what a sweep looks for.
   */
  expiring = 0;

  constructor(pool: SlabPool, hashKey: HashKey, origins: Origins) {
    this.#hashHigh = hashKey.high | 0;
    this.#hashLow = hashKey.low | 0;
    this.#ahead = KeysAhead.of(pool);
    this.heap = new Heap(pool);
    const records = Records.of(pool);
    this.records = records;
    this.keys = new HashIndex(this.heap, (ref) => this.keyHashOf(ref));
    this.keyOrder = new OrderedIndex(this.heap, (a, b) => records.compareKeys(a, b));
    this.blocks = new Blocks(records);
    this.births = new KeyBirths(pool);
    this.elements = new Elements(this);
    this.cells = new GeneralCells(this, origins);
    this.garbage = new Garbage(this);
  }

  get keyCount(): number {
    return this.keys.count;
  }

  /** The hash of a key or element name under this data folder's key. */
  hashOf(source: Buffer, start: number, end: number): number {
    return hashName(source, start, end, this.#hashHigh, this.#hashLow);
  }

  keyHashOf(ref: Ref): number {
    const at = this.records.keyAt(ref);
    return this.hashOf(this.records.bytes(ref), at, at + this.records.keyLength(ref));
  }

  /** The record of a key, or 0. Leaves the key's hash in `hash`. */
  find(source: Buffer, start: number, end: number): Ref {
    const keys = this.keys;
    const known = this.#ahead.recall(keys, source, start, end);
    if (known !== 0) {
      this.hash = this.#ahead.hash;
      return known;
    }
    const hash = hashName(source, start, end, this.#hashHigh, this.#hashLow);
    this.hash = hash;
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
    this.births.note(this.hash);
    this.keyRoot = this.keyOrder.insert(this.keyRoot, ref);
    if (flags & (EXPIRY | BLOB)) this.expiring++;
    return ref;
  }

  /** A key record that is not yet in the indexes (PendingIndex), nor is any other. */
  appendKey(
    source: Buffer,
    start: number,
    end: number,
    kind: number,
    flags: number,
    valueLength: number,
  ): Ref {
    const ref = this.newKey(source, start, end, kind, flags, valueLength);
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
    // Keys that are being loaded are in no index yet.
    if (this.keyRoot !== 0) this.keyRoot = this.keyOrder.replace(this.keyRoot, old, made);
    for (let block = records.block(made); block !== 0; block = this.blocks.next(block)) {
      this.blocks.setKey(block, made);
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
    records.copyFields(ref, made);
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

  // ---- collections ------------------------------------------------------------------------------

  /** Notes an element's copy of its key's expiry. */
  noteCopy(block: Ref, copyAt: number): void {
    if (copyAt !== 0 && copyAt < this.blocks.copyMin(block)) this.setBlockCopyMin(block, copyAt);
  }

  /** Says anew which is the smallest copy of an expiry: Infinity if no element has one. */
  setBlockCopyMin(block: Ref, copyAt: number): void {
    const before = this.blocks.copyMin(block);
    this.blocks.setCopyMin(block, copyAt);
    const counted = (at: number) => (at === Number.POSITIVE_INFINITY ? 0 : 1);
    this.expiring += counted(copyAt) - counted(before);
  }

  /** The collection of a type, made if there is none; the key of it is the (moved) key record. */
  ensureBlock(ref: Ref, type: number): Ref {
    const known = this.blocks.of(ref, type);
    if (known !== 0) return known;
    const records = this.records;
    const flags = records.flags(ref);
    const owner = flags & COLLECTION ? ref : this.reshapeKey(ref, (flags & ~MARKED) | COLLECTION);
    const block = this.heap.allocate(BLOCK_BYTES);
    this.blocks.open(block, type, owner, this.op.sequence);
    return block;
  }

  /** Says that a block's key is gone: its elements are being freed. */
  orphanBlock(block: Ref): void {
    this.setBlockCopyMin(block, Number.POSITIVE_INFINITY);
    this.blocks.setKey(block, 0);
  }

  /** After a removal: drops an empty block, and a key record that names nothing more. */
  dropEmpty(block: Ref): void {
    if (this.blocks.root(block) !== 0 || this.blocks.isCut(block)) return;
    const key = this.blocks.key(block);
    this.setBlockCopyMin(block, Number.POSITIVE_INFINITY);
    this.blocks.unlink(block);
    this.heap.free(block);
    this.dropNamelessKey(key);
  }

  /** Removes a key record without head versions and collections. */
  dropNamelessKey(key: Ref): void {
    if (this.records.flags(key) & HEADLESS && this.records.block(key) === 0) this.removeKey(key);
  }

  /** Whether more is still to be judged of a key than a command's turn should take on. */
  isSettling(ref: Ref): boolean {
    const { records, blocks, garbage } = this;
    if (!this.hasCuts || ref === 0) return false;
    let unjudged = 0;
    for (let block = records.block(ref); block !== 0; block = blocks.next(block)) {
      unjudged += garbage.unjudged(block);
    }
    return unjudged > SETTLE_ITEMS_MAX;
  }

  /** Ends the passes over a key's collections. False: nothing is left of the key. */
  settle(ref: Ref): boolean {
    const { records, blocks } = this;
    let isLeft = (records.flags(ref) & HEADLESS) === 0;
    for (let block = records.block(ref); block !== 0; ) {
      const next = blocks.next(block);
      if (!blocks.isCut(block) || this.garbage.settle(block)) isLeft = true;
      block = next;
    }
    return isLeft;
  }

  /** Forgets everything at once: a flush by an op that covers all. */
  reset(): void {
    this.garbage.reset();
    this.heap.releaseAll();
    this.keys = new HashIndex(this.heap, (ref) => this.keyHashOf(ref));
    this.elements.reset();
    this.keyRoot = 0;
    this.expiring = 0;
  }

  /** `clear` by an op that covers all: the key is gone at once, its elements are freed in slices. */
  clear(ref: Ref): void {
    let block = this.records.block(ref);
    while (block !== 0) {
      const next = this.blocks.next(block);
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
