/** Arguments in place: numbers by Redis's rules against oracles, names without strings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NameTable, Request, TEXT_BYTES_MAX } from "../../../runtime/codec/request.ts";

/** A request whose arguments lie one after the other, with bytes before and behind. */
function request(...args: (string | Buffer)[]): Request {
  const parts = args.map((arg) => (typeof arg === "string" ? Buffer.from(arg, "latin1") : arg));
  const made = new Request();
  made.reset(Buffer.concat([Buffer.from("9"), ...parts, Buffer.from("9")]));
  let at = 1;
  for (const part of parts) {
    made.push(at, at + part.length);
    at += part.length;
  }
  return made;
}

/** The integer that `text` is read as, from its halves; undefined if refused. */
function integer(text: string): bigint | undefined {
  const made = request(text);
  if (!made.integer(0)) return undefined;
  assert.equal(made.integerHigh, made.integerHigh | 0);
  assert.equal(made.integerLow, made.integerLow >>> 0);
  const value = (BigInt(made.integerHigh) << 32n) + BigInt(made.integerLow);
  assert.equal(made.integerValue, Number(value), text);
  assert.equal(made.integerSafe, value <= 1n << 53n && value >= -(1n << 53n), text);
  return value;
}

function float(text: string): number | undefined {
  const made = request(text);
  return made.float(0) ? made.floatValue : undefined;
}

test("arguments are ranges of one buffer", () => {
  const made = request("SET", "k\xff\0", "");

  assert.deepEqual([made.text(0), made.text(1), made.text(2)], ["SET", "k\xff\0", ""]);
  assert.deepEqual(made.bytesAt(1), Buffer.from([107, 255, 0]));
  assert.deepEqual([made.length(0), made.length(1), made.length(2)], [3, 3, 0]);
});

test("the text of an argument is cut where no word is longer", () => {
  const made = request("x".repeat(TEXT_BYTES_MAX + 1), "y".repeat(TEXT_BYTES_MAX));
  assert.equal(made.text(0), "x".repeat(TEXT_BYTES_MAX));
  assert.equal(made.text(1), "y".repeat(TEXT_BYTES_MAX));
});

test("a copy of an argument does not change with the buffer", () => {
  const made = request("abc");
  const copy = made.bytesAt(0);

  made.bytes.fill(0);

  assert.equal(copy.toString(), "abc");
});

test("arguments past the room double it and stay", () => {
  const made = new Request();
  made.reset(Buffer.alloc(5000));
  for (let i = 0; i < 3000; i++) made.push(i, i + 1);

  made.shift(10);

  assert.equal(made.count, 3000);
  for (let i = 0; i < 3000; i++) assert.deepEqual([made.starts[i], made.ends[i]], [i + 10, i + 11]);
});

test("integers are the decimal ones of 64 bits and nothing else", () => {
  for (const text of [
    "01",
    "+1",
    "-0",
    " 1",
    "1 ",
    "1.0",
    "0x10",
    "",
    "-",
    "--1",
    "-01",
    "00",
    "1e3",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "99999999999999999999",
    "123456789012345678a",
    "1234567890a23456789",
    "1234:",
    "1234/",
    "1\xb2",
  ]) {
    assert.equal(integer(text), undefined, text);
  }
});

test("integers at every edge are exact", () => {
  const edges: bigint[] = [];
  for (const bits of [0n, 7n, 31n, 32n, 33n, 47n, 52n, 53n, 54n, 62n, 63n]) {
    for (let near = -2n; near <= 2n; near++) edges.push((1n << bits) + near, -(1n << bits) + near);
  }
  for (let power = 1n; power < 10n ** 19n; power *= 10n) {
    for (let near = -1n; near <= 1n; near++) edges.push(power + near, -power + near);
  }
  for (const edge of edges) {
    const fits = BigInt.asIntN(64, edge) === edge;
    assert.equal(integer(String(edge)), fits ? edge : undefined);
  }
});

test("integers agree with an oracle", () => {
  const digits = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n });
  fc.assert(
    fc.property(fc.oneof(digits, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n })), (value) => {
      const fits = BigInt.asIntN(64, value) === value;
      assert.equal(integer(String(value)), fits ? value : undefined);
    }),
    { numRuns: 2000 },
  );
  const character = fc.constantFrom("0", "1", "9", "-", "+", " ", ".", "\0", "e", "x", "\xff");
  fc.assert(
    fc.property(fc.array(character, { maxLength: 21 }), (characters) => {
      const text = characters.join("");
      const expected = /^(0|-?[1-9][0-9]*)$/.test(text) ? BigInt(text) : undefined;
      const fits = expected !== undefined && BigInt.asIntN(64, expected) === expected;
      assert.equal(integer(text), fits ? expected : undefined);
    }),
    { numRuns: 2000 },
  );
});

test("an integer that is refused leaves the last one", () => {
  const made = request("7", "9223372036854775808");
  assert.equal(made.integer(0), true);

  assert.equal(made.integer(1), false);

  assert.deepEqual([made.integerHigh, made.integerLow, made.integerValue], [0, 7, 7]);
});

