/**
 * Hashes of bytes in place: a seeded 32-bit hash for indexes, and checksums.
 * None of them is cryptographic; the index seed is random a data folder, so that keys cannot be
 * chosen to collide.
 */
import { crc32 } from "node:zlib";

/**
 * MurmurHash3 (x86, 32 bits) of [start, end), as a signed integer: V8 boxes larger ones (8 bytes of
 * garbage a lookup, traced).
 */
export function hashBytes(source: Buffer, start: number, end: number, seed: number): number {
  let hash = seed | 0;
  const words = start + ((end - start) & ~3);
  let at = start;
  for (; at < words; at += 4) {
    const word =
      (source[at] as number) |
      ((source[at + 1] as number) << 8) |
      ((source[at + 2] as number) << 16) |
      ((source[at + 3] as number) << 24);
    hash = mixWord(hash, word);
  }
  let tail = 0;
  for (let shift = 0; at < end; at++, shift += 8) tail |= (source[at] as number) << shift;
  hash ^= mixTail(tail);
  return finish(hash ^ (end - start));
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

/** Checksum of one op in place: a 32-bit hash, cheaper than a native call for ~100 bytes. */
export function opChecksum(source: Buffer, start: number, end: number): number {
  return hashBytes(source, start, end, OP_CHECKSUM_SEED) >>> 0;
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
