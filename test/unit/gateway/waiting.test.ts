/** Commands that had to wait run at the time, and in the order, that their clients may expect. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportEvents } from "../../../actors/gateway/transport.ts";
import type { WorkerRuntime } from "../../../actors/worker/worker-runtime.ts";
import { encodeCommand } from "../../support/resp.ts";
import { until } from "../../support/until.ts";
import { WorkerNode } from "../../support/worker-node.ts";

const HELD_MS = 10_000;
const TIME_TO_LIVE_MS = 5_000;
const SET_FOR_A_WHILE = ["SET", "k", "v", "PX", String(TIME_TO_LIVE_MS)];

function firstOf(node: WorkerNode): WorkerRuntime {
  const [worker] = node.workers;
  assert.ok(worker);
  return worker;
}

function connectionsOf(worker: WorkerRuntime) {
  return [...worker.clients.values()].flatMap(({ connection }) => connection ?? []);
}

/** A client whose system takes nothing until the test says so; notes the lengths of sends. */
function openSlow(worker: WorkerRuntime, sends: number[]): TransportEvents {
  let opened: TransportEvents | undefined;
  worker.gateway.acceptHandle((events) => {
    opened = events;
    return {
      remoteAddress: "slow:1",
      localAddress: "slow:2",
      send: (_buffer, start, end) => sends.push(end - start) === 0,
      pause() {},
      resume() {},
      close() {},
      destroy() {},
    };
  });
  assert.ok(opened);
  return opened;
}

test("a time to live begins when CLIENT PAUSE lets its command run", async () => {
  await using node = await WorkerNode.start();
  using admin = await node.connect();
  using client = await node.connect();
  await admin.call("CLIENT", "PAUSE", String(HELD_MS));
  client.send(SET_FOR_A_WHILE);
  await until(() => connectionsOf(firstOf(node)).some(({ isBlocked }) => isBlocked) || undefined);
  node.clock.advance(HELD_MS);
  assert.deepEqual(await client.take(1), ["OK"]);
  assert.equal(await client.call("PTTL", "k"), TIME_TO_LIVE_MS);
});

test("a time to live begins when the client has read enough for its command to run", async () => {
  await using node = await WorkerNode.start();
  using client = await node.connect();
  await client.call("SET", "big", Buffer.alloc(2 * 1024 * 1024));
  const sends: number[] = [];
  const slow = openSlow(firstOf(node), sends);
  const bytes = Buffer.concat([["GET", "big"], SET_FOR_A_WHILE].map((args) => encodeCommand(args)));
  slow.received(bytes, bytes.length);
  await until(() => (sends.length === 1 ? true : undefined));
  node.clock.advance(HELD_MS);
  slow.drained();
  await until(() => (sends.length === 2 ? true : undefined));
  assert.equal(await client.call("PTTL", "k"), TIME_TO_LIVE_MS);
});
