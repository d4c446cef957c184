/**
 * INCR and its kin: exact over 64 bits, concurrent ones all count, floats print as in Redis.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Version } from "../../../runtime/causality/cell.ts";
import { BLOB } from "../../../runtime/table/record.ts";
import { TestPartitions } from "../../support/test-partitions.ts";

const NOT_AN_INTEGER = { error: "ERR value is not an integer or out of range" };
const NOT_A_FLOAT = { error: "ERR value is not a valid float" };
const OVERFLOW = { error: "ERR increment or decrement would overflow" };
const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);

test("counting begins at zero and is exact past 2^53", () => {
  const db = new TestPartitions();
  assert.equal(db.read("INCR", "k"), 1);
  assert.equal(db.read("DECR", "new"), -1);
  assert.equal(db.read("INCRBY", "k", "9007199254740992"), 9007199254740993n);
  assert.equal(db.read("GET", "k"), "9007199254740993");
  assert.equal(db.read("DECRBY", "k", "9007199254740993"), 0);
  assert.equal(db.read("DECRBY", "k", "4294967296"), -4294967296);
  assert.equal(db.read("DECRBY", "k", "-4294967296"), 0);
  db.run("SET", "s", "9007199254740993");
  assert.equal(db.read("INCR", "s"), 9007199254740994n);
  assert.equal(db.read("STRLEN", "s"), 16);
  db.assertReplays(["GET", "k"], ["GET", "s"], ["GET", "new"]);
});

test("counters cost the same after any number of restarts", () => {
  let db = new TestPartitions(1, true);
  const [strings, bytes]: [string[], number[]] = [[], []];
  db.run("SET", "expiring", "5", "PX", "100000");
  for (let restart = 0; restart < 20; restart++) {
    db.run("INCR", "once");
    assert.equal(plainVersionOf(db, "once").adds.length, restart % 2);
    for (let i = 0; i < 3; i++) {
      db.run("INCR", "k");
      db.run("INCRBYFLOAT", "float", "0.5");
      db.run("INCR", "expiring");
      db.run("HINCRBY", "h", "integer", "2");
      db.run("HINCRBYFLOAT", "h", "float", "0.25");
    }
    strings.push(["k", "float", "expiring"].map((key) => db.read("GET", key)).join());
    assert.deepEqual(db.read("HMGET", "h", "integer", "float"), [
      String(6 * (restart + 1)),
      String(0.75 * (restart + 1)),
    ]);
    assert.equal(db.read("PTTL", "expiring"), 100_000);
    const tables = [...db.vnodes.values()].map(({ table }) => table.heap.bytesUsed);
    bytes.push(tables.reduce((sum, used) => sum + used));
    db = db.restarted(restart + 2);
  }
  assert.deepEqual(
    strings,
    strings.map((_, i) => [3 * (i + 1), 1.5 * (i + 1), 5 + 3 * (i + 1)].join()),
  );
  assert.equal(db.read("GET", "once"), "20");
  // But for longer texts.
  assert.ok(Number(bytes.at(-1)) <= Number(bytes[3]) + 16, bytes.join());
});

test("a call may add a fraction to a counter of integers", () => {
  const db = new TestPartitions(1, true);
  const { executor } = db;
  const partition = executor.partitionOf(0, Buffer.from("n"), 0, 1);
  for (const [command, sum] of [["INCRBYFLOAT n 0.5", "1.5"], ["INCRBYFLOAT n 1e30"], ["DEL n"]]) {
    db.run("DEL", "n");
    db.run("INCR", "n");
    executor.beginTransaction();
    db.run(...(command as string).split(" "));
    executor.nameCall(0, partition, { high: 1, low: 2, sequence: 3 });
    executor.endTransaction();
    if (sum !== undefined) assert.equal(db.read("GET", "n"), sum);
  }
});

/** The one version of a key, which its record holds in the plain form. */
function plainVersionOf(db: TestPartitions, key: string): Version {
  for (const { partition, table } of db.vnodes.values()) {
    const ref = table.find(Buffer.from(key), 0, key.length);
    if (ref === 0) continue;
    assert.equal(table.records.flags(ref) & BLOB, 0, `${key} is plain`);
    return partition.mutations.cells.versions(ref)[0] as Version;
  }
  throw new Error(`no ${key}`);
}

