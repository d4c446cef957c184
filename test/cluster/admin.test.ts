/** The admin port of a real node: life, readiness, metrics, status; and workers in trouble. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Liveness, NodeStatus } from "../../actors/node-api.ts";
import { coterie } from "../support/command-line.ts";
import { lint, parseExposition, valueOfSeries } from "../support/prometheus.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const TESTING = { COTERIE_TEST_COMMANDS: "1" };
/** The workers' deadline, and time for everything else. */
const STATUS_TIMEOUT_MS = 4_000;

function get(server: TestServer, page: string, timeoutMs = STATUS_TIMEOUT_MS): Promise<Response> {
  const signal = AbortSignal.timeout(timeoutMs);
  return fetch(`http://127.0.0.1:${server.adminPort}${page}`, { signal });
}

async function status(server: TestServer): Promise<NodeStatus> {
  return (await (await get(server, "/status")).json()) as NodeStatus;
}

async function metrics(server: TestServer) {
  return parseExposition(await (await get(server, "/metrics")).text());
}

test("a node tells that it lives and serves, and what it did", async () => {
  await using server = await startServer({ workers: 2 });
  const live = (await (await get(server, "/livez")).json()) as Liveness;
  assert.deepEqual([live.pid, live.state, live.node], [server.pid, "ready", "n1"]);
  assert.equal(await (await get(server, "/readyz")).text(), "ready\n");
  const client = await server.connect(server.directPorts[0]);
  for (const key of ["a", "b", "c", "d", "e", "f"]) await client.call("SET", key, "v");
  await client.call("GET");
  const families = await metrics(server);
  assert.deepEqual(lint(families, "coterie_"), []);
  const value = (name: string, labels: Record<string, string>) =>
    valueOfSeries(families, `coterie_${name}`, labels) ?? 0;
  const keys = value("keys", { worker: "0", keyspace: "0" });
  assert.ok(keys > 0 && keys < 6, `${keys} keys on the worker's own port`);
  assert.equal(value("worker_up", { worker: "1" }), 1);
  assert.ok(value("error_replies_total", { worker: "0", code: "MOVED" }) >= 6 - keys);
  assert.ok(value("commands_total", { worker: "0", family: "string" }) >= keys);
  assert.ok(value("journal_commits_total", { worker: "0" }) > 0);
  const shown = await status(server);
  assert.deepEqual([shown.state, shown.keys, shown.clients], ["ready", keys, 1]);
  assert.deepEqual(shown.writes, { accepted: true });
});

test("syncs are measured where writes wait for them", async () => {
  await using server = await startServer({ durability: "always" });
  const client = await server.connect();
  for (let i = 0; i < 5; i++) await client.call("SET", "k", String(i));
  const families = await metrics(server);
  const name = "coterie_journal_sync_duration_seconds";
  const labels = { worker: "0" };
  assert.ok((valueOfSeries(families, `${name}_count`, labels) ?? 0) >= 5);
  assert.ok((valueOfSeries(families, `${name}_sum`, labels) ?? 0) > 0);
  assert.equal(valueOfSeries(families, "coterie_journal_undurable_commits", labels), 0);
});

test("a running node says its ports in its data folder, a stopped one does not", async () => {
  await using server = await startServer();
  const path = join(server.data, "ports.json");
  const ports = JSON.parse(readFileSync(path, "utf8"));
  assert.deepEqual([ports.gateway, ports.admin], [server.port, server.adminPort]);
  for (const port of [ports.gateway, ports.admin, ports.control, ...ports.direct, ...ports.links]) {
    assert.ok(port > 0);
  }
  const words = ["status", "--port", "0", "--data", server.data];
  const shown = await coterie(words, { folder: server.folder });
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, new RegExp(`^pid +${server.pid},`, "m"));
  assert.match(shown.stdout, /^writes +accepted$/m);
  await server.stop();
  assert.equal(existsSync(path), false);
  const gone = await coterie(words, { folder: server.folder });
  assert.match(gone.stderr, /no node runs on this data folder/);
});

test("a killed node's ports are not believed by the next start", async () => {
  await using server = await startServer();
  const path = join(server.data, "ports.json");
  const before = readFileSync(path, "utf8");
  await server.kill9();
  assert.equal(readFileSync(path, "utf8"), before);
  await server.restart();
  assert.equal(JSON.parse(readFileSync(path, "utf8")).gateway, server.port);
});

test("a worker that stands still is named within the deadline, and the others are shown", async () => {
  await using server = await startServer({ workers: 2, env: TESTING });
  const sleeper = await server.connect(server.directPorts[1]);
  sleeper.send(["DEBUG", "SLEEP", "4"]);
  const [shown, families] = await until(async () => {
    const both = await Promise.all([status(server), metrics(server)]);
    return both[0].workers[1]?.problem === undefined ? undefined : both;
  });
  const problems = shown.workers.map(({ problem }) => problem);
  assert.deepEqual(problems, [undefined, "no answer within 2000 ms"]);
  const answered = (worker: string) =>
    valueOfSeries(families, "coterie_worker_answered", { worker });
  assert.deepEqual([answered("0"), answered("1")], [1, 0]);
  assert.equal((await get(server, "/livez", 500)).status, 200);
});

test("a worker that crashes is restarted: unready until then, its data back", async () => {
  await using server = await startServer({ workers: 2, env: TESTING });
  const [first, second] = server.directPorts;
  const client = await server.connect(second);
  const key = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const own: string[] = [];
  for (const name of key) if ((await client.call("SET", name, "v")) === "OK") own.push(name);
  assert.ok(own.length > 0);
  const other = await server.connect(first);
  await other.call("DEBUG", "CRASH-WORKER", "1");
  await client.closed;
  assert.equal(await other.call("PING"), "PONG");
  await until(async () => ((await status(server)).workers[1]?.restarts === 1 ? true : undefined));
  await until(async () => ((await get(server, "/readyz")).status === 200 ? true : undefined));
  const again = await server.connect(second);
  assert.equal(await again.call("GET", own[0] as string), "v");
  assert.match(server.stderr, /worker 1 failed: Error: DEBUG CRASH-WORKER; it is restarted/);
});

test("what CONFIG SET has changed holds for a worker that is restarted, and is shown", async () => {
  await using server = await startServer({ workers: 2, env: TESTING });
  const [first, second] = server.directPorts;
  const client = await server.connect(first);
  const MB = 1024 * 1024;
  assert.equal(await client.call("CONFIG", "SET", "maxclients", "77", "maxmemory", "50mb"), "OK");
  assert.equal(await client.call("CONFIG", "SET", "maxmemory", "60mb"), "OK");
  await client.call("DEBUG", "CRASH-WORKER", "1");
  await until(async () => ((await status(server)).workers[1]?.restarts === 1 ? true : undefined));
  await until(async () => ((await get(server, "/readyz")).status === 200 ? true : undefined));
  const again = await server.connect(second);
  const shown = await again.call("CONFIG", "GET", "maxclients", "maxmemory");
  assert.deepEqual(shown, ["maxclients", "77", "maxmemory", String(60 * MB)]);
  const { clientsMax, memoryBytesMax } = await status(server);
  assert.deepEqual([clientsMax, memoryBytesMax], [77, 60 * MB]);
  assert.equal(valueOfSeries(await metrics(server), "coterie_clients_max", {}), 77);
});
