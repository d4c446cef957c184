/** How much commands and transactions over several workers may carry from one to another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONTENT_BYTES_MAX } from "../../../actors/gateway/cross-transaction.ts";
import { MESSAGE_COMMIT, MESSAGE_PREPARE } from "../../../actors/gateway/messages.ts";
import type {
  CommitAnswer,
  CommitMessage,
  PrepareAnswer,
  PrepareMessage,
} from "../../../actors/protocols/transactions.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { KEYS_TOO_LARGE, Participant } from "../../../actors/worker/participant.ts";
import { keyOn, partitionOfKey } from "../../support/placement.ts";
import type { Plain } from "../../support/resp.ts";
import { intercept, NODE_PARTITIONS, WorkerNode } from "../../support/worker-node.ts";

/** Keys of the second and the third of three workers. */
const [HERE, THERE] = [1, 2].map((owner) => keyOn(owner, 3, "k", 0, NODE_PARTITIONS)) as [
  string,
  string,
];

/** What the second worker answers to a PREPARE. */
function prepare(node: WorkerNode, wanted: Partial<PrepareMessage>): Promise<PrepareAnswer> {
  const [, owner] = node.workers;
  assert.ok(owner);
  const message: PrepareMessage = {
    id: "0123456789abcdef",
    coordinator: 0,
    vnodes: [vnodeId(0, partitionOfKey(HERE, NODE_PARTITIONS))],
    watched: [],
    keys: [],
    contentBytesMax: 0,
    isWrite: true,
    deniesOom: true,
    ...wanted,
  };
  return new Promise((resolve) => {
    owner.beginTurn();
    const participant = new Participant(owner, 250);
    participant.serve(MESSAGE_PREPARE, message, (answer) => {
      assert.equal(owner.locks.size, (answer as PrepareAnswer).kind === "ready" ? 1 : 0);
      owner.locks.release(message.id);
      resolve(answer as PrepareAnswer);
    });
  });
}

const REFUSED = { kind: "refused", text: KEYS_TOO_LARGE };

test("a peek at what is too large to be carried says so", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  await client.call("RPUSH", HERE, "x".repeat(300));
  const [, owner] = node.workers;
  assert.ok(owner);
  const args = ["LINDEX", HERE, "0"].map((word) => Buffer.from(word));
  const partition = partitionOfKey(HERE, NODE_PARTITIONS);
  const peek = { number: 0, keyspace: 0, partition, entries: [{ kind: "command" as const, args }] };
  const message: CommitMessage = { id: "", nowMs: owner.nowMs, protocol: 2, parts: [peek] };
  const { replies } = await new Promise<CommitAnswer>((resolve) => {
    owner.beginTurn();
    const participant = new Participant(owner, 250);
    participant.serve(MESSAGE_COMMIT, message, (answer) => resolve(answer as CommitAnswer));
  });
  assert.deepEqual(replies.map(String), [`-${KEYS_TOO_LARGE}\r\n`]);
});

test("copies of keys take no more memory than they may", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  const keys = [{ keyspace: 0, key: Buffer.from(HERE) }];
  for (const [bytes, ...make] of [
    [5, "SET", HERE, "value"],
    [2 * 128 + 3, "RPUSH", HERE, "a", "bc"],
    [4 * 128 + 6, "HSET", HERE, "f", "a", "g", "bcd"],
  ] as const) {
    await client.pipeline(["DEL", HERE], [...make]);
    const fits = await prepare(node, { keys, contentBytesMax: bytes });
    assert.equal(fits.kind, "ready");
    assert.deepEqual(await prepare(node, { keys, contentBytesMax: bytes - 1 }), REFUSED);
    const twice = await prepare(node, { keys: [...keys, ...keys], contentBytesMax: 2 * bytes - 1 });
    assert.deepEqual(twice, REFUSED);
  }
});

test("what is left of that memory is told to the next worker", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  const [worker] = node.workers;
  assert.ok(worker);
  const left: number[] = [];
  intercept(worker, (kind, message, pass) => {
    if (kind === MESSAGE_PREPARE) {
      const { contentBytesMax } = worker.unpack(message) as PrepareMessage;
      left.push(contentBytesMax);
    }
    return pass();
  });
  await client.pipeline(["SET", HERE, "four"], ["COPY", HERE, THERE]);
  assert.deepEqual(left, [CONTENT_BYTES_MAX, CONTENT_BYTES_MAX - 4]);
});

test("collections, and transactions, of any size are done over several workers", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  const many = Array.from({ length: 140_000 }, (_, i) => String(i));
  const size = many.length;
  for (const [line, reply] of [
    [["SADD", HERE, ...many], size],
    [["SADD", THERE, ...many], size],
    [["SINTERCARD", "2", HERE, THERE], size],
    [["SUNIONSTORE", THERE, HERE, THERE], size],
    [["RENAME", HERE, THERE], "OK"],
    [["SCARD", THERE], size],
    [["MSETNX", ...many.flatMap((key) => [key, "v"])], 1],
    [["LMPOP", String(size), ...many.map((key) => `no ${key}`), "LEFT"], null],
  ] as const) {
    assert.deepEqual(await client.pipeline(line), [reply], line[0]);
  }
  client.send(["FLUSHALL"], ["MULTI"], ["DEL", THERE]);
  for (let i = 0; i < size; i++) client.send(["INCR", HERE]);
  client.send(["EXEC"]);
  const replies = await client.take(size + 4);
  assert.equal((replies.at(-1) as Plain[]).at(-1), size);
});
