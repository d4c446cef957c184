/**
 * The real vnode lives the random lives of the model, with the model beside it: equal states after
 * every step, equal plans and replies, and what the oracle says in the end. Where collections have
 * many leaves and segments, by commands that the model does not know, the oracle judges alone. `SEEDS`
 * and `SEED` (seeds.ts) say which seeds; a violation names its own.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import { HLC_EPOCH_MS } from "../model/harness.ts";
import { MODES } from "../model/mix.ts";
import type { VnodeOp } from "../model/neutral-op.ts";
import { searchViolation } from "../model/scenario.ts";
import { seedsToTry } from "../model/seeds.ts";
import { makeVnode, VnodeReplica } from "../model/vnode-replica.ts";

const seeds = seedsToTry(4);
const NOW = HLC_EPOCH_MS + 1_000_000;
const DAY_MS = 86_400_000;
/** Of scenarios whose ops write and remove hundreds of elements. */
const LARGE_STEPS = 250;

/** Which of them scan, judge and free in tiny slices; the others do it at once. */
const KINDS: Readonly<Record<string, (name: string) => boolean>> = {
  "that finish at once": () => false,
  "that work in tiny slices": () => true,
  "of both kinds": (name) => name !== "b",
};

for (const replicas of [2, 3] as const) {
  for (const [kind, lazy] of Object.entries(KINDS)) {
    for (const mode of MODES) {
      test(`${replicas} vnodes ${kind} hold what the model holds (${mode})`, () => {
        const make = makeVnode(lazy);
        const options = { replicas, make, mode, shadow: true, durableJoins: true } as const;
        assert.equal(searchViolation(options, seeds), undefined);
      });
    }
  }
}

for (const [kind, lazy] of Object.entries(KINDS)) {
  test(`3 vnodes ${kind} hold what the ops leave of collections of many leaves`, () => {
    const make = makeVnode(lazy);
    const options = { replicas: 3, make, mode: "large", steps: LARGE_STEPS } as const;
    assert.equal(searchViolation(options, seeds), undefined);
  });
}

test("the groups of transactions are applied whole, in whatever order their ops arrive", () => {
  for (let seed = seeds.from; seed < seeds.from + 10 * seeds.seeds; seed++) {
    const random = seeded(seed);
    const [from, to] = [replica(random), replica(random)];
    const ops: VnodeOp[] = [];
    for (let i = 0; i < 4; i++) {
      const lines = ["a", "b", "c"].slice(below(random, 3)).map((key) => ["SET", key, `${i}`]);
      ops.push(...from.transaction(lines, NOW + i));
    }
    for (const op of shuffled([...ops, ...ops.slice(0, 3)], random)) {
      to.deliver(op);
      const [, c] = ["b", "c"].map((key) => to.read(key, NOW + DAY_MS).value);
      const i = Number(c ?? -1);
      // Every transaction sets c last; what else it set is there too, or has been replaced.
      for (const key of ["a", "b"]) {
        const value = Number(to.read(key, NOW + DAY_MS).value ?? -1);
        assert.ok(value <= i, `seed ${seed}: ${key} of transaction ${value} before its end`);
      }
    }
    assert.deepEqual(to.state(), from.state());
  }
});

test("a flush takes what it has seen and leaves concurrent writes", () => {
  for (const lazy of [false, true]) {
    const random = seeded(5);
    const [left, right] = [replica(random, lazy), replica(random, lazy)];
    const run = (at: VnodeReplica, ...argv: string[]) => at.run({ argv }, NOW).op;
    const seen = [
      run(left, "SET", "a", "1"),
      run(left, "SADD", "b", "x", "y"),
      run(left, "HSET", "c", "f", "v"),
    ];
    for (const op of seen) right.deliver(op);
    const concurrent = [run(right, "SADD", "b", "z"), run(right, "SET", "d", "4")];
    const flush = run(left, "FLUSHDB");
    for (const op of concurrent) left.deliver(op);
    right.deliver(flush);

    assert.deepEqual(left.state(), right.state());
    for (const at of [left, right]) {
      assert.equal(at.read("a", NOW).type, null);
      assert.deepEqual(at.read("b", NOW).elements, [["z", ""]]);
      assert.equal(at.read("c", NOW).type, null);
      assert.equal(at.read("d", NOW).value, "4");
    }
  }
});

test("a flush of all there is gives the memory back at once and ends a running scan", () => {
  const at = replica(seeded(6), true);
  for (let i = 0; i < 500; i++) at.run({ argv: ["SADD", `key${i % 7}`, `member${i}`] }, NOW);
  at.background();
  at.run({ argv: ["FLUSHDB"] }, NOW);

  assert.equal(at.partition.table.keyCount, 0);
  assert.equal(at.partition.table.heap.bytesUsed, 0);
  assert.equal(at.partition.scan, null);
  at.makeDurable();
  at.crash();
  assert.deepEqual(at.state().cells, []);
});

function replica(random: Random, lazy = false): VnodeReplica {
  const options = { name: "r", random, siblingsMax: 4, graceMs: 1000 };
  return new VnodeReplica(options, { lazy });
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const rest = [...items];
  const mixed: Item[] = [];
  while (rest.length > 0) mixed.push(...rest.splice(below(random, rest.length), 1));
  return mixed;
}
