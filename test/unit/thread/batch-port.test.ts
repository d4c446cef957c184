/** Batch ports: order, batching, bounds, returned buffers and the death of a peer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import fc from "fast-check";
import { BATCH_BYTES, BATCH_BYTES_FLUSH } from "../../../runtime/thread/batch-port.ts";
import type { Received } from "./support.ts";
import { end, pair, send, until } from "./support.ts";

const message = (id: number, payload = `m${id}`): Received => ({ kind: 3, id, payload });

test("a turn's messages arrive in one batch, in order and byte for byte", async () => {
  const { a, b, close } = pair();
  const sent = [message(1), message(2 ** 32 - 1, ""), message(7, "\x00\xff\r\n")];
  for (const one of sent) assert.equal(send(a.port, one), true);
  a.port.flush();
  await until(() => b.received.length === 3, "three messages arrived");
  assert.deepEqual(b.received, sent);
  assert.equal(a.port.batchesOut, 1);
  assert.equal(b.batches, 1);
  close();
});

test("any messages in any batches arrive once and in order, both ways at the same time", async () => {
  const payload = fc.oneof(
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)) }),
    fc.nat(3 * BATCH_BYTES).map((length) => "x".repeat(length)),
  );
  const step = fc.oneof(
    fc.record({ from: fc.boolean(), kind: fc.nat(255), id: fc.nat(), payload }),
    fc.constant("flush" as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
      const { a, b, close } = pair();
      const toA: Received[] = [];
      const toB: Received[] = [];
      for (const step of steps) {
        if (step === "flush") {
          a.port.flush();
          b.port.flush();
          continue;
        }
        const { from, ...sent } = step;
        assert.equal(send(from ? a.port : b.port, sent), true);
        (from ? toB : toA).push(sent);
      }
      a.port.flush();
      b.port.flush();
      await until(() => a.received.length + b.received.length === toA.length + toB.length, "all");
      assert.deepEqual(a.received, toA);
      assert.deepEqual(b.received, toB);
      close();
    }),
    { numRuns: 60 },
  );
});

test("a message may end before what it asked for, and a cancelled one is not sent", async () => {
  const { a, b, close } = pair();
  const at = a.port.begin(1, 1, 1000);
  a.port.out.write("abc", at, "latin1");
  a.port.end(3);
  a.port.begin(1, 2, 50);
  a.port.cancel();
  send(a.port, message(3));
  a.port.flush();
  a.port.begin(1, 4, 50);
  a.port.cancel();
  a.port.flush();
  await until(() => b.received.length === 2, "two messages arrived");
  assert.deepEqual(
    b.received.map(({ payload }) => payload),
    ["abc", "m3"],
  );
  assert.equal(a.port.batchesOut, 1);
  close();
});

test("requests are refused once too much is in flight, and again taken when it is read", async () => {
  const { a, b, close } = pair({ inFlightBytesMax: 1000 });
  let taken = 0;
  while (taken < 100 && send(a.port, message(taken, "x".repeat(91)))) taken++;
  assert.equal(taken, 10);
  assert.equal(a.port.full, true);
  a.port.flush();
  assert.equal(send(a.port, message(99)), false);
  await until(() => b.received.length === taken, "the batch arrived");
  assert.equal(a.port.full, true);
  b.port.flush();
  await until(() => !a.port.full, "the buffer came back");
  assert.equal(a.port.inFlightBytes, 0);
  assert.equal(send(a.port, message(100)), true);
  close();
});

test("replies are taken where requests are refused", () => {
  const { a, close } = pair({ inFlightBytesMax: 100 });
  while (send(a.port, message(1)));
  assert.equal(send(a.port, message(2), true), true);
  close();
});

test("freed bytes call onBatchEnd, so that an owner who waits can go on", async () => {
  const { a, b, close } = pair();
  send(a.port, message(1));
  a.port.flush();
  await until(() => b.received.length === 1, "the message arrived");
  assert.equal(a.batches, 0);
  b.port.flush();
  await until(() => a.batches === 1, "the owner was told");
  close();
});

test("buffers go round: a steady exchange makes no new ones", async () => {
  const { a, b, close } = pair();
  let fresh = 0;
  for (let i = 0; i < 50; i++) {
    send(a.port, message(i));
    // The last byte is not written by so short a batch: it tells a new buffer from a used one.
    if (a.port.out[BATCH_BYTES - 1] === 0) fresh++;
    a.port.out[BATCH_BYTES - 1] = 1;
    a.port.flush();
    await until(() => b.received.length === i + 1, "the request arrived");
    send(b.port, message(i));
    b.port.flush();
    await until(() => a.received.length === i + 1, "the reply arrived");
    assert.equal(a.port.inFlightBytes, 0);
    assert.ok(b.port.inFlightBytes <= 2 * (4 + 9 + 3));
  }
  assert.equal(fresh, 1);
  close();
});

test("buffers of an owner that never flushes go back anyway", async () => {
  const { a, b, close } = pair();
  for (let i = 0; i < 100; i++) {
    send(a.port, message(i));
    a.port.flush();
  }
  await until(() => b.received.length === 100, "all arrived");
  await until(() => a.port.inFlightBytes < 10 * (4 + 9 + 3), "most came back");
  close();
});

test("a long batch is posted within the turn", async () => {
  const { a, b, close } = pair();
  const payload = "x".repeat(100_000);
  const count = Math.ceil((2 * BATCH_BYTES_FLUSH) / payload.length);
  for (let i = 0; i < count; i++) send(a.port, message(i, payload));
  assert.ok(a.port.batchesOut >= 1);
  a.port.flush();
  await until(() => b.received.length === count, "all arrived");
  assert.ok(b.received.every((one, i) => one.id === i && one.payload.length === 100_000));
  close();
});

test("a dead peer refuses everything, and its successor gets only what is new", async () => {
  const { a, b } = pair();
  send(a.port, message(1, "lost"));
  a.port.flush();
  send(a.port, message(2, "never posted"));
  a.port.peerDied();
  b.port.peerDied();
  assert.equal(a.port.connected, false);
  assert.equal(send(a.port, message(3)), false);
  assert.equal(send(a.port, message(3), true), false);
  a.port.flush();
  const { port1, port2 } = new MessageChannel();
  const successor = end();
  a.port.attach(port1);
  successor.port.attach(port2);
  assert.equal(a.port.inFlightBytes, 0);
  send(a.port, message(4, "new"));
  a.port.flush();
  await until(() => successor.received.length > 0, "the successor hears");
  assert.deepEqual(successor.received, [message(4, "new")]);
  a.port.peerDied();
  successor.port.peerDied();
});

test("an owner that declares its peer dead while it reads gets no further message", async () => {
  const seen: number[] = [];
  const { a, b, close } = pair(
    {},
    {
      onMessage(_kind, id) {
        seen.push(id);
        b.port.peerDied();
      },
    },
  );
  send(a.port, message(1));
  send(a.port, message(2));
  a.port.flush();
  await until(() => seen.length > 0, "the first message arrived");
  assert.deepEqual(seen, [1]);
  close();
});

test("one message is written at a time", () => {
  const { a, close } = pair();
  a.port.begin(1, 1, 10);
  assert.throws(() => a.port.begin(1, 2, 10), /one message/);
  assert.throws(() => a.port.flush(), /between messages/);
  assert.throws(() => a.port.end(BATCH_BYTES), /inside/);
  a.port.end(10);
  assert.throws(() => a.port.end(1), /inside/);
  close();
});
