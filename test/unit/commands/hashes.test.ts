/** Commands on hashes: replies, replay, expiry, and what concurrent writers leave. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashName } from "../../../runtime/base/hash.ts";
import type { Plain } from "../../support/resp.ts";
import { heal, TestPartitions } from "../../support/test-partitions.ts";

/** As TestPartitions sets it. */
const HASH_KEY = 7;

const WRONG_TYPE = { error: "WRONGTYPE Operation against a key holding the wrong kind of value" };

function fields(t: TestPartitions, key: string): Map<Plain, Plain> {
  const reply = t.read("HGETALL", key);
  assert.ok(Array.isArray(reply));
  const found = new Map<Plain, Plain>();
  for (let i = 0; i < reply.length; i += 2) found.set(reply[i], reply[i + 1]);
  return found;
}

test("fields are set, read, listed and deleted", () => {
  const t = new TestPartitions();
  assert.equal(t.read("HSET", "h", "a", "1", "b", "2"), 2);
  assert.equal(t.read("HSET", "h", "a", "3", "c", ""), 1);
  assert.equal(t.read("HGET", "h", "a"), "3");
  assert.equal(t.read("HGET", "h", "zz"), null);
  assert.deepEqual(t.read("HMGET", "h", "a", "zz", "c"), ["3", null, ""]);
  assert.deepEqual([t.read("HLEN", "h"), t.read("HSTRLEN", "h", "a")], [3, 1]);
  assert.deepEqual([t.read("HEXISTS", "h", "c"), t.read("HEXISTS", "h", "d")], [1, 0]);
  assert.equal(t.read("HSETNX", "h", "a", "x"), 0);
  assert.equal(t.read("HSETNX", "h", "d", "x"), 1);
  assert.equal(t.read("HDEL", "h", "a", "a", "zz"), 1);
  assert.deepEqual(fields(t, "h"), new Map(Object.entries({ b: "2", c: "", d: "x" })));
  t.assertReplays(["HGETALL", "h"], ["HLEN", "h"]);
  assert.equal(t.read("HDEL", "h", "b", "c", "d"), 3);
  assert.equal(t.read("EXISTS", "h"), 0);
});

test("HKEYS, HVALS and HGETALL agree on an order", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", ...[..."abcdefg"].flatMap((field) => [field, field.toUpperCase()]));
  const both = t.read("HGETALL", "h") as Plain[];
  const keys = t.read("HKEYS", "h") as Plain[];
  const values = t.read("HVALS", "h") as Plain[];
  assert.deepEqual(
    keys.flatMap((key, i) => [key, values[i]]),
    both,
  );
});

test("of a field named twice the last value counts, and it is written once", () => {
  const t = new TestPartitions();
  const once = new TestPartitions();
  assert.equal(t.read("HSET", "h", "a", "1", "b", "2", "a", "3"), 2);
  assert.equal(t.read("HGET", "h", "a"), "3");
  once.run("HSET", "h", "b", "2", "a", "3");
  assert.equal(t.ops[0]?.op.length, once.ops[0]?.op.length);
});

test("a command of odd pairs sets nothing", () => {
  const t = new TestPartitions();
  assert.deepEqual(t.read("HSET", "h", "a", "1", "b"), {
    error: "ERR wrong number of arguments for 'hset' command",
  });
  assert.deepEqual(t.read("HMSET", "h", "a", "1", "b"), {
    error: "ERR wrong number of arguments for 'hmset' command",
  });
  assert.equal(t.ops.length, 0);
});

test("names that JavaScript gives a meaning to are fields like others", () => {
  const t = new TestPartitions();
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assert.equal(t.read("HGET", "h", name), null);
    assert.equal(t.read("HSET", "h", name, name), 1);
    assert.equal(t.read("HGET", "h", name), name);
  }
});

test("a hash is a map in RESP3", () => {
  const t = new TestPartitions();
  t.protocol = 3;
  assert.deepEqual(t.run("HGETALL", "h"), { kind: "map", entries: [] });
  t.run("HSET", "h", "a", "1");
  assert.deepEqual(t.read("HGETALL", "h"), { map: [["a", "1"]] });
  assert.deepEqual(t.read("HRANDFIELD", "h", "1", "WITHVALUES"), [["a", "1"]]);
  t.protocol = 2;
  assert.deepEqual(t.read("HRANDFIELD", "h", "-2", "WITHVALUES"), ["a", "1", "a", "1"]);
});

