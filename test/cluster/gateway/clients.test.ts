/** Clients that come too many, read nothing, are paused or killed. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { clientOn, keysOnAll } from "../../support/placement.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { ConnectionClosed } from "../../support/test-client.ts";
import { until } from "../../support/until.ts";

const MB = 1024 * 1024;

function residentBytes(server: TestServer): number {
  const status = readFileSync(`/proc/${server.pid}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

test("a client too many is told so and let go, and there is room again later", async () => {
  await using server = await startServer({ config: { clients: { max: 3 } } });
  const clients = [await server.connect(), await server.connect(), await server.connect()];
  for (const client of clients) assert.equal(await client.call("PING"), "PONG");
  for (let i = 0; i < 20; i++) {
    using refused = await server.connect();
    refused.write("PING\r\n");
    assert.deepEqual(await refused.untilClosed(), [{ error: "ERR max number of clients reached" }]);
  }
  clients[0]?.destroy();
  for (;;) {
    using next = await server.connect();
    const reply = await next.call("PING").catch(() => "closed");
    if (reply === "PONG") break;
  }
  assert.equal(server.stderr, "");
});

test("who asks faster than another worker does it waits, and is not refused", async () => {
  const env = { COTERIE_TEST_COMMANDS: "1" };
  await using server = await startServer({ workers: 2, durability: "os", env });
  using sleeper = await server.connect(server.directPorts[1]);
  const clients = [];
  for (let i = 0; i < 30; i++) clients.push(await clientOn(server, 0, 2));
  const [, key = ""] = keysOnAll(2, "bulk:");
  const set = ["SET", key, "v".repeat(MB)];
  const slept = sleeper.call("DEBUG", "SLEEP", "1");
  const replies = await Promise.all(clients.map((client) => client.pipeline(set, set)));
  assert.deepEqual([...new Set(replies.flat())], ["OK"]);
  assert.equal(await slept, "OK");
  for (const client of clients) client.destroy();
});

test("a client that never reads costs little memory, then its connection", async () => {
  const clients = { outputPauseBytes: "256kb", outputSoftMs: 1000 };
  await using server = await startServer({ workers: 2, config: { clients } });
  using other = await server.connect();
  await other.call("MSET", ...keysOnAll(2, "slow:").flatMap((key) => [key, "x".repeat(MB)]));
  const baseline = residentBytes(server);
  const victims = await Promise.all(Array.from({ length: 4 }, () => server.connect()));
  for (const victim of victims) {
    victim.pause();
    const gets = Array.from({ length: 500 }, (_, i) => ["GET", keysOnAll(2, "slow:")[i % 2] ?? ""]);
    victim.send(...gets);
  }
  const ends = victims.map(async (victim) => {
    await new Promise((resolve) => victim.socket.once("close", resolve));
  });
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, residentBytes(server) - baseline);
  }, 50);
  await until(async () => {
    const list = (await other.call("CLIENT", "LIST")) as string;
    return list.trim().split("\n").length === 1 || undefined;
  }).finally(() => clearInterval(watch));
  assert.ok(most < 200 * MB, `${Math.round(most / MB)} MB`);
  for (const victim of victims) victim.destroy();
  await Promise.all(ends);
  assert.equal(await other.call("PING"), "PONG");
});

test("CLIENT PAUSE holds all workers' clients back, and UNPAUSE lets them go on", async () => {
  await using server = await startServer({ workers: 3 });
  const clients = await Promise.all([0, 1, 2].map((worker) => clientOn(server, worker, 3)));
  const [first, second, third] = clients;
  const [key = ""] = keysOnAll(3, "pause:");
  assert.equal(await first?.call("CLIENT", "PAUSE", "100000", "WRITE"), "OK");
  let isSet = false;
  const set = second?.pipeline(["SET", key, "1"], ["GET", key]).then((replies) => {
    isSet = true;
    return replies;
  });
  const exec = third?.pipeline(["MULTI"], ["INCR", "n"], ["EXEC"]);
  assert.equal(await first?.call("GET", key), null);
  assert.equal(isSet, false);
  assert.equal(await first?.call("CLIENT", "UNPAUSE"), "OK");
  assert.deepEqual(await set, ["OK", "1"]);
  assert.deepEqual((await exec)?.at(-1), [1]);
  assert.equal(await first?.call("CLIENT", "PAUSE", "300"), "OK");
  const began = performance.now();
  assert.equal(await second?.call("GET", key), "1");
  assert.ok(performance.now() - began > 150);
});

test("CLIENT KILL ends other workers' clients, its own after the reply", async () => {
  await using server = await startServer({ workers: 3 });
  const killer = await clientOn(server, 0, 3);
  const victims = await Promise.all([0, 1, 2].map((worker) => clientOn(server, worker, 3)));
  const [, one] = victims;
  const id = String(await one?.call("CLIENT", "ID"));
  assert.equal(await killer.call("CLIENT", "KILL", "ID", id), 1);
  await one?.closed;
  assert.equal(await killer.call("CLIENT", "KILL", "TYPE", "normal"), 2);
  await Promise.all(victims.map((victim) => victim.closed));
  assert.equal(await killer.call("PING"), "PONG");
  const own = String(await killer.call("CLIENT", "ID"));
  assert.equal(await killer.call("CLIENT", "KILL", "ID", own, "SKIPME", "no"), 1);
  await killer.closed;
});

test("a worker's death is one UNKNOWN or TRYAGAIN to others, and an end to its own clients", async () => {
  const env = { COTERIE_TEST_COMMANDS: "1" };
  await using server = await startServer({ workers: 3, env, durability: "always" });
  const client = await clientOn(server, 0, 3);
  const own = await clientOn(server, 1, 3);
  const [here = "", there = ""] = keysOnAll(3, "death:");
  await client.call("MSET", here, "1", there, "1");
  client.send(["DEBUG", "CRASH-WORKER", "1"]);
  const incrs = Array.from({ length: 500 }, () => [
    ["INCR", there],
    ["INCR", here],
  ]).flat();
  client.send(...incrs);
  await client.next();
  const replies = await client.take(incrs.length);
  await own.closed;
  await assert.rejects(own.next(), ConnectionClosed);
  const counts = replies.filter((_, i) => i % 2 === 1);
  assert.deepEqual(
    counts,
    Array.from({ length: 500 }, (_, i) => i + 2),
  );
  const others = replies.filter((_, i) => i % 2 === 0);
  const acked = others.filter((reply) => typeof reply === "number").length;
  for (const reply of others) {
    if (typeof reply !== "number") assert.match(JSON.stringify(reply), /"(UNKNOWN|TRYAGAIN) /);
  }
  for (;;) {
    const value = await client.call("GET", there);
    if (typeof value === "string") {
      const unknown = others.filter((reply) => JSON.stringify(reply).includes("UNKNOWN")).length;
      assert.ok(Number(value) >= acked + 1, `${value} of ${acked} acknowledged`);
      assert.ok(Number(value) <= acked + unknown + 1);
      break;
    }
  }
  assert.equal(server.isRunning, true);
});
