/** Replies: each form in RESP2 and RESP3, read back by a decoder written apart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { plain, type Reply, ReplyReader } from "../../support/resp.ts";

type Write = (writer: RespWriter) => void;

function written(write: Write, protocol: 2 | 3 = 2): string {
  const writer = new RespWriter({ bytesMax: 1 << 24, bytesStart: 1 });
  writer.protocol = protocol;
  write(writer);
  return writer.buffer.toString("latin1", 0, writer.at);
}

function replies(write: Write, protocol: 2 | 3 = 2): Reply[] {
  const reader = new ReplyReader();
  reader.push(Buffer.from(written(write, protocol), "latin1"));
  const all = reader.all();
  assert.equal(reader.rest, 0);
  return all;
}

test("each kind of reply has its form in RESP2 and in RESP3", () => {
  const forms: [Write, string, string][] = [
    [(w) => w.ok(), "+OK\r\n", "+OK\r\n"],
    [(w) => w.pong(), "+PONG\r\n", "+PONG\r\n"],
    [(w) => w.queued(), "+QUEUED\r\n", "+QUEUED\r\n"],
    [(w) => w.simple("none"), "+none\r\n", "+none\r\n"],
    [(w) => w.error("ERR x"), "-ERR x\r\n", "-ERR x\r\n"],
    [(w) => w.integer(-0), ":0\r\n", ":0\r\n"],
    [(w) => w.integer(-10), ":-10\r\n", ":-10\r\n"],
    [(w) => w.nil(), "$-1\r\n", "_\r\n"],
    [(w) => w.nilArray(), "*-1\r\n", "_\r\n"],
    [(w) => w.boolean(true), ":1\r\n", "#t\r\n"],
    [(w) => w.boolean(false), ":0\r\n", "#f\r\n"],
    [(w) => w.bulkText("é"), "$2\r\n\xc3\xa9\r\n", "$2\r\n\xc3\xa9\r\n"],
    [(w) => w.bulkText("é", "latin1"), "$1\r\n\xe9\r\n", "$1\r\n\xe9\r\n"],
    [(w) => w.bulkText(""), "$0\r\n\r\n", "$0\r\n\r\n"],
    [(w) => w.array(0), "*0\r\n", "*0\r\n"],
    [(w) => w.array(12), "*12\r\n", "*12\r\n"],
    [(w) => w.map(6), "*12\r\n", "%6\r\n"],
    [(w) => w.set(3), "*3\r\n", "~3\r\n"],
    [(w) => w.push(3), "*3\r\n", ">3\r\n"],
    [(w) => w.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"],
    [(w) => w.double(Infinity), "$3\r\ninf\r\n", ",inf\r\n"],
    [(w) => w.double(-Infinity), "$4\r\n-inf\r\n", ",-inf\r\n"],
    [(w) => w.double(Number.NaN), "$3\r\nnan\r\n", ",nan\r\n"],
    [(w) => w.double(7), "$1\r\n7\r\n", ",7\r\n"],
    [(w) => w.bigNumber("123"), "$3\r\n123\r\n", "(123\r\n"],
    [(w) => w.verbatim("txt", "é"), "$2\r\n\xc3\xa9\r\n", "=6\r\ntxt:\xc3\xa9\r\n"],
    [(w) => w.raw(Buffer.from("x:1\r\nx"), 1, 5), ":1\r\n", ":1\r\n"],
  ];
  for (const [write, resp2, resp3] of forms) {
    assert.equal(written(write, 2), resp2);
    assert.equal(written(write, 3), resp3);
  }
});

test("a client's bytes cannot split a reply", () => {
  const evil = "ERR unknown command 'a\r\n+OK\r\n\0\xff'";

  const expected = "ERR unknown command 'a  +OK   \xff'";
  assert.deepEqual(
    replies((w) => w.error(evil)),
    [{ kind: "error", text: expected }],
  );
  assert.deepEqual(
    replies((w) => w.simple("a\nb\u{1f600}")),
    [{ kind: "simple", text: "a b??" }],
  );
});

test("integers of 64 bits are written in full", () => {
  const value = fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc
      .tuple(fc.integer({ min: 0, max: 62 }), fc.integer({ min: -2, max: 2 }))
      .map(([bits, near]) => {
        return (near < 0 ? -1n : 1n) * (1n << BigInt(bits)) + BigInt(near);
      }),
    fc.constantFrom(2n ** 63n - 1n, -(2n ** 63n), 10n ** 18n, -(10n ** 18n), 999999999n, 10n ** 9n),
  );
  fc.assert(
    fc.property(value, (number) => {
      const high = Number(number >> 32n);
      const low = Number(number & 0xffffffffn);
      assert.equal(
        written((w) => w.integer64(high, low)),
        `:${number}\r\n`,
      );
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.maxSafeInteger(), (number) => {
      assert.equal(
        written((w) => w.integer(number)),
        `:${number}\r\n`,
      );
    }),
  );
});

test("a bulk of any length holds its bytes", () => {
  const source = Buffer.from(Array.from({ length: 2000 }, (_, i) => i * 7));
  for (let length = 0; length < 1100; length += length < 130 ? 1 : 97) {
    const [reply] = replies((w) => w.bulk(source, 3, 3 + length));
    assert.deepEqual(reply, { kind: "bulk", bytes: source.subarray(3, 3 + length) });
  }
});

/** A random reply and what writes it. */
const item = fc.letrec<{ any: [Write, unknown]; leaf: [Write, unknown]; list: [Write, unknown] }>(
  (tie) => ({
    leaf: fc.oneof(
      fc.uint8Array({ maxLength: 100 }).map((bytes): [Write, unknown] => {
        const buffer = Buffer.from(bytes);
        return [(w) => w.bulk(buffer, 0, buffer.length), buffer.toString("latin1")];
      }),
      fc.maxSafeInteger().map((n): [Write, unknown] => [(w) => w.integer(n), n + 0]),
      fc
        .string()
        .map((text): [Write, unknown] => [
          (w) => w.bulkText(text),
          Buffer.from(text).toString("latin1"),
        ]),
      fc.constant<[Write, unknown]>([(w) => w.nil(), null]),
    ),
    list: fc
      .tuple(fc.boolean(), fc.array(tie("any"), { maxLength: 14 }))
      .map(([open, items]): [Write, unknown] => [
        (w) => {
          const mark = open ? w.openArray() : 0;
          if (!open) w.array(items.length);
          for (const [write] of items) write(w);
          if (open) w.closeArray(mark, items.length);
        },
        items.map(([, value]) => value),
      ]),
    any: fc.oneof({ maxDepth: 3, withCrossShrink: true }, tie("leaf"), tie("list")),
  }),
).any;

