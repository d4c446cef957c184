/**
 * One command as it arrived: arguments are ranges of one buffer, read in place.
 *
 * Requests are used again, so a command costs no object. Numbers are read from
 * the bytes by Redis 7.2's rules (string2ll, string2d); the value is left in fields, so that a
 * 64-bit integer needs no BigInt.
 *
 * Invariant: 0 <= starts[i] <= ends[i] <= bytes.length for every i < count.
 */
import { assert } from "../base/assert.ts";

// limits:
/** Arguments that a Request has room for before it grows; never less. */
export const ARGUMENTS_START = 64;
/** Room that a Request keeps after a giant command; more is given back. */
export const ARGUMENTS_KEPT = 1024;
/** Longest text read as a float (Redis: MAX_LONG_DOUBLE_CHARS). */
export const FLOAT_TEXT_BYTES_MAX = 5 * 1024;
/** Of an argument as text, at most: no word is longer, and V8's strings end 24 bytes below 512 MB. */
export const TEXT_BYTES_MAX = 64 * 1024;
/** Longest name in a NameTable: what is longer is no name, and is not hashed. */
export const NAME_BYTES_MAX = 64;

const EMPTY = Buffer.alloc(0);
const ZERO = 48;
const PLUS = 43;
const MINUS = 45;
const POINT = 46;
/** Two to the 32nd. */
const TWO_32 = 4294967296;
/** Powers of ten that a double holds exactly: a quotient by one is rounded once, correctly. */
const POWERS_OF_TEN = Float64Array.from({ length: 16 }, (_, i) => Number(`1e${i}`));
const DECIMAL = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const HEXADECIMAL = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?[0-9]+))?$/;
const INFINITE = /^[+-]?inf(?:inity)?$/;

/** The arguments of one command, the name first. Valid until it is used for another one. */
export class Request {
  /** The buffer that the arguments lie in: the connection's, or a side buffer (quoted inline). */
  bytes: Buffer = EMPTY;
  /** Arguments, name included. */
  count = 0;
  starts = new Int32Array(ARGUMENTS_START);
  ends = new Int32Array(ARGUMENTS_START);
  /** Slot of argument 1 as a key, where it is known already; -1: it is not. */
  slotAhead = -1;

  /** What `integer` read: two's complement halves, and a double. NaN first: a double for V8 too. */
  integerHigh = 0;
  integerLow = 0;
  integerValue = Number.NaN;
  /** Whether `integerValue` is exact: its magnitude is at most 2^53. */
  integerSafe = false;
  /** What `float` read. */
  floatValue = Number.NaN;

  /** Forgets the arguments; the next ones lie in `bytes`. */
  reset(bytes: Buffer = EMPTY): void {
    if (this.starts.length > ARGUMENTS_KEPT && this.count <= ARGUMENTS_KEPT) this.#shrink();
    this.bytes = bytes;
    this.count = 0;
    this.slotAhead = -1;
  }

  push(start: number, end: number): void {
    if (this.count === this.starts.length) this.grow();
    this.starts[this.count] = start;
    this.ends[this.count++] = end;
  }

  /** Doubles the room, as arguments arrive; a count announced costs nothing. */
  grow(): void {
    const starts = new Int32Array(this.starts.length * 2);
    const ends = new Int32Array(starts.length);
    starts.set(this.starts);
    ends.set(this.ends);
    this.starts = starts;
    this.ends = ends;
  }

  /** Moves every argument by `delta` bytes: the buffer's content has moved. */
  shift(delta: number): void {
    for (let i = 0; i < this.count; i++) {
      this.starts[i] = (this.starts[i] as number) + delta;
      this.ends[i] = (this.ends[i] as number) + delta;
    }
  }

  /** Bytes of argument i. */
  length(i: number): number {
    return (this.ends[i] as number) - (this.starts[i] as number);
  }

  /**
   * Argument i as latin1, one character a byte, as far as TEXT_BYTES_MAX: for words, names, numbers
   * and what errors show. Allocates: for the control plane.
   */
  text(i: number): string {
    const start = this.starts[i] as number;
    const end = Math.min(this.ends[i] as number, start + TEXT_BYTES_MAX);
    return this.bytes.toString("latin1", start, end);
  }

  /** A copy of argument i. Allocates: for what outlives the command. */
  bytesAt(i: number): Buffer {
    return Buffer.from(this.bytes.subarray(this.starts[i], this.ends[i]));
  }

