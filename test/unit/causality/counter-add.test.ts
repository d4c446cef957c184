/**
 * What an increment of doubles adds: the shown sum is the decimal one that the client expects.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Version } from "../../../runtime/causality/cell.ts";
import { addToVersion, STRING } from "../../../runtime/causality/cell.ts";
import { deltaThatShows, sumOfDecimals } from "../../../runtime/causality/counter-add.ts";
import { shownBytes } from "../../../runtime/causality/counter-value.ts";
import { Origins } from "../../../runtime/causality/origins.ts";

const origins = new Origins();
const slot = origins.intern(1, 1);
const target = { slot, counter: 1 };

function version(text: string): Version {
  const value = Buffer.from(text, "latin1");
  const empty = { counterKind: 0, copyAt: 0, expiry: null, adds: [], undos: [] };
  return { ...target, hlc: 1, type: STRING, value, ...empty };
}

/** Adds the delta found, and answers what is shown; undefined where there is none. */
function shownAfter(base: string, delta: bigint | number, text: string): string | undefined {
  const adder = { slot, counter: 2 };
  const found = deltaThatShows([version(base)], origins, { target, adder, delta, text });
  if (found === undefined) return undefined;
  const entry =
    typeof found === "bigint"
      ? { ...adder, integer: found, real: 0, float: false }
      : { ...adder, integer: 0n, real: found, float: true };
  return shownBytes(addToVersion([version(base)], target, entry), origins).toString("latin1");
}

test("sums of decimals are rounded once, from the exact sum", () => {
  for (const [a, b, sum] of [
    ["0.1", "0.2", 0.3],
    ["10.5", "0.1", 10.6],
    ["5.0e3", "2.0e2", 5200],
    ["-.5", "+0.5", 0],
    ["0x10", "1", 17],
    ["1e308", "1e308", Infinity],
  ] as const) {
    // prettier-ignore
    assert.equal(sumOfDecimals([a, b], [Number(a), Number(b)]), sum, `${a} + ${b}`);
  }
});

test("a delta is found that shows the wanted sum of decimals", () => {
  const decimal = fc
    .tuple(fc.integer({ min: -1e9, max: 1e9 }), fc.integer({ min: 0, max: 6 }))
    .map(([digits, places]) => String(digits / 10 ** places));
  fc.assert(
    fc.property(decimal, decimal, (base, delta) => {
      const sum = sumOfDecimals([base, delta], [Number(base), Number(delta)]);
      const text = sum === 0 ? "0" : String(sum);
      fc.pre(!text.includes("e"));
      assert.equal(shownAfter(base, Number(delta), text), text);
    }),
  );
});

test("what larger terms leave behind is rounded to their precision", () => {
  for (const [base, delta, text] of [
    ["1", "-1.1", "-0.1"],
    ["100", "-99.9", "0.1"],
    ["0.1", "-0.1", "0"],
    ["1e15", "-0.3", null],
    ["1000000.7", "-1000000", "0.7"],
    ["78", "-32845.312", "-32767.312"],
  ] as const) {
    // prettier-ignore
    const wanted = text ?? String(sumOfDecimals([base, delta], [Number(base), Number(delta)]));
    assert.equal(shownAfter(base, Number(delta), wanted), wanted);
  }
});

test("integers are added as they are, and what no delta shows is said so", () => {
  assert.equal(shownAfter("9007199254740993", 1n, "9007199254740994"), "9007199254740994");
  assert.equal(shownAfter("0x10", 1, "17"), undefined);
  assert.equal(shownAfter("1", 1, "not the sum"), undefined);
  assert.equal(shownAfter("0.5", 2n ** 53n + 1n, String(2n ** 53n + 1n)), undefined);
});
