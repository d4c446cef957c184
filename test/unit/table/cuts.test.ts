/**
 * Clears that are concurrent to some elements of a collection: nobody looks through it in their
 * turn, and whoever looks at it sees what is left.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LIST, SET } from "../../../runtime/causality/cell.ts";
import { SETTLE_ITEMS_MAX } from "../../../runtime/table/garbage.ts";
import { KeyView } from "../../../runtime/table/key-view.ts";
import type { Partition } from "../../../runtime/table/partition.ts";
import { markOf } from "../../../runtime/table/shown.ts";
import { canonicalState } from "../../model/vnode-state.ts";
import {
  clearKey,
  finishScan,
  loaded,
  newScan,
  setElements,
  stateOf,
  type TestPartition,
  testPartition,
} from "../../support/partitions.ts";

const NOW = 1_800_000_000_000;
const KEY = Buffer.from("key");

function members(prefix: string, count: number): (readonly [string, string])[] {
  return Array.from({ length: count }, (_, i) => [`${prefix}${i}`, prefix] as const);
}

/** Two sides that know each other's earlier ops, and a third that gets what they do from now on. */
interface Sides {
  readonly left: TestPartition;
  readonly right: TestPartition;
  readonly third: TestPartition;
}

/** A collection made by the left side, and elements that the right side adds unseen by it. */
function sides({ old = 300, fresh = 2, type = SET } = {}): Sides {
  const [left, right, third] = [testPartition(1), testPartition(2), testPartition(3)];
  setElements(left.partition, "key", type, members("old", old));
  for (const op of left.ops) third.partition.deliver(op);
  setElements(right.partition, "key", type, members("new", fresh));
  for (const op of right.ops) third.partition.deliver(op);
  return { left, right, third };
}

function deliverLast(from: TestPartition, { partition }: TestPartition): void {
  assert.equal(partition.deliver(from.ops.at(-1) as Buffer), "applied");
}

/** The third side after the left one's clear, which the right one's elements are concurrent to. */
function underCut(options: Parameters<typeof sides>[0] = {}): Sides {
  const made = sides(options);
  clearKey(made.left.partition, "key");
  deliverLast(made.left, made.third);
  return made;
}

function viewOf(partition: Partition): KeyView {
  const view = new KeyView(partition);
  view.open(KEY, 0, KEY.length, NOW);
  return view;
}

function unjudged({ table }: Partition): number {
  const ref = table.find(KEY, 0, KEY.length);
  return ref === 0 ? 0 : table.garbage.unjudged(table.records.block(ref));
}

test("a clear that is concurrent to some elements looks at none of them in its turn", () => {
  const { third } = underCut({ old: 300, fresh: 2 });
  assert.equal(unjudged(third.partition), 302);
  const { cells } = canonicalState(third.partition);
  assert.deepEqual(
    cells.map(({ cell }) => cell.element),
    ["new0", "new1"],
  );

  let slices = 1;
  while (third.partition.table.garbage.collect(50)) slices++;
  assert.equal(slices, 7);
  assert.equal(viewOf(third.partition).count, 2);
});

test("a small collection is judged in the turn of its clear", () => {
  const { third } = underCut({ old: 30 });
  assert.ok(third.partition.table.garbage.isEmpty);
  assert.equal(viewOf(third.partition).count, 2);
});

test("whoever opens a key under a cut counts what lives, and nothing else", () => {
  const { third } = underCut();
  const view = viewOf(third.partition);
  assert.equal(view.type, SET);
  assert.equal(view.count, 2);
  assert.ok(third.partition.table.garbage.isEmpty);
});

test("a key of which a cut leaves nothing is absent, and its record goes", () => {
  const { left, right, third } = sides({ old: 300, fresh: 1 });
  // Concurrent to the clear, but not in this collection.
  setElements(right.partition, "elsewhere", SET, [["x", ""]]);
  deliverLast(right, third);
  left.partition.deliver(right.ops[0] as Buffer);
  clearKey(left.partition, "key");
  deliverLast(left, third);
  assert.equal(third.partition.table.keyCount, 2);

  assert.equal(viewOf(third.partition).type, 0);
  assert.equal(third.partition.table.keyCount, 1);
});

test("an element that is set under a cut is there at once, and only it is judged", () => {
  const { left, third } = underCut();
  setElements(left.partition, "key", SET, [["old7", ""]]);
  deliverLast(left, third);
  assert.equal(unjudged(third.partition), 301);
  const { cells } = canonicalState(third.partition);
  assert.deepEqual(
    cells.map(({ cell }) => cell.element),
    ["new0", "new1", "old7"],
  );
  assert.equal(viewOf(third.partition).count, 3);
});

