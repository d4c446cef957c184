/**
 * Commands on a key under a cut wait for the slices of its pass, and those on other keys do not.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Vnode } from "../../../actors/vnode/vnode.ts";
import { Vnodes } from "../../../actors/worker/vnodes.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { SET } from "../../../runtime/causality/cell.ts";
import { HybridClock } from "../../../runtime/causality/hlc.ts";
import { OpWriters } from "../../../runtime/causality/op.ts";
import { SETTLE_ITEMS_MAX } from "../../../runtime/table/garbage.ts";
import { SlabPool } from "../../../runtime/table/slab-pool.ts";
import { clearKey, setElements, testPartition } from "../../support/partitions.ts";
import { testSystem } from "../actor/support.ts";

const KEY = Buffer.from("key");
const OTHER = Buffer.from("other");

/** Vnodes of which the only one has had a clear that was concurrent to one of many elements. */
function vnodesUnderCut() {
  const later: (() => void)[] = [];
  const shared = {
    pool: new SlabPool({ slabBytes: 4 * 1024 * 1024 }),
    hashKey: { high: 7, low: 7 },
    clock: new HybridClock(new ManualClock()),
    writers: new OpWriters(),
    random: seeded(1),
    unsynced: null,
    lookups: { keyspaceHits: 0, keyspaceMisses: 0 },
    log: { append: () => {} },
  };
  const vnodes = new Vnodes({
    system: testSystem().system,
    partitions: [1],
    create: (id) => new Vnode({ id, origin: { high: 1, low: 1 }, ...shared }),
    recover: () => Promise.reject(new Error("nothing fails here")),
    dropped: () => {},
    soon: (run) => void later.push(run),
  });
  const { partition } = vnodes.vnode(0, 0);
  const [left, right] = [testPartition(2), testPartition(3)];
  const members = Array.from({ length: 5 * SETTLE_ITEMS_MAX }, (_, i) => [`m${i}`, ""] as const);
  setElements(left.partition, "key", SET, members);
  clearKey(left.partition, "key");
  setElements(right.partition, "key", SET, [["new", ""]]);
  const [set, clear] = left.ops;
  for (const op of [set, ...right.ops, clear]) partition.deliver(op as Buffer);
  const canRun = (key?: Buffer) => vnodes.canRun(0, 0, key, 0, key?.length ?? 0);
  return { vnodes, partition, later, canRun };
}

test("commands on a key under a cut wait for its pass, those on other keys run", () => {
  const { canRun } = vnodesUnderCut();
  assert.equal(canRun(KEY), false);
  assert.equal(canRun(OTHER), true);
  assert.equal(canRun(), false, "a transaction over any keys of the partition");
});

test("who waits is called back once the pass has ended, a slice a turn", () => {
  const { vnodes, partition, later, canRun } = vnodesUnderCut();
  let called = 0;
  for (let i = 0; i < 3; i++) vnodes.whenReady(0, 0, (error) => (called += error === null ? 1 : 0));
  let turns = 0;
  for (let run = later.shift(); run !== undefined; run = later.shift(), turns++) {
    assert.equal(called, 0);
    run();
  }
  assert.equal(called, 3);
  assert.ok(turns > 5, `${turns} turns`);
  assert.equal(canRun(KEY), true);
  assert.ok(!partition.table.hasCuts);
});

test("a vnode that is given up meanwhile keeps nobody waiting", () => {
  const { vnodes, partition, later } = vnodesUnderCut();
  let isCalled = false;
  vnodes.whenReady(0, 0, () => {
    isCalled = true;
  });
  partition.release();
  for (let run = later.shift(); run !== undefined; run = later.shift()) run();
  assert.ok(isCalled);
});
