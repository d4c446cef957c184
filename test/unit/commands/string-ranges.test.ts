/**
 * APPEND, GETRANGE and SETRANGE: parts of strings, bounds included.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestPartitions } from "../../support/test-partitions.ts";

const NOT_AN_INTEGER = { error: "ERR value is not an integer or out of range" };
const TOO_LONG = { error: "ERR string exceeds maximum allowed size (proto-max-bulk-len)" };

test("APPEND lengthens a string, makes an absent one, and keeps the expiry", () => {
  const db = new TestPartitions();
  assert.equal(db.read("APPEND", "k", "ab"), 2);
  db.run("EXPIRE", "k", "10");
  assert.equal(db.read("APPEND", "k", "cd"), 4);
  assert.equal(db.read("APPEND", "k", ""), 4);
  assert.deepEqual([db.read("GET", "k"), db.read("TTL", "k")], ["abcd", 10]);
  assert.equal(db.read("APPEND", "empty", ""), 0);
  assert.equal(db.read("TYPE", "empty"), "string");
  db.run("INCR", "n");
  assert.equal(db.read("APPEND", "n", "0"), 2);
  assert.equal(db.read("INCR", "n"), 11);
  db.assertReplays(["GET", "k"], ["TTL", "k"], ["TYPE", "empty"], ["GET", "n"]);
});

test("strings of every size grow by appending", () => {
  const db = new TestPartitions();
  let length = 0;
  for (const step of [1, 47, 48, 49, 1000, 16_384, 100_000, 1]) {
    length += step;
    assert.equal(db.read("APPEND", "k", Buffer.alloc(step, step)), length);
  }
  assert.equal(db.read("STRLEN", "k"), length);
  assert.equal(db.read("GETRANGE", "k", "-1", "-1"), "\x01");
  db.assertReplays(["GET", "k"]);
});

test("GETRANGE counts from both ends and never past them", () => {
  const db = new TestPartitions();
  db.run("SET", "k", "This is a string");
  for (const [start, end, wanted] of [
    ["0", "3", "This"],
    ["-3", "-1", "ing"],
    ["0", "-1", "This is a string"],
    ["10", "100", "string"],
    ["5", "2", ""],
    ["-1", "-3", ""],
    ["-100", "-90", "T"],
    ["100", "200", ""],
    ["0", "-9223372036854775808", "T"],
    ["-9223372036854775807", "-9223372036854775808", ""],
    ["-9223372036854775808", "-9223372036854775807", "T"],
    ["-9223372036854775808", "9223372036854775807", "This is a string"],
  ] as const) {
    // prettier-ignore
    assert.equal(db.read("GETRANGE", "k", start, end), wanted, `${start} ${end}`);
    assert.equal(db.read("SUBSTR", "k", start, end), wanted, `${start} ${end}`);
  }
  assert.equal(db.read("GETRANGE", "absent", "0", "-1"), "");
  db.run("SET", "empty", "");
  assert.equal(db.read("GETRANGE", "empty", "0", "-1"), "");
  assert.deepEqual(db.read("GETRANGE", "absent", "x", "1"), NOT_AN_INTEGER);
  assert.deepEqual(db.read("GETRANGE", "absent", "0", "1.5"), NOT_AN_INTEGER);
});

test("SETRANGE writes over and past the end, zeros between", () => {
  const db = new TestPartitions();
  assert.equal(db.read("SETRANGE", "absent", "5", ""), 0);
  assert.equal(db.read("EXISTS", "absent"), 0);
  assert.equal(db.read("SETRANGE", "k", "2", "ab"), 4);
  assert.equal(db.read("GET", "k"), "\0\0ab");
  db.run("EXPIRE", "k", "10");
  assert.equal(db.read("SETRANGE", "k", "0", "xyz"), 4);
  assert.equal(db.read("SETRANGE", "k", "9", ""), 4);
  assert.deepEqual([db.read("GET", "k"), db.read("TTL", "k")], ["xyzb", 10]);
  db.assertReplays(["GET", "k"], ["TTL", "k"]);
});

test("no string grows past 512 MB", () => {
  const db = new TestPartitions();
  assert.deepEqual(db.read("SETRANGE", "k", "536870912", "v"), TOO_LONG);
  assert.deepEqual(db.read("SETRANGE", "k", "9223372036854775807", "v"), TOO_LONG);
  assert.deepEqual(db.read("SETRANGE", "k", "-1", "v"), { error: "ERR offset is out of range" });
  assert.deepEqual(db.read("SETRANGE", "k", "x", "v"), NOT_AN_INTEGER);
  assert.equal(db.ops.length, 0);
});

test("parts of other types are refused", () => {
  const db = new TestPartitions();
  db.run("HSET", "h", "f", "v");
  const error = "WRONGTYPE Operation against a key holding the wrong kind of value";
  for (const args of [
    ["APPEND", "h", "x"],
    ["STRLEN", "h"],
    ["GETRANGE", "h", "0", "1"],
    ["SETRANGE", "h", "0", "x"],
    ["SETRANGE", "h", "0", ""],
  ]) {
    // prettier-ignore
    assert.deepEqual(db.read(...args), { error }, args.join(" "));
  }
});
