/**
 * Reads a partition's state (written by state-writer.ts) into an empty partition.
 *
 * Cells that were written in order are appended to the orders of the table and put into its indexes
 * without a search; only those that changed while the others were written may be there in part.
 *
 * Input is trusted: whoever hands it over has checked it. What does not fit is a broken assertion.
 * Invariant: after `finish` the partition is the one that was written, under its own new origin.
 */
import { assert } from "../base/assert.ts";
import { copyBytes } from "../base/bytes.ts";
import { HASH, LIST } from "../causality/cell.ts";
import { VersionsReader } from "../causality/version-codec.ts";
import { shapeOf } from "./general-cells.ts";
import type { Partition } from "./partition.ts";
import { PendingIndex } from "./pending-index.ts";
import { ADDS, COPY, EXPIRY, HEADLESS, KIND_ELEMENT, KIND_FLOAT, KIND_TYPE } from "./record.ts";
import type { Ref } from "./slab-pool.ts";
import { readPrologue } from "./state-prologue.ts";
import { StateReader } from "./state-reader.ts";
import {
  CHUNK_CHANGED,
  CHUNK_END,
  CHUNK_GOES_ON,
  CHUNK_KIND,
  CHUNK_ORDERED,
  CHUNK_PROLOGUE,
  FORM_GENERAL,
  FORM_NONE,
  FORM_PLAIN,
  ITEM_ELEMENT,
  ITEM_KEY,
  ITEM_LOW,
  ITEM_MASK,
  ITEM_TYPE,
  PLAIN_ADDS,
  PLAIN_COPY,
  PLAIN_EXPIRY,
} from "./state-writer.ts";

/** Loads a whole state at once. */
export function loadState(partition: Partition, chunks: Iterable<Buffer>): void {
  const loader = new StateLoader(partition);
  for (const chunk of chunks) loader.chunk(chunk, 0, chunk.length);
  loader.finish();
}

/** Loads a state chunk by chunk: each `chunk` is a slice of bounded cost. */
export class StateLoader {
  readonly #partition: Partition;
  readonly #reader = new StateReader();
  readonly #versions = new VersionsReader();
  #source: Buffer = Buffer.alloc(0);
  readonly #pending = new PendingIndex();
  /** Pieces of a chunk that goes on. */
  #pieces: Buffer[] = [];
  /** Cells may be there already: chunks without an order were read. */
  #isMixed = false;
  #hasPrologue = false;
  #isDone = false;
  #heads = 0;
  #elements = 0;

  // The key and collection that the next elements belong to.
  #key: Ref = 0;
  #block: Ref = 0;
  #type = 0;

  constructor(partition: Partition) {
    const { table, origins } = partition;
    assert(
      table.keyCount === 0 && origins.count === 0,
      "a state is loaded into an empty partition",
    );
    this.#partition = partition;
  }

