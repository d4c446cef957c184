/** Resuming: a stream means the same in any pieces, and costs no more than its bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ARGUMENTS_KEPT } from "../../../runtime/codec/request.ts";
import { INCOMPLETE, PARSED, RespReader } from "../../../runtime/codec/resp-reader.ts";
import { encodeCommand } from "../../support/resp.ts";
import { bytewise, feed, type Keep, latin1, words } from "../../support/resp-feed.ts";

test("skipped bytes can be dropped, and need not be", () => {
  const bytes = latin1(
    '\r\n*0\r\n*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n\r\n*-1\r\n*1\r\n$4\r\nPING\r\n\n"a b"\r\n',
  );
  const expected = { commands: [["ECHO", "abc"], ["PING"], ["a b"]], error: "", forgery: false };
  for (let cut = 0; cut <= bytes.length; cut++) {
    const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)];
    for (const keep of ["moved", "grown", "from the old start"] as const) {
      assert.deepEqual(feed(pieces, keep), expected, `${keep} ${cut}`);
    }
  }
  assert.deepEqual(feed(bytewise(bytes), "from the old start"), expected);
});

test("a flood of blank lines leaves nothing to keep", () => {
  const bytes = latin1("\r\n*0\r\n".repeat(1000));
  const reader = new RespReader();

  assert.equal(reader.parse(bytes, 0, bytes.length), INCOMPLETE);

  assert.equal(reader.next, bytes.length);
});

test("a reader that was reset in the middle of a command begins anew", () => {
  const reader = new RespReader();
  for (const part of ["*2\r\n$4\r\nEC", "*2\r\n$4\r\nECHO\r\n$111", "*2\r\n$11111111111", "PI"]) {
    assert.equal(reader.parse(latin1(part), 0, part.length), INCOMPLETE);
    reader.reset();
    const good = latin1("*1\r\n$4\r\nPING\r\n");
    assert.equal(reader.parse(good, 0, good.length), PARSED);
    assert.deepEqual(words(reader), ["PING"]);
  }
});

test("every frame cut at every byte is the same frame", () => {
  const frames = [
    "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nv\r\nlu\r\n",
    "*1\r\n$0\r\n\r\n",
    `*12\r\n${"$10\r\n0123456789\r\n".repeat(12)}`,
    "\r\n*0\r\n*-1\r\nPING\r\n",
    "set \"a b\" 'c'\r\n",
    "*1\r\n$-1\r\n",
    "*1048577\r\n",
    "*00000000000000\r\n",
    "*1\r\n$99999999999\r\n",
    "*2\r\n$1\r\na\r\n:1\r\n",
    "POST / HTTP/1.1\r\n",
    '"unbalanced\r\n',
  ].map(latin1);
  for (const frame of frames) {
    const bytes = Buffer.concat([frame, frame]);
    const whole = feed([bytes]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)];
      for (const keep of ["moved", "grown", "from the old start"] as const) {
        assert.deepEqual(feed(pieces, keep), whole, `${frame.toString("latin1")} ${keep} ${cut}`);
      }
    }
  }
});

test("random commands in random pieces are read as they were sent", () => {
  const argument = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
  const command = fc.array(argument, { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(
      fc.array(command, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
      fc.constantFrom<Keep>("moved", "grown", "from the old start"),
      (commands, sizes, keep) => {
        const bytes = Buffer.concat(commands.map(encodeCommand));
        const pieces: Buffer[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length] as number;
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        const expected = commands.map((args) => args.map((arg) => arg.toString("latin1")));
        if (expected.some(([name]) => /^(post|host:)$/i.test(name as string))) return;
        assert.deepEqual(feed(pieces, keep), { commands: expected, error: "", forgery: false });
      },
    ),
    { numRuns: 300 },
  );
});

test("random bytes come to the same end in any pieces", () => {
  const token = fc.constantFrom("*1\r\n", "*2\r\n", "$1\r\n", "$3\r\n", "a\r\n", "*", "$", "\r\n");
  const odd = fc.constantFrom(
    '"',
    "'",
    "\\",
    "\\x4",
    "-",
    "99999999999",
    " ",
    "\r",
    "\n",
    "*-1\r\n",
  );
  const noise = fc
    .uint8Array({ maxLength: 4 })
    .map((bytes) => Buffer.from(bytes).toString("latin1"));
  const stream = fc.array(fc.oneof(token, odd, noise), { maxLength: 30 });
  fc.assert(
    fc.property(stream, fc.nat(), (parts, seed) => {
      const bytes = latin1(parts.join(""));
      const whole = feed([bytes]);
      const cut = seed % (bytes.length + 1);
      assert.deepEqual(feed(bytewise(bytes), "moved"), whole);
      assert.deepEqual(feed([bytes.subarray(0, cut), bytes.subarray(cut)], "grown"), whole);
      assert.deepEqual(feed(bytewise(bytes), "from the old start"), whole);
    }),
    { numRuns: 1000 },
  );
});

test("what is missing of a value is told, and memory does not follow a header", () => {
  const reader = new RespReader();
  const header = latin1("*1\r\n$536870912\r\nab");
  assert.equal(reader.parse(header, 0, header.length), INCOMPLETE);
  assert.equal(reader.missingBytes, 536870912);

  const many = latin1("*1048576\r\n");
  reader.reset();
  assert.equal(reader.parse(many, 0, many.length), INCOMPLETE);
  assert.ok(reader.request.starts.length <= 64);
});

/** Counts the bytes that are read from a buffer through its indexes. */
function counting(buffer: Buffer): { buffer: Buffer; reads: () => number } {
  let reads = 0;
  const proxy = new Proxy(buffer, {
    get(target, property) {
      if (typeof property === "string" && /^[0-9]+$/.test(property)) reads++;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { buffer: proxy, reads: () => reads };
}

test("no byte is scanned again when a command comes in pieces", () => {
  const value = Buffer.alloc(8 << 20, "v");
  const streams = [
    { bytes: encodeCommand(["SET", "k", value]), piece: 4096, readsMax: 60_000 },
    { bytes: encodeCommand(Array<string>(3000).fill("ab")), piece: 1, readsMax: 300_000 },
    { bytes: latin1(`${"a".repeat(60_000)}\r\n`), piece: 1, readsMax: 500_000 },
    { bytes: latin1(`*${"x".repeat(60_000)}`), piece: 1, readsMax: 500_000 },
  ];
  for (const { bytes, piece, readsMax } of streams) {
    const { buffer, reads } = counting(bytes);
    const reader = new RespReader();
    for (let end = piece; end < bytes.length; end += piece) {
      assert.equal(reader.parse(buffer, 0, end), INCOMPLETE);
    }
    assert.ok(reads() < readsMax, `${reads()} reads of ${bytes.length} bytes`);
  }
});

test("a giant command's room is given back after the next small one", () => {
  const reader = new RespReader();
  const giant = encodeCommand(["MSET", ...Array<string>(40_000).fill("x")]);
  const small = encodeCommand(["PING"]);
  assert.equal(reader.parse(giant, 0, giant.length), PARSED);
  assert.equal(reader.request.count, 40_001);
  assert.equal(reader.request.text(40_000), "x");

  for (let i = 0; i < 2; i++) assert.equal(reader.parse(small, 0, small.length), PARSED);

  assert.ok(reader.request.starts.length <= ARGUMENTS_KEPT);
  assert.deepEqual(words(reader), ["PING"]);
});
