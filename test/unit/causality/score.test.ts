/** Scores as bytes: that they read back, and that byte order is number order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nextScore, readScore, SCORE_BYTES, writeScore } from "../../../runtime/causality/score.ts";

function bytesOf(score: number): Buffer {
  const bytes = Buffer.alloc(SCORE_BYTES);
  writeScore(bytes, 0, score);
  return bytes;
}

const score = fc.oneof(
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.constantFrom(0, -0, Infinity, -Infinity, Number.MIN_VALUE, -Number.MIN_VALUE, 1e308),
);

test("a score reads back as it was written", () => {
  fc.assert(fc.property(score, (a) => readScore(bytesOf(a), 0) === a));
});

test("the order of the bytes is the order of the numbers", () => {
  fc.assert(
    fc.property(score, score, (a, b) => {
      const order = a < b ? -1 : a > b ? 1 : 0;
      assert.equal(Math.sign(bytesOf(a).compare(bytesOf(b))), order);
    }),
  );
});

test("zero has one score, whatever its sign", () => {
  assert.deepEqual(bytesOf(-0), bytesOf(0));
  assert.ok(Object.is(readScore(bytesOf(-0), 0), 0));
});

test("a score's next bytes are above it and not above any larger score", () => {
  fc.assert(
    fc.property(score, score, (a, b) => {
      const next = bytesOf(a);
      nextScore(next, 0);
      assert.ok(next.compare(bytesOf(a)) > 0);
      if (b > a) assert.ok(next.compare(bytesOf(b)) <= 0);
    }),
  );
});

test("a score is written and read at any offset", () => {
  const bytes = Buffer.alloc(20, 0xee);
  writeScore(bytes, 5, -1.5);
  assert.equal(readScore(bytes, 5), -1.5);
  assert.equal(bytes[4], 0xee);
  assert.equal(bytes[13], 0xee);
});

test("a score that is not a number is refused", () => {
  assert.throws(() => bytesOf(Number.NaN));
});
