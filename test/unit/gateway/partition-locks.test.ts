/** Who holds partitions, who waits for them, and in which order they go on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LOCK_TIMEOUT_MS, PartitionLocks } from "../../../actors/worker/partition-locks.ts";

/** Who got what they waited for, in order; refusals with their first word. */
function watched(locks: PartitionLocks, log: string[]) {
  const note = (name: string) => (refusal: string | null) => {
    log.push(refusal === null ? name : `${name}: ${refusal.split(" ")[0]}`);
  };
  return {
    lock: (name: string, vnodes: number[], nowMs = 0, coordinator = 0) => {
      locks.lock(vnodes, { holder: name, coordinator }, nowMs, note(name));
    },
    wait: (name: string, vnode: number, nowMs = 0) => locks.whenFree(vnode, nowMs, note(name)),
  };
}

test("a transaction takes all of its partitions or waits for all", () => {
  const locks = new PartitionLocks();
  const log: string[] = [];
  const { lock } = watched(locks, log);
  lock("a", [1, 2]);
  lock("b", [2, 3]);
  assert.deepEqual(log, ["a"]);
  assert.equal(locks.isFree(3), true);
  locks.release("a");
  assert.deepEqual(log, ["a", "b"]);
  assert.equal(locks.isFree(1), true);
  assert.equal(locks.isFree(3), false);
  locks.release("b");
  assert.equal(locks.size, 0);
});

test("commands go on in the order in which they came, before a transaction that came later", () => {
  const locks = new PartitionLocks();
  const log: string[] = [];
  const { lock, wait } = watched(locks, log);
  lock("a", [1]);
  wait("get", 1);
  lock("b", [1]);
  wait("set", 1);
  locks.release("a");
  assert.deepEqual(log, ["a", "get", "b"]);
  locks.release("b");
  assert.deepEqual(log, ["a", "get", "b", "set"]);
});

test("a transaction that waits is not overtaken by a smaller one", () => {
  const locks = new PartitionLocks();
  const log: string[] = [];
  const { lock } = watched(locks, log);
  lock("a", [1]);
  lock("b", [1, 2]);
  lock("c", [2]);
  assert.deepEqual(log, ["a"]);
  locks.release("a");
  assert.deepEqual(log, ["a", "b"]);
  locks.release("b");
  assert.deepEqual(log, ["a", "b", "c"]);
});

test("who waits too long is told to try again, and holds nothing", () => {
  const locks = new PartitionLocks();
  const log: string[] = [];
  const { lock, wait } = watched(locks, log);
  lock("a", [1]);
  lock("b", [1], 100);
  wait("get", 1, 200);
  locks.expire(LOCK_TIMEOUT_MS + 100);
  assert.deepEqual(log, ["a", "b: TRYAGAIN"]);
  locks.release("a");
  assert.deepEqual(log, ["a", "b: TRYAGAIN", "get"]);
  assert.equal(locks.size, 0);
});

test("who waits is told in time where the wall clock is set", () => {
  for (const stepMs of [3_600_000, -3_600_000]) {
    const locks = new PartitionLocks();
    const log: string[] = [];
    const { lock } = watched(locks, log);
    lock("a", [1], 10_000_000);
    lock("b", [1], 10_000_000);
    const nowMs = 10_000_000 + stepMs;
    locks.expire(nowMs, stepMs);
    locks.expire(nowMs + LOCK_TIMEOUT_MS - 1);
    assert.deepEqual(log, ["a"]);
    locks.expire(nowMs + LOCK_TIMEOUT_MS);
    assert.deepEqual(log, ["a", "b: TRYAGAIN"]);
  }
});

test("the end of a worker's transactions frees theirs and no others", () => {
  const locks = new PartitionLocks();
  const log: string[] = [];
  const { lock } = watched(locks, log);
  lock("a", [1], 0, 1);
  lock("b", [2], 0, 2);
  lock("c", [1], 0, 1);
  locks.releaseAll(1);
  assert.deepEqual(log, ["a", "b"]);
  assert.equal(locks.isFree(1), true);
  assert.equal(locks.isFree(2), false);
});

test("a callback may come back for more", () => {
  const locks = new PartitionLocks();
  const log: string[] = [];
  const { lock } = watched(locks, log);
  lock("a", [1]);
  locks.whenFree(1, 0, () => {
    log.push("first");
    lock("b", [1]);
  });
  locks.whenFree(1, 0, () => log.push("second"));
  locks.release("a");
  assert.deepEqual(log, ["a", "first", "second", "b"]);
});
