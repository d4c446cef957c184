/**
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH: the client's state. What a transaction does is the router's.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import type { Router } from "../../../actors/gateway/client.ts";
import { FakeNode } from "../../support/fake-worker.ts";

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