test("floats are what strtod takes whole", () => {
  const accepted: [string, number][] = [
    ["10.5", 10.5],
    ["0.1", 0.1],
    ["-0.1", -0.1],
    ["+5", 5],
    ["007", 7],
    ["5.", 5],
    [".5", 0.5],
    ["-0", -0],
    ["3.0e3", 3000],
    ["1E+5", 1e5],
    ["123456789012345.6", 123456789012345.6],
    ["0.30000000000000004", 0.30000000000000004],
    ["9007199254740993", 9007199254740992],
    ["1.7976931348623157e308", Number.MAX_VALUE],
    ["5e-324", 5e-324],
    ["0e-500", 0],
    ["inf", Infinity],
    ["+INF", Infinity],
    ["-Infinity", -Infinity],
    ["0x1A", 26],
    ["-0x1.8p3", -12],
    ["0X.8", 0.5],
    ["0x1p-1074", 5e-324],
    ["0x20000000000001", 2 ** 53],
    ["0x20000000000001.000000000000000000000000000000000000001", 2 ** 53 + 2],
    ["0x1p1023", 2 ** 1023],
    [`0x${"0".repeat(500)}1${"0".repeat(300)}p-1200`, 1],
  ];
  for (const [text, value] of accepted) assert.ok(Object.is(float(text), value), text);
});

test("floats that strtod does not take whole, or cannot hold, are refused", () => {
  for (const text of [
    "",
    " ",
    " 1",
    "1 ",
    ".",
    "-",
    "+",
    "-.",
    "1e",
    "1e+",
    "e5",
    "1.2.3",
    "1,5",
    "--1",
    "+-1",
    "nan",
    "-NaN",
    "nan(1)",
    "infx",
    "in",
    "0x",
    "0x.",
    "0xp1",
    "0x1p",
    "0x1g",
    "1e400",
    "-1e400",
    "1e-400",
    "0x1p1024",
    "0x1p-1080",
    "0x1p99999999999999999999",
    "1\0",
    "1\n",
    "1_000",
    "\xb2",
    `${"0".repeat(6000)}1`,
  ]) {
    assert.equal(float(text), undefined, text);
  }
});

test("where floats saturate, what is too large is infinite, and what is too small is zero", () => {
  for (const [text, value] of [
    ["1e400", Infinity],
    ["-1e400", -Infinity],
    ["1e99999999999999999999", Infinity],
    ["1e-400", 0],
    ["-1e-400", -0],
    ["0x1p1024", Infinity],
    ["-0x1p99999999999999999999", -Infinity],
    ["0x1p-1080", 0],
    ["1.5", 1.5],
    ["5e-324", 5e-324],
  ] as const) {
    const made = request(text);
    assert.equal(made.float(0, true), true, text);
    assert.ok(Object.is(made.floatValue, value), text);
  }
  for (const text of ["1e400x", "1e", "nan", "0x1p", ""]) {
    assert.equal(request(text).float(0, true), false, text);
  }
});

test("floats agree with JavaScript's own reading", () => {
  const text = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.tuple(fc.integer(), fc.nat(), fc.nat(12)).map(([a, b, zeros]) => {
      return `${a}.${"0".repeat(zeros)}${b}`;
    }),
  );
  fc.assert(
    fc.property(text, (written) => assert.ok(Object.is(float(written), Number(written)), written)),
    { numRuns: 2000 },
  );
});

test("a refused float takes no time to speak of, whatever its length", () => {
  const made = request(`${"1".repeat(5000)}x`, `${"1".repeat(1 << 20)}x`, `0x${"f".repeat(5000)}z`);

  for (let i = 0; i < made.count; i++) assert.equal(made.float(i), false);
});

test("option words match in any case and in whole", () => {
  const made = request("cOuNt", "COUNTS", "COUN", "C`UNT", "ex\0", "IF-EQ");

  assert.equal(made.equalsIgnoreCase(0, "COUNT"), true);
  assert.equal(made.equalsIgnoreCase(1, "COUNT"), false);
  assert.equal(made.equalsIgnoreCase(2, "COUNT"), false);
  assert.equal(made.equalsIgnoreCase(3, "C@UNT"), false);
  assert.equal(made.equalsIgnoreCase(4, "EX"), false);
  assert.equal(made.equalsIgnoreCase(5, "IF-EQ"), true);
  assert.equal(made.equalsIgnoreCase(5, "IF\rEQ"), false);
});

test("a command is found by its name in any case", () => {
  const names = new NameTable<number>();
  const known = Array.from({ length: 300 }, (_, i) => `command.${i}_x`);
  for (const [i, name] of known.entries()) names.add(name, i);

  for (const [i, name] of known.entries()) {
    const made = request(name.toUpperCase(), name, `${name}x`);
    assert.deepEqual([names.find(made, 0), names.find(made, 1)], [i, i]);
    assert.equal(names.find(made, 2), undefined);
    for (let letter = 97; letter <= 122; letter++) {
      const longer = request(name + String.fromCharCode(letter));
      assert.equal(names.find(longer, 0), undefined);
    }
  }
});

test("no name that the table was not given is found in it", () => {
  const names = new NameTable<number>();
  names.add("get", 1);

  for (const name of [
    "__proto__",
    "constructor",
    "toString",
    "",
    "GE",
    "GETT",
    "G\0T",
    "x".repeat(200),
  ]) {
    assert.equal(names.find(request(name), 0), undefined, name);
  }
});