  /** Whether argument i is this ASCII word, given in upper case, in any case. */
  equalsIgnoreCase(i: number, upperAscii: string): boolean {
    const start = this.starts[i] as number;
    const length = (this.ends[i] as number) - start;
    if (length !== upperAscii.length) return false;
    return startsWithUpper(this.bytes, start, upperAscii);
  }

  /**
   * Reads argument i as Redis reads integers: digits of a 64-bit number, "-" before if negative,
   * no other sign, space, zero in front or fraction. False, and the fields as they were, if not.
   */
  integer(i: number): boolean {
    const bytes = this.bytes;
    let at = this.starts[i] as number;
    const end = this.ends[i] as number;
    if (end - at === 1 && bytes[at] === ZERO) return this.#setSmall(0);
    const negative = bytes[at] === MINUS && at < end;
    if (negative) at++;
    const digits = end - at;
    if (digits < 1 || digits > 19 || bytes[at] === ZERO) return false;
    if (digits <= 15) {
      const value = readDigits(bytes, at, end);
      return value >= 0 && this.#setSmall(negative ? -value : value);
    }
    const head = readDigits(bytes, at, end - 9);
    const tail = readDigits(bytes, end - 9, end);
    return head >= 0 && tail >= 0 && this.#setLarge(head, tail, negative);
  }

  #setSmall(value: number): boolean {
    this.integerHigh = Math.floor(value / TWO_32);
    this.integerLow = value >>> 0;
    this.integerValue = value;
    this.integerSafe = true;
    return true;
  }

  /** Sets head * 10^9 + tail (head < 10^10) from 16-bit limbs; false if beyond 64 bits. */
  #setLarge(head: number, tail: number, negative: boolean): boolean {
    const low = (head % 65536) * 1e9 + tail;
    const rest = Math.floor(head / 65536) * 1e9 + Math.floor(low / 65536);
    const lowWord = (rest % 65536) * 65536 + (low % 65536);
    const highWord = Math.floor(rest / 65536);
    if (highWord > 0x7fffffff) {
      if (!negative || highWord > 0x80000000 || lowWord > 0) return false;
    }
    const magnitude = highWord * TWO_32 + lowWord;
    this.integerLow = negative ? -lowWord >>> 0 : lowWord;
    this.integerHigh = negative ? (~highWord + (lowWord === 0 ? 1 : 0)) | 0 : highWord;
    this.integerValue = negative ? -magnitude : magnitude;
    // Past 2^53 a sum rounds to at least 2^53, so the halves decide.
    this.integerSafe = highWord < 0x200000 || (highWord === 0x200000 && lowWord === 0);
    return true;
  }

  /**
   * Reads argument i as Redis's string2d: strtod over all of it (hexadecimal, inf and infinity
   * too), no spaces, no nan, nothing too large for a double and nothing that rounds to zero; with
   * `saturates` as strtod alone: these are infinite and zero.
   */
  float(i: number, saturates = false): boolean {
    const bytes = this.bytes;
    const start = this.starts[i] as number;
    const end = this.ends[i] as number;
    let at = start;
    const sign = bytes[at];
    if (at < end && (sign === MINUS || sign === PLUS)) at++;
    // At most 15 digits and a point: one exact division, no string.
    if (end - at <= 16) {
      let value = 0;
      let digits = 0;
      let pointAt = -1;
      for (; at < end; at++) {
        const digit = (bytes[at] as number) - ZERO;
        if (digit >= 0 && digit <= 9) {
          value = value * 10 + digit;
          digits++;
        } else if (digit === POINT - ZERO && pointAt < 0) {
          pointAt = at;
        } else {
          break;
        }
      }
      if (at === end && digits > 0 && digits <= 15) {
        if (pointAt >= 0) value /= POWERS_OF_TEN[end - pointAt - 1] as number;
        this.floatValue = start < end && sign === MINUS ? -value : value;
        return true;
      }
    }
    if (end - start > FLOAT_TEXT_BYTES_MAX) return false;
    const value = parseFloatText(bytes.toString("latin1", start, end), saturates);
    if (Number.isNaN(value)) return false;
    this.floatValue = value;
    return true;
  }

  #shrink(): void {
    this.starts = new Int32Array(ARGUMENTS_START);
    this.ends = new Int32Array(ARGUMENTS_START);
  }
}

