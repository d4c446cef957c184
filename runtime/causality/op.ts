/**
 * Ops as bytes: what a command did, as the log, the replicas and the tools see it.
 * Grammar with a worked example: docs/formats/op.md. Version 1.
 *
 * An op is read and written in place; a reader never trusts a length beyond the op's end.
 */
import {
  copyBytes,
  equalBytes,
  readF64,
  readU32,
  readU48,
  readU64,
  VarintReader,
  writeF64,
  writeU32,
  writeU48,
  writeU64,
  writeVarint,
} from "../base/bytes.ts";
import type { CellName } from "./cell-name.ts";

export const OP_FORMAT = 1;

/** Flags of an op. */
export const OP_PAST = 1;
/** The past is whole, not a change since this origin's previous op. */
export const OP_PAST_FULL = 2;
export const OP_ID = 4;
export const OP_TOKEN = 8;
/** The next op of this origin belongs to the same transaction: applied together or not at all. */
export const OP_CONTINUES = 16;

export const MUTATE_SET = 1;
export const MUTATE_REMOVE = 2;
export const MUTATE_CLEAR = 3;
export const MUTATE_ADD = 4;
export const MUTATE_EXPIRE = 5;
export const MUTATE_UNDO = 6;

const SAME_KEY = 16;
const ELEMENT = 32;
const CONTEXT = 64;
/** set: an expiry (or an element's copy of it) follows; add: the dot is of the op's own origin. */
const EXTRA = 128;
/** The type byte of a set also says whether the version is a counter, from this bit on. */
const COUNTER_SHIFT = 4;
const TYPE_MASK = 15;

const HEADER_BYTES = 24;
const FIRST_CAPACITY = 4096;
const WRITER_BYTES_KEPT = 1024 * 1024;
/** Bytes of a mutation besides key, name, value and dots. */
const MUTATION_BYTES = 48;
const DOT_BYTES = 16;

/** A dot outside of a vnode: origin id and counter. */
export interface OriginDot {
  readonly high: number;
  readonly low: number;
  readonly counter: number;
}

/** Builds one op after the other in one growing buffer. */
export class OpWriter {
  buffer: Buffer;
  /** End of what is written; 0 when no op is open. */
  length = 0;
  #keyStart = 0;
  #keyEnd = -1;

  constructor(capacity: number) {
    this.buffer = Buffer.allocUnsafeSlow(capacity);
  }

  /** Opens an op; `writePast` and mutations follow. */
  begin(originHigh: number, originLow: number, counter: number, hlc: number): void {
    const buffer = this.buffer;
    buffer[0] = OP_FORMAT;
    buffer[1] = 0;
    writeU32(buffer, 2, originLow);
    writeU32(buffer, 6, originHigh);
    writeU48(buffer, 10, counter);
    writeU64(buffer, 16, hlc);
    buffer[HEADER_BYTES] = 0; // retirement number, until the cluster brings it
    this.length = HEADER_BYTES + 1;
    this.#keyEnd = -1;
  }

  /** Gives the op up. */
  reset(): void {
    this.length = 0;
  }

  setFlag(flag: number): void {
    this.buffer[1] = (this.buffer[1] as number) | flag;
  }

  /** The past (or its change), directly after `begin`: as many entries as `count` says. */
  beginPast(count: number, full: boolean): void {
    this.setFlag(full ? OP_PAST | OP_PAST_FULL : OP_PAST);
    this.#reserve(8);
    this.length = writeVarint(this.buffer, this.length, count);
  }

  pastEntry(high: number, low: number, counter: number): void {
    this.#reserve(DOT_BYTES);
    this.#dot(high, low, counter);
  }

  /** The op id of a retry-safe call, after the past, with the reply to repeat. */
  opId(high: number, low: number, sequence: number, reply: Buffer): void {
    this.setFlag(OP_ID);
    this.#reserve(DOT_BYTES + 8 + reply.length);
    this.#dot(high, low, sequence);
    this.length = writeVarint(this.buffer, this.length, reply.length);
    this.length = copyBytes(this.buffer, this.length, reply, 0, reply.length);
  }

