/**
 * Sweeps: what has been absent for a grace is cleared by ordinary ops, and nothing else is.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPIRY_GRACE_MS, sweep } from "../../../actors/vnode/sweep.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { HLC_EPOCH_MS } from "../../model/harness.ts";
import { VnodeReplica } from "../../model/vnode-replica.ts";

const NOW = HLC_EPOCH_MS + 1_000_000;
const UNTIL = NOW + 5000;
const LATE = UNTIL + EXPIRY_GRACE_MS;

function replica(): VnodeReplica {
  const options = { name: "r", random: seeded(1), siblingsMax: 4, graceMs: EXPIRY_GRACE_MS };
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
