/** Commands on sorted sets: options, order, scores, ranges, replay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { heal, TestPartitions } from "../../support/test-partitions.ts";

const WRONG_TYPE = { error: "WRONGTYPE Operation against a key holding the wrong kind of value" };
const all = (t: TestPartitions, key: string) => t.read("ZRANGE", key, "0", "-1", "WITHSCORES");

test("members are ordered by score, then by bytes", () => {
  const t = new TestPartitions();
  assert.equal(t.read("ZADD", "z", "2", "b", "1", "c", "2", "a", "-inf", "low"), 4);
  assert.deepEqual(all(t, "z"), ["low", "-inf", "c", "1", "a", "2", "b", "2"]);
  assert.equal(t.read("ZADD", "z", "3", "c"), 0);
  assert.deepEqual(t.read("ZRANGE", "z", "0", "-1"), ["low", "a", "b", "c"]);
  assert.equal(t.read("ZCARD", "z"), 4);
  t.assertReplays(["ZRANGE", "z", "0", "-1", "WITHSCORES"]);
});

test("NX only adds, XX only changes, GT and LT only move one way", () => {
  const t = new TestPartitions();
  t.run("ZADD", "z", "5", "a");
  assert.equal(t.read("ZADD", "z", "NX", "CH", "1", "a", "1", "b"), 1);
  assert.equal(t.read("ZADD", "z", "XX", "CH", "2", "b", "2", "c"), 1);
  assert.equal(t.read("ZADD", "z", "GT", "CH", "4", "a", "3", "b", "1", "d"), 2);
  assert.equal(t.read("ZADD", "z", "LT", "CH", "6", "a", "1", "b"), 1);
  assert.deepEqual(all(t, "z"), ["b", "1", "d", "1", "a", "5"]);
  assert.equal(t.read("ZADD", "no", "XX", "1", "a"), 0);
  assert.equal(t.read("EXISTS", "no"), 0);
});

test("INCR adds to the score and answers it, or nil where an option forbids", () => {
  const t = new TestPartitions();
  assert.equal(t.read("ZADD", "z", "INCR", "1.5", "a"), "1.5");
  assert.equal(t.read("ZADD", "z", "INCR", "2", "a"), "3.5");
  assert.equal(t.read("ZADD", "z", "NX", "INCR", "2", "a"), null);
  assert.equal(t.read("ZADD", "z", "GT", "INCR", "-2", "a"), null);
  assert.equal(t.read("ZADD", "z", "XX", "INCR", "2", "b"), null);
  t.run("ZADD", "z", "inf", "i");
  assert.deepEqual(t.read("ZADD", "z", "INCR", "-inf", "i"), {
    error: "ERR resulting score is not a number (NaN)",
  });
  t.protocol = 3;
  assert.deepEqual(t.run("ZADD", "z", "INCR", "0.5", "a"), { kind: "double", value: 4, text: "4" });
  assert.equal(t.run("ZADD", "z", "NX", "INCR", "2", "a").kind, "null");
});

test("a score that is no float fails the whole command", () => {
  const t = new TestPartitions();
  for (const score of ["x", "nan", "", " 1", "1 "]) {
    const error = { error: "ERR value is not a valid float" };
    assert.deepEqual(t.read("ZADD", "z", "1", "a", score, "b"), error);
  }
  assert.equal(t.ops.length, 0);
});

test("-0 and 0 are one score", () => {
  const t = new TestPartitions();
  t.run("ZADD", "z", "0", "b", "-0", "a");
  assert.deepEqual(all(t, "z"), ["a", "0", "b", "0"]);
  assert.equal(t.read("ZADD", "z", "CH", "-0", "b"), 0);
  assert.deepEqual(t.read("ZRANGE", "z", "-0", "-0", "BYSCORE"), ["a", "b"]);
  assert.deepEqual(t.read("ZRANGE", "z", "(-0", "1", "BYSCORE"), []);
});

test("a bound that no double holds is infinite, or 0, and a score is not", () => {
  const t = new TestPartitions();
  t.run("ZADD", "z", "-inf", "low", "0", "zero", "5e-324", "least", "1", "one", "inf", "high");
  // As redis-server 7.0 answers.
  for (const [bound, count] of [
    ["1e400", 1],
    ["-1e400", 5],
    ["(-1e400", 4],
    ["(1e400", 0],
    ["1e-400", 4],
    ["-1e-400", 4],
    ["(1e-400", 3],
    ["0x1p2000", 1],
    ["0x1p-2000", 4],
  ] as const) {
    const found = t.read("ZRANGE", "z", bound, "+inf", "BYSCORE") as string[];
    assert.equal(found.length, count, bound);
  }
  assert.deepEqual(t.read("ZRANGE", "z", "1e400", "1e-400", "BYSCORE", "REV"), [
    "high",
    "one",
    "least",
    "zero",
  ]);
  const bad = { error: "ERR min or max is not a float" };
  assert.deepEqual(t.read("ZRANGE", "z", "1e400x", "+inf", "BYSCORE"), bad);
  assert.deepEqual(t.read("ZADD", "z", "1e400", "m"), { error: "ERR value is not a valid float" });
});

test("ZPOPMIN pops the lowest, and the last one takes the key", () => {
  const t = new TestPartitions();
  t.run("ZADD", "z", "3", "c", "1", "a", "2", "b");
  assert.deepEqual(t.read("ZPOPMIN", "z"), ["a", "1"]);
  assert.deepEqual(t.read("ZPOPMIN", "z", "0"), []);
  assert.deepEqual(t.read("ZPOPMIN", "z", "5"), ["b", "2", "c", "3"]);
  assert.equal(t.read("EXISTS", "z"), 0);
  assert.deepEqual(t.read("ZPOPMIN", "z"), []);
  t.assertReplays(["EXISTS", "z"]);
});

test("ZPOPMIN of all members logs their key's end, and not each member's", () => {
  const t = new TestPartitions();
  const names = Array.from({ length: 1000 }, (_, i) => `m${String(i).padStart(4, "0")}`);
  t.run("ZADD", "z", ...names.flatMap((name, i) => [String(i), name]));
  const replayed = t.replayed();
  const wanted = names.flatMap((name, i) => [name, String(i)]);
  assert.deepEqual(t.read("ZPOPMIN", "z", "5000"), wanted);
  const last = t.ops.at(-1)?.op.length ?? 0;
  assert.ok(last < 200, `${last} bytes`);
  assert.equal(t.read("EXISTS", "z"), 0);
  t.assertReplays(["EXISTS", "z"]);
  replayed.protocol = 3;
  assert.deepEqual(
    replayed.read("ZPOPMIN", "z", "1000"),
    names.map((name, i) => [name, i]),
  );
});

test("a member that is added while another side pops all of them stays", () => {
  const left = new TestPartitions(1);
  const right = new TestPartitions(2);
  left.run("ZADD", "z", "1", "a", "2", "b");
  heal(left, right);
  right.run("ZADD", "z", "3", "c");
  assert.deepEqual(left.read("ZPOPMIN", "z", "2"), ["a", "1", "b", "2"]);
  heal(left, right);
  for (const side of [left, right]) {
    assert.deepEqual(side.read("ZRANGE", "z", "0", "-1", "WITHSCORES"), ["c", "3"]);
  }
});

test("scores are doubles in RESP3, and pairs where there may be several", () => {
  const t = new TestPartitions();
  t.protocol = 3;
  t.run("ZADD", "z", "1", "a", "2", "b", "3", "c");
  assert.deepEqual(t.read("ZRANGE", "z", "0", "0", "WITHSCORES"), [["a", 1]]);
  assert.equal(t.run("ZSCORE", "z", "a").kind, "double");
  assert.equal(t.run("ZSCORE", "z", "zz").kind, "null");
  assert.deepEqual(t.read("ZPOPMIN", "z"), ["a", 1]);
  assert.deepEqual(t.read("ZPOPMIN", "z", "1"), [["b", 2]]);
});

test("ZREM removes members, and the last one takes the key", () => {
  const t = new TestPartitions();
  t.run("ZADD", "z", "1", "a", "2", "b");
  assert.equal(t.read("ZREM", "z", "a", "a", "zz"), 1);
  assert.equal(t.read("ZREM", "z", "b"), 1);
  assert.equal(t.read("EXISTS", "z"), 0);
});

test("a sorted set keeps its expiry when a score changes", () => {
  const t = new TestPartitions();
  t.run("ZADD", "z", "1", "a");
  t.run("PEXPIRE", "z", "100");
  t.run("ZADD", "z", "2", "a", "3", "b");
  assert.equal(t.read("PTTL", "z"), 100);
  t.clock.advance(100);
  assert.equal(t.read("ZSCORE", "z", "a"), null);
  assert.equal(t.read("ZADD", "z", "INCR", "1", "a"), "1");
  assert.equal(t.read("PTTL", "z"), -1);
  t.assertReplays(["ZRANGE", "z", "0", "-1", "WITHSCORES"]);
});

test("every sorted set command refuses another type and changes nothing", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", "a");
  const ops = t.ops.length;
  const commands = [
    ["ZADD", "s", "1", "a"],
    ["ZADD", "s", "INCR", "1", "a"],
    ["ZPOPMIN", "s"],
    ["ZSCORE", "s", "a"],
    ["ZRANGE", "s", "0", "1"],
    ["ZCARD", "s"],
    ["ZREM", "s", "a"],
  ];
  for (const command of commands) assert.deepEqual(t.read(...command), WRONG_TYPE, command[0]);
  assert.equal(t.ops.length, ops);
});

test("ranges by score and by member are those of a sorted array, reversed and limited too", () => {
  const bound = fc.tuple(fc.integer({ min: -1, max: 6 }), fc.boolean());
  const query = fc.record({
    scores: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 12 }),
    low: bound,
    high: bound,
    isReversed: fc.boolean(),
    offset: fc.integer({ min: -1, max: 4 }),
    limit: fc.integer({ min: -1, max: 5 }),
  });
  fc.assert(
    fc.property(query, ({ scores, low, high, isReversed, offset, limit }) => {
      const t = new TestPartitions();
      for (const [i, score] of scores.entries()) {
        t.run("ZADD", "z", String(score), `m${String(i).padStart(2)}`);
      }
      const text = ([value, isExclusive]: readonly [number, boolean]) =>
        `${isExclusive ? "(" : ""}${value}`;
      const above = ([value, isExclusive]: readonly [number, boolean], score: number) =>
        isExclusive ? score > value : score >= value;
      const below = ([value, isExclusive]: readonly [number, boolean], score: number) =>
        isExclusive ? score < value : score <= value;
      let model = scores
        .map((score, i) => ({ score, name: `m${String(i).padStart(2)}` }))
        .filter(({ score }) => above(low, score) && below(high, score))
        .sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1));
      if (isReversed) model.reverse();
      model = offset < 0 ? [] : model.slice(offset, limit < 0 ? undefined : offset + limit);
      const bounds = isReversed ? [text(high), text(low)] : [text(low), text(high)];
      const tail = [...(isReversed ? ["REV"] : []), "LIMIT", String(offset), String(limit)];
      assert.deepEqual(
        t.read("ZRANGE", "z", ...bounds, "BYSCORE", ...tail),
        model.map(({ name }) => name),
      );
    }),
    { numRuns: 300 },
  );
});

test("a range by member finds what lies between", () => {
  const t = new TestPartitions();
  t.run("ZADD", "z", ...[..."abcdef"].flatMap((name) => ["0", name]));
  assert.deepEqual(t.read("ZRANGE", "z", "[b", "(e", "BYLEX"), ["b", "c", "d"]);
  assert.deepEqual(t.read("ZRANGE", "z", "+", "[e", "BYLEX", "REV"), ["f", "e"]);
  assert.deepEqual(t.read("ZRANGE", "z", "-", "+", "BYLEX", "LIMIT", "1", "2"), ["b", "c"]);
  assert.deepEqual(t.read("ZRANGE", "z", "b", "+", "BYLEX"), {
    error: "ERR min or max not valid string range item",
  });
});

test("members and scores stay right through random changes and a replay", () => {
  const change = fc.tuple(
    fc.constantFrom("ZADD", "ZADD", "ZREM", "ZPOPMIN"),
    fc.constantFrom(..."abcdefgh"),
    fc.double({ noNaN: true }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const t = new TestPartitions();
      const model = new Map<string, number>();
      const sorted = () =>
        [...model].sort(([a, x], [b, y]) => (x === y ? (a < b ? -1 : 1) : x < y ? -1 : 1));
      for (const [name, member, score] of changes) {
        if (name === "ZADD") {
          t.run("ZADD", "z", String(score).toLowerCase(), member);
          if (score === 0 || Number(String(score)) === score) model.set(member, score);
        } else if (name === "ZREM") {
          t.run("ZREM", "z", member);
          model.delete(member);
        } else {
          const [lowest] = sorted();
          assert.equal((t.read("ZPOPMIN", "z") as string[])[0], lowest?.[0]);
          if (lowest !== undefined) model.delete(lowest[0]);
        }
      }
      assert.deepEqual(
        t.read("ZRANGE", "z", "0", "-1"),
        sorted().map(([name]) => name),
      );
      t.assertReplays(["ZRANGE", "z", "0", "-1", "WITHSCORES"]);
    }),
    { numRuns: 60 },
  );
});

test("REV, BYSCORE and BYLEX may be given once", () => {
  const t = new TestPartitions();
  t.run("ZADD", "z", "1", "a", "2", "b");
  const refused = { kind: "error", text: "ERR syntax error" };
  for (const words of [
    ["REV", "REV"],
    ["BYSCORE", "BYSCORE"],
    ["BYLEX", "BYSCORE"],
  ]) {
    assert.deepEqual(t.run("ZRANGE", "z", "0", "1", ...words), refused);
  }
});
