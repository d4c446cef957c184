/** Commands that had to wait run at the time, and in the order, that their clients may expect. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportEvents } from "../../../actors/gateway/transport.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import type { WorkerRuntime } from "../../../actors/worker/worker-runtime.ts";
import { ownerOfKey, partitionOfKey } from "../../support/placement.ts";
import { encodeCommand } from "../../support/resp.ts";
import { until } from "../../support/until.ts";
import { NODE_PARTITIONS, WorkerNode } from "../../support/worker-node.ts";

const HELD_MS = 10_000;
const TIME_TO_LIVE_MS = 5_000;
const SET_FOR_A_WHILE = ["SET", "k", "v", "PX", String(TIME_TO_LIVE_MS)];

/** The first key of this name and a number that a worker of two owns, in none of these partitions. */
function keyOn(worker: number, name: string, ...taken: number[]): string {
  for (let i = 0; ; i++) {
    const key = `${name}${i}`;
    const isThere = ownerOfKey(key, 2, NODE_PARTITIONS) === worker;
    if (isThere && !taken.includes(partitionOf(key))) return key;
  }
}

function partitionOf(key: string): number {
  return partitionOfKey(key, NODE_PARTITIONS);
}

/** Sends commands while a transaction holds the partition of `held`; what a key holds after them. */
async function sendWhileHeld(
  node: WorkerNode,
  { worker, held, key }: { worker: number; held: string; key: string },
  ...commands: string[][]
): Promise<unknown> {
  using client = await node.connect();
  const owner = node.workers[worker];
  assert.ok(owner);
  const { locks } = owner;
  const holder = { holder: "another", coordinator: 0 };
  locks.lock([vnodeId(0, partitionOf(held))], holder, owner.nowMs, () => {});
  client.send(...commands);
  await until(() => (locks.waiting > 0 ? true : undefined));
  // What could run before its turn has the time for it.
  using other = await node.connect();
  for (let i = 0; i < 3; i++) await other.call("DBSIZE");
  owner.beginTurn();
  locks.release("another");
  await client.take(commands.length);
  return await client.call("GET", key);
}

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

test("a client whose commands wait is not idle", async () => {
  await using node = await WorkerNode.start();
  const worker = firstOf(node);
  worker.limits.idleTimeoutMs = HELD_MS / 2;
  using admin = await node.connect();
  using client = await node.connect();
  const waits = (name: "isLate" | "isBlocked") => () =>
    connectionsOf(worker).some((connection) => connection[name]) || undefined;
  await admin.call("CLIENT", "PAUSE", String(HELD_MS));
  client.send(["GET", "k"]);
  await until(waits("isBlocked"));
  node.clock.advance(HELD_MS);
  assert.deepEqual(await client.take(1), [null]);

  let isBehind = true;
  Object.defineProperty(worker.exchange, "isBehind", { get: () => isBehind });
  client.send(["GET", "k"]);
  await until(waits("isLate"));
  node.clock.advance(HELD_MS);
  isBehind = false;
  worker.beginTurn();
  assert.deepEqual(await client.take(1), [null]);
});

test("a client that is killed while its commands wait is kept by nobody", async () => {
  await using node = await WorkerNode.start();
  const worker = firstOf(node);
  using admin = await node.connect();
  await admin.call("PING");
  let isBehind = true;
  Object.defineProperty(worker.exchange, "isBehind", { get: () => isBehind });
  using client = await node.connect();
  client.send(["GET", "k"]);
  const late = await until(() => connectionsOf(worker).find(({ isLate }) => isLate));
  late.destroy();
  let runs = 0;
  late.run = () => void runs++;
  isBehind = false;
  assert.equal(await admin.call("PING"), "PONG");
  assert.equal(runs, 0);
});

test("a client that closes while CLIENT PAUSE holds it back is forgotten", async () => {
  await using node = await WorkerNode.start();
  const worker = firstOf(node);
  const { clientPause } = worker;
  const forgotten: unknown[] = [];
  clientPause.forget = (connection) => void forgotten.push(connection);
  using admin = await node.connect();
  await admin.call("CLIENT", "PAUSE", "1000");
  using client = await node.connect();
  client.send(["GET", "k"]);
  const held = await until(() => connectionsOf(worker).find(({ isBlocked }) => isBlocked));
  held.destroy();
  assert.deepEqual(forgotten, [held]);
});

test("what has arrived when the node stops is answered, what comes later is not read", async () => {
  await using node = await WorkerNode.start();
  const worker = firstOf(node);
  let isBehind = true;
  Object.defineProperty(worker.exchange, "isBehind", { get: () => isBehind });
  using client = await node.connect();
  client.send(["SET", "k", "1"], ["INCR", "k"], ["INCR", "k"]);
  await until(() => connectionsOf(worker).find(({ isLate }) => isLate));
  const drained = worker.gateway.drain();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const later = connectionsOf(worker)[0];
  const bytes = encodeCommand(["INCR", "k"]);
  later?.receive(bytes, bytes.length);
  isBehind = false;
  worker.beginTurn();
  assert.deepEqual(await client.untilClosed(), ["OK", 2, 3]);
  await drained;
});

test("what is about to be read when the node stops is answered", async () => {
  await using node = await WorkerNode.start();
  const worker = firstOf(node);
  using client = await node.connect();
  await client.call("PING");
  client.send(["SET", "k", "1"], ["INCR", "k"]);
  const drained = worker.gateway.drain();
  assert.deepEqual(await client.untilClosed(), ["OK", 2]);
  await drained;
});

test("what a client sends behind a command that waits on another worker is run after it", async () => {
  const held = keyOn(1, "held");
  const free = keyOn(1, "free", partitionOf(held));
  const here = keyOn(0, "here");
  const place = { worker: 1, held, key: free };
  const both = ["DEL", held, free];
  const later = [
    [["SET", free, "v"]],
    [["MULTI"], ["SET", free, "v"], ["EXEC"]],
    [["MULTI"], ["SET", free, "v"], ["SET", here, "v"], ["EXEC"]],
    [["MSET", free, "v", here, "v"]],
  ];
  for (const commands of later) {
    await using node = await WorkerNode.start({ workers: 2 });
    assert.equal(await sendWhileHeld(node, place, both, ...commands), "v");
  }
});

test("FLUSHALL removes what its client has set before, wherever that had to wait", async () => {
  const held = keyOn(1, "held");
  await using node = await WorkerNode.start({ workers: 2 });
  const place = { worker: 1, held, key: held };
  assert.equal(await sendWhileHeld(node, place, ["SET", held, "v"], ["FLUSHALL"]), null);
});

test("what a client sends behind a command that waits on its own worker is run after it", async () => {
  const held = keyOn(0, "held");
  const free = keyOn(0, "free", partitionOf(held));
  await using node = await WorkerNode.start({ workers: 2 });
  const place = { worker: 0, held, key: free };
  const three = ["DEL", keyOn(1, "there"), held, free];
  assert.equal(await sendWhileHeld(node, place, three, ["SET", free, "v"]), "v");
});
