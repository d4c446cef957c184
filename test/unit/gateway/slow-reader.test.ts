/** Clients that take their replies slowly, or not at all: what waits for them, and how long. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReplySlot } from "../../../actors/gateway/connection.ts";
import { deferring, FakeConnection, stuckWithReplies } from "../../support/fake-connection.ts";

test("replies that another thread makes are asked for as the last ones were long", () => {
  const fake = new FakeConnection({ outputPauseBytes: 256_000 });
  const slots = deferring(fake, ["LATE"]);
  fake.feed("LATE\r\n".repeat(2_000));
  const first = slots.length;
  assert.ok(first < 20, `${first} under way before any was answered`);
  const answer = (text: string) => {
    const next = slots.findIndex((slot) => slot.bytes === null);
    fake.connection.fill(slots[next] as ReplySlot, Buffer.from(`+${text}\r\n`), 0);
    fake.turn();
  };
  const underWay = () => slots.filter(({ bytes }) => bytes === null).length;
  for (let i = 0; i < 100; i++) answer("short");
  const most = underWay();
  assert.ok(most > 100 && most < 256, `${most} under way behind short replies`);
  for (let i = 0; i < most; i++) answer("x".repeat(100_000));
  assert.equal(underWay(), 3);
  for (let i = 0; i < 100; i++) answer("short");
  assert.ok(underWay() > 100);
});

test("a client that never reads is disconnected after a while", () => {
  const fake = stuckWithReplies(5000);
  fake.feed("A\r\nB\r\n");
  for (const nowMs of [10_000, 10_100, 11_000]) fake.connection.watchOutput(nowMs);
  assert.equal(fake.transport.end, "open");
  fake.connection.watchOutput(11_200);
  assert.equal(fake.transport.end, "destroyed");
  assert.equal(fake.closedCount, 1);
});

test("a slow reader that moves on is left alone below the soft limit", () => {
  const fake = stuckWithReplies(5000);
  fake.feed("A\r\n");
  for (let nowMs = 0; nowMs < 20_000; nowMs += 900) {
    fake.transport.unsentBytes -= 100;
    fake.connection.watchOutput(nowMs);
  }
  assert.equal(fake.transport.end, "open");
});

/** A connection that was sent these replies at once and takes nothing. */
function stuckWith(limits: ConstructorParameters<typeof FakeConnection>[0], lengths: number[]) {
  const fake = new FakeConnection(limits);
  const slots = deferring(fake, ["LATE"]);
  fake.feed("LATE\r\n".repeat(lengths.length));
  fake.transport.takes = false;
  lengths.forEach((length, i) => {
    fake.connection.fill(slots[i] as ReplySlot, Buffer.from(`+${"x".repeat(length)}\r\n`), 0);
    fake.turn();
  });
  return fake;
}

test("one reply may be larger than the hard limit, but not what waits with it", () => {
  const limits = { outputHardBytes: 10_000, outputSoftBytes: 10_000, outputSoftMs: 60_000 };
  const one = stuckWith(limits, [20_000]);
  for (const nowMs of [100, 5_000, 50_000]) one.connection.watchOutput(nowMs);
  assert.equal(one.transport.end, "open");

  const two = stuckWith(limits, [20_000, 20_000]);
  for (const nowMs of [100, 1_000]) two.connection.watchOutput(nowMs);
  assert.equal(two.transport.end, "open");
  two.connection.watchOutput(1_200);
  assert.equal(two.transport.end, "destroyed");
});

test("the last reply is what it is, wherever the ones before it are", () => {
  const limits = { outputPauseBytes: 10_000, outputHardBytes: 70_000, outputSoftBytes: 1_000_000 };
  const fake = new FakeConnection({ ...limits, outputSoftMs: 60_000 });
  const slots = deferring(fake, ["LATE"]);
  fake.feed("LATE\r\nLATE\r\nLATE\r\n");
  fake.transport.takes = false;
  const fill = (slot: number, length: number) => {
    const reply = Buffer.from(`+${"x".repeat(length)}\r\n`);
    fake.connection.fill(slots[slot] as ReplySlot, reply, 0);
    fake.turn();
  };
  fill(0, 60_000); // is being sent
  fill(2, 1_000); // not its turn
  for (const nowMs of [100, 5_000, 10_000]) fake.connection.watchOutput(nowMs);
  assert.equal(fake.transport.end, "open");
  fill(1, 1_000);
  for (const nowMs of [10_100, 15_000]) fake.connection.watchOutput(nowMs);
  assert.equal(fake.transport.end, "open");
});

test("a client that takes something and then nothing has a second from then on", () => {
  const limits = { outputHardBytes: 10_000, outputSoftBytes: 10_000, outputSoftMs: 60_000 };
  const fake = stuckWith(limits, [20_000, 20_000]);
  fake.connection.watchOutput(100);
  fake.transport.unsentBytes -= 1;
  fake.connection.watchOutput(1_000);
  fake.connection.watchOutput(1_900);
  assert.equal(fake.transport.end, "open");
  fake.connection.watchOutput(2_100);
  assert.equal(fake.transport.end, "destroyed");
});

test("however much waits, a client that takes it is left alone until it is too slow", () => {
  const limits = { outputHardBytes: 10_000, outputSoftBytes: 1_000, outputSoftMs: 10_000 };
  const takes = (bytesASecond: number) => {
    const fake = stuckWith(limits, [50_000, 50_000]);
    for (let nowMs = 0; nowMs < 45_000; nowMs += 500) {
      fake.transport.unsentBytes -= bytesASecond / 2;
      fake.connection.watchOutput(nowMs);
    }
    return fake.transport.end;
  };
  assert.equal(takes(110), "open");
  assert.equal(takes(90), "destroyed");
});

test("of a long reply only what the system has not taken waits", () => {
  const fake = stuckWith({ outputSoftBytes: 10_000, outputSoftMs: 1_000 }, [50_000]);
  fake.transport.unsentBytes = 9_000;
  for (let nowMs = 100; nowMs < 5_000; nowMs += 100) {
    fake.transport.unsentBytes -= 1;
    fake.connection.watchOutput(nowMs);
  }
  assert.equal(fake.transport.end, "open");
});
