/**
 * Hashes of bytes in place: a keyed 32-bit hash for indexes, and checksums.
 *
 * Clients choose names, and scans tell them hashes: only a pseudo-random function of a secret keeps
 * them from finding names that collide (decision 0060). The checksums are for accidents.
 */
import { crc32 } from "node:zlib";

/** The secret of `hashName`: 32 bits each. */
export interface HashKey {
  readonly high: number;
  readonly low: number;
}

/** The key that 16 hex digits write. */
export function hashKeyOf(hex: string): HashKey {
  return { high: Number.parseInt(hex.slice(0, 8), 16), low: Number.parseInt(hex.slice(8), 16) };
}

/**
 * HalfSipHash-1-3 of [start, end) under the key (high, low), as a signed integer: V8 boxes larger
 * ones (8 bytes of garbage a lookup, traced).
 */
export function hashName(
  source: Buffer,
  start: number,
  end: number,
  high: number,
  low: number,
): number {
  let v0 = low | 0;
  let v1 = high | 0;
  let v2 = low ^ 0x6c796765;
  let v3 = high ^ 0x74656462;
  const words = start + ((end - start) & ~3);
  for (let at = start; at < words; at += 4) {
    const word = readWord(source, at);
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  // The same round for the rest and the length, and three more. Twice here: a third faster.
  const last = ((end - start) << 24) | tailOf(source, words, end);
  v3 ^= last;
  for (let round = 0; round < 4; round++) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    if (round > 0) continue;
    v0 ^= last;
    v2 ^= 0xff;
  }
  return v1 ^ v3;
}

function readWord(source: Buffer, at: number): number {
  return (
    (source[at] as number) |
    ((source[at + 1] as number) << 8) |
    ((source[at + 2] as number) << 16) |
    ((source[at + 3] as number) << 24)
  );
}

/** The bytes that make no whole word, first byte lowest. */
function tailOf(source: Buffer, start: number, end: number): number {
  let tail = 0;
  for (let at = start, shift = 0; at < end; at++, shift += 8) {
    tail |= (source[at] as number) << shift;
  }
  return tail;
}

/** Mixes two 32-bit numbers into one. */
export function mixHash(a: number, b: number): number {
  return finish(Math.imul(a ^ (b >>> 15), 0x85ebca6b) ^ Math.imul(b, 0x9e3779b1));
}

function finish(value: number): number {
  let hash = value;
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return hash | 0;
}

/** CRC-32 (IEEE, as zlib's) of a whole Buffer view: for frames, chunks and files. */
export function checksum(bytes: Buffer, before = 0): number {
  return crc32(bytes, before);
}

/** Seed of `opChecksum`, so that an all-zero op is never valid. */
const OP_CHECKSUM_SEED = 0x434f5445;

/**
 * Checksum of one op in place: MurmurHash3 (x86, 32 bits), cheaper than a native call for ~100 bytes.
 */
export function opChecksum(source: Buffer, start: number, end: number): number {
  let hash = OP_CHECKSUM_SEED;
  const words = start + ((end - start) & ~3);
  for (let at = start; at < words; at += 4) hash = mixWord(hash, readWord(source, at));
  hash ^= mixTail(tailOf(source, words, end));
  return finish(hash ^ (end - start)) >>> 0;
}

/**
 * Copies `bytes` bytes from the start of `source` to `target` at word `at`, fills the last word with
 * zeros, and returns the `opChecksum` of what was copied: one pass over the op instead of two.
 * Words are little-endian, as on every machine that Node 24 runs on.
 */
export function copyWithChecksum(
  target: Int32Array,
  at: number,
  source: Int32Array,
  bytes: number,
): number {
  let hash = OP_CHECKSUM_SEED;
  const words = bytes >>> 2;
  for (let i = 0; i < words; i++) {
    const word = source[i] as number;
    target[at + i] = word;
    hash = mixWord(hash, word);
  }
  const rest = bytes & 3;
  if (rest > 0) {
    const tail = (source[words] as number) & ((1 << (rest * 8)) - 1);
    target[at + words] = tail;
    hash ^= mixTail(tail);
  }
  return finish(hash ^ bytes) >>> 0;
}

function mixWord(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const mixed = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function mixTail(tail: number): number {
  const k = Math.imul(tail, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}