/** Values by ASCII name in any case, found from the bytes of an argument without a string. */
export class NameTable<Value> {
  #names: (string | undefined)[] = new Array(16);
  #values: (Value | undefined)[] = new Array(16);
  #count = 0;

  /** Adds a name, at most once. */
  add(name: string, value: Value): void {
    assert(name.length <= NAME_BYTES_MAX && /^[!-~]+$/.test(name), "a name is short ASCII");
    if (this.#count * 2 >= this.#names.length) this.#grow();
    this.#put(name.toUpperCase(), value);
    this.#count++;
  }

  /** The value of the name that argument i of the request spells; undefined if there is none. */
  find(request: Request, i: number): Value | undefined {
    const bytes = request.bytes;
    const start = request.starts[i] as number;
    const end = request.ends[i] as number;
    if (end - start > NAME_BYTES_MAX) return undefined;
    let hash = 0;
    for (let at = start; at < end; at++) {
      hash = Math.imul(hash ^ ((bytes[at] as number) & 0xdf), 0x01000193);
    }
    const names = this.#names;
    const mask = names.length - 1;
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const name = names[slot];
      if (name === undefined) return undefined;
      if (name.length === end - start && startsWithUpper(bytes, start, name)) {
        return this.#values[slot];
      }
    }
  }

  #put(name: string, value: Value | undefined): void {
    let hash = 0;
    for (let i = 0; i < name.length; i++) {
      hash = Math.imul(hash ^ (name.charCodeAt(i) & 0xdf), 0x01000193);
    }
    const mask = this.#names.length - 1;
    let slot = (hash ^ (hash >>> 15)) & mask;
    while (this.#names[slot] !== undefined) slot = (slot + 1) & mask;
    this.#names[slot] = name;
    this.#values[slot] = value;
  }

  #grow(): void {
    const names = this.#names;
    const values = this.#values;
    this.#names = new Array(names.length * 2);
    this.#values = new Array(names.length * 2);
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (name !== undefined) this.#put(name, values[i]);
    }
  }
}

/** Whether the bytes from `start` spell this upper-case ASCII word in any case. */
function startsWithUpper(bytes: Buffer, start: number, upperAscii: string): boolean {
  for (let k = 0; k < upperAscii.length; k++) {
    let byte = bytes[start + k] as number;
    if (byte >= 97 && byte <= 122) byte -= 32;
    if (byte !== upperAscii.charCodeAt(k)) return false;
  }
  return true;
}

/** The number that at most 15 digits spell; -1 if a byte is no digit. */
function readDigits(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** strtod over a whole text; NaN where Redis refuses it. */
function parseFloatText(text: string, saturates: boolean): number {
  if (DECIMAL.test(text)) {
    const value = Number(text);
    if (saturates) return value;
    if (value === 0 && /[1-9]/.test(text.replace(/[eE].*/, ""))) return Number.NaN;
    return Number.isFinite(value) ? value : Number.NaN;
  }
  const lower = text.toLowerCase();
  if (INFINITE.test(lower)) return lower[0] === "-" ? -Infinity : Infinity;
  return parseHexadecimal(lower, saturates);
}

/** C's hexadecimal floats ("0x1.8p3"): the first 128 bits, then a sticky one, scaled. */
function parseHexadecimal(lower: string, saturates: boolean): number {
  const match = HEXADECIMAL.exec(lower);
  if (match === null) return Number.NaN;
  const [, sign, whole = "", fraction = "", power = "0"] = match;
  if (whole.length + fraction.length === 0) return Number.NaN;
  const digits = (whole + fraction).replace(/^0+/, "");
  if (digits === "") return sign === "-" ? -0 : 0;
  const kept = digits.slice(0, 32);
  const sticky = /[1-9a-f]/.test(digits.slice(32)) ? "1" : "0";
  const dropped = digits.length - kept.length - 1;
  const exponent = Number(power) + 4 * (dropped - fraction.length);
  const bounded = Math.max(-2400, Math.min(2400, exponent));
  const half = Math.trunc(bounded / 3);
  let value = Number(BigInt(`0x${kept}${sticky}`));
  value = value * 2 ** half * 2 ** half * 2 ** (bounded - 2 * half);
  if (!saturates && (value === 0 || !Number.isFinite(value))) return Number.NaN;
  return sign === "-" ? -value : value;
}
