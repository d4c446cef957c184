/**
 * Appends replies of RESP2 or RESP3 to one growable buffer: a connection's answers of a turn.
 *
 * Invariants: buffer[0, at) holds whole replies (inside an open aggregate: whole items); no text
 * from a client can end a line early; the buffer never passes `bytesMax`: what does not fit sets
 * `overflowed`, and from then on everything is discarded, memory included.
 */
import { assert } from "../base/assert.ts";
import { copyBytes } from "../base/bytes.ts";
import { formatDouble } from "../base/number-text.ts";

// limits:
/** First size of a reply buffer, and what an idle connection keeps. */
export const REPLY_BYTES_START = 1024;
/** Largest reply buffer that `reset` keeps for the next turn. */
export const REPLY_BYTES_KEPT = 64 * 1024;

const EMPTY = Buffer.alloc(0);
const OK = Buffer.from("+OK\r\n");
const PONG = Buffer.from("+PONG\r\n");
const QUEUED = Buffer.from("+QUEUED\r\n");
const NIL = Buffer.from("_\r\n");
const NIL_BULK = Buffer.from("$-1\r\n");
const NIL_ARRAY = Buffer.from("*-1\r\n");
const TRUE = Buffer.from("#t\r\n");
const FALSE = Buffer.from("#f\r\n");

const CR = 13;
const LF = 10;
const ZERO = 48;
const TYPE_ARRAY = 42; // *
const TYPE_BULK = 36; // $
const TYPE_INTEGER = 58; // :
const TYPE_MAP = 37; // %
const TYPE_SET = 126; // ~
const TYPE_PUSH = 62; // >
const TYPE_DOUBLE = 44; // ,
const TYPE_VERBATIM = 61; // =
const TYPE_BIG_NUMBER = 40; // (

/** A type byte, the 16 digits of the largest safe integer and its sign, CRLF. */
const HEADER_BYTES_MAX = 20;
/** A header that waits for its count: type, one digit, CRLF. */
const OPEN_HEADER_BYTES = 4;
const TWO_32 = 4294967296;

export interface RespWriterOptions {
  /** Bound of the buffer; the owner closes a connection whose writer has overflowed. */
  readonly bytesMax: number;
  readonly bytesStart?: number;
}

/** A place in the buffer, to come back to. Valid until `take`, `reset` or an earlier `rewind`. */
export type Mark = number;

export class RespWriter {
  buffer: Buffer;
  /** Bytes written. */
  at = 0;
  protocol: 2 | 3 = 2;
  overflowed = false;
  bytesMax: number;
  readonly #bytesStart: number;

