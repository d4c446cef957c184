/** Copies and comparisons of ranges, at every alignment and length, also of many buffers in turn. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareBytes, copyBytes, equalBytes } from "../../../runtime/base/bytes.ts";

const range = fc.record({
  bytes: fc.uint8Array({ maxLength: 300 }),
  before: fc.nat(9),
  after: fc.nat(9),
});

/** Bytes inside a larger buffer, which lies inside a larger one itself. */
function embed({ bytes, before, after }: { bytes: Uint8Array; before: number; after: number }) {
  const outer = Buffer.alloc(3 + before + bytes.length + after, 0xee);
  outer.set(bytes, 3 + before);
  return { buffer: outer.subarray(3), start: before, end: before + bytes.length };
}

test("a copy is the bytes at the place, and nothing around them changes", () => {
  fc.assert(
    fc.property(range, fc.nat(9), (source, at) => {
      const { buffer, start, end } = embed(source);
      const length = end - start;
      const target = Buffer.alloc(length + 20, 0x55);
      assert.equal(copyBytes(target, at, buffer, start, end), at + length);
      const expected = Buffer.alloc(length + 20, 0x55);
      expected.set(source.bytes, at);
      assert.deepEqual(target, expected);
    }),
    { numRuns: 2000 },
  );
});

test("ranges are equal if and only if every byte is", () => {
  fc.assert(
    fc.property(range, fc.nat(9), fc.nat(), (source, shift, place) => {
      const left = embed(source);
      const right = embed({ ...source, before: shift });
      const length = source.bytes.length;
      const equal = () =>
        equalBytes(left.buffer, left.start, right.buffer, right.start, length) &&
        compareBytes(left.buffer, left.start, left.end, right.buffer, right.start, right.end) === 0;
      assert.ok(equal());
      if (length === 0) return;
      const at = right.start + (place % length);
      right.buffer[at] = (right.buffer[at] as number) ^ 0x80;
      assert.ok(!equal());
    }),
    { numRuns: 2000 },
  );
});
