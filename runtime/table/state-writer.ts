/**
 * The state of a partition as bytes, for snapshots and joins: written in chunks, each readable by
 * itself once the prologue is known. Grammar and a worked example: docs/formats/state.md. Version 1.
 *
 * Records are written as they lie in the table: a plain one field by field, one of several versions
 * as its version set. Origins are written as the writer's slots; the prologue names them.
 *
 * Invariant: a chunk is at most STATE_CHUNK_BYTES_MAX; what is larger goes on in the next one.
 */
import { copyBytes, equalBytes, writeF64, writeU32, writeU64, writeVarint } from "../base/bytes.ts";
import { ZSET } from "../causality/cell.ts";
import {
  ADDS,
  BLOB,
  COPY,
  EXPIRY,
  HEADLESS,
  KIND_ELEMENT,
  KIND_FLOAT,
  KIND_TYPE,
  type Records,
} from "./record.ts";
import type { Ref } from "./slab-pool.ts";

// limits:
/** Largest chunk of a state: what a snapshot file takes at once. */
export const STATE_CHUNK_BYTES_MAX = 1024 * 1024;
/** What the four writers of a scan fill: at its end all of them wait for the disk. */
const SPARE_CHUNKS = 4;

/** First byte of a chunk. */
export const CHUNK_PROLOGUE = 1;
/** Cells in the order of keys and elements. */
export const CHUNK_ORDERED = 2;
/** Cells in any order: what changed while the others were written. */
export const CHUNK_CHANGED = 3;
export const CHUNK_END = 4;
export const CHUNK_KIND = 127;
/** The next chunk goes on where this one ends. */
export const CHUNK_GOES_ON = 128;

/** First byte of an item, with the form of its versions or its type in the low bits. */
export const ITEM_KEY = 16;
export const ITEM_TYPE = 32;
export const ITEM_ELEMENT = 48;
export const ITEM_MASK = 240;
export const ITEM_LOW = 15;

/** The key alone: its elements follow, or go on. */
export const FORM_NONE = 0;
export const FORM_PLAIN = 1;
export const FORM_GENERAL = 2;

/** Flags of a plain version. */
export const PLAIN_EXPIRY = 1;
export const PLAIN_ADDS = 2;
export const PLAIN_COPY = 4;

/** Bytes of an item besides key, name and value. */
const ITEM_BYTES = 128;

/**
 * Chunks' memory, used again and again: a megabyte a chunk outside of the JavaScript heap is garbage
 * that V8 answers with full collections.
 */
export class ChunkMemory {
  readonly #spare: ArrayBuffer[] = [];

