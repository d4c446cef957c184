/** Numbers as text: Redis 7.2's forms, and that they read back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatDouble, formatLongDouble } from "../../../runtime/base/number-text.ts";

test("doubles are written as Redis 7.2 writes them", () => {
  const written: [number, string][] = [
    [0, "0"],
    [-0, "-0"],
    [1, "1"],
    [-3, "-3"],
    [3.3, "3.3"],
    [0.1, "0.1"],
    [-0.000001, "-0.000001"],
    [0.0000001, "1e-7"],
    [1.5e-10, "1.5e-10"],
    [10.6, "10.6"],
    [0.1 + 0.2, "0.30000000000000004"],
    [1 / 3, "0.3333333333333333"],
    [1234.5678, "1234.5678"],
    [12345.678901234, "1.2345678901234e+4"],
    [123456.5, "123456.5"],
    [9007199254740992, "9007199254740992"],
    [2 ** 61, "2305843009213693952"],
    [-(2 ** 62), "-4611686018427387904"],
    [2 ** 63, "9223372036854776000"],
    [1e18, "1000000000000000000"],
    [5.2345678901e18, "5.2345678901e+18"],
    [5.23456789012e18, "5234567890120000000"],
    [1e19, "1e+19"],
    [1.5e300, "1.5e+300"],
    [-1e100, "-1e+100"],
    [Number.MAX_VALUE, "1.7976931348623157e+308"],
    [5e-324, "5e-324"],
    [Infinity, "inf"],
    [-Infinity, "-inf"],
    [Number.NaN, "nan"],
  ];
  for (const [value, text] of written) assert.equal(formatDouble(value), text);
});

test("a double read back from its text is the same", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      assert.ok(Object.is(Number(formatDouble(value)), value));
    }),
    { numRuns: 2000 },
  );
});

test("floats for people have no exponent and at most 17 decimals", () => {
  const written: [number, string][] = [
    [10.5 + 0.1, "10.6"],
    [3000 + 200, "3200"],
    [0, "0"],
    [-0, "0"],
    [-1.5, "-1.5"],
    [0.00001, "0.00001"],
    [1e-17, "0.00000000000000001"],
    [1e-18, "0"],
    [-1e-18, "0"],
    [1.23456789012345e-10, "0.00000000012345679"],
    [123456789.125, "123456789.125"],
    [1e17, "100000000000000000"],
    [2 ** 60, "1152921504606846976"],
    [1e22, "10000000000000000000000"],
    [-1e23, "-100000000000000000000000"],
    [Infinity, "inf"],
    [-Infinity, "-inf"],
    [Number.NaN, "nan"],
  ];
  for (const [value, text] of written) assert.equal(formatLongDouble(value), text);
});

test("a float for people of 17 decimals or fewer reads back as the same double", () => {
  const value = fc.double({ noNaN: true, min: -1e25, max: 1e25 });
  fc.assert(
    fc.property(value, (written) => {
      const text = formatLongDouble(written);
      assert.match(text, /^(0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]{0,16}[1-9])$/);
      if (Math.abs(written) >= 1) assert.equal(Number(text), written);
      assert.ok(Math.abs(Number(text) - written) <= 1e-17 || Number(text) === written);
    }),
    { numRuns: 2000 },
  );
});
