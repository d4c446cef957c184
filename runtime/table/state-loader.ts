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
import { copyBytes, readF64, readU32, readU64, VarintReader } from "../base/bytes.ts";
import { HASH, LIST } from "../causality/cell.ts";
import { VersionsReader } from "../causality/version-codec.ts";
import type { RememberedCall, Try } from "./op-ids.ts";
import type { Partition } from "./partition.ts";
import {
  ADDS,
  COPY,
  EXPIRY,
  HEADLESS,
  KIND_ELEMENT,
  KIND_FLOAT,
  KIND_TYPE,
} from "./record.ts";
import type { Ref } from "./slab-pool.ts";
import {
  CHUNK_CHANGED,
  CHUNK_END,
  CHUNK_GOES_ON,
  CHUNK_KIND,
  CHUNK_ORDERED,
  CHUNK_PROLOGUE,
  FORM_GENERAL,
  FORM_NONE,
  ITEM_ELEMENT,
  ITEM_KEY,
  ITEM_LOW,
  ITEM_MASK,
  ITEM_TYPE,
  PLAIN_ADDS,
  PLAIN_COPY,
  PLAIN_EXPIRY,
  STATE_FORMAT,
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
  readonly #reader = new VarintReader();
  readonly #versions = new VersionsReader();
  #source: Buffer = Buffer.alloc(0);
  #end = 0;
  /** Pieces of a chunk that goes on. */
  #pieces: Buffer[] = [];
  /** Cells may be there already: chunks without an order were read. */
  #isMixed = false;
  #hasPrologue = false;
  #isDone = false;
  #heads = 0;
  #elements = 0;

  // The key and collection that the next elements belong to.
  #keyStart = 0;
  #keyEnd = 0;
  #key: Ref = 0;
  #block: Ref = 0;
  #type = 0;

  constructor(partition: Partition) {
    const { table, origins } = partition;
    assert(table.keyCount === 0 && origins.count === 0, "a state is loaded into an empty partition");
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
    this.#reader.at = start;
    this.#end = end;
    switch (kind) {
      case CHUNK_PROLOGUE:
        this.#prologue();
        return;
      case CHUNK_CHANGED:
        this.#isMixed = true;
        this.#cells();
        return;
      case CHUNK_ORDERED:
        this.#cells();
        return;
      case CHUNK_END:
        assert(this.#number() === this.#heads, "a state has as many heads as its end says");
        assert(this.#number() === this.#elements, "a state has as many elements as its end says");
        this.#isDone = true;
        return;
      default:
        assert(false, "a state has chunks of known kinds");
    }
  }

  // ---- prologue ---------------------------------------------------------------------------------

  #prologue(): void {
    const { origins, clock, table } = this.#partition;
    this.#hasPrologue = true;
    assert(this.#byte() === STATE_FORMAT, "a state has a known format");
    this.#partition.sequence = this.#u64();
    table.op.sequence = this.#partition.sequence;
    clock.observe(this.#u64());
    assert(this.#number() === 0 && this.#number() === 0, "no origin has been retired yet");
    this.#u64();
    this.#number();
    const count = this.#number();
    for (let slot = 0; slot < count; slot++) {
      const low = this.#u32();
      const high = this.#u32();
      assert(origins.intern(high, low) === slot, "a state names each origin once");
      origins.applied[slot] = this.#number();
    }
    for (let slot = 0; slot < count; slot++) this.#past(slot);
    for (let left = this.#number(); left > 0; left--) this.#partition.opIds.add(this.#call());
  }

  #past(own: number): void {
    const { origins, past } = this.#partition;
    const vector = origins.applied.slice(0, this.#number());
    if (own < vector.length) vector[own] = 0;
    for (let left = this.#number(); left > 0; left--) vector[this.#number()] = this.#number();
    past.set(own, vector);
  }

  #call(): RememberedCall {
    const low = this.#u32();
    const high = this.#u32();
    const sequence = this.#number();
    const hlc = this.#u64();
    const reply = this.#bytes();
    const tries: Try[] = [];
    for (let left = this.#number(); left > 0; left--) {
      tries.push({ slot: this.#number(), counter: this.#number(), undo: this.#bytes() });
    }
    return { high, low, sequence, hlc, reply, tries };
  }

  // ---- cells ------------------------------------------------------------------------------------

  #cells(): void {
    const source = this.#source;
    const reader = this.#reader;
    while (reader.at < this.#end) {
      const tag = source[reader.at++] as number;
      const item = tag & ITEM_MASK;
      if (item === ITEM_KEY) this.#readKey(tag & ITEM_LOW);
      else if (item === ITEM_ELEMENT) this.#readElement(tag & ITEM_LOW);
      else {
        assert(item === ITEM_TYPE, "a state has items of known kinds");
        this.#openCollection(tag & ITEM_LOW);
      }
    }
    assert(reader.at === this.#end, "an item ends inside its chunk");
  }

  #readKey(form: number): void {
    const length = this.#number();
    const start = this.#reader.at;
    const end = start + length;
    this.#reader.at = end;
    this.#keyStart = start;
    this.#keyEnd = end;
    this.#key = 0;
    this.#block = 0;
    if (form === FORM_NONE) return;
    this.#heads++;
    const { table, mutations } = this.#partition;
    const source = this.#source;
    const known = this.#isMixed ? table.find(source, start, end) : 0;
    if (form === FORM_GENERAL || known !== 0) {
      const versions = form === FORM_GENERAL ? this.#readVersions() : this.#readPlainVersion();
      table.hash = table.hashOf(source, start, end);
      this.#key = mutations.cells.storeHead(known, source, start, end, versions);
      return;
    }
    table.hash = table.hashOf(source, start, end);
    this.#key = this.#plainHead(start, end);
  }

  /** The usual case: a key that is not there, with one version. */
  #plainHead(keyStart: number, keyEnd: number): Ref {
    const { table } = this.#partition;
    const { records } = table;
    const source = this.#source;
    const kind = this.#byte();
    const form = this.#byte();
    const slot = this.#number();
    const counter = this.#number();
    const hlc = this.#u64();
    const length = this.#number();
    const valueStart = this.#reader.at;
    const valueEnd = valueStart + length;
    this.#reader.at = valueEnd;
    const flags = flagsOf(form);
    const ref = table.insertKey(source, keyStart, keyEnd, kind, flags, length);
    records.setDot(ref, slot, counter, hlc);
    copyBytes(records.bytes(ref), records.valueAt(ref), source, valueStart, valueEnd);
    if (form !== 0) this.#extensions(ref, form);
    return ref;
  }

  #openCollection(type: number): void {
    assert(type >= LIST && type <= HASH, "a state has collections of known types");
    const { table } = this.#partition;
    const source = this.#source;
    if (this.#key === 0) {
      this.#key = table.find(source, this.#keyStart, this.#keyEnd);
      if (this.#key === 0) {
        this.#key = table.insertKey(source, this.#keyStart, this.#keyEnd, 0, HEADLESS, 0);
      }
    }
    this.#type = type;
    this.#block = table.ensureBlock(this.#key, type);
    this.#key = table.blockKey(this.#block);
  }

  #readElement(form: number): void {
    assert(this.#block !== 0, "an element has a key and a type");
    this.#elements++;
    const { table, mutations } = this.#partition;
    const source = this.#source;
    const length = this.#number();
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
    const kind = this.#byte() | KIND_ELEMENT;
    assert((kind & KIND_TYPE) === this.#type, "an element has its collection's type");
    const form = this.#byte();
    const slot = this.#number();
    const counter = this.#number();
    const hlc = this.#u64();
    const length = this.#number();
    const valueStart = this.#reader.at;
    const valueEnd = valueStart + length;
    this.#reader.at = valueEnd;
    const block = this.#block;
    const flags = flagsOf(form);
    const ref = table.newElement(block, hash, source, nameStart, nameEnd, kind, flags, length);
    records.setDot(ref, slot, counter, hlc);
    copyBytes(records.bytes(ref), records.valueAt(ref), source, valueStart, valueEnd);
    if (form !== 0) this.#extensions(ref, form);
    if (form & PLAIN_COPY) table.noteCopy(block, records.copyAt(ref));
    table.linkElement(block, ref);
  }

  #extensions(ref: Ref, form: number): void {
    const { records } = this.#partition.table;
    if (form & PLAIN_EXPIRY) {
      const at = this.#number();
      const hlc = this.#u64();
      records.setExpiry(ref, at, hlc, this.#number());
    }
    if (form & PLAIN_ADDS) {
      const index = records.addsIndex(ref);
      const words = records.words(ref);
      const isFloat = (records.kind(ref) & KIND_FLOAT) !== 0;
      records.doubles(ref)[index] = this.#number();
      words[(index + 1) * 2] = this.#number();
      words[(index + 2) * 2] = isFloat ? 0 : this.#u32();
      words[(index + 2) * 2 + 1] = isFloat ? 0 : this.#u32();
      records.doubles(ref)[index + 3] = isFloat ? this.#f64() : 0;
    }
    if (form & PLAIN_COPY) records.setCopyAt(ref, this.#number());
  }

  // ---- pieces -----------------------------------------------------------------------------------

  #readVersions() {
    const length = this.#number();
    const start = this.#reader.at;
    this.#reader.at = start + length;
    return this.#versions.read(this.#source, start, start + length);
  }

  /** A plain version for a key that has elements already: by way of the general case. */
  #readPlainVersion() {
    const kind = this.#byte();
    const form = this.#byte();
    const slot = this.#number();
    const counter = this.#number();
    const hlc = this.#u64();
    const value = this.#bytes();
    const type = kind & KIND_TYPE;
    const counterKind = (kind >>> 4) & 3;
    const expiry =
      form & PLAIN_EXPIRY ? { at: this.#number(), hlc: this.#u64(), slot: this.#number() } : null;
    const adds = form & PLAIN_ADDS ? [this.#addEntry((kind & KIND_FLOAT) !== 0)] : [];
    const copyAt = form & PLAIN_COPY ? this.#number() : 0;
    return [{ slot, counter, hlc, type, counterKind, value, copyAt, expiry, adds, undos: [] }];
  }

  #addEntry(float: boolean) {
    const counter = this.#number();
    const slot = this.#number();
    if (float) return { counter, slot, float, integer: 0n, real: this.#f64() };
    const at = this.#reader.at;
    this.#reader.at = at + 8;
    return { counter, slot, float, integer: this.#source.readBigInt64LE(at), real: 0 };
  }

  #byte(): number {
    return this.#source[this.#reader.at++] as number;
  }

  #number(): number {
    const value = this.#reader.read(this.#source, this.#end);
    assert(value >= 0, "a number ends inside its chunk");
    return value;
  }

  #u32(): number {
    this.#reader.at += 4;
    return readU32(this.#source, this.#reader.at - 4);
  }

  #u64(): number {
    this.#reader.at += 8;
    return readU64(this.#source, this.#reader.at - 8);
  }

  #f64(): number {
    this.#reader.at += 8;
    return readF64(this.#source, this.#reader.at - 8);
  }

  #bytes(): Buffer {
    const length = this.#number();
    const start = this.#reader.at;
    this.#reader.at = start + length;
    return Buffer.from(this.#source.subarray(start, start + length));
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
