/**
 * SET and GET with all their options: Redis 7.2's replies, TTLs, and a log that replays the same.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TestPartitions } from "../../support/test-partitions.ts";

const WRONG_TYPE = {
  error: "WRONGTYPE Operation against a key holding the wrong kind of value",
};
const SYNTAX = { error: "ERR syntax error" };

/** Partitions with a hash at key "h" and a string "v" at key "k". */
function filled(): TestPartitions {
  const db = new TestPartitions();
  db.run("HSET", "h", "f", "v");
  db.run("SET", "k", "v");
  return db;
}

test("a key and a value of any bytes come back as they were", () => {
  const db = new TestPartitions();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 200 }), (k, v) => {
      const [key, value] = [Buffer.from(k), Buffer.from(v)];
      assert.equal(db.read("SET", key, value), "OK");
      assert.deepEqual(db.run("GET", key), { kind: "bulk", bytes: value });
    }),
  );
});

test("keys that look alike as text stay apart", () => {
  const db = new TestPartitions();
  const keys = [
    Buffer.from([0xff]),
    Buffer.from([0xfe]),
    Buffer.from([0xc3, 0x28]),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from("e\u0301"),
    Buffer.from("\u00e9"),
    Buffer.from("__proto__"),
    Buffer.from("constructor"),
    Buffer.from(""),
    Buffer.from("\r\n"),
  ]; // prettier-ignore
  keys.forEach((key, i) => {
    db.run("SET", key, String(i));
  });
  assert.deepEqual(
    keys.map((key) => db.read("GET", key)),
    keys.map((_, i) => String(i)),
  );
  db.assertReplays(...keys.map((key) => ["GET", key]));
});

test("an absent value is a null of the client's protocol", () => {
  const db = new TestPartitions();
  assert.deepEqual(db.run("GET", "k"), { kind: "nullBulk" });
  assert.deepEqual(db.run("SET", "k", "v", "XX"), { kind: "nullBulk" });
  db.protocol = 3;
  assert.deepEqual(db.run("GET", "k"), { kind: "null" });
  assert.deepEqual(db.run("SET", "k", "v", "XX"), { kind: "null" });
  assert.deepEqual(db.run("GETDEL", "k"), { kind: "null" });
});

test("commands on strings refuse other types", () => {
  const db = filled();
  for (const args of [
    ["GET", "h"],
    ["GETSET", "h", "x"],
    ["GETDEL", "h"],
    ["GETEX", "h"],
    ["SET", "h", "x", "GET"],
    ["SET", "h", "x", "NX", "GET"],
    ["SET", "h", "x", "IFEQ", "v"],
    ["SET", "h", "x", "IFNE", "v"],
  ]) {
    // prettier-ignore
    assert.deepEqual(db.read(...args), WRONG_TYPE, args.join(" "));
  }
  assert.equal(db.read("TYPE", "h"), "hash");
});

test("SET replaces a key of any type, and its expiry", () => {
  const db = filled();
  db.run("EXPIRE", "h", "100");
  db.run("EXPIRE", "k", "100");
  assert.equal(db.read("SET", "h", "x"), "OK");
  assert.equal(db.read("SET", "k", "y"), "OK");
  assert.deepEqual([db.read("GET", "h"), db.read("TTL", "h")], ["x", -1]);
  assert.deepEqual([db.read("GET", "k"), db.read("TTL", "k")], ["y", -1]);
  db.assertReplays(["GET", "h"], ["TTL", "h"], ["GET", "k"], ["TTL", "k"]);
});

test("SET NX and XX look whether the key is there", () => {
  const db = new TestPartitions();
  assert.equal(db.read("SET", "k", "1", "XX"), null);
  assert.equal(db.read("SET", "k", "1", "NX"), "OK");
  assert.equal(db.read("SET", "k", "2", "nx"), null);
  assert.equal(db.read("SET", "k", "3", "xx"), "OK");
  assert.equal(db.read("SETNX", "k", "4"), 0);
  assert.equal(db.read("SETNX", "l", "4"), 1);
  assert.equal(db.read("GET", "k"), "3");
  db.run("HSET", "h", "f", "v");
  assert.equal(db.read("SET", "h", "x", "NX"), null);
  assert.equal(db.read("SET", "h", "x", "XX"), "OK");
});

test("SET GET answers what was there, whether or not it sets", () => {
  const db = new TestPartitions();
  assert.equal(db.read("SET", "k", "1", "GET"), null);
  assert.equal(db.read("SET", "k", "2", "GET"), "1");
  assert.equal(db.read("SET", "k", "3", "NX", "GET"), "2");
  assert.equal(db.read("GET", "k"), "2");
  assert.equal(db.read("SET", "new", "3", "XX", "GET"), null);
  assert.equal(db.read("EXISTS", "new"), 0);
});