test("every hash command refuses another type and changes nothing", () => {
  const t = new TestPartitions();
  t.run("SET", "s", "text");
  const ops = t.ops.length;
  const commands = [
    ["HSET", "s", "a", "1"],
    ["HMSET", "s", "a", "1"],
    ["HSETNX", "s", "a", "1"],
    ["HGET", "s", "a"],
    ["HMGET", "s", "a"],
    ["HGETALL", "s"],
    ["HKEYS", "s"],
    ["HVALS", "s"],
    ["HDEL", "s", "a"],
    ["HEXISTS", "s", "a"],
    ["HLEN", "s"],
    ["HSTRLEN", "s", "a"],
    ["HINCRBY", "s", "a", "1"],
    ["HINCRBYFLOAT", "s", "a", "1"],
    ["HSCAN", "s", "0"],
    ["HRANDFIELD", "s"],
  ];
  for (const command of commands) assert.deepEqual(t.read(...command), WRONG_TYPE, command[0]);
  assert.equal(t.ops.length, ops);
});

test("an expired hash is absent, and increments begin at 0 again", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", "n", "5", "old", "x");
  t.run("PEXPIRE", "h", "10");
  assert.equal(t.read("HINCRBY", "h", "n", "1"), 6);
  assert.equal(t.read("PTTL", "h"), 10);
  t.clock.advance(10);
  assert.equal(t.read("HGET", "h", "n"), null);
  assert.equal(t.read("HINCRBY", "h", "n", "1"), 1);
  assert.deepEqual(fields(t, "h"), new Map([["n", "1"]]));
  t.assertReplays(["HGETALL", "h"], ["PTTL", "h"]);
});

test("writers of different fields never conflict", () => {
  const left = new TestPartitions(1);
  const right = new TestPartitions(2);
  left.run("HSET", "h", "a", "left");
  right.run("HSET", "h", "b", "right");
  heal(left, right);
  const both = new Map(Object.entries({ a: "left", b: "right" }));
  assert.deepEqual(fields(left, "h"), both);
  assert.deepEqual(fields(right, "h"), both);
});

test("what a type hides does not come to light when its last element goes", () => {
  const left = new TestPartitions(1);
  const right = new TestPartitions(2);
  left.run("RPUSH", "k", "hidden");
  right.clock.advance(5);
  right.run("HSET", "k", "f", "shown");
  heal(left, right);
  assert.equal(left.read("TYPE", "k"), "hash");
  left.run("HDEL", "k", "f");
  assert.equal(left.read("EXISTS", "k"), 0);
  heal(left, right);
  assert.equal(right.read("EXISTS", "k"), 0);
});

test("HRANDFIELD gives different fields, or with a negative count any", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", ...[..."abcdefghij"].flatMap((field) => [field, `${field}!`]));
  for (const wanted of [1, 2, 5, 9, 10, 11]) {
    const found = t.read("HRANDFIELD", "h", String(wanted)) as Plain[];
    assert.equal(new Set(found).size, Math.min(wanted, 10));
  }
  const pairs = t.read("HRANDFIELD", "h", "-20", "WITHVALUES") as Plain[];
  assert.equal(pairs.length, 40);
  for (let i = 0; i < 40; i += 2) assert.equal(pairs[i + 1], `${pairs[i]}!`);
  assert.match(String(t.read("HRANDFIELD", "h")), /^[a-j]$/);
});

