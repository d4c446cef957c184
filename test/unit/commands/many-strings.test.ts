/**
 * MGET, MSET and MSETNX: all keys of a command, in any partitions.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestPartitions } from "../../support/test-partitions.ts";

test("MGET answers null for what is no string", () => {
  const db = new TestPartitions();
  db.run("MSET", "a", "1", "b", "2");
  db.run("HSET", "h", "f", "v");
  assert.deepEqual(db.read("MGET", "a", "h", "absent", "b", "a"), ["1", null, null, "2", "1"]);
});

test("MSET sets every key, ends expiries, and the last of equal keys counts", () => {
  const db = new TestPartitions();
  db.run("SET", "a", "old", "EX", "10");
  db.run("HSET", "h", "f", "v");
  assert.equal(db.read("MSET", "a", "1", "h", "2", "a", "3"), "OK");
  assert.deepEqual(db.read("MGET", "a", "h"), ["3", "2"]);
  assert.equal(db.read("TTL", "a"), -1);
  db.assertReplays(["MGET", "a", "h"], ["TTL", "a"]);
});

test("twenty thousand pairs in one MSET are all there", () => {
  const db = new TestPartitions();
  const pairs = Array.from({ length: 20_000 }, (_, i) => [`key:${i}`, String(i)]).flat();
  assert.equal(db.read("MSET", ...pairs), "OK");
  assert.deepEqual(db.read("MGET", "key:0", "key:19999"), ["0", "19999"]);
  assert.equal(db.read("EXISTS", ...pairs.filter((_, i) => i % 2 === 0)), 20_000);
});

test("an MSET without its last value is refused", () => {
  const db = new TestPartitions();
  for (const command of ["MSET", "MSETNX"]) {
    const error = `ERR wrong number of arguments for '${command.toLowerCase()}' command`;
    assert.deepEqual(db.read(command, "a", "1", "b"), { error });
    assert.deepEqual(db.read(command, "a"), { error });
  }
  assert.equal(db.ops.length, 0);
});

test("MSETNX sets all keys or none", () => {
  const db = new TestPartitions();
  assert.equal(db.read("MSETNX", "a", "1", "b", "2"), 1);
  assert.equal(db.read("MSETNX", "c", "3", "b", "4"), 0);
  assert.deepEqual(db.read("MGET", "a", "b", "c"), ["1", "2", null]);
  db.run("HSET", "h", "f", "v");
  assert.equal(db.read("MSETNX", "c", "3", "h", "4"), 0);
});
