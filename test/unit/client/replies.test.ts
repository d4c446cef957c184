/** Commands as bytes, and replies as values: exact integers, text or bytes, every type of RESP3. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CommandTable } from "../../../actors/command-table.ts";
import { encodeCommand, encodeTransaction } from "../../../client/command.ts";
import { asBytes, asText, type Reply, ReplyReader } from "../../../client/replies.ts";
import { CoterieError } from "../../../runtime/base/errors.ts";
import { RespReader } from "../../../runtime/codec/resp-reader.ts";

/** All replies in a text of bytes, which stand in the middle of a larger buffer. */
function read<Text extends string | Buffer>(text: string, decode: typeof asText | typeof asBytes) {
  const bytes = Buffer.from(`??${text}??`, "latin1");
  const reader = new ReplyReader(decode as never);
  reader.open(bytes, 2, bytes.length - 2);
  const replies: (Reply<Text> | undefined)[] = [];
  while (!reader.isDone) replies.push(reader.next() as Reply<Text> | undefined);
  return replies;
}

test("every type of reply becomes the value that it means", () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ["+OK\r\n", "OK"],
    [":-12\r\n", -12],
    [":9007199254740993\r\n", 9_007_199_254_740_993n],
    ["(123456789012345678901234567890\r\n", 123456789012345678901234567890n],
    ["$5\r\na\r\nb\x00\r\n", "a\r\nb\x00"],
    ["$0\r\n\r\n", ""],
    ["$-1\r\n", null],
    ["*-1\r\n", null],
    ["_\r\n", null],
    ["#t\r\n", true],
    ["#f\r\n", false],
    [",1.5\r\n", 1.5],
    [",-inf\r\n", -Infinity],
    ["=7\r\ntxt:abc\r\n", "abc"],
    ["*2\r\n:1\r\n*0\r\n", [1, []]],
    ["~1\r\n$1\r\nm\r\n", ["m"]],
    ["%1\r\n$1\r\nf\r\n:2\r\n", new Map([["f", 2]])],
  ];
  for (const [bytes, value] of cases) assert.deepEqual(read(bytes, asText), [value], bytes);
  const all = read(cases.map(([bytes]) => bytes).join(""), asText);
  assert.deepEqual(
    all,
    cases.map(([, value]) => value),
  );
});

test("bytes stay bytes where the caller wants them, and outlive the message", () => {
  const bytes = Buffer.from("$3\r\n\xff\x00\xfe\r\n", "latin1");
  const reader = new ReplyReader(asBytes);
  reader.open(bytes, 0, bytes.length);
  const value = reader.next();
  bytes.fill(0);
  assert.deepEqual(value, Buffer.from([0xff, 0, 0xfe]));
});

test("a push message answers nothing", () => {
  assert.deepEqual(read(">2\r\n+a\r\n:1\r\n:5\r\n", asText), [undefined, 5]);
});

test("an error reply says by its code what can be done", () => {
  const codes = [
    ["UNKNOWN the worker restarted", "UNKNOWN_OUTCOME", "retry"],
    ["BUSY too many requests", "OVERLOADED", "retry"],
    ["MISCONF the disk is full", "DISK_FULL", "fix"],
    ["WRONGTYPE Operation against a key", "COMMAND_FAILED", "fix"],
  ] as const;
  for (const [text, code, remedy] of codes) {
    const [error] = read(`-${text}\r\n`, asText);
    assert.ok(error instanceof CoterieError);
    assert.deepEqual([error.code, error.remedy, error.message], [code, remedy, text]);
    assert.equal(error.detail.word, text.split(" ")[0]);
  }
});

test("any arguments arrive as they were given", () => {
  const argument = fc.oneof(fc.string(), fc.integer(), fc.bigInt(), fc.uint8Array());
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.array(argument), (name, args) => {
      const bytes = encodeCommand([name, ...args]);
      const reader = new RespReader({ argsMax: 1000, bulkBytesMax: 1_000_000 });
      reader.parse(bytes, 0, bytes.length);
      assert.equal(reader.next, bytes.length);
      const { request } = reader;
      const got = Array.from({ length: request.count }, (_, i) => {
        return Buffer.from(request.bytes.subarray(request.starts[i], request.ends[i]));
      });
      const wanted = [name, ...args].map((value) => {
        return value instanceof Uint8Array ? Buffer.from(value) : Buffer.from(String(value));
      });
      assert.deepEqual(got, wanted);
    }),
  );
});

test("what is no argument is refused by its place, and no text is made of it", () => {
  const wrong: [unknown, string][] = [
    [undefined, "undefined"],
    [null, "null"],
    [["x"], "an array"],
    [{}, "of type object"],
    [true, "of type boolean"],
    [Symbol("x"), "of type symbol"],
  ];
  for (const [argument, kind] of wrong) {
    const message = `SET: argument 2 is ${kind}: give a string, a number, a bigint or bytes`;
    assert.throws(() => encodeCommand(["set", "k", argument as string]), { message });
  }
  assert.throws(() => encodeCommand([undefined as unknown as string]), {
    message: /^the command's name is undefined: /,
  });
});

test("a transaction is MULTI, its commands, EXEC, and no command that is not queued", () => {
  const encoded = encodeTransaction([["GET", "multi"]]);
  const wanted = [["MULTI"], ["GET", "multi"], ["EXEC"]].map(encodeCommand);
  assert.deepEqual(encoded, wanted);
  const table = new CommandTable();
  const notQueued = table.entries.filter((entry) => entry.isTransactional);
  assert.ok(notQueued.length > 0);
  for (const { facts } of notQueued) {
    const name = facts.name.toLowerCase();
    for (const word of [name, Buffer.from(name)]) {
      const message = new RegExp(`^${facts.name} cannot be a part of a transaction`);
      assert.throws(() => encodeTransaction([["GET", "k"], [word as string]]), { message });
    }
  }
});

test("a command that would have no reply is refused, in any case of letters", () => {
  assert.throws(() => encodeCommand(["client", "Reply", "OFF"]), /a handle always replies/);
  assert.throws(() => encodeCommand([]), /a command has a name/);
});