test("SET IFEQ sets only over an equal value, IFNE also an absent key", () => {
  const db = new TestPartitions();
  assert.equal(db.read("SET", "k", "1", "IFEQ", ""), null);
  assert.equal(db.read("EXISTS", "k"), 0);
  assert.equal(db.read("SET", "k", "1", "IFNE", "1"), "OK");
  assert.equal(db.read("SET", "k", "2", "IFNE", "1"), null);
  assert.equal(db.read("SET", "k", "2", "IFEQ", "11"), null);
  assert.equal(db.read("SET", "k", "2", "IFEQ", "1", "GET"), "1");
  assert.equal(db.read("GET", "k"), "2");
  db.run("INCR", "k");
  assert.equal(db.read("SET", "k", "x", "IFEQ", "3", "EX", "10"), "OK");
  assert.equal(db.read("TTL", "k"), 10);
});

test("DELEX deletes what compares as wanted", () => {
  const db = filled();
  assert.equal(db.read("DELEX", "absent", "IFEQ", "v"), 0);
  assert.equal(db.read("DELEX", "k", "IFEQ", "w"), 0);
  assert.equal(db.read("DELEX", "k", "IFNE", "v"), 0);
  assert.equal(db.read("DELEX", "k", "ifeq", "v"), 1);
  assert.equal(db.read("EXISTS", "k"), 0);
  assert.deepEqual(db.read("DELEX", "h", "IFEQ", "v"), {
    error: "ERR Key should be of string type if conditions are specified",
  });
  assert.equal(db.read("DELEX", "h"), 1);
  assert.deepEqual(db.read("DELEX", "k", "IFEQ"), {
    error: "ERR wrong number of arguments for 'delex' command",
  });
  db.run("SET", "k", "v");
  assert.deepEqual(db.read("DELEX", "k", "IFXX", "v"), {
    error: "ERR Invalid condition. Use IFEQ or IFNE",
  });
});

test("options that exclude each other, or that nothing is known of, are syntax errors", () => {
  const db = filled();
  for (const args of [
    ["NX", "XX"],
    ["NX", "IFEQ", "v"],
    ["EX", "1", "PX", "1"],
    ["EX", "1", "KEEPTTL"],
    ["EX"],
    ["IFEQ"],
    ["PERSIST"],
    ["EXAT", "1", "PXAT", "1"],
    ["what"],
    ["GETT"],
    [""],
  ]) {
    // prettier-ignore
    assert.deepEqual(db.read("SET", "k", "new", ...args), SYNTAX, args.join(" "));
  }
  for (const args of [["EX", "1", "PERSIST"], ["KEEPTTL"], ["NX"], ["PX"], ["GET"]]) {
    assert.deepEqual(db.read("GETEX", "k", ...args), SYNTAX, args.join(" "));
  }
  assert.equal(db.read("GET", "k"), "v");
});

test("times out of range change nothing", () => {
  const db = filled();
  const invalid = (command: string) => ({
    error: `ERR invalid expire time in '${command}' command`,
  });
  for (const args of [
    ["EX", "0"],
    ["PX", "-1"],
    ["EX", "9223372036854775807"],
    ["PX", "9223372036854775807"],
    ["EXAT", "9223372036854775807"],
    ["PXAT", "0"],
    ["EX", "-9223372036854775808"],
  ]) {
    // prettier-ignore
    assert.deepEqual(db.read("SET", "k", "x", ...args), invalid("set"), args.join(" "));
    assert.deepEqual(db.read("GETEX", "k", ...args), invalid("getex"), args.join(" "));
  }
  assert.deepEqual(db.read("SETEX", "k", "0", "x"), invalid("setex"));
  assert.deepEqual(db.read("PSETEX", "k", "-1", "x"), invalid("psetex"));
  for (const time of ["x", "", "1.5", "9223372036854775808"]) {
    const error = { error: "ERR value is not an integer or out of range" };
    assert.deepEqual(db.read("SET", "k", "x", "EX", time), error);
    assert.deepEqual(db.read("SETEX", "k", time, "x"), error);
  }
  assert.deepEqual([db.read("GET", "k"), db.read("TTL", "k")], ["v", -1]);
  assert.equal(db.ops.length, 2);
});

