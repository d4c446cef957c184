/**
 * DEL, EXISTS, TYPE, RENAME and COPY: whole keys of every type, whatever their partitions.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestPartitions } from "../../support/test-partitions.ts";

/** How a key of each type is made, and what shows all of it. */
const TYPES = [
  { type: "string", make: ["SET", "k", "v"], read: ["GET"] },
  { type: "list", make: ["RPUSH", "k", "a", "b", "a", ""], read: ["LRANGE", "0", "-1"] },
  { type: "set", make: ["SADD", "k", "a", "b", ""], read: ["SMEMBERS"] },
  { type: "hash", make: ["HSET", "k", "f", "v", "g", ""], read: ["HGETALL"] },
  { type: "zset", make: ["ZADD", "k", "1", "m", "-2.5", "n"], read: ["ZRANGE", "0", "-1"] },
] as const;
type Kind = (typeof TYPES)[number];

function read(db: TestPartitions, { read: [name, ...rest] }: Kind, key: string): unknown {
  const reply = db.read(name, key, ...rest);
  return Array.isArray(reply) && name !== "LRANGE" ? [...reply].sort() : reply;
}

const WHOLE = (key: string) => [
  ["TYPE", key],
  ["TTL", key],
  ["EXISTS", key],
];

test("DEL, UNLINK, EXISTS and TOUCH count keys of any type", () => {
  for (const { make } of TYPES) {
    const db = new TestPartitions();
    db.run(...make);
    db.run("SET", "other", "v");
    assert.equal(db.read("EXISTS", "k", "absent", "other", "k"), 3);
    assert.equal(db.read("TOUCH", "k", "absent", "other", "k"), 3);
    assert.equal(db.read("DEL", "k", "absent", "k"), 1);
    assert.equal(db.read("UNLINK", "k", "other"), 1);
    assert.equal(db.read("EXISTS", "k", "other"), 0);
    db.assertReplays(...WHOLE("k"), ...WHOLE("other"));
  }
});

test("TYPE names each type in a status", () => {
  const db = new TestPartitions();
  assert.deepEqual(db.run("TYPE", "k"), { kind: "simple", text: "none" });
  for (const { type, make } of TYPES) {
    db.run("DEL", "k");
    db.run(...make);
    assert.deepEqual(db.run("TYPE", "k"), { kind: "simple", text: type });
  }
});

test("a collection of any size is carried whole and in its order", () => {
  for (const { type, make, read: reading } of TYPES.slice(1)) {
    for (const target of ["{k}2", "other"]) {
      const db = new TestPartitions();
      const [name] = make;
      for (let i = 0; i < 17_000; i += 1000) {
        const elements = Array.from({ length: 1000 }, (_, j) => {
          if (type === "zset") return [String(i + j), `m${i + j}`];
          return type === "hash" ? [`f${i + j}`, "v"] : [`e${i + j}`];
        });
        db.run(name, "k", ...elements.flat());
      }
      db.run("EXPIRE", "k", "10");
      const kind = { type, make, read: reading } as Kind;
      const before = read(db, kind, "k");
      db.run("RENAME", "k", target);
      assert.deepEqual(read(db, kind, target), before);
      assert.equal(db.read("TTL", target), 10);
      assert.equal(db.read("EXISTS", "k"), 0);
      db.assertReplays(...WHOLE("k"), ...WHOLE(target));
    }
  }
});

test("RENAME carries every type and its expiry over any other", () => {
  for (const kind of TYPES) {
    for (const over of TYPES) {
      // In one partition, and between two.
      for (const target of ["{k}2", "other"]) {
        const db = new TestPartitions();
        db.run(...kind.make);
        db.run("EXPIRE", "k", "10");
        db.run(over.make[0], target, ...over.make.slice(2));
        const before = read(db, kind, "k");
        assert.equal(db.read("RENAME", "k", target), "OK");
        assert.equal(db.read("EXISTS", "k"), 0);
        assert.equal(db.read("TYPE", target), kind.type);
        assert.deepEqual(read(db, kind, target), before);
        assert.equal(db.read("TTL", target), 10);
        db.assertReplays(...WHOLE("k"), ...WHOLE(target));
        db.clock.advance(10_000);
        assert.equal(db.read("EXISTS", target), 0);
        db.assertReplays(...WHOLE(target));
      }
    }
  }
});

test("RENAME needs its source and leaves a key renamed to itself alone", () => {
  const db = new TestPartitions();
  const missing = { error: "ERR no such key" };
  assert.deepEqual(db.read("RENAME", "k", "l"), missing);
  assert.deepEqual(db.read("RENAMENX", "k", "k"), missing);
  db.run("SET", "k", "v", "EX", "10");
  const before = db.ops.length;
  assert.equal(db.read("RENAME", "k", "k"), "OK");
  assert.equal(db.read("RENAMENX", "k", "k"), 0);
  assert.equal(db.ops.length, before);
  db.clock.advance(10_000);
  assert.deepEqual(db.read("RENAME", "k", "l"), missing);
});