  /** Reads a chunk; the bytes are its own only during the call. */
  chunk(source: Buffer, start: number, end: number): void {
    const first = source[start] as number;
    if (first & CHUNK_GOES_ON) {
      const begins = this.#pieces.length === 0;
      this.#pieces.push(Buffer.from(source.subarray(begins ? start : start + 1, end)));
      return;
    }
    if (this.#pieces.length === 0) {
      this.#read(first, source, start + 1, end);
      return;
    }
    const whole = Buffer.concat([...this.#pieces, source.subarray(start + 1, end)]);
    this.#pieces = [];
    this.#read((whole[0] as number) & CHUNK_KIND, whole, 1, whole.length);
  }

  /** Ends the load. Nothing of the partition is to be used before. */
  finish(): void {
    assert(this.#isDone, "a state has an end");
  }

  #read(kind: number, source: Buffer, start: number, end: number): void {
    assert(this.#hasPrologue === (kind !== CHUNK_PROLOGUE), "a state begins with its prologue");
    assert(!this.#isDone, "nothing follows the end of a state");
    this.#source = source;
    this.#reader.open(source, start, end);
    switch (kind) {
      case CHUNK_PROLOGUE:
        this.#hasPrologue = true;
        readPrologue(this.#reader, this.#partition);
        return;
      case CHUNK_CHANGED:
        this.#settle();
        this.#cells();
        return;
      case CHUNK_ORDERED:
        this.#cells();
        return;
      case CHUNK_END:
        assert(this.#reader.number() === this.#heads, "a state has as many heads as its end says");
        assert(
          this.#reader.number() === this.#elements,
          "a state has as many elements as its end says",
        );
        this.#settle();
        this.#isDone = true;
        return;
      default:
        assert(false, "a state has chunks of known kinds");
    }
  }

  /** Makes what was read so far findable; what follows may be there in part. */
  #settle(): void {
    if (this.#isMixed) return;
    this.#isMixed = true;
    this.#pending.settle(this.#partition.table);
  }

  // ---- cells ------------------------------------------------------------------------------------

  #cells(): void {
    const source = this.#source;
    const reader = this.#reader;
    while (reader.at < this.#reader.end) {
      const tag = source[reader.at++] as number;
      const item = tag & ITEM_MASK;
      if (item === ITEM_KEY) this.#readKey(tag & ITEM_LOW);
      else if (item === ITEM_ELEMENT) this.#readElement(tag & ITEM_LOW);
      else {
        assert(item === ITEM_TYPE, "a state has items of known kinds");
        this.#openCollection(tag & ITEM_LOW);
      }
    }
    assert(reader.at === this.#reader.end, "an item ends inside its chunk");
  }

  #readKey(form: number): void {
    const length = this.#reader.number();
    const start = this.#reader.at;
    const end = start + length;
    this.#reader.at = end;
    this.#block = 0;
    if (form === FORM_NONE) this.#key = this.#keyAlone(start, end);
    else {
      this.#heads++;
      this.#key = this.#isMixed
        ? this.#mixedHead(form, start, end)
        : form === FORM_PLAIN
          ? this.#plainHead(start, end)
          : this.#generalHead(start, end);
    }
  }

  /** A key whose elements follow, or go on from the last chunk. */
  #keyAlone(start: number, end: number): Ref {
    const { table } = this.#partition;
    const source = this.#source;
    if (this.#isMixed) {
      const known = table.find(source, start, end);
      return known !== 0 ? known : table.insertKey(source, start, end, 0, HEADLESS, 0);
    }
    if (this.#key !== 0 && table.records.keyEquals(this.#key, source, start, end)) return this.#key;
    return this.#append(start, end, 0, HEADLESS, 0);
  }

  /** A key's head, where its elements or an older chunk may have made its record already. */
  #mixedHead(form: number, start: number, end: number): Ref {
    const { table, mutations } = this.#partition;
    const source = this.#source;
    const known = table.find(source, start, end);
    const versions = form === FORM_GENERAL ? this.#readVersions() : this.#readPlainVersion();
    return mutations.cells.storeHead(known, source, start, end, versions);
  }

  #append(start: number, end: number, kind: number, flags: number, length: number): Ref {
    const { table } = this.#partition;
    const ref = table.appendKey(this.#source, start, end, kind, flags, length);
    this.#pending.push(table.hashOf(this.#source, start, end), ref);
    return ref;
  }

  /** A head of several versions, of a key that is not there. */
  #generalHead(start: number, end: number): Ref {
    const { mutations } = this.#partition;
    const versions = this.#readVersions();
    const blob = shapeOf(versions);
    const ref = this.#append(start, end, blob.kind, blob.flags, blob.value.length);
    mutations.cells.fill(ref, versions, blob.value);
    return ref;
  }

  /** The usual case: a key that is not there, with one version. */
  #plainHead(keyStart: number, keyEnd: number): Ref {
    const { table } = this.#partition;
    const { records } = table;
    const source = this.#source;
    const kind = this.#reader.byte();
    const form = this.#reader.byte();
    const slot = this.#reader.number();
    const counter = this.#reader.number();
    const hlc = this.#reader.u64();
    const length = this.#reader.number();
    const valueStart = this.#reader.at;
    const valueEnd = valueStart + length;
    this.#reader.at = valueEnd;
    const flags = flagsOf(form);
    const ref = this.#append(keyStart, keyEnd, kind, flags, length);
    records.setDot(ref, slot, counter, hlc);
    copyBytes(records.bytes(ref), records.valueAt(ref), source, valueStart, valueEnd);
    if (form !== 0) this.#extensions(ref, form);
    return ref;
  }

  #openCollection(type: number): void {
    assert(type >= LIST && type <= HASH, "a state has collections of known types");
    assert(this.#key !== 0, "a collection has a key");
    const { table } = this.#partition;
    this.#type = type;
    this.#block = table.ensureBlock(this.#key, type);
    const owner = table.blocks.key(this.#block);
    if (owner !== this.#key && !this.#isMixed) this.#pending.moveLast(owner);
    this.#key = owner;
  }

  #readElement(form: number): void {
    assert(this.#block !== 0, "an element has a key and a type");
    this.#elements++;
    const { table, mutations } = this.#partition;
    const source = this.#source;
    const length = this.#reader.number();
    const start = this.#reader.at;
    const end = start + length;
    this.#reader.at = end;
    const hash = table.hashOf(source, start, end);
    if (form === FORM_GENERAL) {
      const versions = this.#readVersions();
      mutations.cells.storeElement(this.#block, 0, hash, source, start, end, versions);
      return;
    }
    this.#plainElement(hash, start, end);
  }

  #plainElement(hash: number, nameStart: number, nameEnd: number): void {
    const { table } = this.#partition;
    const { records } = table;
    const source = this.#source;
    const kind = this.#reader.byte() | KIND_ELEMENT;
    assert((kind & KIND_TYPE) === this.#type, "an element has its collection's type");
    const form = this.#reader.byte();
    const slot = this.#reader.number();
    const counter = this.#reader.number();
    const hlc = this.#reader.u64();
    const length = this.#reader.number();
    const valueStart = this.#reader.at;
    const valueEnd = valueStart + length;
    this.#reader.at = valueEnd;
    const block = this.#block;
    const flags = flagsOf(form);
    const ref = table.elements.make(block, hash, source, nameStart, nameEnd, kind, flags, length);
    records.setDot(ref, slot, counter, hlc);
    copyBytes(records.bytes(ref), records.valueAt(ref), source, valueStart, valueEnd);
    if (form !== 0) this.#extensions(ref, form);
    if (form & PLAIN_COPY) table.noteCopy(block, records.copyAt(ref));
    table.elements.link(block, ref);
  }

  #extensions(ref: Ref, form: number): void {
    const { records } = this.#partition.table;
    if (form & PLAIN_EXPIRY) {
      const at = this.#reader.number();
      const hlc = this.#reader.u64();
      records.setExpiry(ref, at, hlc, this.#reader.number());
    }
    if (form & PLAIN_ADDS) {
      const index = records.addsIndex(ref);
      const words = records.words(ref);
      const isFloat = (records.kind(ref) & KIND_FLOAT) !== 0;
      records.doubles(ref)[index] = this.#reader.number();
      words[(index + 1) * 2] = this.#reader.number();
      words[(index + 2) * 2] = isFloat ? 0 : this.#reader.u32();
      words[(index + 2) * 2 + 1] = isFloat ? 0 : this.#reader.u32();
      records.doubles(ref)[index + 3] = isFloat ? this.#reader.f64() : 0;
    }
    if (form & PLAIN_COPY) records.setCopyAt(ref, this.#reader.number());
  }

  // ---- pieces -----------------------------------------------------------------------------------

  #readVersions() {
    const length = this.#reader.number();
    const start = this.#reader.at;
    this.#reader.at = start + length;
    return this.#versions.read(this.#source, start, start + length);
  }

  /** A plain version for a key that has elements already: by way of the general case. */
  #readPlainVersion() {
    const kind = this.#reader.byte();
    const form = this.#reader.byte();
    const slot = this.#reader.number();
    const counter = this.#reader.number();
    const hlc = this.#reader.u64();
    const value = this.#reader.bytes();
    const type = kind & KIND_TYPE;
    const counterKind = (kind >>> 4) & 3;
    const expiry =
      form & PLAIN_EXPIRY
        ? { at: this.#reader.number(), hlc: this.#reader.u64(), slot: this.#reader.number() }
        : null;
    const adds = form & PLAIN_ADDS ? [this.#addEntry((kind & KIND_FLOAT) !== 0)] : [];
    const copyAt = form & PLAIN_COPY ? this.#reader.number() : 0;
    return [{ slot, counter, hlc, type, counterKind, value, copyAt, expiry, adds, undos: [] }];
  }

  #addEntry(float: boolean) {
    const counter = this.#reader.number();
    const slot = this.#reader.number();
    if (float) return { counter, slot, float, integer: 0n, real: this.#reader.f64() };
    const at = this.#reader.at;
    this.#reader.at = at + 8;
    return { counter, slot, float, integer: this.#source.readBigInt64LE(at), real: 0 };
  }
}

/** The flags of the record of a plain version. */
function flagsOf(form: number): number {
  return (
    (form & PLAIN_EXPIRY ? EXPIRY : 0) |
    (form & PLAIN_ADDS ? ADDS : 0) |
    (form & PLAIN_COPY ? COPY : 0)
  );
}