  /** `set` of the head cell. `until` 0: no expiry. */
  setHead(
    key: Buffer,
    keyStart: number,
    keyEnd: number,
    type: number,
    counterKind: number,
    value: Buffer,
    start: number,
    end: number,
    until: number,
  ): void {
    this.#open(MUTATE_SET | (until === 0 ? 0 : EXTRA), key, keyStart, keyEnd, end - start);
    this.buffer[this.length++] = type | (counterKind << COUNTER_SHIFT);
    this.#bytes(value, start, end);
    if (until !== 0) this.length = writeVarint(this.buffer, this.length, until);
  }

  /** `set` of an element: type | counter kind << 4. `copyAt` 0: its key has no expiry. */
  setElement(
    key: Buffer,
    keyStart: number,
    keyEnd: number,
    typeKind: number,
    name: Buffer,
    nameStart: number,
    nameEnd: number,
    value: Buffer,
    start: number,
    end: number,
    copyAt: number,
  ): void {
    const kind = MUTATE_SET | ELEMENT | (copyAt === 0 ? 0 : EXTRA);
    this.#open(kind, key, keyStart, keyEnd, nameEnd - nameStart + end - start);
    this.buffer[this.length++] = typeKind;
    this.#bytes(name, nameStart, nameEnd);
    this.#bytes(value, start, end);
    if (copyAt !== 0) this.length = writeVarint(this.buffer, this.length, copyAt);
  }

  /** `remove` of the head cell (no name) or of an element. */
  remove(cell: CellName): void {
    this.#openCell(MUTATE_REMOVE, cell, 0);
  }

  clear(key: Buffer, keyStart: number, keyEnd: number): void {
    this.#open(MUTATE_CLEAR, key, keyStart, keyEnd, 0);
  }

  /** `add` to the version with that dot. */
  add(cell: CellName, dot: OriginDot, delta: bigint | number): void {
    this.#openCell(MUTATE_ADD, cell, 32);
    this.#dot(dot.high, dot.low, dot.counter);
    this.#amount(delta);
  }

  /** `add` of a 64-bit integer in halves to the version (originHigh, originLow, counter). */
  addInteger(
    cell: CellName,
    originHigh: number,
    originLow: number,
    counter: number,
    high: number,
    low: number,
  ): void {
    this.#openCell(MUTATE_ADD, cell, 32);
    this.#dot(originHigh, originLow, counter);
    const { buffer, length } = this;
    buffer[length] = 0;
    writeU32(buffer, length + 1, low);
    writeU32(buffer, length + 5, high);
    this.length = length + 9;
  }

  /** `expire` on versions of the head cell. `at` 0: never. */
  expire(cell: CellName, dots: readonly OriginDot[], at: number): void {
    const { key, keyStart, keyEnd } = cell;
    this.#open(MUTATE_EXPIRE, key, keyStart, keyEnd, dots.length * DOT_BYTES + 16);
    this.#dots(dots);
    this.length = writeVarint(this.buffer, this.length, at);
  }

  /** `undo` of a try on the version with that dot. */
  undo(cell: CellName, dot: OriginDot, tried: OriginDot, delta: bigint | number): void {
    this.#openCell(MUTATE_UNDO, cell, 64);
    this.#dot(dot.high, dot.low, dot.counter);
    this.#dot(tried.high, tried.low, tried.counter);
    this.#amount(delta);
  }

  /** Makes the last mutation (a set or remove) cover exactly these dots: a client's context. */
  context(mutationStart: number, dots: readonly OriginDot[]): void {
    this.buffer[mutationStart] = (this.buffer[mutationStart] as number) | CONTEXT;
    this.#reserve(dots.length * DOT_BYTES + 8);
    this.#dots(dots);
  }

