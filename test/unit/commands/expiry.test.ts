/**
 * EXPIRE, TTL, PERSIST and their kin on keys of every type: time alone never brings a key back.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestPartitions } from "../../support/test-partitions.ts";

const TYPES: readonly (readonly string[])[] = [
  ["SET", "k", "v"],
  ["RPUSH", "k", "a", "b"],
  ["SADD", "k", "a", "b"],
  ["HSET", "k", "f", "v", "g", "w"],
  ["ZADD", "k", "1", "m", "2", "n"],
];

test("keys of every type expire at their time, and replays agree", () => {
  for (const make of TYPES) {
    const db = new TestPartitions();
    db.run(...make);
    const now = db.clock.now();
    for (const [args, at] of [
      [["EXPIRE", "k", "10"], now + 10_000],
      [["PEXPIRE", "k", "20"], now + 20],
      [["EXPIREAT", "k", String(now / 1000 + 5)], now + 5000],
      [["PEXPIREAT", "k", String(now + 7)], now + 7],
    ] as const) {
      // prettier-ignore
      assert.equal(db.read(...args), 1);
      assert.equal(db.read("PEXPIRETIME", "k"), at);
      assert.equal(db.read("PTTL", "k"), at - now);
    }
    db.assertReplays(["TYPE", "k"], ["PTTL", "k"]);
    db.clock.advance(6);
    assert.equal(db.read("EXISTS", "k"), 1);
    db.clock.advance(1);
    assert.deepEqual([db.read("EXISTS", "k"), db.read("TTL", "k")], [0, -2], make[0]);
    db.assertReplays(["TYPE", "k"], ["PTTL", "k"]);
    db.run(...make);
    assert.deepEqual([db.read("EXISTS", "k"), db.read("TTL", "k")], [1, -1], make[0]);
    db.assertReplays(["TYPE", "k"], ["PTTL", "k"]);
  }
});

test("TTL tells keys that are absent, stay, or expire; seconds are rounded", () => {
  const db = new TestPartitions();
  db.run("SET", "k", "v");
  for (const command of ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]) {
    assert.equal(db.read(command, "absent"), -2);
    assert.equal(db.read(command, "k"), -1);
  }
  db.run("PEXPIRE", "k", "1499");
  assert.equal(db.read("TTL", "k"), 1);
  db.run("PEXPIRE", "k", "1500");
  assert.equal(db.read("TTL", "k"), 2);
  db.run("PEXPIREAT", "k", "2000000000500");
  assert.equal(db.read("EXPIRETIME", "k"), 2_000_000_001);
});

test("a time that has passed deletes the key", () => {
  for (const make of TYPES) {
    for (const args of [
      ["EXPIRE", "k", "-1"],
      ["EXPIRE", "k", "0"],
      ["PEXPIRE", "k", "-9223372036854775808"],
      ["EXPIREAT", "k", "1"],
      ["PEXPIREAT", "k", "-5"],
    ]) {
      // prettier-ignore
      const db = new TestPartitions();
      db.run(...make);
      assert.equal(db.read(...args), 1, args.join(" "));
      assert.equal(db.read("EXISTS", "k"), 0);
      assert.equal(db.read(...args), 0);
      db.assertReplays(["EXISTS", "k"]);
    }
  }
});

test("NX, XX, GT and LT compare with the expiry that the key has", () => {
  for (const [before, seconds, conditions, wanted] of [
    [null, "10", ["NX"], 1],
    ["10", "20", ["NX"], 0],
    [null, "10", ["XX"], 0],
    ["10", "20", ["XX"], 1],
    [null, "10", ["GT"], 0],
    ["10", "20", ["GT"], 1],
    ["10", "10", ["GT"], 0],
    ["10", "5", ["GT"], 0],
    [null, "10", ["LT"], 1],
    ["10", "5", ["LT"], 1],
    ["10", "10", ["LT"], 0],
    ["10", "20", ["LT"], 0],
    ["10", "20", ["xx", "gt"], 1],
    [null, "20", ["XX", "GT"], 0],
    [null, "20", ["XX", "LT"], 0],
    ["10", "5", ["XX", "LT"], 1],
  ] as const) {
    // prettier-ignore
    const db = new TestPartitions();
    db.run("SET", "k", "v");
    if (before !== null) db.run("EXPIRE", "k", before);
    assert.equal(db.read("EXPIRE", "k", seconds, ...conditions), wanted, conditions.join(" "));
    assert.equal(db.read("TTL", "k"), wanted === 1 ? Number(seconds) : Number(before ?? -1));
  }
});

test("wrong conditions and times are refused before the key is looked at", () => {
  const db = new TestPartitions();
  const error = (text: string) => ({ error: text });
  assert.deepEqual(db.read("EXPIRE", "k", "1", "what"), error("ERR Unsupported option what"));
  assert.deepEqual(
    db.read("EXPIRE", "k", "1", "NX", "GT"),
    error("ERR NX and XX, GT or LT options at the same time are not compatible"),
  );
  assert.deepEqual(
    db.read("EXPIRE", "k", "1", "GT", "LT"),
    error("ERR GT and LT options at the same time are not compatible"),
  );
  for (const time of ["x", "", "1.5", "9223372036854775808"]) {
    const text = "ERR value is not an integer or out of range";
    assert.deepEqual(db.read("EXPIRE", "k", time), error(text));
  }
  for (const [command, time] of [
    ["expire", "9223372036854775807"],
    ["expire", "-9223372036854775808"],
    ["pexpire", "9223372036854775807"],
    ["expireat", "9223372036854776"],
  ] as const) {
    // prettier-ignore
    const text = `ERR invalid expire time in '${command}' command`;
    assert.deepEqual(db.read(command, "k", time), error(text), time);
  }
});

test("a time of millions of years is kept, cut to what ops can hold", () => {
  const db = new TestPartitions();
  db.run("SET", "k", "v");
  assert.equal(db.read("EXPIREAT", "k", "9223372036854775"), 1);
  assert.equal(db.read("PEXPIRETIME", "k"), Number.MAX_SAFE_INTEGER);
  db.assertReplays(["PEXPIRETIME", "k"]);
});

test("PERSIST ends an expiry for keys of every type", () => {
  for (const make of TYPES) {
    const db = new TestPartitions();
    assert.equal(db.read("PERSIST", "k"), 0);
    db.run(...make);
    assert.equal(db.read("PERSIST", "k"), 0);
    db.run("EXPIRE", "k", "10");
    assert.equal(db.read("PERSIST", "k"), 1);
    assert.equal(db.read("PERSIST", "k"), 0);
    db.clock.advance(20_000);
    assert.deepEqual([db.read("EXISTS", "k"), db.read("TTL", "k")], [1, -1]);
    db.assertReplays(["TYPE", "k"], ["TTL", "k"]);
  }
});

test("an expiry that another replica set later wins over a concurrent one", () => {
  const left = new TestPartitions(1);
  left.run("SET", "k", "v");
  const right = left.replayed();
  const shared = left.ops.length;
  left.run("EXPIRE", "k", "10");
  right.clock.advance(1000);
  right.run("EXPIRE", "k", "5");
  const ofRight = right.ops.slice();
  for (const { vnode, op } of left.ops.slice(shared)) right.vnodeOf(vnode).partition.deliver(op);
  for (const { vnode, op } of ofRight) left.vnodeOf(vnode).partition.deliver(op);
  left.clock.advance(1000);
  assert.deepEqual([left.read("TTL", "k"), right.read("TTL", "k")], [5, 5]);
});
