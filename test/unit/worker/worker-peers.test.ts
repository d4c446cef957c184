/** What other workers send to one that starts, and what their deaths leave behind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CrossWorker } from "../../../actors/gateway/cross-worker.ts";
import { MESSAGE_PREPARE, MESSAGE_RELEASE } from "../../../actors/gateway/messages.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import type { Participant } from "../../../actors/worker/participant.ts";
import { WorkerPeers } from "../../../actors/worker/worker-peers.ts";
import { pack } from "../../../runtime/codec/pack.ts";
import { until } from "../../support/until.ts";
import { WorkerNode } from "../../support/worker-node.ts";

/** The peers of a worker that has not settled its past, and what transactions ask of it. */
function starting(node: WorkerNode) {
  const [host] = node.workers;
  assert.ok(host);
  const asked: number[] = [];
  const peers = new WorkerPeers({
    host,
    cross: { start: async () => {}, workerDied() {} } as unknown as CrossWorker,
    participant: { serve: (kind: number) => void asked.push(kind) } as unknown as Participant,
    readClock() {},
  });
  const send = (peer: number, kind: number) => {
    const bytes = pack(null);
    peers.serve(peer, kind, 1, bytes, 0, bytes.length);
  };
  return { peers, asked, send };
}

test("a worker that starts unlocks for a transaction no sooner than it locks", async () => {
  await using node = await WorkerNode.start();
  const { peers, asked, send } = starting(node);
  send(1, MESSAGE_PREPARE);
  send(1, MESSAGE_RELEASE);
  assert.deepEqual(asked, []);
  await peers.settle();
  assert.deepEqual(asked, [MESSAGE_PREPARE, MESSAGE_RELEASE]);
});

test("a worker that starts locks nothing for a coordinator that has died meanwhile", async () => {
  await using node = await WorkerNode.start();
  const { peers, asked, send } = starting(node);
  send(1, MESSAGE_PREPARE);
  send(2, MESSAGE_RELEASE);
  peers.workerDied(1);
  await peers.settle();
  assert.deepEqual(asked, [MESSAGE_RELEASE]);
});

test("what a dead worker asked is not answered to its successor", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  const [owner, asker] = node.workers;
  assert.ok(owner && asker);
  const { locks, exchange } = owner;
  const every = Array.from({ length: 16 }, (_, partition) => vnodeId(0, partition));
  locks.lock(every, { holder: "another", coordinator: 0 }, owner.nowMs, () => {});
  using client = await node.connect(1);
  // Worker 0 owns this key.
  client.send(["GET", "{k}"]);
  await until(() => (locks.waiting > 0 ? true : undefined));
  let answers = 0;
  exchange.reply = () => void answers++;
  owner.peers.workerDied(1);
  owner.beginTurn();
  locks.release("another");
  assert.equal(locks.waiting, 0);
  assert.equal(answers, 0);
  assert.equal(asker.exchange.size, 1);
});