test("a sum past 64 bits is refused and the value stays", () => {
  const db = new TestPartitions();
  db.run("SET", "max", String(MAX));
  db.run("SET", "min", String(MIN));
  assert.deepEqual(db.read("INCR", "max"), OVERFLOW);
  assert.deepEqual(db.read("DECR", "min"), OVERFLOW);
  assert.deepEqual(db.read("INCRBY", "max", String(MAX)), OVERFLOW);
  assert.deepEqual(db.read("DECRBY", "absent", String(MIN)), {
    error: "ERR decrement would overflow",
  });
  assert.equal(db.read("INCRBY", "absent", String(MIN)), MIN);
  assert.equal(db.read("GET", "max"), String(MAX));
  assert.equal(db.read("GET", "min"), String(MIN));
  assert.equal(db.read("INCRBY", "max", String(MIN)), -1);
});

test("adds may pass 64 bits together where base and sum do not", () => {
  const db = new TestPartitions();
  db.run("SET", "k", String(MIN));
  assert.equal(db.read("INCRBY", "k", String(MAX)), -1);
  assert.equal(db.read("INCRBY", "k", String(MAX)), MAX - 1n);
  assert.equal(db.read("GET", "k"), String(MAX - 1n));
  const other = db.replayed();
  // The slow way as well: an op of another origin makes the record a general one.
  assert.equal(other.read("INCR", "k"), MAX);
  assert.equal(other.read("GET", "k"), String(MAX));
});

test("texts that are no integers are refused, as values and as increments", () => {
  const db = new TestPartitions();
  for (const text of [
    "",
    "01",
    "+1",
    "-0",
    " 1",
    "1 ",
    "1.0",
    "0x10",
    "1e3",
    "abc",
    "9223372036854775808",
  ]) {
    // prettier-ignore
    db.run("SET", "k", text);
    const before = db.ops.length;
    assert.deepEqual(db.read("INCR", "k"), NOT_AN_INTEGER, text);
    assert.deepEqual(db.read("INCRBY", "n", text), NOT_AN_INTEGER, text);
    assert.deepEqual(db.read("DECRBY", "n", text), NOT_AN_INTEGER, text);
    assert.equal(db.ops.length, before);
    assert.equal(db.read("GET", "k"), text);
  }
});

test("a counter is what a 64-bit register would be, also after a replay", () => {
  const deltas = fc.oneof(fc.bigInt({ min: -100n, max: 100n }), fc.bigInt({ min: MIN, max: MAX }));
  const start = fc.option(fc.bigInt({ min: MIN, max: MAX }));
  fc.assert(
    fc.property(start, fc.array(deltas, { maxLength: 30 }), (first, added) => {
      const db = new TestPartitions();
      let value = first ?? 0n;
      let exists = first !== null;
      if (first !== null) db.run("SET", "k", String(first));
      for (const delta of added) {
        const fits = value + delta >= MIN && value + delta <= MAX;
        const reply = db.run("INCRBY", "k", String(delta));
        if (fits) {
          value += delta;
          exists = true;
          assert.deepEqual(reply, { kind: "integer", value });
        } else assert.equal(reply.kind, "error");
      }
      assert.equal(db.read("GET", "k"), exists ? String(value) : null);
      db.assertReplays(["GET", "k"]);
    }),
    { numRuns: 60 },
  );
});

test("increments keep the expiry, and an expired counter begins anew", () => {
  const db = new TestPartitions();
  db.run("SET", "k", "5", "EX", "10");
  assert.equal(db.read("INCR", "k"), 6);
  assert.equal(db.read("TTL", "k"), 10);
  db.run("EXPIRE", "k", "20");
  assert.equal(db.read("INCRBYFLOAT", "k", "0.5"), "6.5");
  assert.equal(db.read("TTL", "k"), 20);
  db.assertReplays(["GET", "k"], ["TTL", "k"]);
  db.clock.advance(20_000);
  assert.equal(db.read("INCR", "k"), 1);
  assert.equal(db.read("TTL", "k"), -1);
  db.assertReplays(["GET", "k"], ["TTL", "k"]);
});

