/**
 * Joins as the vnode's log and its watchers see them; what they do to cells is in the scenarios.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SET } from "../../../runtime/causality/cell.ts";
import { KeyView } from "../../../runtime/table/key-view.ts";
import type { Partition } from "../../../runtime/table/partition.ts";
import { markOf } from "../../../runtime/table/shown.ts";
import { canonicalState } from "../../model/vnode-state.ts";
import {
  clearKey,
  loaded,
  setElements,
  setStrings,
  stateOf,
  testPartition,
} from "../../support/partitions.ts";

const KEY = Buffer.from("set");

function mark(partition: Partition): string {
  const view = new KeyView(partition);
  view.open(KEY, 0, KEY.length, 1_800_000_000_000);
  return markOf(partition, view);
}

test("a join takes a number in the log, so that nothing after it is replayed without it", () => {
  const [left, right] = [testPartition(1), testPartition(2)];
  setStrings(left.partition, [["a", "1"]]);
  setStrings(right.partition, [["b", "2"]]);
  left.partition.join(stateOf(right.partition));
  assert.equal(left.partition.sequence, 2);
  const chunks = stateOf(left.partition);
  setStrings(left.partition, [["a", "3"]]);
  assert.equal(left.partition.sequence, 3);

  const copy = loaded(chunks).partition;
  assert.equal(copy.sequence, 2);
  const last = left.ops.at(-1) as Buffer;
  copy.replay(last, 0, last.length);
  assert.deepEqual(canonicalState(copy), canonicalState(left.partition));
});

test("a join changes the mark of a collection that it adds to", () => {
  const [left, right] = [testPartition(1), testPartition(2)];
  setElements(left.partition, "set", SET, [["x", ""]]);
  setElements(right.partition, "set", SET, [["y", ""]]);
  const before = mark(left.partition);
  left.partition.join(stateOf(right.partition));
  assert.notEqual(mark(left.partition), before);
});

test("a join on either side of a cut sees what lives, and nothing of what is hidden", () => {
  const [left, right, third] = [testPartition(1), testPartition(2), testPartition(3)];
  const members = Array.from({ length: 200 }, (_, i) => [`old${i}`, ""] as const);
  setElements(left.partition, "set", SET, members);
  third.partition.deliver(left.ops[0] as Buffer);
  setElements(right.partition, "set", SET, [["new", ""]]);
  third.partition.deliver(right.ops[0] as Buffer);
  clearKey(left.partition, "set");
  third.partition.deliver(left.ops[1] as Buffer);
  assert.ok(third.partition.table.hasCuts);

  const fourth = testPartition(4);
  setStrings(fourth.partition, [["mine", "1"]]);
  third.partition.join(stateOf(fourth.partition));
  const joined = canonicalState(third.partition);
  assert.deepEqual(
    joined.cells.map(({ cell }) => cell.element),
    ["", "new"],
  );
  fourth.partition.join(stateOf(third.partition));
  assert.deepEqual(canonicalState(fourth.partition), joined);
});
