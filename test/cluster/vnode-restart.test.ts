/**
 * A command that fails inside (DEBUG PANIC: it sets a key, then asserts) in a real process: its
 * partition restarts from snapshot and log, the other partitions of the same thread go on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeStatus } from "../../actors/node-api.ts";
import { partitionOfKey } from "../support/placement.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { ConnectionClosed, type TestClient } from "../support/test-client.ts";
import { until } from "../support/until.ts";

const TESTING = { COTERIE_TEST_COMMANDS: "1" };
const FAILED = /^ERR internal error: the command was not executed and its partition restarts/;

async function panic(client: TestClient, key: string): Promise<void> {
  const reply = (await client.call("DEBUG", "PANIC", key, "half")) as { error: string };
  assert.match(reply.error, FAILED);
}

/** Counts keys up until told to stop; every reply must be the next number. */
async function countUp(client: TestClient, keys: readonly string[], isOver: () => boolean) {
  let rounds = 0;
  for (; !isOver(); rounds++) {
    const replies = await client.pipeline(...keys.map((key) => ["INCR", key]));
    assert.deepEqual(
      replies,
      keys.map(() => rounds + 1),
    );
  }
  return rounds;
}

async function restartsOfWorkers(server: TestServer): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${server.adminPort}/status`);
  const { workers } = (await answer.json()) as NodeStatus;
  return workers.reduce((sum, { restarts }) => sum + restarts, 0);
}

test("a partition whose command fails restarts from its log, and the others go on", async () => {
  await using server = await startServer({ durability: "always", env: TESTING });
  const client = await server.connect();
  const keys = Array.from({ length: 30 }, (_, i) => `{victim}${i}`);
  const others = Array.from({ length: 40 }, (_, i) => `n${i}`).filter((key) => {
    return partitionOfKey(key) !== partitionOfKey("{victim}");
  });
  await client.pipeline(...keys.slice(0, 15).map((key) => ["SET", key, `of ${key}`]));
  await client.call("BGSAVE");
  await client.pipeline(...keys.slice(15).map((key) => ["SET", key, `of ${key}`]));
  let isOver = false;
  const counting = countUp(await server.connect(), others, () => isOver);
  try {
    for (const key of ["{victim}3", "{victim}20", "{victim}new"]) {
      await panic(client, key);
      assert.deepEqual(await client.call("MGET", ...keys, "{victim}new"), [
        ...keys.map((name) => `of ${name}`),
        null,
      ]);
      await client.call("INCR", "{victim}n");
    }
  } finally {
    isOver = true;
  }
  const rounds = await counting;
  assert.equal(await restartsOfWorkers(server), 0);
  assert.match(server.stderr, /DEBUG PANIC/);
  await server.kill9();
  await server.restart();
  const later = await server.connect();
  assert.deepEqual(
    await later.call("MGET", ...keys),
    keys.map((key) => `of ${key}`),
  );
  assert.equal(await later.call("GET", "{victim}n"), "3");
  assert.deepEqual(
    await later.call("MGET", ...others),
    others.map(() => String(rounds)),
  );
});

test("what was sent before and behind a command that fails is executed, in order", async () => {
  await using server = await startServer({ durability: "always", env: TESTING });
  const client = await server.connect();
  const [before, failed, ...behind] = await client.pipeline(
    ["APPEND", "k", "1"],
    ["DEBUG", "PANIC", "k", "half"],
    ["APPEND", "k", "2"],
    ["GET", "k"],
  );
  assert.equal(before, 1);
  assert.match((failed as { error: string }).error, FAILED);
  assert.deepEqual(behind, [2, "12"]);
});

test("a transaction in which a command fails leaves nothing behind", async () => {
  await using server = await startServer({ durability: "always", env: TESTING });
  const client = await server.connect();
  await client.call("SET", "{t}a", "old");
  const replies = await client.pipeline(
    ["MULTI"],
    ["SET", "{t}a", "new"],
    ["RPUSH", "{t}l", "x"],
    ["DEBUG", "PANIC", "{t}b", "half"],
    ["EXEC"],
  );
  assert.match((replies.at(-1) as { error: string }).error, FAILED);
  assert.deepEqual(await client.call("MGET", "{t}a", "{t}l", "{t}b"), ["old", null, null]);
  await server.kill9();
  await server.restart();
  const later = await server.connect();
  assert.deepEqual(await later.call("MGET", "{t}a", "{t}l", "{t}b"), ["old", null, null]);
});

test("a partition that fails again and again takes its worker along, which comes back", async () => {
  await using server = await startServer({ durability: "always", env: TESTING });
  const client = await server.connect();
  await client.call("SET", "k", "v");
  const fail = () => client.call("DEBUG", "PANIC", "k", "half");
  const isClosed = (error: unknown) => {
    assert.ok(error instanceof ConnectionClosed, String(error));
    return "closed";
  };
  while ((await fail().catch(isClosed)) !== "closed");
  const later = await until(() => server.connect(server.directPorts[0]));
  assert.equal(await later.call("GET", "k"), "v");
  assert.equal(await restartsOfWorkers(server), 1);
  assert.ok(server.isRunning);
});
