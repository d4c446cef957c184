/**
 * The algebra of a cell's versions: joins do not care about order or repetition, mutations touch what
 * they name.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AddEntry, Covers } from "../../../runtime/causality/cell.ts";
import {
  addToVersion,
  expireVersion,
  joinVersions,
  latestVersion,
  removeCovered,
  setVersion,
  sumOfAdds,
  undoOnVersion,
} from "../../../runtime/causality/cell.ts";
import {
  type CellState,
  cellState,
  origins,
  register,
  textOf,
  versionOf,
  versions,
} from "./support.ts";

const table = origins();

function contains({ applied }: CellState): Covers {
  return (slot, counter) => counter <= (applied[slot] ?? 0);
}

function join(a: CellState, b: CellState): CellState {
  const both = { mine: contains(a), theirs: contains(b) };
  return {
    versions: joinVersions(a.versions, b.versions, both, table),
    applied: a.applied.map((count, slot) => Math.max(count, b.applied[slot] ?? 0)),
  };
}

test("a join with itself changes nothing", () => {
  fc.assert(
    fc.property(cellState, (state) => {
      assert.equal(textOf(join(state, state).versions), textOf(state.versions));
    }),
  );
});

test("a join is the same from both sides", () => {
  fc.assert(
    fc.property(cellState, cellState, (a, b) => {
      assert.equal(textOf(join(a, b).versions), textOf(join(b, a).versions));
    }),
  );
});

test("the order of three joins does not matter", () => {
  fc.assert(
    fc.property(cellState, cellState, cellState, (a, b, c) => {
      const [left, right] = [join(join(a, b), c), join(a, join(b, c))];
      assert.equal(textOf(left.versions), textOf(right.versions));
    }),
    { numRuns: 500 },
  );
});

test("a set leaves one version of what it covers, and all that it does not", () => {
  fc.assert(
    fc.property(cellState, ({ versions: all, applied }) => {
      const made = versionOf({ slot: 0, counter: 99 }, { expiry: null, adds: [], undos: [] });
      const covers: Covers = (slot, counter) => slot === 0 || counter <= (applied[slot] ?? 0) / 2;
      const after = setVersion(all, made, covers);
      const kept = all.filter((v) => !covers(v.slot, v.counter));
      assert.equal(textOf(after), textOf([...kept, made]));
      assert.equal(textOf(removeCovered(all, covers)), textOf(kept));
    }),
  );
});

test("adds, undos and registers go to the named version alone, and twice is once", () => {
  fc.assert(
    fc.property(versions, register, (all, expiry) => {
      const [first] = all;
      if (first === undefined) return;
      const own = first.adds.reduce((most, entry) => Math.max(most, entry.counter), 0);
      const add: AddEntry = { slot: 3, counter: own + 1, integer: 5n, real: 0, float: false };
      const changes = [
        (cell: typeof all) => addToVersion(cell, first, add),
        (cell: typeof all) => undoOnVersion(cell, first, { ...add, slot: 2, counter: 77 }),
        (cell: typeof all) => expireVersion(cell, first, expiry, table),
      ];
      for (const change of changes) {
        const once = [...change(all)];
        assert.equal(textOf([...change(once)]), textOf(once));
        assert.equal(textOf(once.slice(1)), textOf(all.slice(1)));
      }
      assert.equal(addToVersion(all, { slot: 0, counter: 1000 }, add), all);
    }),
  );
});

test("registers commute: the later one stays", () => {
  fc.assert(
    fc.property(versions, register, register, (all, a, b) => {
      const [first] = all;
      if (first === undefined) return;
      const apply = (registers: (typeof a)[]) =>
        registers.reduce((cell, one) => [...expireVersion(cell, first, one, table)], all);
      assert.equal(textOf(apply([a, b])), textOf(apply([b, a])));
    }),
  );
});

test("the latest version is the largest stamp, then the largest origin id, not slot", () => {
  const one = versionOf({ slot: 3, counter: 1 }, { expiry: null, adds: [], undos: [] });
  const other = { ...one, slot: 0 };
  // Slot 0 has the larger id.
  assert.equal(latestVersion([one, other], table), other);
  assert.equal(latestVersion([{ ...one, hlc: one.hlc + 1 }, other], table)?.slot, 3);
  assert.equal(latestVersion([], table), undefined);
});

test("a sum of adds is exact over 64 bits until a float joins it", () => {
  const entry = { slot: 0, counter: 1, integer: 2n ** 62n, real: 0, float: false };
  const sum = sumOfAdds(entry, { ...entry, counter: 2, integer: 1n });
  assert.equal(sum.integer, 2n ** 62n + 1n);
  const float = sumOfAdds(sum, { slot: 0, counter: 3, integer: 0n, real: 0.5, float: true });
  assert.equal(float.real, 2 ** 62 + 0.5);
  assert.equal(float.integer, 0n);
  assert.equal(sumOfAdds(float, { ...entry, counter: 4, integer: 1n }).float, true);
});
