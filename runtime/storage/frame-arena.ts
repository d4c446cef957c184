/**
 * The growing body of a journal's next frame: ops are written in place behind room for the header,
 * segment entries are laid behind the ops, and the whole is one write. Bytes as in
 * docs/formats/journal.md.
 *
 * Invariant: ops of one vnode lie in the order of their dense sequences, each linked to the one
 * before it in this frame; what `rewind` takes back leaves no trace.
 */
import { assert } from "../base/assert.ts";
import { readU32, writeU32, writeU64 } from "../base/bytes.ts";
import { copyWithChecksum, opChecksum } from "../base/hash.ts";
import {
  alignToSector,
  alignToWord,
  ENTRY_BYTES,
  FRAME_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  SECTOR_BYTES,
} from "./journal-format.ts";

// limits:
/** Largest frame: an op of a 512 MB value and what collects beside it while a disk is slow. */
export const FRAME_BYTES_MAX = 1024 * 1024 * 1024;
/** An arena starts with this much and is cut back to it after a giant. */
export const ARENA_BYTES = 1024 * 1024;
/** A larger arena is given up after its commit. */
export const ARENA_KEEP_BYTES_MAX = 16 * 1024 * 1024;

/** The vnodes that have ops in a file, each with its largest sequence there. */
export interface SegmentUse {
  readonly vnodes: Uint32Array;
  readonly sequences: Float64Array;
}

export class FrameArena {
  /** The frame's bytes; replaced when it grows: read it again after every `open`. */
  bytes: Buffer;
  /** Sealed ops in this frame. */
  ops = 0;
  /** Sealed ops in all frames before. */
  #opsBefore = 0;
  /** End of the sealed ops. */
  at = FRAME_HEADER_BYTES;
  /** Offset of the first op that asked for durability, or -1. */
  durableFrom = -1;

  #words: Int32Array;
  readonly #startBytes: number;
  readonly #bytesMax: number;
  #opened = -1;
  #openedBytesMax = 0;
  /** Sequence of the opened op, unboxed. */
  readonly #openedSequence = new Float64Array(1);

  // A vnode's slot in this journal.
  readonly #slots = new Map<number, number>();
  /** The same for the first ids of a keyspace, without hashing: slot + 1, 0 none. */
  readonly #slotOfId: (Uint32Array | undefined)[] = [];
  #lastVnode = -1;
  #lastSlot = -1;
  #vnodeIds = new Uint32Array(64);
  #entryOf = new Int32Array(64).fill(-1);
  #written = new Float64Array(64);
  #previousFile = new Uint32Array(64);
  #previousOffset = new Float64Array(64);
  /** Vnodes with ops in the current file, and of each (by slot) the largest sequence there. */
  #touched: number[] = [];
  #largest = new Float64Array(64);

  // The segments of this frame, in order of their first op.
  #entries = 0;
  #entrySlot = new Int32Array(64);
  #entryCount = new Uint32Array(64);
  #entryFirst = new Float64Array(64);
  #entryLast = new Uint32Array(64);

  constructor(startBytes = ARENA_BYTES, bytesMax = FRAME_BYTES_MAX) {
    this.#startBytes = startBytes;
    this.#bytesMax = bytesMax;
    this.bytes = Buffer.allocUnsafeSlow(startBytes);
    this.#words = wordsOf(this.bytes);
  }

  /** Sealed ops so far, in all frames. */
  get appended(): number {
    return this.#opsBefore + this.ops;
  }

