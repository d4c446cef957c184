/** Slots of keys: Redis Cluster's rules, against its published examples and a plain CRC16. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { slotOf } from "../../../runtime/ring/slots.ts";

function slot(key: Buffer): number {
  // Not at the beginning of its buffer, and something behind it that must not count.
  return slotOf(Buffer.concat([Buffer.from("{x"), key, Buffer.from("}y")]), 2, 2 + key.length);
}

/** CRC-16/XMODEM bit by bit, as the Redis Cluster specification defines it. */
function plainSlot(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return crc & 0x3fff;
}

/** What counts of a key: between its first "{" and the next "}", if that is not empty. */
function counted(key: Buffer): Buffer {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open);
  return close > open + 1 ? key.subarray(open + 1, close) : key;
}

test("the slots of the Redis Cluster specification", () => {
  assert.equal(slot(Buffer.from("123456789")), 0x31c3);
  const same: readonly [string, string][] = [
    ["{user1000}.following", "user1000"],
    ["foo{{bar}}zap", "{bar"],
    ["foo{bar}{zap}", "bar"],
  ];
  for (const [key, tag] of same) assert.equal(slot(Buffer.from(key)), plainSlot(Buffer.from(tag)));
  assert.equal(slot(Buffer.from("foo{}{bar}")), plainSlot(Buffer.from("foo{}{bar}")));
  assert.equal(slot(Buffer.alloc(0)), 0);
});

test("the slot of any key is the CRC16 of what counts of it", () => {
  const byte = fc.oneof(fc.constantFrom(0x7b, 0x7d), fc.nat(255));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 40 }), (bytes) => {
      const key = Buffer.from(bytes);
      assert.equal(slot(key), plainSlot(counted(key)));
    }),
    { numRuns: 3000 },
  );
});