test("commands that count refuse other types", () => {
  const db = new TestPartitions();
  db.run("HSET", "h", "f", "1");
  const error = "WRONGTYPE Operation against a key holding the wrong kind of value";
  for (const args of [
    ["INCR", "h"],
    ["DECRBY", "h", "1"],
    ["INCRBYFLOAT", "h", "1"],
  ]) {
    assert.deepEqual(db.read(...args), { error });
  }
});

test("INCRBYFLOAT prints as Redis does, without the noise of binary fractions", () => {
  const db = new TestPartitions();
  db.run("SET", "k", "10.5");
  assert.deepEqual(db.run("INCRBYFLOAT", "k", "0.1"), { kind: "bulk", bytes: Buffer.from("10.6") });
  assert.equal(db.read("INCRBYFLOAT", "k", "-5"), "5.6");
  db.run("SET", "k", "5.0e3");
  assert.equal(db.read("INCRBYFLOAT", "k", "2.0e2"), "5200");
  for (const wanted of ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"]) {
    assert.equal(db.read("INCRBYFLOAT", "sum", "0.1"), wanted);
    assert.equal(db.read("GET", "sum"), wanted);
  }
  assert.equal(db.read("INCRBYFLOAT", "sum", "-1"), "0");
  db.assertReplays(["GET", "k"], ["GET", "sum"]);
});

test("a float that a double holds to its last digit keeps every digit", () => {
  const steps: [string, string, string][] = [
    ["1000000000000000", "-3.25", "999999999999996.75"],
    ["999999999999996.75", "-999999999999996", "0.75"],
    ["70368744177664.015625", "0", "70368744177664.015625"],
    ["-70368744177664.015625", "0", "-70368744177664.015625"],
    ["70368744177664.015625", "-70368744177664", "0.015625"],
    ["12345678901234.1", "0", "12345678901234.1"],
    ["19739573080.319000244140625", "0", "19739573080.319000244140625"],
    ["1e22", "0", "10000000000000000000000"],
    ["12345678901234567890123", "1", "12345678901234568000000"],
    ["0.1", "0.2", "0.3"],
  ];
  const db = new TestPartitions(1, true);
  for (const [before, delta, after] of steps) {
    db.run("SET", "k", before);
    db.run("HSET", "h", "f", before);
    assert.equal(db.read("INCRBYFLOAT", "k", delta), after);
    assert.equal(db.read("HINCRBYFLOAT", "h", "f", delta), after);
    assert.equal(db.read("GET", "k"), after);
    assert.equal(db.read("HGET", "h", "f"), after);
  }
});

test("money added up by INCRBYFLOAT is exact to the cent", () => {
  const cents = fc.integer({ min: -1_000_000, max: 1_000_000 });
  fc.assert(
    fc.property(fc.array(cents, { minLength: 1, maxLength: 20 }), (amounts) => {
      const db = new TestPartitions();
      let total = 0;
      for (const amount of amounts) {
        total += amount;
        assert.equal(db.read("INCRBYFLOAT", "k", String(amount / 100)), String(total / 100));
      }
      assert.equal(db.read("GET", "k"), String(total / 100));
      db.assertReplays(["GET", "k"]);
    }),
    { numRuns: 40 },
  );
});

test("INCRBYFLOAT takes what strtod takes, and no NaN or infinity", () => {
  const db = new TestPartitions();
  for (const text of ["nan", "abc", "", " 1", "1 ", "1e", "--1"]) {
    assert.deepEqual(db.read("INCRBYFLOAT", "k", text), NOT_A_FLOAT, text);
    db.run("SET", "bad", text);
    assert.deepEqual(db.read("INCRBYFLOAT", "bad", "1"), NOT_A_FLOAT, text);
  }
  const infinite = { error: "ERR increment would produce NaN or Infinity" };
  assert.deepEqual(db.read("INCRBYFLOAT", "k", "inf"), infinite);
  assert.deepEqual(db.read("INCRBYFLOAT", "k", "-infinity"), infinite);
  db.run("SET", "inf", "inf");
  assert.deepEqual(db.read("INCRBYFLOAT", "inf", "1"), infinite);
  assert.equal(db.read("EXISTS", "k"), 0);
  db.run("SET", "hex", "0x10");
  assert.equal(db.read("INCRBYFLOAT", "hex", "1"), "17");
  assert.equal(db.read("GET", "hex"), "17");
});

