/**
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH: the client's state. What a transaction does is the router's.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import {
  type Router,
  WATCHED_BYTES_MAX,
  WATCHED_KEY_BYTES,
} from "../../../actors/gateway/client.ts";
import { KEY_BYTES_MAX } from "../../../runtime/base/limits.ts";
import { FakeNode } from "../../support/fake-worker.ts";
import { WorkerNode } from "../../support/worker-node.ts";

/** A router that answers how many commands it was given, and what was watched. */
const router: Router = {
  execute(client, queue, reply) {
    reply.array(2);
    reply.integer(queue.length);
    reply.integer(client.watched.length);
  },
  watch(client, request, reply) {
    client.watched.push({ keyspace: 0, key: request.bytesAt(1), mark: "" });
    reply.ok();
  },
};

test("EXEC hands the queue to the router and ends the transaction", () => {
  const client = new FakeNode().connect({ router });
  client.read("WATCH k");
  assert.equal(client.read("MULTI"), "OK");
  client.client.queue?.push({ bytes: Buffer.alloc(0), starts: EMPTY, ends: EMPTY });
  assert.deepEqual(client.read("EXEC"), [1, 1]);
  assert.equal(client.client.queue, null);
  assert.deepEqual(client.client.watched, []);
  assert.deepEqual(client.read("EXEC"), { error: "ERR EXEC without MULTI" });
});

const EMPTY = new Int32Array(0);

test("a transaction with a refused command is discarded by EXEC, and its watches with it", () => {
  const client = new FakeNode().connect({ router });
  client.read("WATCH k");
  client.read("MULTI");
  client.client.isQueueBroken = true;
  assert.deepEqual(client.read("EXEC"), {
    error: "EXECABORT Transaction discarded because of previous errors.",
  });
  assert.deepEqual(client.client.watched, []);
  assert.equal(client.read("MULTI"), "OK");
  assert.deepEqual(client.read("EXEC"), [0, 0]);
});

test("MULTI does not nest, and WATCH is not for its inside; the transaction stays open", () => {
  const client = new FakeNode().connect({ router });
  client.read("MULTI");
  assert.deepEqual(client.read("MULTI"), { error: "ERR MULTI calls can not be nested" });
  assert.deepEqual(client.read("WATCH k"), { error: "ERR WATCH inside MULTI is not allowed" });
  assert.deepEqual(client.read("EXEC"), [0, 0]);
});

test("DISCARD forgets queue and watches, and needs a MULTI", () => {
  const client = new FakeNode().connect({ router });
  assert.deepEqual(client.read("DISCARD"), { error: "ERR DISCARD without MULTI" });
  client.read("WATCH k");
  client.read("MULTI");
  assert.equal(client.read("DISCARD"), "OK");
  assert.equal(client.client.queue, null);
  assert.deepEqual(client.client.watched, []);
});

test("UNWATCH forgets what is watched, without a transaction too", () => {
  const client = new FakeNode().connect({ router });
  client.read("WATCH k");
  assert.equal(client.read("UNWATCH"), "OK");
  assert.deepEqual(client.client.watched, []);
});

test("MULTI queues everything but what ends or guards the transaction", () => {
  const table = new CommandTable();
  const atOnce = table.entries.filter((entry) => entry.isTransactional);
  assert.deepEqual(atOnce.map(({ fullName }) => fullName).sort(), [
    "discard",
    "exec",
    "multi",
    "quit",
    "reset",
    "watch",
  ]);
});

test("what a client watches has a bound, and a key counts once", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect();
  const long = Buffer.alloc(KEY_BYTES_MAX);
  const fitting = Math.floor(WATCHED_BYTES_MAX / (2 * KEY_BYTES_MAX + WATCHED_KEY_BYTES));
  for (let i = 0; i < 2 * fitting; i++) assert.equal(await client.call("WATCH", long), "OK");
  const keys = Array.from({ length: fitting }, (_, i) => {
    const key = Buffer.from(long);
    key.writeUInt32BE(i + 1);
    return key;
  });
  const refused = { error: "ERR too many keys are watched: send UNWATCH, or watch fewer" };
  assert.deepEqual(await client.call("WATCH", ...keys), refused);
  assert.equal(await client.call("UNWATCH"), "OK");
  assert.equal(await client.call("WATCH", ...keys.slice(1)), "OK");
});

test("a key that is watched again keeps what it was marked with", async () => {
  await using node = await WorkerNode.start();
  using client = await node.connect();
  await client.call("WATCH", "k");
  await client.call("SET", "k", "v");
  await client.call("WATCH", "k");
  assert.equal((await client.pipeline(["MULTI"], ["GET", "k"], ["EXEC"])).at(-1), null);
});

test("a transaction that moves keys between workers is refused where it could not keep its order", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect();
  const move = ["RENAME", "a", "b"];
  const set = [["MULTI"], ["SET", "a", "v"]];
  for (const command of [["FLUSHALL"], ["DBSIZE"], ["KEYS", "*"], ["SCAN", "0"]]) {
    const replies = await client.pipeline(...set, command, ["SET", "a", "w"], move, ["EXEC"]);
    assert.match(JSON.stringify(replies.at(-1)), /"ERR a command about all keys/);
    assert.equal(await client.call("EXISTS", "a", "b"), 0);
  }
  const replies = await client.pipeline(...set, ["PING"], move, ["DBSIZE"], ["FLUSHDB"], ["EXEC"]);
  assert.deepEqual(replies.at(-1), ["OK", "PONG", "OK", 1, "OK"]);
  assert.equal(await client.call("EXISTS", "a", "b"), 0);
});

test("a command that names no key says why within a transaction over several workers", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect();
  const error = "ERR numkeys should be greater than 0";
  const none = ["SINTERCARD", "0", "a"];
  // Worker 1 owns "a", worker 0 "b".
  for (const keys of [["a"], ["b"], ["a", "b"]]) {
    const sets = keys.map((key) => ["SET", key, "v"]);
    const replies = await client.pipeline(["MULTI"], ...sets, none, ["EXEC"]);
    assert.deepEqual(replies.at(-1), [...keys.map(() => "OK"), { error }]);
  }
  const replies = await client.pipeline(["MULTI"], none, ["RENAME", "a", "b"], ["EXEC"]);
  assert.deepEqual(replies.at(-1), [{ error }, "OK"]);
});

test("an unknown subcommand is called so within MULTI too, and EXEC is refused", async () => {
  await using node = await WorkerNode.start();
  using client = await node.connect();
  const [, unknown, bare, , refused, aborted] = await client.pipeline(
    ["MULTI"],
    ["COMMAND", "NOSUCH"],
    ["COMMAND"],
    ["SET", "k", "v"],
    ["SAVE"],
    ["EXEC"],
  );
  assert.deepEqual(unknown, { error: "ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP." });
  assert.equal(bare, "QUEUED");
  assert.deepEqual(refused, { error: "ERR Command not allowed inside a transaction" });
  assert.deepEqual(aborted, {
    error: "EXECABORT Transaction discarded because of previous errors.",
  });
});

test("EXEC with arguments discards the transaction", async () => {
  await using node = await WorkerNode.start();
  using client = await node.connect();
  const replies = await client.pipeline(
    ["MULTI"],
    ["SET", "k", "v"],
    ["EXEC", "k"],
    ["EXEC"],
    ["EXISTS", "k"],
  );
  assert.deepEqual(replies.slice(2), [
    {
      error:
        "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
    },
    { error: "ERR EXEC without MULTI" },
    0,
  ]);
});