  /** See `Journal.open`. */
  open(vnodeId: number, sequence: number, bytesMax: number): number {
    assert(this.#opened === -1, "one op is open at a time");
    const start = this.at + RECORD_HEADER_BYTES;
    const need = alignToWord(start + bytesMax) + (this.#entries + 1) * ENTRY_BYTES + SECTOR_BYTES;
    if (need > this.bytes.length && !this.#grow(need)) return -1;
    const slot = vnodeId === this.#lastVnode ? this.#lastSlot : this.#slotOf(vnodeId);
    const entry = this.#entryOf[slot] as number;
    const expected =
      entry >= 0
        ? (this.#entryFirst[entry] as number) + (this.#entryCount[entry] as number)
        : (this.#written[slot] as number) + 1;
    assert(sequence === expected || (expected === 1 && sequence > 0), "vnode sequences are dense");
    this.#openedSequence[0] = sequence;
    this.#openedBytesMax = bytesMax;
    this.#opened = slot;
    return start;
  }

  /** See `Journal.append`. */
  append(
    vnodeId: number,
    sequence: number,
    op: Int32Array,
    bytes: number,
    durable: boolean,
  ): boolean {
    const start = this.open(vnodeId, sequence, bytes);
    if (start < 0) return false;
    this.#seal(bytes, copyWithChecksum(this.#words, start >>> 2, op, bytes), durable);
    return true;
  }

  /** See `Journal.seal`. */
  seal(bytes: number, durable: boolean): void {
    const start = this.at + RECORD_HEADER_BYTES;
    this.bytes.fill(0, start + bytes, alignToWord(start + bytes));
    this.#seal(bytes, opChecksum(this.bytes, start, start + bytes), durable);
  }

  #seal(bytes: number, checksum: number, durable: boolean): void {
    const slot = this.#opened;
    assert(slot !== -1 && bytes <= this.#openedBytesMax, "a sealed op is open and within its room");
    let entry = this.#entryOf[slot] as number;
    let link = 0;
    if (entry < 0) entry = this.#addEntry(slot);
    else link = this.#entryLast[entry] as number;
    const record = this.at;
    const words = this.#words;
    const at = record >>> 2;
    words[at] = bytes;
    words[at + 1] = checksum;
    words[at + 2] = entry;
    words[at + 3] = link;
    this.#entryLast[entry] = record;
    this.#entryCount[entry] = (this.#entryCount[entry] as number) + 1;
    if (durable && this.durableFrom < 0) this.durableFrom = record;
    this.at = alignToWord(record + RECORD_HEADER_BYTES + bytes);
    this.ops++;
    this.#opened = -1;
  }

  cancel(): void {
    this.#opened = -1;
  }

  /** See `Journal.rewind`. */
  rewind(mark: number): void {
    assert(
      mark >= FRAME_HEADER_BYTES && mark <= this.at,
      "a mark belongs to the frame in progress",
    );
    this.#opened = -1;
    for (let record = mark; record < this.at; ) {
      const entry = readU32(this.bytes, record + 8);
      const link = readU32(this.bytes, record + 12);
      if (link < mark) this.#entryLast[entry] = link;
      this.#entryCount[entry] = (this.#entryCount[entry] as number) - 1;
      this.ops--;
      record = alignToWord(record + RECORD_HEADER_BYTES + readU32(this.bytes, record));
    }
    // Entries are in the order of their first ops, so the emptied ones are the last.
    while (this.#entries > 0 && this.#entryCount[this.#entries - 1] === 0) {
      this.#entries--;
      this.#entryOf[this.#entrySlot[this.#entries] as number] = -1;
    }
    if (this.durableFrom >= mark) this.durableFrom = -1;
    this.at = mark;
  }

  /** Bytes of the frame if it were closed now. */
  get frameBytes(): number {
    return alignToSector(this.at + this.#entries * ENTRY_BYTES);
  }

  get segments(): number {
    return this.#entries;
  }

  /** Whether an op of the vnode, up to this sequence, is in this frame. */
  holds(vnodeId: number, sequence: number): boolean {
    const slot = this.#slots.get(vnodeId);
    const entry = slot === undefined ? -1 : (this.#entryOf[slot] as number);
    return entry >= 0 && (this.#entryFirst[entry] as number) <= sequence;
  }

  /** Lays the segment entries and the padding behind the ops; returns where the entries begin. */
  layDirectory(): number {
    const target = this.bytes;
    let at = this.at;
    for (let entry = 0; entry < this.#entries; entry++, at += ENTRY_BYTES) {
      const slot = this.#entrySlot[entry] as number;
      writeU32(target, at, this.#vnodeIds[slot] as number);
      writeU32(target, at + 4, this.#entryCount[entry] as number);
      writeU64(target, at + 8, this.#entryFirst[entry] as number);
      writeU32(target, at + 16, this.#entryLast[entry] as number);
      writeU32(target, at + 20, this.#previousFile[slot] as number);
      writeU64(target, at + 24, this.#previousOffset[slot] as number);
    }
    target.fill(0, at, alignToSector(at));
    return this.at;
  }

  /** The frame was written at this position: begins the next one. */
  reset(fileNumber: number, offset: number): void {
    for (let entry = 0; entry < this.#entries; entry++) {
      const slot = this.#entrySlot[entry] as number;
      const last = (this.#entryFirst[entry] as number) + (this.#entryCount[entry] as number) - 1;
      if (this.#previousFile[slot] !== fileNumber) {
        this.#touched.push(slot);
        this.#largest[slot] = 0;
      }
      this.#previousFile[slot] = fileNumber;
      this.#previousOffset[slot] = offset;
      this.#written[slot] = last;
      this.#largest[slot] = Math.max(this.#largest[slot] as number, last);
      this.#entryOf[slot] = -1;
    }
    this.#entries = 0;
    this.#opsBefore += this.ops;
    this.ops = 0;
    this.at = FRAME_HEADER_BYTES;
    this.durableFrom = -1;
    if (this.bytes.length > ARENA_KEEP_BYTES_MAX) {
      this.bytes = Buffer.allocUnsafeSlow(this.#startBytes);
      this.#words = wordsOf(this.bytes);
    }
  }

  /** What was written to the current file; `startFile` begins the account of the next one. */
  fileUse(): SegmentUse {
    const vnodes = new Uint32Array(this.#touched.length);
    const sequences = new Float64Array(this.#touched.length);
    this.#touched.forEach((slot, i) => {
      vnodes[i] = this.#vnodeIds[slot] as number;
      sequences[i] = this.#largest[slot] as number;
    });
    return { vnodes, sequences };
  }

  startFile(): void {
    this.#touched = [];
  }

  /** See `Journal.restartVnode`. */
  restartVnode(vnodeId: number): void {
    const slot = this.#slots.get(vnodeId);
    if (slot === undefined) return;
    assert((this.#entryOf[slot] as number) < 0, "a vnode with ops in this frame is not restarted");
    this.#written[slot] = 0;
  }

  #addEntry(slot: number): number {
    const entry = this.#entries++;
    if (entry === this.#entrySlot.length) this.#growEntries(entry * 2);
    this.#entryOf[slot] = entry;
    this.#entrySlot[entry] = slot;
    this.#entryCount[entry] = 0;
    this.#entryFirst[entry] = this.#openedSequence[0] as number;
    return entry;
  }

  #slotOf(vnodeId: number): number {
    const known = this.#slotOfId[vnodeId >>> 16]?.[vnodeId & 0xffff] ?? 0;
    if (known > 0) {
      this.#lastVnode = vnodeId;
      this.#lastSlot = known - 1;
      return known - 1;
    }
    let slot = this.#slots.get(vnodeId);
    if (slot === undefined) {
      slot = this.#slots.size;
      this.#slots.set(vnodeId, slot);
      if (slot === this.#vnodeIds.length) this.#growSlots(slot * 2);
      this.#vnodeIds[slot] = vnodeId;
      this.#remember(vnodeId, slot);
    }
    this.#lastVnode = vnodeId;
    this.#lastSlot = slot;
    return slot;
  }

  /** Keyspaces and partitions are dense from 0; what is not stays in the map alone. */
  #remember(vnodeId: number, slot: number): void {
    const keyspace = vnodeId >>> 16;
    const partition = vnodeId & 0xffff;
    if (keyspace >= DENSE_MAX || partition >= DENSE_MAX) return;
    this.#slotOfId[keyspace] ??= new Uint32Array(DENSE_MAX);
    (this.#slotOfId[keyspace] as Uint32Array)[partition] = slot + 1;
  }

  #grow(need: number): boolean {
    if (need > this.#bytesMax) return false;
    let size = this.bytes.length;
    while (size < need) size *= 2;
    const larger = Buffer.allocUnsafeSlow(Math.min(size, this.#bytesMax));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
    this.#words = wordsOf(this.bytes);
    return true;
  }

  #growSlots(size: number): void {
    const entryOf = new Int32Array(size).fill(-1);
    entryOf.set(this.#entryOf);
    this.#entryOf = entryOf;
    this.#vnodeIds = grownU32(this.#vnodeIds, size);
    this.#written = grownF64(this.#written, size);
    this.#largest = grownF64(this.#largest, size);
    this.#previousFile = grownU32(this.#previousFile, size);
    this.#previousOffset = grownF64(this.#previousOffset, size);
  }

  #growEntries(size: number): void {
    const slots = new Int32Array(size);
    slots.set(this.#entrySlot);
    this.#entrySlot = slots;
    this.#entryCount = grownU32(this.#entryCount, size);
    this.#entryFirst = grownF64(this.#entryFirst, size);
    this.#entryLast = grownU32(this.#entryLast, size);
  }
}

function grownU32(source: Uint32Array, size: number): Uint32Array<ArrayBuffer> {
  const target = new Uint32Array(size);
  target.set(source);
  return target;
}

function grownF64(source: Float64Array, size: number): Float64Array<ArrayBuffer> {
  const target = new Float64Array(size);
  target.set(source);
  return target;
}

/** Keyspaces, and partitions of one, that are looked up by number. */
const DENSE_MAX = 1024;

function wordsOf(bytes: Buffer): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}
