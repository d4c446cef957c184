/**
 * What versions show as numbers: exact, and the same bits in whatever order their parts are listed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AddEntry, Version } from "../../../runtime/causality/cell.ts";
import { FLOAT_COUNTER, INTEGER_COUNTER } from "../../../runtime/causality/cell.ts";
import { amountOf, shownBytes, versionBytes } from "../../../runtime/causality/counter-value.ts";
import { origins, versionOf, versions } from "./support.ts";

const table = origins();

function counter(text: string, adds: readonly (bigint | number)[]): Version {
  const entries = adds.map(
    (delta, slot): AddEntry =>
      typeof delta === "bigint"
        ? { slot, counter: 1, integer: delta, real: 0, float: false }
        : { slot, counter: 1, integer: 0n, real: delta, float: true },
  );
  const made = versionOf({ slot: 0, counter: 1 }, { expiry: null, adds: entries, undos: [] });
  return { ...made, value: Buffer.from(text), counterKind: INTEGER_COUNTER };
}

test("what is shown does not depend on the order in which anything is listed", () => {
  fc.assert(
    fc.property(versions, fc.nat(), (all, turn) => {
      const turned = <Item>(items: readonly Item[]): Item[] => {
        const at = items.length === 0 ? 0 : turn % items.length;
        return [...items.slice(at), ...items.slice(0, at)].reverse();
      };
      const other = turned(all).map((v) => ({
        ...v,
        adds: turned(v.adds),
        undos: turned(v.undos),
      }));
      assert.deepEqual(shownBytes(other, table), shownBytes(all, table));
    }),
    { numRuns: 500 },
  );
});

test("a sum of floats is taken in the order of origin ids, to the last bit", () => {
  // Slots 3, 2, 1, 0 are the order of the ids: 1 + 1 come before 2^53, which would swallow them.
  const sum = counter("0", [2 ** 53, 0.5, 1, 0.5]);
  assert.equal(amountOf(sum, table), 2 ** 53 + 2);
  const swallowed = counter("0", [1, 0.5, 0.5, 2 ** 53]);
  assert.equal(amountOf(swallowed, table), ((2 ** 53 + 0.5 + 0.5) as number) + 1);
  const backwards = { ...sum, adds: [...sum.adds].reverse() };
  assert.equal(amountOf(backwards, table), 2 ** 53 + 2);
});

test("integers are exact over 64 bits, whatever their parts", () => {
  const max = 2n ** 63n - 1n;
  const up = counter(`${-(2n ** 63n)}`, [max, max]);
  assert.equal(versionBytes(up, table).toString(), `${max - 1n}`);
  // On the way the sum passes 64 bits.
  const over = counter(`${max}`, [-max, max]);
  assert.equal(versionBytes(over, table).toString(), `${max}`);
});

test("an undone try counts no more", () => {
  const sum = counter("10", [5n, 7n]);
  const undo = { slot: 1, counter: 1, integer: 7n, real: 0, float: false };
  assert.equal(amountOf({ ...sum, undos: [undo] }, table), 15n);
});

test("a float counter is a float even where its text is whole", () => {
  const whole = { ...counter("3", []), counterKind: FLOAT_COUNTER };
  assert.equal(amountOf(whole, table), 3);
});