test("RENAMENX leaves both keys where the target exists", () => {
  const db = new TestPartitions();
  db.run("MSET", "a", "1", "b", "2");
  assert.equal(db.read("RENAMENX", "a", "b"), 0);
  assert.deepEqual(db.read("MGET", "a", "b"), ["1", "2"]);
  db.run("EXPIRE", "b", "1");
  db.clock.advance(1000);
  assert.equal(db.read("RENAMENX", "a", "b"), 1);
  assert.deepEqual(db.read("MGET", "a", "b"), [null, "1"]);
  assert.equal(db.read("TTL", "b"), -1);
});

test("COPY leaves the source, and an existing target unless told to replace it", () => {
  for (const kind of TYPES) {
    const db = new TestPartitions();
    db.run(...kind.make);
    db.run("EXPIRE", "k", "10");
    const before = read(db, kind, "k");
    assert.equal(db.read("COPY", "k", "l"), 1);
    assert.equal(db.read("COPY", "k", "l"), 0);
    db.run("SET", "{k}2", "old");
    assert.equal(db.read("COPY", "k", "{k}2", "DB", "0", "replace"), 1);
    for (const key of ["k", "l", "{k}2"]) {
      assert.deepEqual(read(db, kind, key), before);
      assert.equal(db.read("TTL", key), 10);
    }
    db.run("DEL", "k");
    assert.deepEqual(read(db, kind, "l"), before);
    db.assertReplays(...WHOLE("k"), ...WHOLE("l"), ...WHOLE("{k}2"));
  }
});

test("an element written to a carried collection lives as long as it", () => {
  const db = new TestPartitions();
  db.run("HSET", "k", "f", "v");
  db.run("EXPIRE", "k", "10");
  db.run("RENAME", "k", "l");
  db.run("HSET", "l", "g", "w");
  db.run("PERSIST", "l");
  db.clock.advance(20_000);
  assert.deepEqual([...(db.read("HKEYS", "l") as string[])].sort(), ["f", "g"]);
  db.assertReplays(["HLEN", "l"]);
});

test("a counter is carried as the number that it shows", () => {
  const db = new TestPartitions();
  db.run("INCRBY", "k", "5");
  db.run("INCR", "k");
  db.run("RENAME", "k", "l");
  assert.equal(db.read("GET", "l"), "6");
  assert.equal(db.read("INCR", "l"), 7);
  db.assertReplays(["GET", "l"]);
});

test("COPY refuses what it cannot do", () => {
  const db = new TestPartitions();
  const error = (text: string) => ({ error: text });
  const syntax = error("ERR syntax error");
  assert.deepEqual(db.read("COPY", "k", "l", "what"), syntax);
  assert.deepEqual(db.read("COPY", "k", "l", "DB"), syntax);
  assert.deepEqual(db.read("COPY", "k", "l", "DB", "99"), error("ERR DB index is out of range"));
  assert.deepEqual(db.read("COPY", "k", "l", "DB", "-1"), error("ERR DB index is out of range"));
  const integer = error("ERR value is not an integer or out of range");
  assert.deepEqual(db.read("COPY", "k", "l", "DB", "x"), integer);
  assert.deepEqual(
    db.read("COPY", "k", "l", "DB", "1"),
    error("ERR COPY to another database is not supported: give the selected one"),
  );
  const same = error("ERR source and destination objects are the same");
  assert.deepEqual(db.read("COPY", "k", "k"), same);
  assert.equal(db.read("COPY", "k", "l"), 0);
});

test("a list of ten thousand elements keeps its order when it is renamed", () => {
  const db = new TestPartitions();
  const elements = Array.from({ length: 10_000 }, (_, i) => String(i));
  db.run("RPUSH", "k", ...elements);
  db.run("RENAME", "k", "l");
  assert.deepEqual(db.read("LRANGE", "l", "0", "-1"), elements);
  db.assertReplays(["LRANGE", "l", "0", "-1"]);
});

test("a collection is made anew in memory that held something else", () => {
  const db = new TestPartitions();
  for (let length = 1; length < 100; length++) {
    // The other key of this size keeps their memory from being given back.
    db.run("SET", "{k}y", Buffer.alloc(length, 0xff));
    db.run("SET", "{k}x", Buffer.alloc(length, 0xff));
    db.run("DEL", "{k}x");
    db.run("HSET", "{k}h", "f", "v");
    assert.equal(db.read("HGET", "{k}h", "f"), "v");
    db.run("DEL", "{k}h");
  }
});