  /** Opens a mutation of a cell that is named by type and name. */
  #openCell(kind: number, cell: CellName, payload: number): void {
    const { key, keyStart, keyEnd, name, nameStart, nameEnd } = cell;
    if (name === null) {
      this.#open(kind, key, keyStart, keyEnd, payload);
      this.buffer[this.length++] = cell.type;
      return;
    }
    this.#open(kind | ELEMENT, key, keyStart, keyEnd, payload + nameEnd - nameStart);
    this.buffer[this.length++] = cell.type;
    this.#bytes(name, nameStart, nameEnd);
  }

  #open(kind: number, key: Buffer, start: number, end: number, payload: number): void {
    const length = end - start;
    this.#reserve(MUTATION_BYTES + length + payload);
    const buffer = this.buffer;
    if (
      this.#keyEnd - this.#keyStart === length &&
      equalBytes(buffer, this.#keyStart, key, start, length)
    ) {
      buffer[this.length++] = kind | SAME_KEY;
      return;
    }
    buffer[this.length++] = kind;
    this.length = writeVarint(buffer, this.length, length);
    this.#keyStart = this.length;
    this.length = copyBytes(buffer, this.length, key, start, end);
    this.#keyEnd = this.length;
  }

  #bytes(source: Buffer, start: number, end: number): void {
    this.length = writeVarint(this.buffer, this.length, end - start);
    this.length = copyBytes(this.buffer, this.length, source, start, end);
  }

  #dot(high: number, low: number, counter: number): void {
    writeU32(this.buffer, this.length, low);
    writeU32(this.buffer, this.length + 4, high);
    this.length = writeVarint(this.buffer, this.length + 8, counter);
  }

  #dots(dots: readonly OriginDot[]): void {
    this.length = writeVarint(this.buffer, this.length, dots.length);
    for (const dot of dots) this.#dot(dot.high, dot.low, dot.counter);
  }

  #amount(delta: bigint | number): void {
    if (typeof delta === "bigint") {
      this.buffer[this.length] = 0;
      this.buffer.writeBigInt64LE(delta, this.length + 1);
    } else {
      this.buffer[this.length] = 1;
      writeF64(this.buffer, this.length + 1, delta);
    }
    this.length += 9;
  }

  #reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.length + bytes));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }
}

/** Writers to borrow: as many as ops are open at once, which is one but for multi-key commands. */
export class OpWriters {
  /** What a borrower holds while it has none. Never written. */
  readonly idle = new OpWriter(0);
  readonly #free: OpWriter[] = [];

  take(): OpWriter {
    return this.#free.pop() ?? new OpWriter(FIRST_CAPACITY);
  }

  /** Takes a writer back; one that a giant op has grown is let go. */
  give(writer: OpWriter): void {
    writer.reset();
    if (writer.buffer.length <= WRITER_BYTES_KEPT) this.#free.push(writer);
  }
}

/** Reads one op: the header by `open`, then mutation by mutation. Fields hold what was read last. */
export class OpReader {
  source: Buffer = Buffer.alloc(0);
  flags = 0;
  originHigh = 0;
  originLow = 0;
  counter = 0;
  hlc = 0;
  retirement = 0;
  /** The op id, if OP_ID: session and sequence, and the remembered reply. */
  idHigh = 0;
  idLow = 0;
  idSequence = 0;
  idReplyStart = 0;
  idReplyEnd = 0;

  kind = 0;
  type = 0;
  counterKind = 0;
  hasName = false;
  keyStart = 0;
  keyEnd = 0;
  nameStart = 0;
  nameEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  /** set: expiry or the element's copy of it (0: none); expire: the time (0: never). */
  at = 0;
  /** add and undo: the version; expire and contexts: `dots`. */
  dot: OriginDot = { high: 0, low: 0, counter: 0 };
  tried: OriginDot = { high: 0, low: 0, counter: 0 };
  dots: OriginDot[] = [];
  hasContext = false;
  delta: bigint | number = 0n;

  readonly #varint = new VarintReader();
  #end = 0;
  #pastLeft = 0;
  /** Set once something did not fit: the op is not well formed. */
  #broken = false;

  /** Begins an op; false if its bytes are not one. Past entries are read by `nextPast`. */
  open(source: Buffer, start: number, end: number): boolean {
    this.source = source;
    this.#end = end;
    this.#broken = false;
    this.#pastLeft = 0;
    if (end - start <= HEADER_BYTES || source[start] !== OP_FORMAT) return false;
    this.flags = source[start + 1] as number;
    this.originLow = readU32(source, start + 2);
    this.originHigh = readU32(source, start + 6);
    this.counter = readU48(source, start + 10);
    this.hlc = readU64(source, start + 16);
    this.#varint.at = start + HEADER_BYTES;
    this.retirement = this.#number();
    if (this.flags & OP_TOKEN) this.#varint.at += 8;
    if (this.flags & OP_PAST) this.#pastLeft = this.#number();
    else this.#readId();
    return !this.#broken;
  }

