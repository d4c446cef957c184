/**
 * Ops as bytes: what a command did, as the log, the replicas and the tools see it.
 * Grammar with a worked example: docs/formats/op.md. Version 1.
 *
 * An op is written here, in place, and read by op-reader.ts.
 */
import {
  copyBytes,
  equalBytes,
  varintBytes,
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
/** A clear of every key. */
export const MUTATE_FLUSH = 7;

/** As `until` of a head's set: a register that says never. */
export const UNTIL_NEVER = -1;

/** First byte of a mutation: its kind, and these. */
export const SAME_KEY = 16;
export const ELEMENT = 32;
export const CONTEXT = 64;
/** set: an expiry (or an element's copy of it) follows. */
export const EXTRA = 128;
/** The type byte of a set also says whether the version is a counter, from this bit on. */
export const COUNTER_SHIFT = 4;

export const HEADER_BYTES = 24;
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
  /** Where the mutations begin. */
  #bodyAt = 0;

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
    this.#bodyAt = this.length;
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
    this.#bodyAt = this.length;
  }

  pastEntry(high: number, low: number, counter: number): void {
    this.#reserve(DOT_BYTES);
    this.#dot(high, low, counter);
    this.#bodyAt = this.length;
  }

  /**
   * The id of a retry-safe call with the reply to repeat. It stands before the mutations, but the
   * reply is known after them: they are moved.
   */
  opId(high: number, low: number, sequence: number, reply: Buffer): void {
    this.setFlag(OP_ID);
    const room = 8 + varintBytes(sequence) + varintBytes(reply.length) + reply.length;
    this.#reserve(room);
    const { buffer, length } = this;
    buffer.copy(buffer, this.#bodyAt + room, this.#bodyAt, length);
    this.length = this.#bodyAt;
    this.#dot(high, low, sequence);
    this.length = writeVarint(buffer, this.length, reply.length);
    copyBytes(buffer, this.length, reply, 0, reply.length);
    this.length = length + room;
    this.#bodyAt += room;
    this.#keyEnd = -1;
  }

  /** `set` of the head cell. `until` 0: without a register. */
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
    if (until !== 0) {
      const at = until === UNTIL_NEVER ? 0 : until;
      this.length = writeVarint(this.buffer, this.length, at);
    }
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

  /** `clear` of every key. */
  flush(): void {
    this.#reserve(MUTATION_BYTES);
    this.buffer[this.length++] = MUTATE_FLUSH | SAME_KEY;
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
