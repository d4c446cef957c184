/**
 * What commands do to cells beside the obvious: heads, hidden cells, counters of fields.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../runtime/base/prng.ts";
import { HLC_EPOCH_MS, type NeutralMutation } from "../../model/harness.ts";
import { VnodeReplica } from "../../model/vnode-replica.ts";
import { TestPartitions } from "../../support/test-partitions.ts";

const NOW = HLC_EPOCH_MS + 1_000_000;
const UNTIL = NOW + 5000;
const HEAD = { key: "key", type: "head", element: "" } as const;

function replicas(): [VnodeReplica, VnodeReplica] {
  const random = seeded(1);
  const make = () => new VnodeReplica({ name: "r", random, siblingsMax: 4, graceMs: 1000 }, {});
  return [make(), make()];
}

function field(element: string, copy?: number): NeutralMutation {
  const cell = { key: "key", type: "hash", element } as const;
  return { kind: "set", cell, type: "hash", value: "1", ...(copy === undefined ? {} : { copy }) };
}

test("PERSIST on a collection without a head makes one that says never", () => {
  const [at] = replicas();
  at.mutate([field("f", UNTIL)], NOW);
  assert.equal(at.read("key", NOW).until, UNTIL);
  assert.equal(at.run({ argv: ["PERSIST", "key"] }, NOW).reply, 1);

  const head = at.state().cells.find(({ cell }) => cell.type === "head");
  assert.equal(head?.versions[0]?.expiry?.at, null);
  assert.equal(at.read("key", UNTIL + 1).count, 1);
});

test("a write removes the hidden heads that it saw by their dots, and no others", () => {
  const [left, right] = replicas();
  const text = right.run({ argv: ["SET", "key", "text"] }, NOW).op;
  left.deliver(right.mutate([{ kind: "set", cell: HEAD, type: "set", value: "" }], NOW).op);
  left.deliver(text);
  left.mutate([field("f"), { kind: "set", cell: HEAD, type: "hash", value: "", covers: [] }], NOW);
  const concurrent = right.run({ argv: ["SET", "key", "again"] }, NOW + 1).op;
  left.run({ argv: ["HSET", "key", "g", "2"] }, NOW + 2);
  const heads = left.state().cells.find(({ cell }) => cell.type === "head")?.versions ?? [];
  assert.deepEqual(
    heads.map(({ type }) => type),
    ["hash"],
  );

  left.deliver(concurrent);
  const after = left.state().cells.find(({ cell }) => cell.type === "head")?.versions ?? [];
  assert.deepEqual(after.map(({ value }) => value).sort(), ["", "again"]);
});

test("increments of an absent field on two sides sum", () => {
  const [left, right] = replicas();
  const ops = [left, right].map((at) => at.run({ argv: ["HINCRBY", "key", "f", "4"] }, NOW).op);
  left.deliver(ops[1]);
  right.deliver(ops[0]);

  for (const at of [left, right]) assert.deepEqual(at.read("key", NOW).elements, [["f", "8"]]);
});

test("DEL of a key that only holds what is absent is no op", () => {
  const [at] = replicas();
  at.run({ argv: ["SET", "key", "v", "PXAT", String(UNTIL)] }, NOW);
  const made = at.run({ argv: ["DEL", "key"] }, UNTIL);

  assert.deepEqual(made, { reply: 0 });
});

for (const [type, make, add, read] of [
  ["hash", ["HSET", "key", "a", "1"], ["HSET", "key", "b", "2"], ["HKEYS", "key"]],
  ["set", ["SADD", "key", "a"], ["SADD", "key", "b"], ["SMEMBERS", "key"]],
  ["list", ["RPUSH", "key", "a"], ["RPUSH", "key", "b"], ["LRANGE", "key", "0", "-1"]],
] as const) {
  test(`a ${type} made after the clock was set back keeps what was added to it under an expiry`, () => {
    const partitions = new TestPartitions();
    partitions.run("SET", "key", "stamped an hour ahead");
    partitions.clock.shift(-3_600_000);
    partitions.run("DEL", "key");
    partitions.run(...make);
    partitions.run("PEXPIRE", "key", "1000");
    partitions.run(...add);
    partitions.run("PEXPIRE", "key", "60000");
    partitions.clock.advance(2000);

    assert.deepEqual([...(partitions.read(...read) as string[])].sort(), ["a", "b"]);
    partitions.assertReplays([...read]);
    partitions.clock.advance(60_000);
    assert.equal(partitions.read("EXISTS", "key"), 0);
  });
}

test("a collection that is renamed after the clock was set back expires as a whole, and not before", () => {
  const partitions = new TestPartitions();
  partitions.run("SET", "{t}", "stamped an hour ahead");
  partitions.clock.shift(-3_600_000);
  partitions.run("HSET", "{t}a", "f", "1", "g", "2");
  partitions.run("PEXPIRE", "{t}a", "1000");
  partitions.run("RENAME", "{t}a", "{t}b");
  partitions.run("PERSIST", "{t}b");
  partitions.clock.advance(2000);

  assert.equal(partitions.read("HLEN", "{t}b"), 2);
  partitions.assertReplays(["HGETALL", "{t}b"]);
});

test("an absent key has another mark for WATCH once it came and went, however it went", () => {
  const partitions = new TestPartitions();
  const mark = () => {
    const key = Buffer.from("key");
    const access = partitions.vnodeOf(partitions.executor.partitionOf(0, key, 0, key.length)).key;
    access.nowMs = partitions.clock.now();
    access.openKey(key, 0, key.length);
    return access.watchMark();
  };
  const marks = new Set([mark()]);
  const gone = () => {
    assert.equal(partitions.read("EXISTS", "key"), 0);
    assert.equal(mark(), mark());
    const before = marks.size;
    assert.equal(marks.add(mark()).size, before + 1);
  };
  partitions.run("SET", "key", "deleted");
  partitions.run("DEL", "key");
  gone();
  // What has expired keeps its record, and the next value lies in the same one.
  for (const value of ["first", "other"]) {
    partitions.run("SET", "key", value, "PX", "10");
    partitions.clock.advance(20);
    gone();
  }
  partitions.run("HSET", "key", "f", "v");
  partitions.run("HDEL", "key", "f");
  gone();
  partitions.run("SET", "key.of.another.partition", "v");
  assert.ok(marks.has(mark()));
});
