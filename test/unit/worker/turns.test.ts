/**
 * What a worker notes of the commands that it runs and of its turns, with a clock that moves a bit
 * at each look: whatever is timed has a time.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "../../../actors/gateway/client.ts";
import { TIMED_TURN_INTERVAL } from "../../../actors/worker/worker-stats.ts";
import type { TestClient } from "../../support/test-client.ts";
import { until } from "../../support/until.ts";
import { WorkerNode } from "../../support/worker-node.ts";

/** How far the clock moves at each look, ms. */
const LOOK_MS = 0.25;

async function started(workers: number): Promise<WorkerNode> {
  const node = await WorkerNode.start({ workers });
  const byItself = node.clock.monotonicMs.bind(node.clock);
  let looks = 0;
  node.clock.monotonicMs = () => byItself() + LOOK_MS * looks++;
  return node;
}

/** One field of a line of INFO commandstats. */
async function stat(client: TestClient, command: string, name: string): Promise<number> {
  const info = (await client.call("INFO", "commandstats")) as string;
  const line = new RegExp(`cmdstat_${command}:(.*)\r\n`).exec(info)?.[1] ?? "";
  return Number(new RegExp(`(^|,)${name}=([0-9.]+)`).exec(line)?.[2]);
}

test("commands are timed where they run: here, on another worker, in MULTI, on all workers", async () => {
  await using node = await started(3);
  using client = await node.connect();
  for (let i = 0; i < 60; i++) assert.equal(await client.call("SET", `key:${i}`, "v"), "OK");
  assert.equal(await stat(client, "set", "calls"), 60);
  assert.equal(await stat(client, "set", "usec"), 60 * LOOK_MS * 1000);
  assert.equal(await stat(client, "set", "usec_per_call"), LOOK_MS * 1000);

  const keys = Array.from({ length: 12 }, (_, i) => `key:${i}`);
  for (const key of keys) {
    await client.pipeline(["MULTI"], ["GET", key], ["EXEC"]);
  }
  assert.equal(await stat(client, "get", "calls"), keys.length);
  assert.equal(await stat(client, "get", "usec"), keys.length * LOOK_MS * 1000);

  await client.call("DBSIZE");
  assert.equal(await stat(client, "dbsize", "usec"), 3 * LOOK_MS * 1000);
  await client.call("MGET", ...keys);
  assert.equal(await stat(client, "mget", "usec"), 3 * LOOK_MS * 1000);

  const info = (await client.call("INFO", "latencystats")) as string;
  const at = `25[0-9]\\.\\d{3}`;
  const line = `latency_percentiles_usec_set:p50=${at},p99=${at},p99\\.9=${at}\r\n`;
  assert.match(info, new RegExp(line));
});

test("some turns are timed for all, from what came in first; an unfinished request is none", async () => {
  await using node = await started(1);
  const [worker] = node.workers;
  assert.ok(worker);
  const { stats } = worker;
  using client = await node.connect();
  const pings = async (turns: number) => {
    for (let i = 0; i < turns; i++) assert.equal(await client.call("PING"), "PONG");
  };
  await pings(3 * TIMED_TURN_INTERVAL);
  assert.equal(stats.turns, 3 * TIMED_TURN_INTERVAL);
  // Two looks of the turn's own, one for its bound and two of a PING are four steps.
  assert.equal(stats.turnMs, stats.turns * 4 * LOOK_MS);
  assert.equal(stats.longestTurnMs, 4 * LOOK_MS);

  await pings(TIMED_TURN_INTERVAL - 1);
  assert.equal(stats.timesTurn, true);
  client.write("*1\r\n$4\r\nPI");
  const isHeld = ({ connection }: Client) => (connection?.pendingInput ?? 0) > 0;
  await until(() => [...worker.clients.values()].some(isHeld) || undefined);
  node.clock.advance(60_000);
  client.write("NG\r\n");
  assert.deepEqual(await client.take(1), ["PONG"]);
  assert.equal(stats.turnMs, stats.turns * 4 * LOOK_MS);
  const info = (await client.call("INFO", "stats")) as string;
  assert.match(info, new RegExp(`\r\neventloop_cycles:${4 * TIMED_TURN_INTERVAL}\r\n`));
  assert.match(info, new RegExp(`\r\neventloop_duration_sum:${stats.turnMs * 1000}\r\n`));
  assert.match(info, /\r\ncoterie_longest_turn_usec:1000\r\n/);
});

test("a turn in which a command took long counts as long, whether it was timed or not", async () => {
  await using node = await started(1);
  using client = await node.connect();
  await client.call("PING");
  const { monotonicMs } = node.clock;
  // 40 ms from look to look: a command takes as long, in a turn of which no more is known.
  let looks = 0;
  node.clock.monotonicMs = () => monotonicMs() + 40 * looks++;
  await client.call("PING");
  assert.ok((node.workers[0]?.stats.longestTurnMs ?? 0) >= 40);
});

test("a client is idle for as long as it was, where the wall clock is set", async () => {
  await using node = await WorkerNode.start();
  const [worker] = node.workers;
  assert.ok(worker);
  worker.limits.idleTimeoutMs = 60_000;
  using client = await node.connect();
  await client.call("PING");
  for (const ms of [3_600_000, -7_200_000]) {
    node.clock.shift(ms);
    node.clock.advance(1000);
    assert.equal(worker.clients.size, 1);
  }
  node.clock.advance(60_000);
  assert.equal(worker.clients.size, 0);
});
