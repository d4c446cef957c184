/**
 * Histograms against the sorted list of what was noted.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Histogram } from "../../../runtime/base/histogram.ts";

const TWO_32 = 4_294_967_296;
const bits = fc.integer({ min: 1, max: 12 });
/** Small values, values around powers of two, and any. */
const value = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc
    .tuple(fc.integer({ min: 0, max: 31 }), fc.integer({ min: -1, max: 1 }))
    .map(([power, more]) => {
      return Math.max(0, 2 ** power + more);
    }),
  fc.integer({ min: 0, max: TWO_32 - 1 }),
);
const values = fc.array(value, { minLength: 1, maxLength: 100 });

function histogramOf(noted: readonly number[], keptBits?: number): Histogram {
  const histogram = new Histogram(keptBits);
  for (const one of noted) histogram.note(one);
  return histogram;
}

test("a percentile is never below the value of its rank, and above it by at most the precision", () => {
  fc.assert(
    fc.property(values, bits, fc.double({ min: 0, max: 1, noNaN: true }), (noted, kept, share) => {
      const sorted = noted.toSorted((a, b) => a - b);
      const rank = Math.max(1, Math.ceil(share * sorted.length));
      const exact = sorted[rank - 1] ?? 0;
      const found = histogramOf(noted, kept).percentile(share);
      assert.ok(found >= exact, `${found} for ${exact}`);
      assert.ok(found <= exact + exact / 2 ** kept, `${found} for ${exact}`);
    }),
  );
});

test("the last percentile and the maximum are the largest value itself", () => {
  fc.assert(
    fc.property(values, bits, (noted, kept) => {
      const histogram = histogramOf(noted, kept);
      assert.equal(histogram.max, Math.max(...noted));
      assert.equal(histogram.percentile(1), Math.max(...noted));
      assert.equal(histogram.count, noted.length);
    }),
  );
});

test("parts that are added up hold what one histogram of everything holds", () => {
  fc.assert(
    fc.property(values, values, bits, (left, right, kept) => {
      const sum = histogramOf(left, kept);
      sum.add(histogramOf(right, kept).pairs());
      const whole = histogramOf([...left, ...right], kept);
      assert.deepEqual(sum.pairs(), whole.pairs());
      assert.equal(sum.count, whole.count);
      assert.ok(sum.max >= whole.max);
    }),
  );
});

test("an empty histogram has no percentiles, and a reset one is empty", () => {
  const histogram = new Histogram();
  assert.equal(histogram.percentile(0.5), 0);
  histogram.note(7);
  histogram.reset();
  assert.deepEqual(
    [histogram.count, histogram.max, histogram.percentile(1), histogram.pairs()],
    [0, 0, 0, []],
  );
});

test("a value that is too large or a fraction is counted in the nearest bucket", () => {
  const histogram = new Histogram();
  histogram.note(2.9);
  assert.equal(histogram.percentile(1), 2);
  histogram.note(TWO_32);
  histogram.note(Number.POSITIVE_INFINITY);
  assert.equal(histogram.max, TWO_32 - 1);
  assert.equal(histogram.percentile(1), TWO_32 - 1);
  assert.equal(histogram.count, 3);
});

test("histograms of different precision are not added up", () => {
  const fine = histogramOf([TWO_32 - 1], 7);
  assert.throws(() => new Histogram(4).add(fine.pairs()), /as many bits/);
});

test("values below a power of two are counted exactly, below others at most too few", () => {
  const limit = fc.oneof(
    fc.integer({ min: 0, max: 32 }).map((power) => 2 ** power),
    fc.integer({ min: 0, max: TWO_32 + 5 }),
  );
  fc.assert(
    fc.property(values, bits, limit, (noted, kept, below) => {
      const exact = noted.filter((one) => one < below).length;
      const found = histogramOf(noted, kept).countBelow(below);
      assert.ok(found <= exact, `${found} of ${exact}`);
      if (Number.isInteger(Math.log2(below))) assert.equal(found, exact);
    }),
  );
});

test("a value noted several times at once is as if it had been noted so often", () => {
  const once = new Histogram();
  once.note(7, 3);
  once.note(900);
  assert.deepEqual(once.pairs(), histogramOf([7, 7, 7, 900]).pairs());
  assert.equal(once.count, 4);
});