test("a value lives as long as its command says", () => {
  const db = new TestPartitions();
  const now = db.clock.now();
  db.run("SET", "ex", "v", "EX", "10");
  db.run("SET", "px", "v", "px", "10000");
  db.run("SET", "exat", "v", "EXAT", String(now / 1000 + 10));
  db.run("SET", "pxat", "v", "PXAT", String(now + 10_000));
  db.run("SETEX", "setex", "10", "v");
  db.run("PSETEX", "psetex", "10000", "v");
  db.run("SET", "getex", "v");
  assert.equal(db.read("GETEX", "getex", "EX", "10"), "v");
  const keys = ["ex", "px", "exat", "pxat", "setex", "psetex", "getex"];
  for (const key of keys) assert.equal(db.read("PEXPIRETIME", key), now + 10_000, key);
  db.assertReplays(...keys.map((key) => ["PEXPIRETIME", key]));
  db.clock.advance(9_999);
  assert.equal(db.read("EXISTS", ...keys), keys.length);
  db.clock.advance(1);
  assert.equal(db.read("EXISTS", ...keys), 0);
  db.assertReplays(["EXISTS", ...keys]);
});

test("a time that has passed makes the key absent at once", () => {
  const db = filled();
  assert.equal(db.read("SET", "k", "x", "EXAT", "1"), "OK");
  assert.equal(db.read("EXISTS", "k"), 0);
  db.run("SET", "k", "x");
  assert.equal(db.read("GETEX", "k", "PXAT", "1"), "x");
  assert.equal(db.read("EXISTS", "k"), 0);
  db.assertReplays(["EXISTS", "k"]);
});

test("KEEPTTL keeps the expiry of a key that is there, not of one that has expired", () => {
  const db = new TestPartitions();
  db.run("SET", "k", "v", "EX", "10");
  db.run("SET", "k", "w", "KEEPTTL");
  assert.deepEqual([db.read("GET", "k"), db.read("TTL", "k")], ["w", 10]);
  db.clock.advance(20_000);
  assert.equal(db.read("SET", "k", "x", "KEEPTTL"), "OK");
  assert.deepEqual([db.read("GET", "k"), db.read("TTL", "k")], ["x", -1]);
  assert.equal(db.read("SET", "new", "x", "KEEPTTL"), "OK");
  db.assertReplays(["GET", "k"], ["TTL", "k"], ["TTL", "new"]);
});

test("GETEX without options changes nothing, PERSIST ends the expiry", () => {
  const db = new TestPartitions();
  db.run("SET", "k", "v", "EX", "10");
  const before = db.ops.length;
  assert.equal(db.read("GETEX", "k"), "v");
  assert.equal(db.ops.length, before);
  assert.equal(db.read("GETEX", "k", "PERSIST"), "v");
  assert.equal(db.read("TTL", "k"), -1);
  assert.equal(db.read("GETEX", "k", "PERSIST"), "v");
  assert.equal(db.ops.length, before + 1);
  assert.equal(db.read("GETEX", "absent", "EX", "0"), null);
});

test("an expired key is absent for every command and is replaced cleanly", () => {
  for (const [args, reply] of [
    [["GET", "k"], null],
    [["GETSET", "k", "x"], null],
    [["GETDEL", "k"], null],
    [["GETEX", "k"], null],
    [["SET", "k", "x", "XX"], null],
    [["SET", "k", "x", "NX"], "OK"],
    [["SETNX", "k", "x"], 1],
    [["SET", "k", "x", "GET"], null],
    [["DELEX", "k"], 0],
    [["APPEND", "k", "x"], 1],
    [["STRLEN", "k"], 0],
    [["INCR", "k"], 1],
    [["TYPE", "k"], "none"],
    [["SETRANGE", "k", "1", "x"], 2],
    [["SETBIT", "k", "0", "1"], 0],
    [["DEL", "k"], 0],
    [["INCRBYFLOAT", "k", "1.5"], "1.5"],
    [["MSETNX", "k", "x"], 1],
    [["PERSIST", "k"], 0],
  ] as const) {
    // prettier-ignore
    for (const make of [
      ["SET", "k", "old"],
      ["RPUSH", "k", "old"],
    ]) {
      const db = new TestPartitions();
      db.run(...make);
      db.run("EXPIRE", "k", "1");
      db.clock.advance(1000);
      assert.equal(db.read(...args), reply, args.join(" "));
      const exists = db.read("EXISTS", "k");
      if (exists === 1) assert.equal(db.read("TTL", "k"), -1, args.join(" "));
      db.assertReplays(["TYPE", "k"], ["TTL", "k"]);
    }
  }
});

test("GETSET and GETDEL answer the value that they end", () => {
  const db = filled();
  db.run("EXPIRE", "k", "10");
  assert.equal(db.read("GETSET", "k", "w"), "v");
  assert.equal(db.read("TTL", "k"), -1);
  assert.equal(db.read("GETDEL", "k"), "w");
  assert.equal(db.read("GETDEL", "k"), null);
  assert.equal(db.read("GETSET", "k", "x"), null);
  assert.equal(db.read("GET", "k"), "x");
});
