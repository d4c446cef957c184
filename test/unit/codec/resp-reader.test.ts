/** Framing: what is a command, what is refused and in which words (faults.md, bad inputs). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_BYTES_MAX,
  FAILED,
  LINE_BYTES_MAX,
  PARSED,
  RespReader,
  respLimits,
  respLimitsBeforeAuth,
} from "../../../runtime/codec/resp-reader.ts";
import { encodeCommand } from "../../support/resp.ts";
import { bytewise, feed, latin1, type Outcome, words } from "../../support/resp-feed.ts";

/** The outcome, found to be the same for a stream that comes whole and byte by byte. */
function outcomeOf(text: string | Buffer, limits = respLimits): Outcome {
  const bytes = typeof text === "string" ? latin1(text) : text;
  const whole = feed([bytes], "moved", new RespReader(limits));
  assert.deepEqual(feed(bytewise(bytes), "grown", new RespReader(limits)), whole);
  return whole;
}

function errorOf(text: string, limits = respLimits): string {
  const { commands, error, forgery } = outcomeOf(text, limits);
  assert.deepEqual(commands, []);
  assert.equal(forgery, false);
  return error;
}

function commandsOf(text: string): string[][] {
  const { commands, error } = outcomeOf(text);
  assert.equal(error, "");
  return commands;
}