test("a further clear is judged with the first one, what was put back already included", () => {
  const { left, right, third } = underCut({ old: 300, fresh: 200 });
  third.partition.table.garbage.collect(400);
  // The right side knows nothing of the first clear, and clears what it made.
  clearKey(right.partition, "key");
  setElements(left.partition, "key", SET, [["later", ""]]);
  deliverLast(left, third);
  deliverLast(right, third);

  assert.equal(viewOf(third.partition).count, 1);
  assert.ok(third.partition.table.garbage.isEmpty);
});

test("a clear of all there is takes a collection under a cut as a whole", () => {
  const { left, right, third } = underCut();
  left.partition.deliver(right.ops[0] as Buffer);
  clearKey(left.partition, "key");
  deliverLast(left, third);

  const { table } = third.partition;
  assert.equal(table.keyCount, 0);
  while (table.garbage.collect(10));
  table.elements.freeProbe();
  assert.equal(table.heap.bytesUsed, 0);
});

test("ranks of a list under a cut count the living only", () => {
  const { third } = underCut({ type: LIST, old: 300, fresh: 3 });
  const view = viewOf(third.partition);
  const { table } = third.partition;
  const order = table.elements.orderOf(LIST);
  const names = [0, 1, 2].map((rank) => {
    const ref = order.at(table.blocks.root(view.block), rank);
    const at = table.records.keyAt(ref);
    return table.records.bytes(ref).toString("latin1", at, at + table.records.keyLength(ref));
  });
  assert.deepEqual(names, ["new0", "new1", "new2"]);
  assert.equal(view.count, 3);
});

test("a collection is still mortal after a cut: the smallest copy of an expiry is known again", () => {
  const { left, right, third } = sides({ old: 100, fresh: 0 });
  setElements(right.partition, "key", SET, [["mortal", ""]], NOW - 1);
  deliverLast(right, third);
  clearKey(left.partition, "key");
  deliverLast(left, third);
  const { table } = third.partition;
  assert.equal(table.expiring, 0);
  while (table.garbage.collect(10));

  assert.equal(table.expiring, 1);
  assert.equal(viewOf(third.partition).type, 0);
});

test("a snapshot that begins under a cut holds what lives", () => {
  const { third } = underCut();
  const state = canonicalState(third.partition);
  const copy = loaded(stateOf(third.partition)).partition;
  assert.deepEqual(canonicalState(copy), state);
});

test("a snapshot that began before a clear holds what was there, however far the pass is", () => {
  for (const walked of [0, 100, 250]) {
    const { left, third } = sides();
    const before = canonicalState(third.partition);
    const scan = newScan(third.partition);
    scan.next(1 + walked);
    clearKey(left.partition, "key");
    deliverLast(left, third);
    third.partition.table.garbage.collect(walked);
    const copy = loaded(finishScan(scan, 40)).partition;
    assert.deepEqual(canonicalState(copy), before);
    assert.equal(viewOf(third.partition).count, 2);
  }
});

test("a snapshot that is given up while a pass goes on leaves the next one whole", () => {
  const { left, third } = sides();
  const scan = newScan(third.partition);
  clearKey(left.partition, "key");
  deliverLast(left, third);
  scan.abort();
  while (scan.next(100) === "going");
  const state = canonicalState(third.partition);

  const copy = loaded(stateOf(third.partition)).partition;
  assert.deepEqual(canonicalState(copy), state);
});

test("a clear changes the mark of what it leaves", () => {
  const { left, third } = sides();
  const before = markOf(third.partition, viewOf(third.partition));
  clearKey(left.partition, "key");
  deliverLast(left, third);
  const after = markOf(third.partition, viewOf(third.partition));
  assert.notEqual(after, before);
  assert.equal(markOf(third.partition, viewOf(third.partition)), after);
});

test("only a key of which much is to be judged is said to be settling", () => {
  const { third } = underCut({ old: SETTLE_ITEMS_MAX - 1, fresh: 2 });
  const { table } = third.partition;
  setElements(third.partition, "other", SET, members("x", 2 * SETTLE_ITEMS_MAX));
  const [key, other] = [KEY, Buffer.from("other")].map((name) => table.find(name, 0, name.length));
  assert.ok(table.isSettling(key as number));
  assert.ok(!table.isSettling(other as number));
  table.garbage.collect(1);
  assert.ok(!table.isSettling(key as number));
});