  constructor(options: RespWriterOptions) {
    this.bytesMax = options.bytesMax;
    this.#bytesStart = Math.min(options.bytesStart ?? REPLY_BYTES_START, options.bytesMax);
    this.buffer = Buffer.allocUnsafeSlow(this.#bytesStart);
  }

  ok(): void {
    this.#constant(OK);
  }

  pong(): void {
    this.#constant(PONG);
  }

  queued(): void {
    this.#constant(QUEUED);
  }

  /** Absence of a value. */
  nil(): void {
    this.#constant(this.protocol === 3 ? NIL : NIL_BULK);
  }

  /** Absence of an array: an EXEC that was not run, a pop of several that found nothing. */
  nilArray(): void {
    this.#constant(this.protocol === 3 ? NIL : NIL_ARRAY);
  }

  /** RESP2 has 1 and 0 for it. */
  boolean(value: boolean): void {
    if (this.protocol === 3) this.#constant(value ? TRUE : FALSE);
    else this.#header(TYPE_INTEGER, value ? 1 : 0);
  }

  /** A status, latin1. CR, LF and NUL become spaces, as Redis does it. */
  simple(text: string): void {
    this.#line(43, text);
  }

  /** An error with its code in front ("ERR ...", "WRONGTYPE ..."); escaped as `simple`. */
  error(text: string): void {
    this.#line(45, text);
  }

  /** A safe integer. */
  integer(value: number): void {
    if (value >= 0 && value <= 9 && Number.isInteger(value)) {
      if (!this.#room(4)) return;
      const buffer = this.buffer;
      const at = this.at;
      buffer[at] = TYPE_INTEGER;
      buffer[at + 1] = ZERO + value;
      buffer[at + 2] = CR;
      buffer[at + 3] = LF;
      this.at = at + 4;
      return;
    }
    this.#header(TYPE_INTEGER, value);
  }

  /** A 64-bit integer in two's complement halves: high signed, low unsigned. */
  integer64(high: number, low: number): void {
    if (high >= -0x200000 && high < 0x200000) {
      this.integer(high * TWO_32 + low);
      return;
    }
    if (!this.#room(HEADER_BYTES_MAX + 3)) return;
    const buffer = this.buffer;
    let at = this.at;
    buffer[at++] = TYPE_INTEGER;
    let highWord = high >>> 0;
    let lowWord = low >>> 0;
    if (high < 0) {
      buffer[at++] = 45;
      lowWord = -lowWord >>> 0;
      highWord = (~highWord + (lowWord === 0 ? 1 : 0)) >>> 0;
    }
    // Divide by 10^9 in steps of 16 bits, each exact in a double.
    let quotient = Math.floor(highWord / 1e9);
    let rest = (highWord % 1e9) * 65536 + (lowWord >>> 16);
    quotient = quotient * 65536 + Math.floor(rest / 1e9);
    rest = (rest % 1e9) * 65536 + (lowWord & 0xffff);
    quotient = quotient * 65536 + Math.floor(rest / 1e9);
    rest %= 1e9;
    at = writeDigits(buffer, at, quotient);
    const end = at + 9;
    for (let i = end - 1; i >= at; i--) {
      const tenth = Math.floor(rest / 10);
      buffer[i] = ZERO + (rest - tenth * 10);
      rest = tenth;
    }
    buffer[end] = CR;
    buffer[end + 1] = LF;
    this.at = end + 2;
  }

  /** The bytes source[start, end). */
  bulk(source: Buffer, start: number, end: number): void {
    const length = end - start;
    if (!this.#room(length + HEADER_BYTES_MAX)) return;
    const buffer = this.buffer;
    const at = copyBytes(
      buffer,
      writeHeader(buffer, this.at, TYPE_BULK, length),
      source,
      start,
      end,
    );
    buffer[at] = CR;
    buffer[at + 1] = LF;
    this.at = at + 2;
  }

  /** A text, in UTF-8 unless it holds a client's bytes as latin1. */
  bulkText(text: string, encoding: "utf8" | "latin1" = "utf8"): void {
    this.#text(TYPE_BULK, "", text, encoding);
  }

  /** Text with a format of three letters ("txt", "mkd"); RESP2: a bulk. */
  verbatim(format: string, text: string): void {
    assert(format.length === 3, "a verbatim format has three letters");
    if (this.protocol === 3) this.#text(TYPE_VERBATIM, `${format}:`, text, "utf8");
    else this.bulkText(text);
  }

  /** A double; RESP2: a bulk with the same text. */
  double(value: number): void {
    const text = formatDouble(value);
    if (this.protocol === 3) this.#line(TYPE_DOUBLE, text);
    else this.bulkText(text, "latin1");
  }

  /** An integer of any size, as digits; RESP2: a bulk. */
  bigNumber(text: string): void {
    if (this.protocol === 3) this.#line(TYPE_BIG_NUMBER, text);
    else this.bulkText(text, "latin1");
  }

  /** `count` items follow. */
  array(count: number): void {
    this.#header(TYPE_ARRAY, count);
  }

  /** `pairs` keys and values follow; RESP2: an array of both. */
  map(pairs: number): void {
    if (this.protocol === 3) this.#header(TYPE_MAP, pairs);
    else this.#header(TYPE_ARRAY, pairs * 2);
  }

  /** `count` items follow, none twice; RESP2: an array. */
  set(count: number): void {
    this.#header(this.protocol === 3 ? TYPE_SET : TYPE_ARRAY, count);
  }

  /** `count` items follow, out of band; RESP2: an array. */
  push(count: number): void {
    this.#header(this.protocol === 3 ? TYPE_PUSH : TYPE_ARRAY, count);
  }

  /** Bytes that are replies already. */
  raw(source: Buffer, start: number, end: number): void {
    if (this.#room(end - start)) this.at = copyBytes(this.buffer, this.at, source, start, end);
  }

  /** Begins an aggregate whose count is known at its end: items follow, then one `close...`. */
  openArray(): Mark {
    const mark = this.at;
    if (this.#room(OPEN_HEADER_BYTES)) this.at += OPEN_HEADER_BYTES;
    return mark;
  }

  /** Ends what `openArray` began: `count` items have been written. Moves them if count > 9. */
  closeArray(mark: Mark, count: number): void {
    this.#close(mark, TYPE_ARRAY, count);
  }

  /** As `closeArray`, for `pairs` keys and values. */
  closeMap(mark: Mark, pairs: number): void {
    if (this.protocol === 3) this.#close(mark, TYPE_MAP, pairs);
    else this.#close(mark, TYPE_ARRAY, pairs * 2);
  }

  /** As `closeArray`, for a set. */
  closeSet(mark: Mark, count: number): void {
    this.#close(mark, this.protocol === 3 ? TYPE_SET : TYPE_ARRAY, count);
  }

  mark(): Mark {
    return this.at;
  }

  /** Takes back all that was written since the mark. */
  rewind(mark: Mark): void {
    if (this.overflowed) return;
    assert(mark <= this.at, "a rewind goes back");
    this.at = mark;
  }

  /** The bytes written, handed over: the writer goes on in a buffer of its own. */
  take(): Buffer {
    const taken = this.buffer.subarray(0, this.at);
    this.at = 0;
    this.buffer = this.overflowed ? EMPTY : Buffer.allocUnsafeSlow(this.#bytesStart);
    return taken;
  }

  /** Forgets the bytes written (they are copied or sent) and an overflow; gives giants back. */
  reset(): void {
    this.at = 0;
    if (this.overflowed || this.buffer.length > REPLY_BYTES_KEPT) {
      this.buffer = Buffer.allocUnsafeSlow(this.#bytesStart);
    }
    this.overflowed = false;
  }

  #constant(bytes: Buffer): void {
    const length = bytes.length;
    if (!this.#room(length)) return;
    const buffer = this.buffer;
    const at = this.at;
    for (let i = 0; i < length; i++) buffer[at + i] = bytes[i] as number;
    this.at = at + length;
  }

  #header(type: number, value: number): void {
    if (this.#room(HEADER_BYTES_MAX)) this.at = writeHeader(this.buffer, this.at, type, value);
  }

  #close(mark: Mark, type: number, count: number): void {
    if (this.overflowed) return;
    const bytes = OPEN_HEADER_BYTES - 1 + countDigits(count);
    const extra = bytes - OPEN_HEADER_BYTES;
    if (extra > 0) {
      if (!this.#room(extra)) return;
      this.buffer.copyWithin(mark + bytes, mark + OPEN_HEADER_BYTES, this.at);
      this.at += extra;
    }
    writeHeader(this.buffer, mark, type, count);
  }

  /** One line of latin1, safe from line ends within. */
  #line(type: number, text: string): void {
    const length = text.length;
    if (!this.#room(length + 3)) return;
    const buffer = this.buffer;
    const at = this.at + 1;
    buffer[at - 1] = type;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      buffer[at + i] = code === CR || code === LF || code === 0 ? 32 : code > 255 ? 63 : code;
    }
    buffer[at + length] = CR;
    buffer[at + length + 1] = LF;
    this.at = at + length + 2;
  }

  #text(type: number, prefix: string, text: string, encoding: "utf8" | "latin1"): void {
    const textBytes = encoding === "latin1" ? text.length : Buffer.byteLength(text, "utf8");
    const length = prefix.length + textBytes;
    if (!this.#room(length + HEADER_BYTES_MAX)) return;
    const buffer = this.buffer;
    let at = writeHeader(buffer, this.at, type, length);
    for (let i = 0; i < prefix.length; i++) buffer[at++] = prefix.charCodeAt(i);
    buffer.write(text, at, encoding);
    at += textBytes;
    buffer[at] = CR;
    buffer[at + 1] = LF;
    this.at = at + 2;
  }

  /** Whether `bytes` more fit, grown if need be. */
  #room(bytes: number): boolean {
    return this.at + bytes <= this.buffer.length || this.#grow(bytes);
  }

  #grow(bytes: number): boolean {
    const needed = this.at + bytes;
    if (this.overflowed || needed > this.bytesMax) {
      this.overflowed = true;
      this.buffer = EMPTY;
      this.at = 0;
      return false;
    }
    const doubled = Math.min(Math.max(this.buffer.length * 2, needed), this.bytesMax);
    const grown = Buffer.allocUnsafeSlow(doubled);
    this.buffer.copy(grown, 0, 0, this.at);
    this.buffer = grown;
    return true;
  }
}

/** Writes a type byte, a safe integer and CRLF; returns the end. */
function writeHeader(buffer: Buffer, start: number, type: number, value: number): number {
  let at = start;
  buffer[at++] = type;
  let rest = value;
  if (rest < 0) {
    buffer[at++] = 45;
    rest = -rest;
  }
  at = writeDigits(buffer, at, rest);
  buffer[at] = CR;
  buffer[at + 1] = LF;
  return at + 2;
}

/** Writes an integer >= 0; returns the end. */
function writeDigits(buffer: Buffer, at: number, value: number): number {
  let rest = value;
  if (rest < 10) {
    buffer[at] = ZERO + rest;
    return at + 1;
  }
  const end = at + countDigits(rest);
  let i = end - 1;
  for (; rest > 0x3fffffff; i--) {
    const tenth = Math.floor(rest / 10);
    buffer[i] = ZERO + (rest - tenth * 10);
    rest = tenth;
  }
  for (; i >= at; i--) {
    const tenth = (rest / 10) | 0;
    buffer[i] = ZERO + (rest - tenth * 10);
    rest = tenth;
  }
  return end;
}

function countDigits(value: number): number {
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits++;
  return digits;
}