test("a multibulk command is read in place", () => {
  const bytes = latin1("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
  const reader = new RespReader();

  assert.equal(reader.parse(bytes, 0, bytes.length), PARSED);

  assert.equal(reader.request.bytes, bytes);
  assert.deepEqual(words(reader), ["GET", "k"]);
  assert.equal(reader.next, bytes.length);
});

test("a pipeline is read command by command", () => {
  const bytes = "*1\r\n$4\r\nPING\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n";

  assert.deepEqual(commandsOf(bytes), [["PING"], ["PING"], ["ECHO", ""]]);
});

test("a multibulk length that is no count of arguments is refused", () => {
  for (const count of [
    "3000000000",
    "2147483648",
    "1048577",
    "99999999999999999999",
    "-99999999999999999999",
    "blabla",
    "1.5",
    "+2",
    "0x1",
    "01",
    "-0",
    "",
    " 1",
    "1 ",
  ]) {
    const error = errorOf(`*${count}\r\n$4\r\nPING\r\n`);
    assert.equal(error, "ERR Protocol error: invalid multibulk length", count);
  }
});

test("a bulk length that is no length is refused", () => {
  for (const length of [
    "-10",
    "-1",
    "2000000000",
    "536870913",
    "blabla",
    "9223372036854775808",
    "9223372036854775807",
    " 3",
    "",
    "3e1",
    "+3",
    "03",
  ]) {
    const error = errorOf(`*1\r\n$${length}\r\nfoo\r\n`);
    assert.equal(error, "ERR Protocol error: invalid bulk length", length);
  }
});

test("a length line that is not ended by CRLF is refused", () => {
  assert.equal(errorOf("*1\r$"), "ERR Protocol error: invalid multibulk length");
  assert.equal(errorOf("*1\r\n$1\ra"), "ERR Protocol error: invalid bulk length");
});

test("a line without digits is refused as soon as it ends, also behind lines that were cut", () => {
  assert.equal(errorOf("*12\r\n$\r\n"), "ERR Protocol error: invalid bulk length");
  assert.equal(errorOf("*-10\r\n*\r\n"), "ERR Protocol error: invalid multibulk length");
});

test("an argument that is no bulk is refused, its type shown", () => {
  const shown: [string, string][] = [
    ["foo", "f"],
    [":5", ":"],
    ["*1", "*"],
    ["+PING", "+"],
    ["\r\n", "\\x0d"],
    ["\0", "\\x00"],
    ["\xff", "\\xff"],
  ];
  for (const [line, type] of shown) {
    const expected = `ERR Protocol error: expected '$', got '${type}'`;
    assert.equal(errorOf(`*1\r\n${line}`), expected);
    assert.equal(errorOf(`*1\r\n${line}\r\n`), expected);
  }
});

test("nested arrays are refused at the second", () => {
  assert.match(errorOf("*1\r\n".repeat(20_000)), /expected '\$', got '\*'$/);
});

test("a count line without an end is refused at 64 KB", () => {
  const digits = "1".repeat(LINE_BYTES_MAX);

  assert.equal(feed([latin1(`*${digits.slice(1)}`)]).error, "");
  assert.equal(errorOf(`*${digits}`), "ERR Protocol error: too big mbulk count string");
  assert.equal(errorOf(`*1\r\n$${digits}`), "ERR Protocol error: too big bulk count string");
  assert.equal(errorOf(`*${digits}\r\n`), "ERR Protocol error: too big mbulk count string");
});

test("an inline request longer than 64 KB is refused", () => {
  const word = "a".repeat(LINE_BYTES_MAX - 1);

  assert.deepEqual(commandsOf(`${word}\n`), [[word]]);
  assert.deepEqual(commandsOf(`${word}\r\n`), [[word]]);
  assert.equal(errorOf(`${word}aa`), "ERR Protocol error: too big inline request");
  assert.equal(errorOf(`${word}aa\r\n`), "ERR Protocol error: too big inline request");
});

test("unbalanced quotes are refused", () => {
  for (const line of ['"a', "'a", '"a"b', "'a'b", '"a\\"', "'a\\'", 'x"', '"abc\\', '"a""b"']) {
    const error = errorOf(`${line}\r\n`);
    assert.equal(error, "ERR Protocol error: unbalanced quotes in request", line);
  }
});

test("blank lines and empty arrays are skipped", () => {
  for (const nothing of ["\r\n", "\n", "   \r\n", "\t \v\f\r\n", "*0\r\n", "*-1\r\n", "*-10\r\n"]) {
    assert.deepEqual(commandsOf(nothing), []);
    assert.deepEqual(commandsOf(`${nothing}${nothing}PING\r\n`), [["PING"]]);
    assert.deepEqual(commandsOf(`${nothing}*1\r\n$4\r\nPING\r\n${nothing}`), [["PING"]]);
  }
});

test("a body without CRLF behind it is refused", () => {
  const error = "ERR Protocol error: expected CRLF after bulk";
  assert.equal(errorOf("*1\r\n$3\r\nabcd\r\n"), error);
  assert.equal(errorOf("*1\r\n$4\r\nabc\r\n\r\n"), error);
  assert.equal(errorOf("*1\r\n$3\r\nabc\r\r"), error);
  assert.equal(errorOf("*1\r\n$3\r\nabc\n\n"), error);
});

test("a TLS handshake or a NUL byte is refused at once", () => {
  const error = "ERR Protocol error: NUL in inline request";
  assert.equal(errorOf("\x16\x03\x01\x02\x00\x01\x00\x01\xfc"), error);
  assert.equal(errorOf("\0"), error);
  assert.equal(errorOf("PING\0"), error);
});

test("an HTTP request is a forgery, whatever stands before it", () => {
  for (const request of [
    "POST / HTTP/1.1\r\n",
    "post / HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\n",
    "GET /coterie HTTP/1.0\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "Host: localhost:7379\r\n",
    "host: localhost\r\n",
    "*1\r\n$4\r\nPOST\r\n",
    "*2\r\n$5\r\nhost:\r\n$1\r\na\r\n",
  ]) {
    const { commands, forgery } = outcomeOf(`PING\r\n${request}SET k v\r\n`);
    assert.deepEqual([commands, forgery], [[["PING"]], true], request);
  }
});

test("commands that only resemble HTTP are commands", () => {
  assert.deepEqual(commandsOf("SET path HTTP/1.1\r\nGET HTTP/1.1\r\nHOST\r\nPOSTS\r\n"), [
    ["SET", "path", "HTTP/1.1"],
    ["GET", "HTTP/1.1"],
    ["HOST"],
    ["POSTS"],
  ]);
});

test("inline words are split as redis-cli splits them", () => {
  const lines: [string, string[]][] = [
    ["PING", ["PING"]],
    ["  set\tkey \v value  ", ["set", "key", "value"]],
    ["a\vb", ["a\vb"]],
    ['set k "a b"', ["set", "k", "a b"]],
    ['"\\x41\\xff\\n\\r\\t\\b\\a\\"\\\\\\q\\xzz"', ['A\xff\n\r\t\b\x07"\\qxzz']],
    ["'a\\'b\\n\"c'", ["a'b\\n\"c"]],
    ['foo"bar" baz', ["foobar", "baz"]],
    ["\"\" '' x", ["", "", "x"]],
    ['"a"\t"b"', ["a", "b"]],
    ["\xe9\xff", ["\xe9\xff"]],
    ['"*3" $3', ["*3", "$3"]],
  ];
  for (const [line, expected] of lines) {
    assert.deepEqual(commandsOf(`${line}\r\n`), [expected], line);
    assert.deepEqual(commandsOf(`${line}\n`), [expected], line);
  }
});

test("before AUTH a command has ten arguments of 16 KB", () => {
  const limits = respLimitsBeforeAuth;
  const count = "ERR Protocol error: unauthenticated multibulk length";
  const length = "ERR Protocol error: unauthenticated bulk length";

  assert.equal(errorOf("*11\r\n", limits), count);
  assert.equal(errorOf("a a a a a a a a a a a\r\n", limits), count);
  assert.equal(errorOf("*1\r\n$16385\r\n", limits), length);
  assert.equal(errorOf(`${"a".repeat(16385)}\r\n`, limits), length);
  assert.match(errorOf("*3000000000\r\n", limits), /invalid multibulk length$/);
  assert.match(errorOf("*1\r\n$536870913\r\n", limits), /invalid bulk length$/);
  const largest = encodeCommand(Array<string>(10).fill("a".repeat(16384)));
  assert.equal(outcomeOf(largest, limits).commands[0]?.length, 10);
});

test("AUTH lifts the limits for the rest of its pipeline", () => {
  const reader = new RespReader(respLimitsBeforeAuth);
  const first = encodeCommand(["AUTH", "secret"]);
  const bytes = Buffer.concat([first, encodeCommand(Array<string>(11).fill("a"))]);
  assert.equal(reader.parse(bytes, 0, bytes.length), PARSED);

  reader.setLimits(respLimits);

  assert.equal(reader.parse(bytes, reader.next, bytes.length), PARSED);
  assert.equal(reader.request.count, 11);
});

test("a command larger than its bound is refused at the header that passes it", () => {
  const limits = { ...respLimits, commandBytesMax: 100 };
  const command = (length: number) => `*2\r\n$2\r\nab\r\n$${length}\r\n`;

  assert.equal(errorOf(command(82), limits), "ERR Protocol error: too big request");
  assert.equal(outcomeOf(`${command(81)}${"x".repeat(81)}\r\n`, limits).commands.length, 1);
  assert.equal(feed([latin1("*1\r\n$536870912\r\n")]).error, "");
  assert.ok(COMMAND_BYTES_MAX * 2 <= 2 ** 31, "two whole commands have offsets of 31 bits");
});

test("a failed reader stays failed until it is reset", () => {
  const reader = new RespReader();
  const bad = latin1("*x\r\n");
  const good = latin1("PING\r\n");
  assert.equal(reader.parse(bad, 0, bad.length), FAILED);
  assert.equal(reader.parse(good, 0, good.length), FAILED);

  reader.reset();

  assert.equal(reader.parse(good, 0, good.length), PARSED);
  assert.equal(reader.error, "");
});
