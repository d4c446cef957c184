/** Intents as bytes: round trips, refusals of what is cut, the golden file of version 1. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { PartEntry } from "../../../actors/protocols/transactions.ts";
import { decodeIntent, encodeIntent, type Intent } from "../../../actors/worker/intent-codec.ts";

const GOLDEN = join(import.meta.dirname, "..", "..", "golden", "intent-v1.bin");

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const list = fc.array(bytes, { maxLength: 5 });
const entry: fc.Arbitrary<PartEntry> = fc.oneof(
  list.map((args) => ({ kind: "command" as const, args })),
  bytes.map((key) => ({ kind: "content" as const, key, content: null })),
  fc
    .tuple(bytes, fc.nat(5), fc.nat({ max: Number.MAX_SAFE_INTEGER }), bytes, list, list)
    .map(([key, type, until, value, names, values]) => {
      return { kind: "content" as const, key, content: { type, until, value, names, values } };
    }),
);
const u32 = fc.nat({ max: 0xffffffff });
const part = fc
  .tuple(u32, u32, u32, fc.array(entry, { maxLength: 4 }))
  .map(([number, keyspace, partition, entries]) => ({ number, keyspace, partition, entries }));
const intent: fc.Arbitrary<Intent> = fc
  .tuple(fc.nat({ max: Number.MAX_SAFE_INTEGER }), fc.array(part, { maxLength: 4 }))
  .map(([nowMs, parts]) => ({ id: "0123456789abcdef", nowMs, parts }));

/** The worked example of docs/formats/intent.md. */
const EXAMPLE: Intent = {
  id: "00112233aabbccdd",
  nowMs: 1_800_000_000_000,
  parts: [
    {
      number: 0,
      keyspace: 0,
      partition: 7,
      entries: [
        { kind: "command", args: [Buffer.from("SET"), Buffer.from("a"), Buffer.from("1")] },
        { kind: "content", key: Buffer.from("b"), content: null },
      ],
    },
    {
      number: 1,
      keyspace: 3,
      partition: 255,
      entries: [
        {
          kind: "content",
          key: Buffer.from("h"),
          content: {
            type: 1,
            until: 1_800_000_001_000,
            value: Buffer.alloc(0),
            names: [Buffer.from("field")],
            values: [Buffer.from([0, 255])],
          },
        },
      ],
    },
  ],
};

test("an intent is read back as it was written", () => {
  fc.assert(
    fc.property(intent, (written) => {
      assert.deepEqual(decodeIntent(written.id, encodeIntent(written)), written);
    }),
  );
});

test("an intent that is cut, or longer, is refused", () => {
  const whole = encodeIntent(EXAMPLE);
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => decodeIntent(EXAMPLE.id, whole.subarray(0, length)), `cut at ${length}`);
  }
  assert.throws(() => decodeIntent(EXAMPLE.id, Buffer.concat([whole, Buffer.of(0)])));
});

test("an intent of version 1 is read for ever", () => {
  if (process.env.REWRITE === "1") writeFileSync(GOLDEN, encodeIntent(EXAMPLE));
  assert.deepEqual(decodeIntent(EXAMPLE.id, readFileSync(GOLDEN)), EXAMPLE);
  assert.deepEqual(encodeIntent(EXAMPLE), readFileSync(GOLDEN));
});
