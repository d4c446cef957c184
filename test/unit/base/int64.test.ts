/**
 * Int64 against BigInt: every 64-bit integer is read, added and written exactly.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { INT64_TEXT_BYTES_MAX, Int64 } from "../../../runtime/base/int64.ts";

const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);
const EDGES = [0n, 1n, -1n, MAX, MIN, MAX - 1n, MIN + 1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n];
const integers = fc.oneof(
  fc.bigInt({ min: MIN, max: MAX }),
  fc.bigInt({ min: -(10n ** 6n), max: 10n ** 6n }),
  fc.constantFrom(...EDGES, 2n ** 32n, -(2n ** 32n), 2n ** 32n - 1n, 10n ** 15n, 10n ** 18n),
);

function parsed(text: string): bigint | undefined {
  const register = new Int64();
  const bytes = Buffer.from(`<${text}>`, "latin1");
  return register.parse(bytes, 1, bytes.length - 1) ? register.toBigInt() : undefined;
}

function written(value: bigint): string {
  const register = of(value);
  const bytes = Buffer.alloc(INT64_TEXT_BYTES_MAX + 2, ".");
  const end = register.write(bytes, 1);
  assert.equal(bytes[end], ".".charCodeAt(0), "nothing is written past the end");
  return bytes.toString("latin1", 1, end);
}

function of(value: bigint): Int64 {
  const register = new Int64();
  register.set(Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asUintN(32, value)));
  return register;
}

test("every 64-bit integer is written as it is read", () => {
  fc.assert(
    fc.property(integers, (value) => {
      assert.equal(written(value), value.toString());
      assert.equal(parsed(value.toString()), value);
    }),
  );
});

test("what Redis takes for no integer is refused", () => {
  const bad = ["", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x10", "1e3", "abc", "--1"];
  for (const text of [...bad, "9223372036854775808", "-9223372036854775809", "1".repeat(20)]) {
    assert.equal(parsed(text), undefined, text);
  }
});

test("a sum past 64 bits is refused and changes nothing", () => {
  fc.assert(
    fc.property(integers, integers, (a, b) => {
      const sum = of(a);
      const { high, low } = of(b);
      const fits = a + b >= MIN && a + b <= MAX;
      assert.equal(sum.add(high, low), fits);
      assert.equal(sum.toBigInt(), fits ? a + b : a);
      const wrapped = of(a);
      wrapped.addWrapping(high, low);
      assert.equal(wrapped.toBigInt(), BigInt.asIntN(64, a + b));
    }),
  );
});

test("a safe integer becomes its halves", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const register = new Int64();
      register.setNumber(value);
      assert.equal(register.toBigInt(), BigInt(value));
    }),
  );
});