  /** The next entry of the past in `dot`; false after the last. */
  nextPast(): boolean {
    if (this.#pastLeft === 0 || this.#broken) return false;
    this.dot = this.#readDot();
    if (--this.#pastLeft === 0) this.#readId();
    return !this.#broken;
  }

  /** The next mutation; false after the last. The past must have been read. */
  next(): boolean {
    while (this.#pastLeft > 0) if (!this.nextPast()) return false;
    if (this.#broken || this.#varint.at >= this.#end) return false;
    const first = this.source[this.#varint.at++] as number;
    this.kind = first & 15;
    if ((first & SAME_KEY) === 0) {
      const length = this.#number();
      this.keyStart = this.#varint.at;
      this.keyEnd = this.keyStart + length;
      this.#varint.at = this.keyEnd;
    }
    this.hasName = (first & ELEMENT) !== 0;
    this.at = 0;
    this.hasContext = false;
    this.#body(first);
    return !this.#broken && this.#varint.at <= this.#end;
  }

  /** Whether everything read fitted in the op. */
  get isBroken(): boolean {
    return this.#broken || this.#varint.at > this.#end;
  }

  #body(first: number): void {
    switch (this.kind) {
      case MUTATE_SET:
        this.#cell();
        this.valueEnd = this.#number();
        this.valueStart = this.#varint.at;
        this.valueEnd += this.valueStart;
        this.#varint.at = this.valueEnd;
        if (first & EXTRA) this.at = this.#number();
        if (first & CONTEXT) this.#context();
        return;
      case MUTATE_REMOVE:
        this.#cell();
        if (first & CONTEXT) this.#context();
        return;
      case MUTATE_CLEAR:
        return;
      case MUTATE_ADD:
        this.#cell();
        this.dot = this.#readDot();
        this.delta = this.#amount();
        return;
      case MUTATE_EXPIRE:
        this.dots = this.#readDots();
        this.at = this.#number();
        return;
      case MUTATE_UNDO:
        this.#cell();
        this.dot = this.#readDot();
        this.tried = this.#readDot();
        this.delta = this.#amount();
        return;
      default:
        this.#broken = true;
    }
  }

  #cell(): void {
    const type = this.source[this.#varint.at++] as number;
    this.type = type & TYPE_MASK;
    this.counterKind = type >>> COUNTER_SHIFT;
    if (!this.hasName) return;
    const length = this.#number();
    this.nameStart = this.#varint.at;
    this.nameEnd = this.nameStart + length;
    this.#varint.at = this.nameEnd;
  }

  #context(): void {
    this.hasContext = true;
    this.dots = this.#readDots();
  }

  #readId(): void {
    if ((this.flags & OP_ID) === 0) return;
    const id = this.#readDot();
    this.idHigh = id.high;
    this.idLow = id.low;
    this.idSequence = id.counter;
    const length = this.#number();
    this.idReplyStart = this.#varint.at;
    this.idReplyEnd = this.idReplyStart + length;
    this.#varint.at = this.idReplyEnd;
  }

  #readDot(): OriginDot {
    const at = this.#varint.at;
    this.#varint.at = at + 8;
    const counter = this.#number();
    return { low: readU32(this.source, at), high: readU32(this.source, at + 4), counter };
  }

  #readDots(): OriginDot[] {
    const dots: OriginDot[] = [];
    for (let left = this.#number(); left > 0 && !this.#broken; left--) dots.push(this.#readDot());
    return dots;
  }

  #amount(): bigint | number {
    const at = this.#varint.at;
    this.#varint.at = at + 9;
    if (this.#varint.at > this.#end) {
      this.#broken = true;
      return 0n;
    }
    if (this.source[at] === 0) return this.source.readBigInt64LE(at + 1);
    return readF64(this.source, at + 1);
  }

  #number(): number {
    const value = this.#varint.read(this.source, this.#end);
    if (value >= 0) return value;
    this.#broken = true;
    this.#varint.at = this.#end;
    return 0;
  }
}
