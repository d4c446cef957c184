/**
 * OBJECT and MEMORY USAGE: what tools are told about a key is true or refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestPartitions } from "../../support/test-partitions.ts";

test("OBJECT ENCODING names what Redis 7.2 would choose", () => {
  const many = (count: number, prefix = "") =>
    Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  const pairs = (count: number) => many(count).flatMap((name) => [name, "v"]);
  const long = "x".repeat(65);
  for (const [encoding, ...make] of [
    ["int", "SET", "k", "-12"],
    ["embstr", "SET", "k", "012"],
    ["embstr", "SET", "k", ""],
    ["embstr", "SET", "k", "x".repeat(44)],
    ["raw", "SET", "k", "x".repeat(45)],
    ["int", "INCR", "k"],
    ["listpack", "RPUSH", "k", "a"],
    ["quicklist", "RPUSH", "k", "x".repeat(9000)],
    ["intset", "SADD", "k", ...many(512)],
    ["hashtable", "SADD", "k", ...many(513)],
    ["listpack", "SADD", "k", ...many(128, "m")],
    ["hashtable", "SADD", "k", ...many(129, "m")],
    ["hashtable", "SADD", "k", long],
    ["listpack", "HSET", "k", ...pairs(512)],
    ["hashtable", "HSET", "k", ...pairs(513)],
    ["hashtable", "HSET", "k", "f", long],
    ["listpack", "ZADD", "k", "1", "m"],
    ["skiplist", "ZADD", "k", "1", long],
  ] as const) {
    // prettier-ignore
    const db = new TestPartitions();
    db.run(...make);
    assert.equal(db.read("OBJECT", "ENCODING", "k"), encoding, make.slice(0, 3).join(" "));
  }
});

test("OBJECT answers what is known of a key, and nil for an absent one", () => {
  const db = new TestPartitions();
  for (const word of ["ENCODING", "FREQ", "IDLETIME", "REFCOUNT"]) {
    assert.equal(db.read("OBJECT", word, "k"), null);
  }
  db.run("SET", "k", "v");
  assert.equal(db.read("object", "refcount", "k"), 1);
  assert.equal(db.read("OBJECT", "IDLETIME", "k"), 0);
  assert.match(JSON.stringify(db.read("OBJECT", "FREQ", "k")), /LFU maxmemory policy is not/);
  assert.match(JSON.stringify(db.read("OBJECT", "HELP")), /OBJECT <subcommand>/);
  assert.deepEqual(db.read("OBJECT", "what", "k"), {
    error: "ERR unknown subcommand 'what'. Try OBJECT HELP.",
  });
  assert.deepEqual(db.read("OBJECT", "ENCODING"), {
    error: "ERR wrong number of arguments for 'object|encoding' command",
  });
});

test("MEMORY USAGE grows with the value and with the elements", () => {
  const db = new TestPartitions();
  const usage = (...options: string[]) => Number(db.read("MEMORY", "USAGE", "k", ...options));
  assert.equal(db.read("MEMORY", "USAGE", "k"), null);
  db.run("SET", "k", "x");
  const small = usage();
  db.run("SET", "k", "x".repeat(1000));
  assert.ok(small >= 25 && small < 100, `${small}`);
  assert.ok(usage() - small >= 992 && usage() - small <= 1008);
  db.run("DEL", "k");
  db.run("RPUSH", "k", ...Array.from({ length: 100 }, () => "x".repeat(50)));
  const list = usage();
  assert.ok(list > 100 * 82 && list < 100 * 160, `${list}`);
  assert.equal(usage("SAMPLES", "0"), list);
  assert.equal(usage("samples", "1"), list);
});

test("MEMORY USAGE checks its options", () => {
  const db = new TestPartitions();
  const syntax = { error: "ERR syntax error" };
  for (const options of [["SAMPLES"], ["SAMPLES", "-1"], ["what", "1"]]) {
    assert.deepEqual(db.read("MEMORY", "USAGE", "k", ...options), syntax);
  }
  const error = "ERR value is not an integer or out of range";
  assert.deepEqual(db.read("MEMORY", "USAGE", "k", "SAMPLES", "x"), { error });
});