test("integers and floats are added to one another", () => {
  const db = new TestPartitions();
  db.run("INCR", "k");
  assert.equal(db.read("INCRBYFLOAT", "k", "1.5"), "2.5");
  assert.deepEqual(db.read("INCR", "k"), NOT_AN_INTEGER);
  assert.equal(db.read("INCRBYFLOAT", "k", "0.5"), "3");
  assert.equal(db.read("INCR", "k"), 4);
  assert.equal(db.read("INCRBY", "k", "9007199254740993"), 9007199254740997n);
  assert.equal(db.read("GET", "k"), "9007199254740997");
  assert.equal(db.read("INCR", "k"), 9007199254740998n);
  assert.equal(db.read("INCRBYFLOAT", "f", "3"), "3");
  assert.equal(db.read("INCRBY", "f", "9007199254740993"), 9007199254740996n);
  assert.equal(db.read("INCR", "f"), 9007199254740997n);
  db.assertReplays(["GET", "k"], ["GET", "f"]);
});

test("increments at two replicas of one version both count", () => {
  const left = new TestPartitions(1);
  left.run("SET", "k", "10");
  const right = left.replayed();
  const shared = left.ops.length;
  left.run("INCR", "k");
  left.run("INCRBY", "k", "9007199254740992");
  right.run("DECRBY", "k", "4");
  const ofLeft = left.ops.slice(shared);
  const ofRight = right.ops.slice();
  for (const { vnode, op } of ofLeft) right.vnodeOf(vnode).partition.deliver(op);
  for (const { vnode, op } of ofRight) left.vnodeOf(vnode).partition.deliver(op);
  for (const replica of [left, right]) {
    assert.equal(replica.read("GET", "k"), "9007199254740999");
    assert.equal(replica.read("INCR", "k"), 9007199254741000n);
    assert.equal(replica.read("INCRBYFLOAT", "k", "0"), "9007199254741000");
  }
});

test("counters begun at two replicas sum", () => {
  const left = new TestPartitions(1);
  const right = new TestPartitions(2);
  left.run("INCRBY", "k", "5");
  right.run("INCRBY", "k", "-2");
  const ofRight = right.ops.slice();
  for (const { vnode, op } of left.ops.slice()) right.vnodeOf(vnode).partition.deliver(op);
  for (const { vnode, op } of ofRight) left.vnodeOf(vnode).partition.deliver(op);
  for (const replica of [left, right]) {
    assert.equal(replica.read("GET", "k"), "3");
    assert.equal(replica.read("INCR", "k"), 4);
    assert.equal(replica.read("INCRBYFLOAT", "k", "0.5"), "4.5");
  }
});

/** Gives each replica the ops of the other that come after so many of its own. */
function exchange(left: TestPartitions, right: TestPartitions, after: [number, number]): void {
  const ofLeft = left.ops.slice(after[0]);
  const ofRight = right.ops.slice(after[1]);
  for (const { vnode, op } of ofLeft) right.vnodeOf(vnode).partition.deliver(op);
  for (const { vnode, op } of ofRight) left.vnodeOf(vnode).partition.deliver(op);
}

test("an increment of a string that hides a list takes the list away", () => {
  for (const knowsList of [false, true]) {
    const left = new TestPartitions(1);
    const right = new TestPartitions(2);
    right.run("RPUSH", "k", "a");
    // Where the string's writer knew the list, an element is left without its list's head.
    if (knowsList) exchange(left, right, [0, 0]);
    const before: [number, number] = [left.ops.length, knowsList ? right.ops.length : 0];
    right.run("RPUSH", "k", "b");
    left.clock.advance(1000);
    left.run("SET", "k", "5");
    exchange(left, right, before);
    const merged = left.ops.length;
    assert.equal(left.read("INCR", "k"), 6);
    exchange(left, right, [merged, right.ops.length]);
    for (const replica of [left, right]) {
      assert.deepEqual([replica.read("TYPE", "k"), replica.read("GET", "k")], ["string", "6"]);
      assert.equal(replica.read("INCR", "k"), 7);
      for (const { partition } of replica.vnodes.values()) {
        const ref = partition.table.find(Buffer.from("k"), 0, 1);
        assert.equal(ref === 0 ? 0 : partition.table.records.block(ref), 0, "no list is left");
      }
    }
  }
});
