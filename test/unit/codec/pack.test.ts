/** MessagePack values: round trips, and bad bytes as a value. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pack, unpack } from "../../../runtime/codec/pack.ts";

/** Every code point but halves of a pair. fast-check's own unit of these takes a second to make. */
const codePoint = fc
  .oneof(fc.integer({ max: 0xd7ff, min: 0 }), fc.integer({ max: 0x10ffff, min: 0xe000 }))
  .map((code) => String.fromCodePoint(code));
const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }).map((double) => double + 0), // -0 is a test of its own
  fc.string({ unit: codePoint }),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
);
const name = fc.string().filter((text) => text !== "__proto__");
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie("value")),
    fc.array(fc.tuple(name, tie("value"))).map((entries) => Object.fromEntries(entries)),
  ),
})).value;

test("a value comes back as it was packed", () => {
  fc.assert(
    fc.property(value, (sent) => {
      assert.deepEqual(unpack(pack(sent)), { kind: "value", value: sent });
    }),
  );
});

test("a negative zero comes back as zero", () => {
  assert.deepEqual(unpack(pack([-0])), { kind: "value", value: [0] });
});

test("packed bytes have a buffer of their own", () => {
  const packed = pack({ a: 1 });
  assert.equal(packed.buffer.byteLength, packed.length);
});

test("any bytes are a value or malformed, never a throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.ok(["value", "malformed"].includes(unpack(bytes).kind));
    }),
    { numRuns: 1000 },
  );
});

test("a cut or padded value is malformed", () => {
  const packed = pack({ name: "node", ports: [1, 2, 3], bytes: Buffer.from("abc") });
  for (let length = 0; length < packed.length; length++) {
    assert.equal(unpack(packed.subarray(0, length)).kind, "malformed", `cut at ${length}`);
  }
  assert.equal(unpack(Buffer.concat([packed, Buffer.from([0])])).kind, "malformed");
});

test("nesting deep enough to end the stack is malformed", () => {
  assert.equal(unpack(Buffer.alloc(1_000_000, 0x91)).kind, "malformed");
});

test("a length that the bytes cannot hold is refused without memory for it", () => {
  const huge = (marker: number) => Buffer.from([marker, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
  for (const marker of [0xc6, 0xdb, 0xdd, 0xdf, 0xc9]) {
    assert.equal(unpack(huge(marker)).kind, "malformed", marker.toString(16));
  }
});

test("a key cannot reach a prototype", () => {
  const bytes = Buffer.concat([Buffer.from([0x81]), pack("__proto__"), pack({ polluted: true })]);
  const result = unpack(bytes);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  if (result.kind === "value") {
    assert.equal(Object.getPrototypeOf(result.value as object), Object.prototype);
  }
});

test("bytes in a value outlive the buffer that they were read from", () => {
  for (const length of [3, 10_000]) {
    const source = Buffer.from(pack({ keys: [Buffer.alloc(length, "k")] }));
    const unpacked = unpack(source);
    source.fill(0);
    const value = unpacked.kind === "value" ? (unpacked.value as { keys: Buffer[] }) : undefined;
    assert.deepEqual(value?.keys[0], Buffer.alloc(length, "k"));
  }
});
