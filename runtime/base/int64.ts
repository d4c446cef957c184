/**
 * A 64-bit integer in a register of two halves, so that counters need no BigInt and no object an
 * operation.
 *
 * Invariant: the value is high · 2^32 + low with high in [-2^31, 2^31) and low in [0, 2^32).
 */

const ZERO = 48;
const MINUS = 45;
const TWO_32 = 4294967296;
/** "-9223372036854775808". */
export const INT64_TEXT_BYTES_MAX = 20;

export class Int64 {
  high = 0;
  low = 0;

  set(high: number, low: number): void {
    this.high = high | 0;
    this.low = low >>> 0;
  }

  /** Sets a safe integer. */
  setNumber(value: number): void {
    this.high = Math.floor(value / TWO_32) | 0;
    this.low = value >>> 0;
  }

  toBigInt(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  /** Adds, unless the sum overflows: then nothing changes, and false. */
  add(high: number, low: number): boolean {
    const lowSum = this.low + low;
    const highSum = this.high + high + (lowSum >= TWO_32 ? 1 : 0);
    if (highSum < -0x80000000 || highSum > 0x7fffffff) return false;
    this.high = highSum;
    this.low = lowSum >>> 0;
    return true;
  }

  /** Adds modulo 2^64. */
  addWrapping(high: number, low: number): void {
    const lowSum = this.low + low;
    this.high = (this.high + high + (lowSum >= TWO_32 ? 1 : 0)) | 0;
    this.low = lowSum >>> 0;
  }

  /**
   * Reads the decimal in these bytes by Redis's rules: "-" or nothing, digits without a zero in
   * front, within 64 bits. False, and the register as it was, if they spell no such number.
   */
  parse(source: Buffer, start: number, end: number): boolean {
    const isNegative = start < end && source[start] === MINUS;
    const first = isNegative ? start + 1 : start;
    const digits = end - first;
    if (digits < 1 || digits > 19) return false;
    if (source[first] === ZERO) {
      if (digits > 1 || isNegative) return false;
      this.setNumber(0);
      return true;
    }
    if (digits <= 15) {
      const value = readDigits(source, first, end);
      if (value < 0) return false;
      this.setNumber(isNegative ? -value : value);
      return true;
    }
    const head = readDigits(source, first, end - 9);
    const tail = readDigits(source, end - 9, end);
    return head >= 0 && tail >= 0 && this.#setDecimal(head, tail, isNegative);
  }

  /** Sets ±(head · 10^9 + tail), head < 10^10, by limbs of 16 bits; false beyond 64 bits. */
  #setDecimal(head: number, tail: number, isNegative: boolean): boolean {
    const low = (head % 65536) * 1e9 + tail;
    const rest = Math.floor(head / 65536) * 1e9 + Math.floor(low / 65536);
    const lowWord = (rest % 65536) * 65536 + (low % 65536);
    const highWord = Math.floor(rest / 65536);
    if (highWord > 0x7fffffff) {
      if (!isNegative || highWord > 0x80000000 || lowWord > 0) return false;
    }
    this.low = isNegative ? -lowWord >>> 0 : lowWord;
    this.high = isNegative ? (~highWord + (lowWord === 0 ? 1 : 0)) | 0 : highWord | 0;
    return true;
  }

  /** Writes the decimal; returns its end. Takes at most INT64_TEXT_BYTES_MAX bytes. */
  write(target: Buffer, start: number): number {
    let at = start;
    let highWord = this.high >>> 0;
    let lowWord = this.low;
    if (this.high < 0) {
      target[at++] = MINUS;
      lowWord = -lowWord >>> 0;
      highWord = (~highWord + (lowWord === 0 ? 1 : 0)) >>> 0;
    }
    if (highWord < 0x200000) return writeDigits(target, at, highWord * TWO_32 + lowWord);
    // Divide by 10^9 in steps of 16 bits, each exact in a double.
    let quotient = Math.floor(highWord / 1e9);
    let rest = (highWord % 1e9) * 65536 + (lowWord >>> 16);
    quotient = quotient * 65536 + Math.floor(rest / 1e9);
    rest = (rest % 1e9) * 65536 + (lowWord & 0xffff);
    quotient = quotient * 65536 + Math.floor(rest / 1e9);
    rest %= 1e9;
    at = writeDigits(target, at, quotient);
    for (let i = at + 8; i >= at; i--) {
      const tenth = Math.floor(rest / 10);
      target[i] = ZERO + (rest - tenth * 10);
      rest = tenth;
    }
    return at + 9;
  }
}

/** The number that at most 15 digits spell; -1 if a byte is no digit. */
function readDigits(source: Buffer, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (source[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Writes a safe integer >= 0; returns the end. */
function writeDigits(target: Buffer, at: number, value: number): number {
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits++;
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const tenth = Math.floor(rest / 10);
    target[i] = ZERO + (rest - tenth * 10);
    rest = tenth;
  }
  return at + digits;
}
