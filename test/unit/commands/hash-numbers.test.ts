/** HINCRBY and HINCRBYFLOAT: exact sums that are shown as replied, and what they refuse. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { heal, TestPartitions } from "../../support/test-partitions.ts";

test("HINCRBY is exact over 64 bits and refuses to leave them", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", "n", "9007199254740993");
  assert.equal(t.read("HINCRBY", "h", "n", "1"), 9007199254740994n);
  t.run("HSET", "h", "n", "9223372036854775806");
  assert.equal(t.read("HINCRBY", "h", "n", "1"), 9223372036854775807n);
  const error = { error: "ERR increment or decrement would overflow" };
  assert.deepEqual(t.read("HINCRBY", "h", "n", "1"), error);
  assert.equal(t.read("HGET", "h", "n"), "9223372036854775807");
  assert.equal(t.read("HINCRBY", "h", "n", "-9223372036854775808"), -1);
  t.assertReplays(["HGETALL", "h"]);
});

test("HINCRBY counts on where one origin's part has no more room", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", "n", "-9223372036854775808");
  t.run("HINCRBY", "h", "n", "9223372036854775807");
  assert.equal(t.read("HINCRBY", "h", "n", "9223372036854775807"), 9223372036854775806n);
  assert.equal(t.read("HGET", "h", "n"), "9223372036854775806");
  t.assertReplays(["HGET", "h", "n"]);
});

test("what is no integer is not incremented", () => {
  const t = new TestPartitions();
  for (const text of ["01", "+1", "-0", " 1", "1 ", "1.0", "0x10", "", "9223372036854775808"]) {
    t.run("HSET", "h", "n", text);
    assert.deepEqual(t.read("HINCRBY", "h", "n", "1"), {
      error: "ERR hash value is not an integer",
    });
    assert.deepEqual(t.read("HINCRBY", "h", "m", text), {
      error: "ERR value is not an integer or out of range",
    });
    assert.equal(t.read("HGET", "h", "n"), text);
  }
});

test("HINCRBYFLOAT answers what HGET shows, and refuses what is not finite", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", "f", "10.5");
  assert.equal(t.read("HINCRBYFLOAT", "h", "f", "0.1"), "10.6");
  assert.equal(t.read("HINCRBYFLOAT", "h", "f", "-5"), "5.6");
  assert.equal(t.read("HGET", "h", "f"), "5.6");
  assert.equal(t.read("HINCRBYFLOAT", "h", "g", "5.0e3"), "5000");
  assert.equal(t.read("HINCRBY", "h", "g", "2"), 5002);
  for (const text of ["inf", "-inf"]) {
    assert.deepEqual(t.read("HINCRBYFLOAT", "h", "f", text), {
      error: "ERR value is NaN or Infinity",
    });
  }
  assert.deepEqual(t.read("HINCRBYFLOAT", "h", "f", "nan"), {
    error: "ERR value is not a valid float",
  });
  t.run("HSET", "h", "big", "1.7e308", "text", "x");
  assert.deepEqual(t.read("HINCRBYFLOAT", "h", "big", "1.7e308"), {
    error: "ERR increment would produce NaN or Infinity",
  });
  assert.deepEqual(t.read("HINCRBYFLOAT", "h", "text", "1"), {
    error: "ERR hash value is not a float",
  });
  t.assertReplays(["HGETALL", "h"]);
});

test("increments of two sides of a partition sum, of fields that were there and that were not", () => {
  const left = new TestPartitions(1);
  const right = new TestPartitions(2);
  left.run("HSET", "h", "old", "10");
  heal(left, right);
  left.run("HINCRBY", "h", "old", "1");
  left.run("HINCRBY", "h", "new", "3");
  right.run("HINCRBY", "h", "old", "2");
  right.run("HINCRBY", "h", "new", "4");
  heal(left, right);
  for (const side of [left, right]) {
    assert.equal(side.read("HGET", "h", "old"), "13");
    assert.equal(side.read("HGET", "h", "new"), "7");
    assert.equal(side.read("HINCRBY", "h", "new", "0"), 7);
  }
});

test("HINCRBYFLOAT does not drift, and the field shows what was replied", () => {
  const t = new TestPartitions();
  for (let i = 1; i <= 1000; i++) {
    assert.equal(t.read("HINCRBYFLOAT", "h", "tenths", "0.1"), String(i / 10));
  }
  t.run("HSET", "h", "price", "19.99");
  let cents = 1999;
  for (let i = 0; i < 50; i++) {
    const step = i % 2 === 0 ? 305 : -735;
    cents += step;
    assert.equal(t.read("HINCRBYFLOAT", "h", "price", String(step / 100)), String(cents / 100));
    assert.equal(t.read("HGET", "h", "price"), String(cents / 100));
  }
  t.assertReplays(["HGET", "h", "tenths"], ["HGET", "h", "price"]);
});

test("HINCRBYFLOAT of two sides of a partition sums, and neither side drifts", () => {
  const left = new TestPartitions(1);
  const right = new TestPartitions(2);
  left.run("HSET", "h", "f", "1");
  heal(left, right);
  for (let i = 0; i < 3; i++) left.run("HINCRBYFLOAT", "h", "f", "0.1");
  for (let i = 0; i < 3; i++) right.run("HINCRBYFLOAT", "h", "f", "0.7");
  heal(left, right);
  for (const side of [left, right]) {
    assert.equal(side.read("HGET", "h", "f"), "3.4");
    assert.equal(side.read("HINCRBYFLOAT", "h", "f", "0.1"), "3.5");
  }
});

test("HINCRBYFLOAT reads a stored number as it reads its argument", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", "hex", "0x10", "inf", "-inf", "empty", "", "long", "1".repeat(5 * 1024 + 1));
  assert.equal(t.read("HINCRBYFLOAT", "h", "hex", "1"), "17");
  assert.equal(t.read("HGET", "h", "hex"), "17");
  assert.equal(t.read("HINCRBYFLOAT", "h", "hex", "0x.8p1"), "18");
  assert.deepEqual(t.read("HINCRBYFLOAT", "h", "inf", "1"), {
    error: "ERR increment would produce NaN or Infinity",
  });
  for (const field of ["empty", "long"]) {
    assert.deepEqual(t.read("HINCRBYFLOAT", "h", field, "1"), {
      error: "ERR hash value is not a float",
    });
  }
  t.assertReplays(["HGET", "h", "hex"]);
});

test("an integer that HINCRBY adds to a sum of floats is shown as it was replied", () => {
  const t = new TestPartitions();
  t.run("HINCRBYFLOAT", "h", "f", "3");
  // No double holds it: the add becomes a set of the whole number.
  assert.equal(t.read("HINCRBY", "h", "f", "9007199254740992"), 9007199254740995n);
  assert.equal(t.read("HGET", "h", "f"), "9007199254740995");
  assert.equal(t.read("HINCRBY", "h", "f", "2"), 9007199254740997n);
  assert.equal(t.read("HGET", "h", "f"), "9007199254740997");
  t.assertReplays(["HGET", "h", "f"]);
});

test("HINCRBYFLOAT counts on where one origin's part would not be finite", () => {
  const t = new TestPartitions();
  t.run("HSET", "h", "f", "-1.7e308");
  assert.equal(t.read("HINCRBYFLOAT", "h", "f", "1.7e308"), "0");
  assert.equal(Number(t.read("HINCRBYFLOAT", "h", "f", "1.7e308")), 1.7e308);
  assert.equal(Number(t.read("HGET", "h", "f")), 1.7e308);
  t.assertReplays(["HGET", "h", "f"]);
});
