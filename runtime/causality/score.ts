/**
 * Scores of sorted sets as eight bytes whose unsigned order is the order of the numbers.
 *
 * A double's bits, big-endian, with the sign bit flipped; of a negative number, all bits flipped.
 *
 * Invariants: readScore(writeScore(x)) is x, save that -0 is written as 0; a NaN is never written;
 * the bytes after a score's (`nextScore`) are those of the next larger double.
 */
import { assert } from "../base/assert.ts";

export const SCORE_BYTES = 8;

const SIGN = 0x80000000;
const number = new Float64Array(1);
const words = new Uint32Array(number.buffer);
/** Which of the words holds the sign: the machine's byte order. */
const HIGH = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 1 : 0;
const LOW = 1 - HIGH;

/** Writes a score at `at`. */
export function writeScore(target: Buffer, at: number, score: number): void {
  assert(!Number.isNaN(score), "a score is a number");
  number[0] = score === 0 ? 0 : score;
  const high = words[HIGH] as number;
  const low = words[LOW] as number;
  if (high >= SIGN) writeWords(target, at, ~high, ~low);
  else writeWords(target, at, high ^ SIGN, low);
}

/** The score whose bytes begin at `at`. */
export function readScore(source: Buffer, at: number): number {
  const high = readWord(source, at);
  const low = readWord(source, at + 4);
  if (high >= SIGN) {
    words[HIGH] = high ^ SIGN;
    words[LOW] = low;
  } else {
    words[HIGH] = ~high;
    words[LOW] = ~low;
  }
  return number[0] as number;
}

/** Makes the bytes of a score those of what follows it: of an exclusive bound, an inclusive one. */
export function nextScore(bytes: Buffer, at: number): void {
  const low = (readWord(bytes, at + 4) + 1) >>> 0;
  const high = readWord(bytes, at) + (low === 0 ? 1 : 0);
  writeWords(bytes, at, high, low);
}

function readWord(source: Buffer, at: number): number {
  return (
    (((source[at] as number) << 24) |
      ((source[at + 1] as number) << 16) |
      ((source[at + 2] as number) << 8) |
      (source[at + 3] as number)) >>>
    0
  );
}

function writeWords(target: Buffer, at: number, high: number, low: number): void {
  for (let i = 0; i < 4; i++) {
    target[at + i] = high >>> (24 - 8 * i);
    target[at + 4 + i] = low >>> (24 - 8 * i);
  }
}
