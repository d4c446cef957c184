/**
 * Mutations on a table: the ways that go in place and those that go by versions agree, and memory
 * comes back.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import { HASH, LIST, SET, ZSET } from "../../../runtime/causality/cell.ts";
import type { Partition } from "../../../runtime/table/partition.ts";
import { canonicalState } from "../../model/vnode-state.ts";
import {
  clearKey,
  removeCell,
  setElements,
  setStrings,
  type TestPartition,
  testPartition,
} from "../../support/partitions.ts";

const TYPES = [LIST, SET, ZSET, HASH];
const SCORE = Buffer.from("c000000000000000", "hex");

/** Two sides that write to one key at random, and then a clear by the left one. */
function concurrentClear(random: Random): { left: TestPartition; right: TestPartition } {
  const [left, right] = [testPartition(1), testPartition(2)];
  const steps = 10 + below(random, 40);
  for (let step = 0; step < steps; step++) {
    const side = below(random, 4) === 0 ? right : left;
    const type = TYPES[below(random, TYPES.length)] as number;
    const name = `m${below(random, 12)}`;
    const copyAt = below(random, 4) === 0 ? 1_900_000_000_000 + step : 0;
    const value = type === ZSET ? SCORE : `v${step}`;
    setElements(side.partition, "key", type, [[name, value]], copyAt);
    if (below(random, 9) === 0) setStrings(side.partition, [["key", "head"]]);
    if (below(random, 5) > 0) continue;
    for (const op of right.ops.slice(0, below(random, right.ops.length + 1))) {
      left.partition.deliver(op);
    }
  }
  clearKey(left.partition, "key");
  return { left, right };
}

test("a clear leaves concurrent elements alike, whether it moves them or removes the others", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { left, right } = concurrentClear(seeded(seed));
    const states = [0, 1_000_000].map((eagerItemsMax) => {
      const { partition } = testPartition(3);
      partition.table.garbage.eagerItemsMax = eagerItemsMax;
      // The clear comes last: all that it did not see is there before it.
      for (const op of [...right.ops, ...left.ops]) partition.deliver(op);
      while (partition.table.garbage.collect(2));
      return { partition, state: canonicalState(partition) };
    });
    assert.deepEqual(states[0]?.state, states[1]?.state, `seed ${seed}`);
    for (const op of right.ops) left.partition.deliver(op);
    assert.deepEqual(canonicalState(left.partition), states[0]?.state, `seed ${seed}`);
  }
});

test("a table that everything was removed from holds no memory", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seeded(seed);
    const { partition } = testPartition(1);
    const { table } = partition;
    for (let step = 0; step < 200; step++) changeAtRandom(partition, random, step);
    for (const { cell } of canonicalState(partition).cells) clearKey(partition, cell.key);
    while (table.garbage.collect(3));
    table.elements.freeProbe();

    assert.equal(table.keyCount, 0);
    assert.equal(table.expiring, 0);
    assert.equal(table.heap.bytesUsed, 0, `seed ${seed}`);
  }
});

test("a key record that gains a collection has no collection of former bytes", () => {
  const { partition } = testPartition(1);
  // Freed records leave their bytes behind; the next ones of that size are made of them.
  for (let i = 0; i < 50; i++) setStrings(partition, [[`old${i}`, "\xff".repeat(i)]]);
  for (let i = 0; i < 50; i++) removeCell(partition, `old${i}`, 1);
  for (let i = 0; i < 50; i++) {
    setStrings(partition, [[`key${i}`, "x".repeat(i)]]);
    setElements(partition, `key${i}`, SET, [["member", ""]]);
  }

  const { cells } = canonicalState(partition);
  assert.equal(cells.filter(({ cell }) => cell.type === "set").length, 50);
});

function changeAtRandom(partition: Partition, random: Random, step: number): void {
  const key = `k${below(random, 5)}`;
  const type = TYPES[below(random, TYPES.length)] as number;
  const name = `m${below(random, 20)}`;
  const until = below(random, 3) === 0 ? 1_900_000_000_000 + step : 0;
  const dice = below(random, 10);
  if (dice < 2) setStrings(partition, [[key, "v".repeat(below(random, 300))]], until);
  else if (dice < 6) {
    setElements(partition, key, type, [[name, type === ZSET ? SCORE : `v${step}`]], until);
  } else if (dice < 8) removeCell(partition, key, type, name);
  else if (dice < 9) removeCell(partition, key, 1);
  else clearKey(partition, key);
}