test("random replies are read as they were written, in any pieces", () => {
  fc.assert(
    fc.property(
      fc.array(item, { maxLength: 5 }),
      fc.integer({ min: 1, max: 50 }),
      (items, size) => {
        const bytes = Buffer.from(
          written((w) => {
            for (const [write] of items) write(w);
          }),
          "latin1",
        );
        const reader = new ReplyReader();
        const read: unknown[] = [];
        for (let at = 0; at < bytes.length; at += size) {
          reader.push(bytes.subarray(at, at + size));
          read.push(...reader.all().map(plain));
        }
        assert.deepEqual(
          read,
          items.map(([, value]) => value),
        );
        assert.equal(reader.rest, 0);
      },
    ),
    { numRuns: 300 },
  );
});

test("an aggregate closed late has its count in front, whatever its digits", () => {
  for (const count of [0, 1, 9, 10, 99, 100, 1234]) {
    const write = (close: (w: RespWriter, mark: number) => void) => (w: RespWriter) => {
      w.simple("before");
      const mark = w.openArray();
      for (let i = 0; i < count * 2; i++) w.integer(i);
      close(w, mark);
      w.simple("after");
    };
    const numbers = Array.from({ length: count * 2 }, (_, i) => i);
    const array = replies(write((w, mark) => w.closeArray(mark, count * 2))).map(plain);
    assert.deepEqual(array, ["before", numbers, "after"]);
    const [, map] = replies(
      write((w, mark) => w.closeMap(mark, count)),
      3,
    );
    assert.equal(map?.kind === "map" ? map.entries.length : -1, count);
    assert.deepEqual(replies(write((w, mark) => w.closeMap(mark, count))).map(plain), array);
    const [, set] = replies(
      write((w, mark) => w.closeSet(mark, count * 2)),
      3,
    );
    assert.deepEqual([set?.kind, set && plain(set)], ["set", numbers]);
  }
});

test("what was written since a mark can be taken back", () => {
  const text = written((w) => {
    w.ok();
    const mark = w.mark();
    w.array(3);
    w.integer(1);
    w.rewind(mark);
    w.error("WRONGTYPE");
  });

  assert.equal(text, "+OK\r\n-WRONGTYPE\r\n");
});

test("a writer that would pass its bound overflows and keeps nothing", () => {
  const writer = new RespWriter({ bytesMax: 100, bytesStart: 60 });
  const value = Buffer.alloc(50);
  writer.bulk(value, 0, 35);
  writer.bulk(value, 0, 10);
  assert.equal(writer.overflowed, false);
  assert.ok(writer.buffer.length <= 100);
  const mark = writer.openArray();

  writer.bulk(value, 0, 50);
  writer.closeArray(mark, 1234);
  writer.rewind(mark);
  writer.ok();

  assert.deepEqual([writer.overflowed, writer.at, writer.buffer.length], [true, 0, 0]);
  assert.equal(writer.take().length, 0);
  writer.reset();
  writer.ok();
  assert.deepEqual([writer.overflowed, writer.at], [false, 5]);
});

test("a buffer handed over is not written again", () => {
  const writer = new RespWriter({ bytesMax: 1000, bytesStart: 16 });
  writer.ok();

  const taken = writer.take();
  writer.pong();

  assert.equal(taken.toString(), "+OK\r\n");
  assert.equal(writer.buffer.toString("latin1", 0, writer.at), "+PONG\r\n");
});

test("a giant reply's memory is given back at the next reset", () => {
  const writer = new RespWriter({ bytesMax: 1 << 24 });
  writer.bulk(Buffer.alloc(1 << 20), 0, 1 << 20);

  writer.reset();

  assert.equal(writer.at, 0);
  assert.ok(writer.buffer.length <= 4096);
});
