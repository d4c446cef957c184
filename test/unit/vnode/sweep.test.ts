/**
 * Sweeps: what has been absent for a grace is cleared by ordinary ops, and nothing else is.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPIRY_GRACE_MS, sweep } from "../../../actors/vnode/sweep.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { SETTLE_ITEMS_MAX } from "../../../runtime/table/garbage.ts";
import { HLC_EPOCH_MS } from "../../model/harness.ts";
import type { VnodeOp } from "../../model/neutral-op.ts";
import { VnodeReplica } from "../../model/vnode-replica.ts";

const NOW = HLC_EPOCH_MS + 1_000_000;
const UNTIL = NOW + 5000;
const LATE = UNTIL + EXPIRY_GRACE_MS;

function replica(seed = 1): VnodeReplica {
  const options = { name: "r", random: seeded(seed), siblingsMax: 4, graceMs: EXPIRY_GRACE_MS };
  return new VnodeReplica(options, {});
}

/** Sweeps once round. */
function sweepAll({ vnode }: VnodeReplica, nowMs: number): number {
  let expired = 0;
  do expired += sweep(vnode, nowMs, 50);
  while (vnode.sweepCursor !== 0);
  return expired;
}

test("keys are cleared a grace after their expiry, and counted", () => {
  const at = replica();
  for (let i = 0; i < 300; i++) {
    const expiry = i % 3 === 0 ? ["PXAT", String(UNTIL)] : [];
    at.run({ argv: ["SET", `key${i}`, "v", ...expiry] }, NOW);
  }
  at.run({ argv: ["HSET", "hash", "f", "v"] }, NOW);
  at.run({ argv: ["PEXPIREAT", "hash", String(UNTIL)] }, NOW);

  assert.equal(sweepAll(at, LATE - 1), 0);
  assert.equal(sweepAll(at, LATE), 101);
  assert.equal(at.partition.table.keyCount, 200);
  assert.equal(at.partition.table.expiring, 0);
  assert.equal(sweepAll(at, LATE), 0);
});

test("a sweep is an op: who replays it holds the same", () => {
  const [at, other] = [replica(), replica()];
  const set = at.run({ argv: ["SET", "key", "v", "PXAT", String(UNTIL)] }, NOW).op;
  const swept = at.sweep("key", LATE);
  other.deliver(set);
  other.deliver(swept.op);

  assert.deepEqual(other.state(), at.state());
  assert.deepEqual(at.state().cells, []);
});

test("a vnode without expiries is not looked at", () => {
  const at = replica();
  for (let i = 0; i < 100; i++) at.run({ argv: ["SET", `key${i}`, "v"] }, NOW);
  sweep(at.vnode, LATE, 50);

  assert.equal(at.vnode.sweepCursor, 0);
});

test("elements past their own copy are removed, and the collection is plain again", () => {
  const at = replica();
  const cell = (element: string) => ({ key: "key", type: "hash", element }) as const;
  const set = (element: string, copy: object) =>
    ({ kind: "set", cell: cell(element), type: "hash", value: "v", ...copy }) as const;
  at.mutate([set("dies", { copy: UNTIL }), set("lives", {})], NOW);
  assert.equal(at.partition.table.expiring, 1);
  assert.equal(at.read("key", LATE).count, 1);
  sweepAll(at, LATE);

  assert.deepEqual(
    at.state().cells.map((found) => found.cell.element),
    ["lives"],
  );
  assert.equal(at.partition.table.expiring, 0);
});

test("a register that says later, in time, keeps the key", () => {
  const at = replica();
  at.run({ argv: ["SET", "key", "v", "PXAT", String(UNTIL)] }, NOW);
  at.run({ argv: ["PERSIST", "key"] }, NOW);

  assert.equal(sweepAll(at, LATE), 0);
  assert.equal(at.read("key", LATE).value, "v");
});

test("removing the last living element takes the dead ones and the head with it", () => {
  const at = replica();
  const cell = (element: string) => ({ key: "key", type: "hash", element }) as const;
  const head = { key: "key", type: "head", element: "" } as const;
  at.mutate([{ kind: "set", cell: cell("dies"), type: "hash", value: "v", copy: UNTIL }], NOW);
  // A head that was born after that time: it says nothing about the older element.
  at.mutate(
    [
      { kind: "set", cell: head, type: "hash", value: "" },
      { kind: "set", cell: cell("lives"), type: "hash", value: "v" },
    ],
    LATE,
  );
  assert.deepEqual(at.read("key", LATE).elements, [["lives", "v"]]);
  at.run({ argv: ["HDEL", "key", "lives"] }, LATE);

  assert.deepEqual(at.state().cells, []);
});

test("a key of which much is still to be judged is left to a later sweep", () => {
  const [at, left, right] = [replica(1), replica(2), replica(3)];
  const sets = Array.from({ length: SETTLE_ITEMS_MAX + 10 }, (_, i) => {
    const cell = { key: "key", type: "hash", element: `f${i}` } as const;
    return { kind: "set", cell, type: "hash", value: "v", copy: UNTIL } as const;
  });
  at.deliver(left.mutate(sets, NOW).op);
  at.deliver(right.mutate(sets.slice(0, 1), NOW).op);
  at.partition.table.garbage.eagerItemsMax = 0;
  at.partition.deliver((left.mutate([{ kind: "clear", key: "key" }], NOW).op as VnodeOp).bytes);
  assert.equal(sweepAll(at, LATE), 0);
  assert.ok(at.partition.table.hasCuts);

  while (at.partition.table.garbage.collect(100));
  assert.equal(sweepAll(at, LATE), 1);
  assert.deepEqual(at.state().cells, []);
});

test("a sweep that finds nothing left of a key under a cut goes on", () => {
  const [at, left, right] = [replica(1), replica(2), replica(3)];
  const cell = { key: "key", type: "hash", element: "f" } as const;
  const set = { kind: "set", cell, type: "hash", value: "v", copy: UNTIL } as const;
  at.deliver(left.mutate([set], NOW).op);
  at.deliver(right.run({ argv: ["SET", "other", "v", "PXAT", String(UNTIL)] }, NOW).op);
  at.partition.table.garbage.eagerItemsMax = 0;
  at.partition.deliver((left.mutate([{ kind: "clear", key: "key" }], NOW).op as VnodeOp).bytes);
  assert.ok(at.partition.table.hasCuts);

  assert.equal(sweepAll(at, LATE), 1);
  assert.deepEqual(at.state().cells, []);
});