test("a scan returns at least once what is there during all of it, whatever else changes", () => {
  const script = fc.record({
    seed: fc.integer({ min: 1, max: 1000 }),
    count: fc.integer({ min: 1, max: 20 }),
    stays: fc.integer({ min: 0, max: 100 }),
    comes: fc.integer({ min: 0, max: 30 }),
  });
  fc.assert(
    fc.property(script, ({ seed, count, stays, comes }) => {
      const t = new TestPartitions(seed);
      for (let i = 0; i < stays; i++) t.run("HSET", "h", `stays${i}`, String(i));
      for (let i = 0; i < comes; i++) t.run("HSET", "h", `goes${i}`, "x");
      const seen = new Map<Plain, Plain>();
      let pages = 0;
      for (let cursor = "0"; pages === 0 || cursor !== "0"; pages++) {
        const [next, items] = t.read("HSCAN", "h", cursor, "COUNT", String(count)) as [
          string,
          Plain[],
        ];
        for (let i = 0; i < items.length; i += 2)
          seen.set(items[i] as Plain, items[i + 1] as Plain);
        t.run("HDEL", "h", `goes${pages}`);
        t.run("HSET", "h", `comes${pages % 50}`, "x");
        cursor = next;
      }
      for (let i = 0; i < stays; i++) assert.equal(seen.get(`stays${i}`), String(i));
    }),
    { numRuns: 40 },
  );
});

test("a scan is paged by COUNT, filtered by MATCH, and never repeats without changes", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", ...Array.from({ length: 95 }, (_, i) => `m${i}`));
  const seen: Plain[] = [];
  let cursor: Plain = "0";
  do {
    const [next, items] = t.read("SSCAN", "s", String(cursor)) as [string, Plain[]];
    assert.ok(items.length >= 5 && items.length <= 10);
    seen.push(...items);
    cursor = next;
  } while (cursor !== "0");
  assert.equal(seen.length, 95);
  assert.equal(new Set(seen).size, 95);
  const [, matches] = t.read("SSCAN", "s", "0", "MATCH", "m1?", "COUNT", "1000") as [
    string,
    Plain[],
  ];
  assert.equal(matches.length, 10);
});

test("members with one hash come in one page", () => {
  const t = new TestPartitions();
  const [one, other] = colliding();
  t.run("SADD", "s", one, other, "a", "b", "c");
  let cursor: Plain = "0";
  let together = 0;
  do {
    const [next, items] = t.read("SSCAN", "s", String(cursor), "COUNT", "1") as [string, Plain[]];
    if (items.includes(one)) {
      assert.ok(items.includes(other));
      together++;
    }
    cursor = next;
  } while (cursor !== "0");
  assert.equal(together, 1);
});

/** Two names that these partitions' hash does not tell apart. */
function colliding(): [string, string] {
  const seen = new Map<number, string>();
  for (let i = 0; ; i++) {
    const name = `name${i}`;
    const hash = hashName(Buffer.from(name), 0, name.length, HASH_KEY, HASH_KEY);
    const other = seen.get(hash);
    if (other !== undefined) return [other, name];
    seen.set(hash, name);
  }
}

test("a cursor is a number of 64 bits; one past the end ends the scan", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", "a", "1");
  assert.deepEqual(t.read("HSCAN", "h", "18446744073709551615"), ["0", []]);
  assert.deepEqual(t.read("HSCAN", "h", "4294967296"), ["0", []]);
  for (const cursor of ["abc", "-1", "18446744073709551616", "1.5", " 1", ""]) {
    assert.deepEqual(t.read("HSCAN", "h", cursor), { error: "ERR invalid cursor" });
  }
  assert.deepEqual(t.read("HSCAN", "h", "0", "COUNT", "0"), { error: "ERR syntax error" });
  assert.deepEqual(t.read("HSCAN", "no", "0", "COUNT", "0"), ["0", []]);
});

test("a pattern that is too costly is an error, not a wrong answer", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", Buffer.alloc(60_000, "a"));
  const pattern = `*${"a".repeat(30_000)}b`;
  assert.deepEqual(t.read("SSCAN", "s", "0", "MATCH", pattern), {
    error: "ERR the pattern takes too many steps to match here; simplify it",
  });
  assert.deepEqual(t.read("SSCAN", "s", "0", "MATCH", `${"*a".repeat(20)}*b`), ["0", []]);
  assert.deepEqual(t.read("SSCAN", "s", "0", "MATCH", "a".repeat(65_536)), {
    error: "ERR a pattern is longer than 65535 bytes, and no key is: shorten it",
  });
});
