/**
 * What a reader of a key sees of its cells at a time (design 3): a pure function, told by examples.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { HASH, LIST, SET, STRING } from "../../../runtime/causality/cell.ts";
import { UNTIL_NEVER } from "../../../runtime/causality/op.ts";
import { ABSENT, KeyView } from "../../../runtime/table/key-view.ts";
import type { Partition } from "../../../runtime/table/partition.ts";
import {
  removeCell,
  setElements,
  setStrings,
  type TestPartition,
  testPartition,
} from "../../support/partitions.ts";

const START = 1_800_000_000_000;
const KEY = Buffer.from("key");

function sides(): { clock: ManualClock; left: TestPartition; right: TestPartition } {
  const clock = new ManualClock(START);
  return { clock, left: testPartition(1, { clock }), right: testPartition(2, { clock }) };
}

/** Gives each side the other's ops. */
function meet(left: TestPartition, right: TestPartition): void {
  const [mine, theirs] = [[...left.ops], [...right.ops]];
  for (const op of theirs) left.partition.deliver(op);
  for (const op of mine) right.partition.deliver(op);
}

function setHead(partition: Partition, type: number, until = 0): void {
  partition.begin();
  const { writer, mutations, table } = partition;
  const none = Buffer.alloc(0);
  const { covers } = table.op;
  writer.setHead(KEY, 0, 3, type, 0, none, 0, 0, until);
  mutations.setHead(KEY, 0, 3, type, 0, none, 0, 0, until, covers);
  partition.finish();
}

function view({ partition }: TestPartition, nowMs: number): KeyView {
  const key = new KeyView(partition);
  key.open(KEY, 0, 3, nowMs);
  return key;
}

test("the newest head decides the type, and the others' cells are hidden", () => {
  const { clock, left, right } = sides();
  setHead(left.partition, SET);
  setElements(left.partition, "key", SET, [["x", ""]]);
  clock.advance(10);
  setStrings(right.partition, [["key", "text"]]);
  meet(left, right);

  for (const side of [left, right]) {
    const seen = view(side, clock.now());
    assert.equal(seen.type, STRING);
    assert.equal(seen.string().toString(), "text");
    assert.ok(seen.hasHidden);
  }
});

test("an expired newest head leaves the key absent: nothing comes to light", () => {
  const { clock, left, right } = sides();
  setStrings(left.partition, [["key", "old"]]);
  clock.advance(10);
  setStrings(right.partition, [["key", "new"]], START + 100);
  meet(left, right);

  assert.equal(view(left, START + 99).type, STRING);
  const late = view(left, START + 100);
  assert.equal(late.type, ABSENT);
  assert.ok(late.isExpired);
});

test("without a head the lowest type number is shown", () => {
  const { left } = sides();
  setElements(left.partition, "key", HASH, [["f", "v"]]);
  setElements(left.partition, "key", SET, [["x", ""]]);
  setElements(left.partition, "key", LIST, [["p", "v"]]);

  const seen = view(left, START);
  assert.equal(seen.type, LIST);
  assert.equal(seen.count, 1);
});

test("a collection's expiry is the latest register on any head of its type", () => {
  const { clock, left, right } = sides();
  setHead(left.partition, SET, START + 1000);
  setElements(left.partition, "key", SET, [["x", ""]]);
  clock.advance(10);
  setHead(right.partition, SET, UNTIL_NEVER);
  setElements(right.partition, "key", SET, [["y", ""]]);
  meet(left, right);

  assert.equal(view(left, START).expiryAt, 0, "never, said last");
  assert.equal(view(left, START + 5000).count, 2);
});

test("an element past its copy is dead unless a head of its type is older than that time", () => {
  const { clock, left } = sides();
  setElements(left.partition, "key", HASH, [["dies", "v"]], START + 50);
  setElements(left.partition, "key", HASH, [["lives", "v"]]);
  assert.equal(view(left, START + 49).count, 2);
  const late = view(left, START + 50);
  assert.equal(late.count, 1);
  assert.equal(late.dead().length, 1);

  setHead(left.partition, HASH);
  assert.equal(view(left, START + 50).count, 2, "a head born before that time says it better");
  removeCell(left.partition, "key", HASH);
  clock.advance(60);
  setHead(left.partition, HASH);
  assert.equal(view(left, START + 70).count, 1, "one born after it does not");
});

test("a headless collection of mortal elements expires with the last of them", () => {
  const { left } = sides();
  setElements(left.partition, "key", SET, [["x", ""]], START + 50);
  setElements(left.partition, "key", SET, [["y", ""]], START + 90);

  assert.equal(view(left, START).expiryAt, START + 90);
  assert.equal(view(left, START + 60).count, 1);
  assert.equal(view(left, START + 90).type, ABSENT);
});

test("a head without elements is absent", () => {
  const { left } = sides();
  setHead(left.partition, SET);
  assert.equal(view(left, START).type, ABSENT);
  setElements(left.partition, "key", SET, [["x", ""]]);
  removeCell(left.partition, "key", SET, "x");
  assert.equal(view(left, START).type, ABSENT);
});
