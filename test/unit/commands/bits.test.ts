/**
 * SETBIT, GETBIT and BITCOUNT: Redis 7.2's replies, and a log that replays to the same bits.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TestPartitions } from "../../support/test-partitions.ts";

test("bits are set and read from the highest of byte 0 on", () => {
  const db = new TestPartitions();
  assert.equal(db.read("SETBIT", "k", "7", "1"), 0);
  assert.equal(db.read("GET", "k"), "\x01");
  assert.equal(db.read("SETBIT", "k", "0", "1"), 0);
  assert.equal(db.read("GET", "k"), "\x81");
  assert.equal(db.read("SETBIT", "k", "7", "0"), 1);
  assert.equal(db.read("SETBIT", "k", "17", "1"), 0);
  assert.equal(db.read("GET", "k"), "\x80\x00\x40");
  assert.equal(db.read("GETBIT", "k", "17"), 1);
  assert.equal(db.read("GETBIT", "k", "1000"), 0);
  assert.equal(db.read("GETBIT", "absent", "4294967295"), 0);
  db.assertReplays(["GET", "k"]);
});

test("a bit that is as wanted already writes nothing, unless the string must grow", () => {
  const db = new TestPartitions();
  assert.equal(db.read("SETBIT", "k", "9", "0"), 0);
  assert.equal(db.read("STRLEN", "k"), 2);
  const before = db.ops.length;
  assert.equal(db.read("SETBIT", "k", "3", "0"), 0);
  assert.equal(db.ops.length, before);
  db.run("EXPIRE", "k", "10");
  db.run("SETBIT", "k", "3", "1");
  assert.equal(db.read("TTL", "k"), 10);
});

test("offsets and bits out of range are refused", () => {
  const db = new TestPartitions();
  const offset = { error: "ERR bit offset is not an integer or out of range" };
  const bit = { error: "ERR bit is not an integer or out of range" };
  for (const text of ["-1", "4294967296", "x", "", "1.5", "9223372036854775807"]) {
    assert.deepEqual(db.read("SETBIT", "k", text, "1"), offset, text);
    assert.deepEqual(db.read("GETBIT", "k", text), offset, text);
  }
  for (const text of ["2", "-1", "x", ""]) {
    assert.deepEqual(db.read("SETBIT", "k", "1", text), bit, text);
  }
  assert.equal(db.ops.length, 0);
});

test("BITCOUNT counts the bits of a range of bytes or of bits", () => {
  const bytes = fc.uint8Array({ maxLength: 40 });
  const position = fc.integer({ min: -400, max: 400 });
  const db = new TestPartitions();
  fc.assert(
    fc.property(bytes, position, position, (value, first, last) => {
      db.run("SET", "k", Buffer.from(value));
      const bits = [...value].flatMap((byte) => [...byte.toString(2).padStart(8, "0")]);
      const count = (all: readonly string[]) => all.filter((bit) => bit === "1").length;
      assert.equal(db.read("BITCOUNT", "k"), count(bits));
      // Of two negative positions in the wrong order Redis clamps neither; slice is of one mind.
      const end = (length: number) => Math.max(0, last < 0 ? length + last : last) + 1;
      const isReversed = first < 0 && last < 0 && first > last;
      const start = (length: number) => Math.max(0, first < 0 ? length + first : first);
      const byBit = isReversed ? [] : bits.slice(start(bits.length), end(bits.length));
      assert.equal(db.read("BITCOUNT", "k", `${first}`, `${last}`, "BIT"), count(byBit));
      const from = start(value.length) * 8;
      const byByte = isReversed ? [] : bits.slice(from, end(value.length) * 8);
      assert.equal(db.read("BITCOUNT", "k", `${first}`, `${last}`), count(byByte));
      assert.equal(db.read("BITCOUNT", "k", `${first}`, `${last}`, "byte"), count(byByte));
    }),
  );
});

test("BITCOUNT checks its arguments before it looks at the key", () => {
  const db = new TestPartitions();
  const syntax = { error: "ERR syntax error" };
  const integer = { error: "ERR value is not an integer or out of range" };
  assert.deepEqual(db.read("BITCOUNT", "absent", "1"), syntax);
  assert.deepEqual(db.read("BITCOUNT", "absent", "1", "2", "what"), syntax);
  assert.deepEqual(db.read("BITCOUNT", "absent", "1", "2", "BIT", "3"), syntax);
  assert.deepEqual(db.read("BITCOUNT", "absent", "x", "2"), integer);
  assert.deepEqual(db.read("BITCOUNT", "absent", "1", "x", "what"), integer);
  assert.equal(db.read("BITCOUNT", "absent", "0", "-1"), 0);
});

test("bits of other types are refused", () => {
  const db = new TestPartitions();
  db.run("HSET", "h", "f", "v");
  const error = "WRONGTYPE Operation against a key holding the wrong kind of value";
  for (const args of [
    ["SETBIT", "h", "1", "1"],
    ["GETBIT", "h", "1"],
    ["BITCOUNT", "h"],
  ]) {
    assert.deepEqual(db.read(...args), { error });
  }
});
