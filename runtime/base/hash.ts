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
    let k =
      (source[at] as number) |
      ((source[at + 1] as number) << 8) |
      ((source[at + 2] as number) << 16) |
      ((source[at + 3] as number) << 24);
    k = Math.imul(k, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    hash ^= Math.imul(k, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let shift = 0; at < end; at++, shift += 8) tail |= (source[at] as number) << shift;
  if (tail !== 0) {
    tail = Math.imul(tail, 0xcc9e2d51);
    tail = (tail << 15) | (tail >>> 17);
    hash ^= Math.imul(tail, 0x1b873593);
  }
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