  take(): Buffer<ArrayBuffer> {
    return Buffer.from(this.#spare.pop() ?? new ArrayBuffer(STATE_CHUNK_BYTES_MAX));
  }

  /** Gives back a chunk that nobody reads any more. One of another size is left to the collector. */
  give(chunk: Buffer): void {
    const { buffer } = chunk;
    if (buffer.byteLength !== STATE_CHUNK_BYTES_MAX || this.#spare.length === SPARE_CHUNKS) return;
    this.#spare.push(buffer as ArrayBuffer);
  }
}

/** Builds chunks; finished ones wait to be taken. */
export class StateWriter {
  /** Items written: keys' heads and elements. */
  heads = 0;
  elements = 0;

  readonly #kind: number;
  readonly #emit: (chunk: Buffer) => void;
  readonly #memory: ChunkMemory;
  #buffer = Buffer.alloc(0);
  #length = 0;
  #bytesEmitted = 0;
  /** The key that the next element belongs to, in this chunk. */
  #keyStart = 0;
  #keyEnd = -1;
  #type = 0;

  constructor(kind: number, emit: (chunk: Buffer) => void, memory: ChunkMemory) {
    this.#kind = kind;
    this.#emit = emit;
    this.#memory = memory;
  }

  /** Hands over what has been written, if anything. */
  flush(): void {
    const length = this.#length;
    if (length <= 1) return;
    const buffer = this.#buffer;
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
    this.#bytesEmitted += length;
    if (length <= STATE_CHUNK_BYTES_MAX) {
      this.#emit(buffer.subarray(0, length));
      return;
    }
    for (let at = 1; at < length; at += STATE_CHUNK_BYTES_MAX - 1) {
      const end = Math.min(length, at + STATE_CHUNK_BYTES_MAX - 1);
      const piece = this.#memory.take().subarray(0, 1 + end - at);
      piece[0] = this.#kind | (end < length ? CHUNK_GOES_ON : 0);
      buffer.copy(piece, 1, at, end);
      this.#emit(piece);
    }
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#bytesEmitted + this.#length;
  }

  /** The head of a key record: its versions, if it has any. */
  head(records: Records, ref: Ref): void {
    const flags = records.flags(ref);
    if (flags & HEADLESS) return;
    const bytes = records.bytes(ref);
    const at = records.keyAt(ref);
    const end = at + records.keyLength(ref);
    this.#reserve(ITEM_BYTES + end - at + records.valueLength(ref));
    this.#key(flags & BLOB ? FORM_GENERAL : FORM_PLAIN, bytes, at, end);
    this.#versions(records, ref);
    this.heads++;
  }

  /** An element, under its key and type. */
  element(
    records: Records,
    ref: Ref,
    type: number,
    key: Buffer,
    keyStart: number,
    keyEnd: number,
  ): void {
    const at = records.keyAt(ref);
    const end = at + records.keyLength(ref);
    const keyLength = keyEnd - keyStart;
    this.#reserve(2 * ITEM_BYTES + keyLength + end - at + records.valueLength(ref));
    const known =
      this.#keyEnd - this.#keyStart === keyLength &&
      equalBytes(this.#buffer, this.#keyStart, key, keyStart, keyLength);
    if (!known) this.#key(FORM_NONE, key, keyStart, keyEnd);
    if (this.#type !== type) this.byte(ITEM_TYPE | type);
    this.#type = type;
    this.byte(ITEM_ELEMENT | (records.flags(ref) & BLOB ? FORM_GENERAL : FORM_PLAIN));
    this.range(records.bytes(ref), at, end);
    this.#versions(records, ref);
    this.elements++;
  }

  #key(form: number, key: Buffer, start: number, end: number): void {
    this.byte(ITEM_KEY | form);
    this.range(key, start, end);
    this.#keyEnd = this.#length;
    this.#keyStart = this.#length - (end - start);
    this.#type = 0;
  }

  #versions(records: Records, ref: Ref): void {
    const kind = records.kind(ref);
    const flags = records.flags(ref);
    const bytes = records.bytes(ref);
    const valueAt = records.valueAt(ref);
    const valueEnd = valueAt + records.valueLength(ref);
    if (flags & BLOB) {
      // The shown score before a sorted set's versions is derived from them.
      const isSorted = (kind & KIND_ELEMENT) !== 0 && (kind & KIND_TYPE) === ZSET;
      this.range(bytes, valueAt + (isSorted ? 8 : 0), valueEnd);
      return;
    }
    this.byte(kind & ~KIND_ELEMENT);
    this.byte(
      (flags & EXPIRY ? PLAIN_EXPIRY : 0) |
        (flags & ADDS ? PLAIN_ADDS : 0) |
        (flags & COPY ? PLAIN_COPY : 0),
    );
    this.number(records.slot(ref));
    this.number(records.counter(ref));
    this.u64(records.hlc(ref));
    this.range(bytes, valueAt, valueEnd);
    if (flags & (EXPIRY | ADDS | COPY)) this.#extensions(records, ref, flags);
  }

  #extensions(records: Records, ref: Ref, flags: number): void {
    const words = records.words(ref);
    const doubles = records.doubles(ref);
    if (flags & EXPIRY) {
      const index = records.expiryIndex(ref);
      this.number(doubles[index] as number);
      this.u64(doubles[index + 1] as number);
      this.number(words[(index + 2) * 2] as number);
    }
    if (flags & ADDS) {
      const index = records.addsIndex(ref);
      this.number(doubles[index] as number);
      this.number(words[(index + 1) * 2] as number);
      // The sum is a float (bits and all) or an integer: one of the two is kept.
      const isFloat = (records.kind(ref) & KIND_FLOAT) !== 0;
      if (isFloat) this.f64(doubles[index + 3] as number);
      else {
        writeU32(this.#buffer, this.#length, words[(index + 2) * 2] as number);
        writeU32(this.#buffer, this.#length + 4, words[(index + 2) * 2 + 1] as number);
        this.#length += 8;
      }
    }
    if (flags & COPY) this.number(records.copyAt(ref));
  }

  // ---- pieces -----------------------------------------------------------------------------------

  /** Makes room for `bytes` more, in a new chunk if this one would grow too large. */
  #reserve(bytes: number): void {
    if (this.#length > 1 && this.#length + bytes > STATE_CHUNK_BYTES_MAX) this.flush();
    if (this.#length === 0) this.#begin(bytes);
    else if (this.#length + bytes > this.#buffer.length) this.#grow(bytes);
  }

  #begin(bytes: number): void {
    const isLarge = bytes + 1 > STATE_CHUNK_BYTES_MAX;
    this.#buffer = isLarge ? Buffer.allocUnsafeSlow(bytes + 1) : this.#memory.take();
    this.#buffer[0] = this.#kind;
    this.#length = 1;
    this.#keyEnd = -1;
    this.#keyStart = 0;
    this.#type = 0;
  }

  #grow(bytes: number): void {
    const wanted = Math.max(this.#buffer.length * 2, this.#length + bytes);
    const grown = Buffer.allocUnsafeSlow(wanted);
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }

  /** Makes room in the prologue or the end, which are never divided by items. */
  room(bytes: number): void {
    if (this.#length === 0) this.#begin(bytes);
    else if (this.#length + bytes > this.#buffer.length) this.#grow(bytes);
  }

  byte(value: number): void {
    this.#buffer[this.#length++] = value;
  }

  number(value: number): void {
    this.#length = writeVarint(this.#buffer, this.#length, value);
  }

  u32(value: number): void {
    writeU32(this.#buffer, this.#length, value);
    this.#length += 4;
  }

  u64(value: number): void {
    writeU64(this.#buffer, this.#length, value);
    this.#length += 8;
  }

  f64(value: number): void {
    writeF64(this.#buffer, this.#length, value);
    this.#length += 8;
  }

  /** Bytes with their length before them. */
  range(source: Buffer, start: number, end: number): void {
    this.#length = writeVarint(this.#buffer, this.#length, end - start);
    this.#length = copyBytes(this.#buffer, this.#length, source, start, end);
  }
}

/** Writes the end, which says how much must have come before it. */
export function writeEnd(writer: StateWriter, heads: number, elements: number): void {
  writer.room(16);
  writer.number(heads);
  writer.number(elements);
  writer.flush();
}
