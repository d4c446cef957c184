/**
 * Cleared collections: gone at once, freed in slices, out of the way of what follows under their name.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HASH, SET } from "../../../runtime/causality/cell.ts";
import { canonicalState } from "../../model/vnode-state.ts";
import { clearKey, setElements, testPartition } from "../../support/partitions.ts";

function members(count: number, prefix = "member"): (readonly [string, string])[] {
  return Array.from({ length: count }, (_, i) => [`${prefix}${i}`, ""] as const);
}

test("a cleared collection is gone at once and freed in slices", () => {
  const { partition } = testPartition(1);
  const { table } = partition;
  setElements(partition, "set", SET, members(1000));
  const full = table.heap.bytesUsed;
  clearKey(partition, "set");

  assert.equal(table.keyCount, 0);
  assert.ok(table.heap.bytesUsed > full / 2, "nothing of it is freed in the command's turn");
  let slices = 0;
  while (table.garbage.collect(100)) slices++;
  assert.ok(slices >= 9, `${slices} slices`);
  table.elements.freeProbe();
  assert.equal(table.heap.bytesUsed, 0);
  assert.ok(table.garbage.isEmpty);
});

test("what is written under the name of a cleared collection has nothing to do with it", () => {
  const { partition } = testPartition(1);
  setElements(partition, "key", SET, members(500));
  clearKey(partition, "key");
  setElements(partition, "key", SET, members(3));
  setElements(partition, "key", HASH, members(2, "field"));
  const before = canonicalState(partition);
  while (partition.table.garbage.collect(7));

  assert.deepEqual(canonicalState(partition), before);
  assert.equal(before.cells.length, 5);
});

test("a small collection is freed in the turn of its clear", () => {
  const { partition } = testPartition(1);
  setElements(partition, "set", SET, members(10));
  clearKey(partition, "set");

  assert.ok(partition.table.garbage.isEmpty);
});
