/** The hash of names: what it must be, and that names cannot be chosen to collide. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashKeyOf, hashName, opChecksum } from "../../../runtime/base/hash.ts";

/**
 * HalfSipHash-1-3 of the bytes 0 … n - 1 under the key 00 01 … 07 (Linux, lib/tests/siphash_kunit.c,
 * `hsiphash` of 32-bit machines).
 */
const KNOWN = [
  0x5814c896, 0xe7e864ca, 0xbc4b0e30, 0x01539939, 0x7e059ea6, 0x88e3d89b, 0xa0080b65, 0x9d38d9d6,
  0x577999b1, 0xc839caed, 0xe4fa32cf, 0x959246ee, 0x6b28096c, 0x66dd9cd6, 0x16658a7c, 0xd0257b04,
  0x8b31d501, 0x2b1cd04b, 0x06712339, 0x522aca67,
];

test("a name's hash is HalfSipHash-1-3", () => {
  const bytes = Buffer.from(Array.from({ length: KNOWN.length + 3 }, (_, i) => i - 3));
  const { high, low } = hashKeyOf("0706050403020100");
  const hashes = KNOWN.map((_, n) => hashName(bytes, 3, 3 + n, high, low) >>> 0);
  assert.deepEqual(hashes, KNOWN);
});

test("names that collide in MurmurHash3 under every seed do not collide here", () => {
  const names = murmurCollisions(12);
  const murmurs = new Set(names.map((name) => opChecksum(name, 0, name.length)));
  const hashes = new Set(names.map((name) => hashName(name, 0, name.length, 1, 2)));
  assert.equal(murmurs.size, 1, "the construction is right");
  assert.ok(hashes.size > names.length - 10, `${hashes.size} hashes of ${names.length} names`);
});

/**
 * 2^bits names: at each of so many places either of two pairs of words, whose differences cancel each
 * other in MurmurHash3 whatever its state is.
 */
function murmurCollisions(bits: number): Buffer[] {
  const pairs = Array.from({ length: bits }, (_, place) => {
    const [a, b] = [0x1234567 + place * 0x1010101, 0x7654321 ^ (place * 0x30303)];
    return [wordsOf(a, b), wordsOf(a ^ 0x40000, b ^ 0x80000000)] as const;
  });
  return Array.from({ length: 2 ** bits }, (_, choice) => {
    return Buffer.concat(pairs.map((pair, place) => pair[((choice >> place) & 1) as 0 | 1]));
  });
}

/** The two words that Murmur's mixing makes these of. */
function wordsOf(a: number, b: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(unmixed(a), 0);
  bytes.writeUInt32LE(unmixed(b), 4);
  return bytes;
}

function unmixed(mixed: number): number {
  const word = Math.imul(mixed, inverse(0x1b873593));
  return Math.imul((word >>> 15) | (word << 17), inverse(0xcc9e2d51)) >>> 0;
}

/** What multiplies an odd number to 1, mod 2^32. */
function inverse(odd: number): number {
  let found = 1;
  for (let i = 0; i < 6; i++) found = Math.imul(found, 2 - Math.imul(odd, found));
  return found;
}
