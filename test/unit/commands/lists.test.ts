/** Commands on lists: what the differential test cannot say (replay, expiry, moves, bounds). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TestPartitions } from "../../support/test-partitions.ts";

const WRONG_TYPE = { error: "WRONGTYPE Operation against a key holding the wrong kind of value" };
const all = (t: TestPartitions, key: string) => t.read("LRANGE", key, "0", "-1");

test("pushes go to either end, in the order of the arguments", () => {
  const t = new TestPartitions();
  assert.equal(t.read("RPUSH", "l", "c", "d"), 2);
  assert.equal(t.read("LPUSH", "l", "b", "a"), 4);
  assert.deepEqual(all(t, "l"), ["a", "b", "c", "d"]);
  t.assertReplays(["LRANGE", "l", "0", "-1"], ["LLEN", "l"]);
});

test("LPUSHX and RPUSHX make no list", () => {
  const t = new TestPartitions();
  assert.equal(t.read("LPUSHX", "l", "a"), 0);
  assert.equal(t.read("RPUSHX", "l", "a"), 0);
  assert.equal(t.ops.length, 0);
  t.run("RPUSH", "l", "b");
  assert.equal(t.read("LPUSHX", "l", "a"), 2);
  assert.equal(t.read("RPUSHX", "l", "c"), 3);
  assert.deepEqual(all(t, "l"), ["a", "b", "c"]);
});

test("pops take from either end, and the last one takes the key", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", "a", "b", "c", "d");
  assert.equal(t.read("LPOP", "l"), "a");
  assert.equal(t.read("RPOP", "l"), "d");
  assert.deepEqual(t.read("RPOP", "l", "9"), ["c", "b"]);
  assert.equal(t.read("EXISTS", "l"), 0);
  assert.equal(t.read("LPOP", "l"), null);
  t.assertReplays(["EXISTS", "l"]);
});

test("a pop of several from nothing is a null array, of none an empty one", () => {
  const t = new TestPartitions();
  assert.equal(t.run("LPOP", "l", "0").kind, "nullArray");
  t.run("RPUSH", "l", "a");
  assert.deepEqual(t.read("LPOP", "l", "0"), []);
  t.protocol = 3;
  assert.equal(t.run("RPOP", "no", "1").kind, "null");
});

test("a pop of one element leaves the expiry, a pop of all ends it", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", "a", "b", "c");
  t.run("PEXPIRE", "l", "5000");
  t.run("LPOP", "l");
  assert.equal(t.read("PTTL", "l"), 5000);
  t.run("LPOP", "l", "2");
  t.run("RPUSH", "l", "x");
  assert.equal(t.read("PTTL", "l"), -1);
});

test("an expired list is absent and a push begins a new one", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", "old");
  t.run("PEXPIRE", "l", "10");
  t.clock.advance(11);
  assert.equal(t.read("LLEN", "l"), 0);
  assert.equal(t.read("LPOP", "l"), null);
  assert.equal(t.read("RPUSHX", "l", "x"), 0);
  assert.equal(t.read("RPUSH", "l", "new"), 1);
  assert.deepEqual(all(t, "l"), ["new"]);
  assert.equal(t.read("PTTL", "l"), -1);
  t.assertReplays(["LRANGE", "l", "0", "-1"], ["PTTL", "l"]);
});

test("indexes count from both ends and ranges are cut to the list", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", "a", "b", "c");
  assert.equal(t.read("LINDEX", "l", "-1"), "c");
  assert.equal(t.read("LINDEX", "l", "3"), null);
  assert.equal(t.read("LINDEX", "l", "-9223372036854775808"), null);
  assert.deepEqual(t.read("LRANGE", "l", "-9223372036854775808", "9223372036854775807"), [
    "a",
    "b",
    "c",
  ]);
  assert.deepEqual(t.read("LRANGE", "l", "2", "1"), []);
  assert.equal(t.read("LSET", "l", "-2", "B"), "OK");
  assert.deepEqual(all(t, "l"), ["a", "B", "c"]);
  assert.deepEqual(t.read("LSET", "l", "3", "x"), { error: "ERR index out of range" });
  assert.deepEqual(t.read("LSET", "no", "0", "x"), { error: "ERR no such key" });
  t.assertReplays(["LRANGE", "l", "0", "-1"]);
});

test("values are bytes: empty, with line ends, invalid as text", () => {
  const t = new TestPartitions();
  const values = [Buffer.alloc(0), Buffer.from("\r\n\0"), Buffer.from([0xff, 0xfe, 0xc3, 0x28])];
  t.run("RPUSH", "l", ...values);
  assert.deepEqual(
    all(t, "l"),
    values.map((value) => value.toString("latin1")),
  );
  assert.equal(t.read("LPOS", "l", values[2] as Buffer), 2);
});

test("every list command refuses another type and changes nothing", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", "a");
  const ops = t.ops.length;
  const commands = [
    ["LPUSH", "s", "a"],
    ["RPUSHX", "s", "a"],
    ["LPOP", "s"],
    ["RPOP", "s", "1"],
    ["LLEN", "s"],
    ["LRANGE", "s", "0", "1"],
    ["LINDEX", "s", "0"],
    ["LSET", "s", "0", "a"],
    ["LREM", "s", "0", "a"],
    ["LTRIM", "s", "0", "1"],
    ["LINSERT", "s", "BEFORE", "a", "b"],
    ["LPOS", "s", "a"],
    ["LMOVE", "s", "l", "LEFT", "LEFT"],
    ["RPOPLPUSH", "s", "l"],
    ["LMPOP", "1", "s", "LEFT"],
  ];
  for (const command of commands) assert.deepEqual(t.read(...command), WRONG_TYPE, command[0]);
  assert.equal(t.ops.length, ops);
});

test("LREM removes from the head, from the tail, or everywhere", () => {
  const t = new TestPartitions();
  const fill = () => t.run("RPUSH", "l", "a", "b", "a", "c", "a");
  fill();
  assert.equal(t.read("LREM", "l", "2", "a"), 2);
  assert.deepEqual(all(t, "l"), ["b", "c", "a"]);
  t.run("DEL", "l");
  fill();
  assert.equal(t.read("LREM", "l", "-2", "a"), 2);
  assert.deepEqual(all(t, "l"), ["a", "b", "c"]);
  assert.equal(t.read("LREM", "l", "0", "a"), 1);
  assert.equal(t.read("LREM", "l", "0", "zz"), 0);
  t.assertReplays(["LRANGE", "l", "0", "-1"]);
});

test("LTRIM keeps the range and deletes the list where it is empty", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", ..."abcdefgh");
  assert.equal(t.read("LTRIM", "l", "2", "-3"), "OK");
  assert.deepEqual(all(t, "l"), ["c", "d", "e", "f"]);
  t.assertReplays(["LRANGE", "l", "0", "-1"]);
  t.run("LTRIM", "l", "5", "6");
  assert.equal(t.read("EXISTS", "l"), 0);
});

test("LINSERT puts an element beside the first pivot", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", "a", "b", "a");
  assert.equal(t.read("LINSERT", "l", "before", "a", "0"), 4);
  assert.equal(t.read("LINSERT", "l", "AFTER", "a", "1"), 5);
  assert.deepEqual(all(t, "l"), ["0", "a", "1", "b", "a"]);
  assert.equal(t.read("LINSERT", "l", "AFTER", "zz", "1"), -1);
  assert.equal(t.read("LINSERT", "no", "AFTER", "zz", "1"), 0);
  t.assertReplays(["LRANGE", "l", "0", "-1"]);
});

test("LPOS counts matches from either end, within MAXLEN", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", ..."abcabcabc");
  assert.equal(t.read("LPOS", "l", "b"), 1);
  assert.equal(t.read("LPOS", "l", "b", "RANK", "-1"), 7);
  assert.deepEqual(t.read("LPOS", "l", "b", "COUNT", "0"), [1, 4, 7]);
  assert.deepEqual(t.read("LPOS", "l", "b", "COUNT", "2", "RANK", "-2"), [4, 1]);
  assert.deepEqual(t.read("LPOS", "l", "b", "COUNT", "0", "MAXLEN", "5"), [1, 4]);
  assert.equal(t.read("LPOS", "l", "b", "MAXLEN", "1"), null);
  assert.deepEqual(t.read("LPOS", "no", "b", "COUNT", "1"), []);
});

test("a move takes from one list and gives to another, of any partition", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "a", "1", "2");
  assert.equal(t.read("LMOVE", "a", "b", "RIGHT", "LEFT"), "2");
  assert.equal(t.read("RPOPLPUSH", "a", "b"), "1");
  assert.deepEqual(all(t, "b"), ["1", "2"]);
  assert.equal(t.read("EXISTS", "a"), 0);
  assert.equal(t.read("LMOVE", "a", "b", "LEFT", "LEFT"), null);
  t.assertReplays(["LRANGE", "b", "0", "-1"], ["EXISTS", "a"]);
});

test("a move within one list rotates it and keeps its expiry", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", "1", "2", "3");
  t.run("PEXPIRE", "l", "1000");
  assert.equal(t.read("RPOPLPUSH", "l", "l"), "3");
  assert.deepEqual(all(t, "l"), ["3", "1", "2"]);
  t.run("LTRIM", "l", "0", "0");
  assert.equal(t.read("LMOVE", "l", "l", "LEFT", "RIGHT"), "3");
  assert.deepEqual(all(t, "l"), ["3"]);
  assert.equal(t.read("PTTL", "l"), 1000);
});

test("a move to another type changes nothing", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "{x}l", "1");
  t.run("SET", "{x}s", "v");
  assert.deepEqual(t.read("RPOPLPUSH", "{x}l", "{x}s"), WRONG_TYPE);
  assert.deepEqual(all(t, "{x}l"), ["1"]);
  assert.equal(t.read("LMOVE", "{x}no", "{x}s", "LEFT", "LEFT"), null);
});

test("LMPOP pops off the first list that is there", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "b", "1", "2", "3");
  assert.deepEqual(t.read("LMPOP", "2", "a", "b", "RIGHT", "COUNT", "2"), ["b", ["3", "2"]]);
  assert.deepEqual(t.read("LMPOP", "2", "a", "b", "left"), ["b", ["1"]]);
  assert.equal(t.run("LMPOP", "2", "a", "b", "LEFT").kind, "nullArray");
  assert.deepEqual(t.read("LMPOP", "3", "a", "b", "LEFT"), { error: "ERR syntax error" });
});

test("random edits of a list are those of an array", () => {
  const value = fc.constantFrom("a", "b", "c");
  const edit = fc.oneof(
    fc.tuple(fc.constantFrom("LPUSH", "RPUSH"), value),
    fc.tuple(fc.constantFrom("LPOP", "RPOP"), fc.constant("")),
    fc.tuple(fc.constant("LINSERT"), value),
  );
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 60 }), (edits) => {
      const t = new TestPartitions();
      const model: string[] = [];
      for (const [name, v] of edits) {
        if (name === "LINSERT") {
          t.run("LINSERT", "l", "BEFORE", v, "i");
          if (model.includes(v)) model.splice(model.indexOf(v), 0, "i");
        } else if (name.endsWith("POP")) {
          assert.equal(t.read(name, "l"), (name === "LPOP" ? model.shift() : model.pop()) ?? null);
        } else {
          t.run(name, "l", v);
          if (name === "LPUSH") model.unshift(v);
          else model.push(v);
        }
      }
      assert.deepEqual(all(t, "l"), model);
      t.assertReplays(["LRANGE", "l", "0", "-1"]);
    }),
    { numRuns: 60 },
  );
});
