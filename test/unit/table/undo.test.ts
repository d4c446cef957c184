/**
 * Calls that two sides executed: when they meet, each counts once and has one answer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../runtime/base/prng.ts";
import { HLC_EPOCH_MS } from "../../model/harness.ts";
import { VnodeReplica } from "../../model/vnode-replica.ts";

const NOW = HLC_EPOCH_MS + 1_000_000;
const ID = "00000000c11e0001:1";

/** Two sides that both executed a call, have met, and undone what is to be undone. */
function executedTwice(before: readonly string[] | undefined, argv: readonly string[]) {
  const random = seeded(1);
  const make = () =>
    new VnodeReplica({ name: "r", random, siblingsMax: 4, graceMs: 1000 }, { lazy: false });
  const [left, right] = [make(), make()];
  if (before !== undefined) right.deliver(left.run({ argv: before }, NOW).op);
  const [a, b] = [left, right].map((at) => at.run({ argv, opId: ID }, NOW + 1).op);
  left.deliver(b);
  right.deliver(a);
  const undone: unknown[] = [];
  for (let { op } = left.undo(NOW + 2); op !== undefined; { op } = left.undo(NOW + 2)) {
    undone.push(op);
  }
  for (const op of undone) right.deliver(op);
  assert.deepEqual(left.state(), right.state());
  return { left, right, undone };
}

test("an increment that was executed twice counts once", () => {
  const { left } = executedTwice(["SET", "n", "10"], ["INCRBY", "n", "5"]);
  assert.equal(left.read("n", NOW + 9).value, "15");
});

test("an increment that made its key twice counts once", () => {
  const { left } = executedTwice(undefined, ["INCRBY", "n", "5"]);
  assert.equal(left.read("n", NOW + 9).value, "5");
});

test("a field's increment that was executed twice counts once", () => {
  const { left } = executedTwice(["HSET", "h", "f", "1"], ["HINCRBY", "h", "f", "5"]);
  assert.deepEqual(left.read("h", NOW + 9).elements, [["f", "6"]]);
});

test("a push that was executed twice is there once", () => {
  const { left } = executedTwice(["RPUSH", "l", "a"], ["RPUSH", "l", "b", "c"]);
  assert.deepEqual(
    left.read("l", NOW + 9).elements.map(([, value]) => value),
    ["a", "b", "c"],
  );
});

test("an element that was written again twice is not taken away", () => {
  const { left, undone } = executedTwice(["RPUSH", "l", "a", "b"], ["LSET", "l", "0", "x"]);
  assert.deepEqual(undone, []);
  assert.equal(left.read("l", NOW + 9).count, 2);
});

test("every retry answers what the try with the smallest dot answered", () => {
  const { left, right } = executedTwice(["SET", "n", "10"], ["INCRBY", "n", "5"]);
  const [a, b] = [left, right].map((at) => at.run({ argv: ["INCRBY", "n", "5"], opId: ID }, NOW));
  assert.deepEqual(a, { reply: 15 });
  assert.deepEqual(b, a);
});

test("op ids survive a crash and a join", () => {
  const { left, right } = executedTwice(["SET", "n", "10"], ["INCRBY", "n", "5"]);
  left.makeDurable();
  left.crash();
  right.join(left);
  assert.deepEqual(left.state().opIds, right.state().opIds);
  assert.deepEqual(left.run({ argv: ["INCRBY", "n", "5"], opId: ID }, NOW), { reply: 15 });
});
