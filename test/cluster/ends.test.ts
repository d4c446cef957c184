/**
 * How a node does not start, and how it ends: ports and folders that are taken or unusable, signals,
 * SHUTDOWN, crash loops. One clear error each, and nothing damaged.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { NodeStatus } from "../../actors/node-api.ts";
import {
  coterie,
  type Ended,
  emptyFolder,
  ended,
  environment,
  ROOT,
} from "../support/command-line.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const TESTING = { COTERIE_TEST_COMMANDS: "1" };

/** A failed start: one line on stderr, no stack, exit code 1. */
function assertRefused({ code, stdout, stderr }: Ended, expected: RegExp): void {
  assert.match(stderr, expected);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  assert.equal(code, 1);
  assert.equal(stdout, "");
}

/** Somebody else's server on a free port. */
async function taken() {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.dispose]: () => void server.close() };
}

test("a port in use is one error that names the port and what it is for", async () => {
  using folder = emptyFolder();
  using other = await taken();
  const start = (...words: string[]) => coterie(["start", ...words], { folder: folder.path });
  const place = (what: string) =>
    new RegExp(`^coterie: port 127\\.0\\.0\\.1:${other.port} \\(${what}\\) is in use by another`);
  const port = String(other.port);
  assertRefused(await start("--port", port, "--admin-port", "0"), place("gateway"));
  assertRefused(await start("--port", "0", "--admin-port", port), place("admin HTTP"));
  const free = await taken();
  free[Symbol.dispose]();
  const node = { name: "n1", port: free.port, adminPort: 0, directPort: other.port, workers: 1 };
  writeFileSync(join(folder.path, "cluster.config.json"), JSON.stringify({ nodes: [node] }));
  assertRefused(await start(), place("direct port of worker 0"));
});

/** The first of some free ports side by side. */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    using first = await taken();
    const others: Server[] = [];
    const isFree = async (port: number) => {
      const server = createServer();
      others.push(server);
      const listening = once(server.listen(port, "127.0.0.1"), "listening");
      return listening.then(
        () => true,
        () => false,
      );
    };
    const ports = Array.from({ length: count - 1 }, (_, i) => first.port + 1 + i);
    const areFree = (await Promise.all(ports.map(isFree))).every((free) => free);
    for (const server of others) server.close();
    if (areFree) return first.port;
  }
}

test("a port beside the node's own ones in use is no other node's", async () => {
  using folder = emptyFolder();
  for (const what of ["gateway", "direct port of worker 0"]) {
    const admin = await freePorts(3);
    const [gateway, direct] = [admin + 1, admin + 2];
    const port = what === "gateway" ? gateway : direct;
    const other = createServer();
    await once(other.listen(port, "127.0.0.1"), "listening");
    const words = ["start", "--port", String(gateway), "--workers", "1"];
    const refused = await coterie(words, { folder: folder.path });
    const place = `^coterie: port 127\\.0\\.0\\.1:${port} \\(${what}\\)`;
    assertRefused(refused, new RegExp(`${place} is in use by another process`));
    other.close();
  }
});

test("a second node is told the first one's process: on the same ports, on the same folder", async () => {
  await using server = await startServer();
  using folder = emptyFolder();
  const second = (...words: string[]) => coterie(["start", ...words], { folder: folder.path });
  const who = `in use by Coterie node n1, process ${server.pid}, which serves ${server.data}`;
  const admin = String(server.adminPort);
  const onAdmin = await second("--port", "0", "--admin-port", admin);
  assertRefused(
    onAdmin,
    new RegExp(`:${admin} \\(admin HTTP\\) is ${who}: .*\\(PORT_IN_USE\\)$`, "m"),
  );
  const onFolder = await second("--port", "0", "--data", server.data);
  assertRefused(onFolder, new RegExp(`in use by process ${server.pid}: .*DATA_FOLDER_IN_USE`));
  const client = await server.connect();
  assert.equal(await client.call("SET", "k", "v"), "OK");
});

test("the gateway's port of a second node is refused, on another folder and admin port", async () => {
  await using server = await startServer();
  using folder = emptyFolder();
  const words = ["start", "--port", String(server.port), "--admin-port", "0"];
  const second = await coterie(words, { folder: folder.path });
  assertRefused(second, new RegExp(`:${server.port} \\(gateway\\) is in use by .*PORT_IN_USE`));
  const client = await server.connect();
  for (let i = 0; i < 20; i++) assert.equal(await client.call("PING"), "PONG");
});

test("flags for V8 are the threads' too", async () => {
  await using server = await startServer({ execArgv: ["--max-old-space-size=300"] });
  const client = await server.connect();
  assert.equal(await client.call("PING"), "PONG");
});

test("a terminal that goes away ends no node", async () => {
  await using server = await startServer();
  process.kill(server.pid, "SIGHUP");
  const client = await server.connect();
  assert.equal(await client.call("PING"), "PONG");
  process.kill(server.pid, "SIGHUP");
  assert.equal(await client.call("PING"), "PONG");
});

test("signals for which Node would open its debugger, or end, are ignored, and it says so", async () => {
  await using server = await startServer();
  for (const signal of ["SIGUSR2", "SIGUSR1"] as const) {
    process.kill(server.pid, signal);
    await until(() => server.stdout.includes(`"${signal} is ignored"`) || undefined);
  }
  const client = await server.connect();
  assert.equal(await client.call("PING"), "PONG");
  assert.equal(server.stderr, "");
});

test("no more clients are taken than the process may have connections, and it says so", async () => {
  const limit = 'ulimit -n 170 && exec "$0" "$@"';
  await using server = await startServer({ through: () => ["sh", "-c", limit] });
  assert.match(
    server.stderr,
    /170 files .* \(ulimit -n\): 18 clients can be connected, not the 10000/,
  );
  const first = await server.connect();
  const others = await Promise.all(Array.from({ length: 40 }, () => server.connect()));
  const replies = await Promise.all(
    others.map(async (client) => JSON.stringify(await client.call("PING").catch(String))),
  );
  const refused = replies.filter((reply) => /max number of clients reached/.test(reply));
  assert.equal(refused.length, 40 - 17, replies.join());
  for (let i = 0; i < 20; i++) await first.call("SET", `k${i}`, Buffer.alloc(1024 * 1024));
  assert.equal(await first.call("PING"), "PONG");
});

test("a folder that is a file, lies under one, or cannot be made is refused", async () => {
  using folder = emptyFolder();
  const file = join(folder.path, "file");
  writeFileSync(file, "mine");
  const at = (data: string) =>
    coterie(["start", "--port", "0", "--data", data], { folder: folder.path });
  assertRefused(await at(file), /file is a file, or lies under one: .*DATA_FOLDER_UNREADABLE/);
  assertRefused(await at(join(file, "data")), /is a file, or lies under one/);
  if (process.platform === "linux") {
    assertRefused(await at("/proc/coterie"), /\/proc\/coterie cannot be made \(ENOENT\)/);
  }
  assert.equal(readFileSync(file, "utf8"), "mine");
});

test("a folder of something else, or of another node, is refused and left as it is", async () => {
  using folder = emptyFolder();
  const data = join(folder.path, "data");
  const start = (...words: string[]) =>
    coterie(["start", "--port", "0", "--data", data, ...words], { folder: folder.path });
  mkdirSync(data);
  writeFileSync(join(data, "dump.rdb"), "REDIS");
  assertRefused(await start(), /holds dump\.rdb: it is not a data folder of Coterie.*FOREIGN/);
  assert.deepEqual(readdirSync(data), ["dump.rdb"]);
});

test("a damaged identity, and another node's, are refused", async () => {
  await using server = await startServer();
  await server.stop();
  const identity = join(server.data, "node.json");
  const text = readFileSync(identity, "utf8");
  const start = () =>
    coterie(["start", "--port", "0", "--data", server.data], { folder: server.folder });
  writeFileSync(identity, text.replace(/"boot"/, '"boat"'));
  assertRefused(await start(), /node\.json is damaged at offset 0: .*\(CORRUPT\)/);
  writeFileSync(identity, text);
  writeFileSync(join(server.folder, "cluster.config.json"), '{ "cluster": "other" }');
  assertRefused(await start(), /belongs to node n1 of cluster coterie, not to .*FOREIGN/);
});

test("a read-only disk is refused as such", async (context) => {
  using folder = emptyFolder();
  const disk = join(folder.path, "disk");
  mkdirSync(disk);
  // A mount of its own, gone with the process.
  const mounted = `mount -t tmpfs tmpfs ${disk} && mount -o remount,ro ${disk}`;
  const { status } = spawnSync("unshare", ["-rm", "sh", "-c", mounted]);
  if (status !== 0) return context.skip("this user cannot mount");
  const entry = join(ROOT, "bin", "coterie.ts");
  const run = `${mounted} && exec ${process.execPath} ${entry} start --port 0 --data ${disk}/data`;
  const child = spawn("unshare", ["-rm", "sh", "-c", run], {
    cwd: folder.path,
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  assertRefused(await ended(child), /the disk is read-only; mount it .*\(DISK_READ_ONLY\)/);
});

/** Writes numbered keys over several connections until they end; returns what was acknowledged. */
function load(server: TestServer, connections: number): Promise<string[][]> {
  return Promise.all(
    Array.from({ length: connections }, async (_, connection) => {
      const acknowledged: string[] = [];
      const client = await server.connect();
      for (let i = 0; ; i++) {
        const key = `${connection}:${i}`;
        const reply = await client.call("SET", key, "v").catch(() => undefined);
        if (reply === undefined) return acknowledged;
        assert.equal(reply, "OK");
        acknowledged.push(key);
      }
    }),
  );
}

test("SIGTERM with clients in flight: exit code 0, and every acknowledged write is there", async () => {
  await using server = await startServer({ durability: "interval" });
  const writing = load(server, 8);
  const watcher = await server.connect();
  await until(async () => (((await watcher.call("DBSIZE")) as number) > 500 ? true : undefined));
  const end = await server.stop();
  assert.deepEqual(end, { code: 0, signal: null });
  assert.equal(server.stderr, "");
  const acknowledged = (await writing).flat();
  await server.restart();
  const client = await server.connect();
  const found = await client.call("EXISTS", ...acknowledged);
  assert.equal(found, acknowledged.length);
});

test("a client that reads nothing does not hold a stop up, and what it wrote is synced", async () => {
  await using server = await startServer({ durability: "os" });
  const slow = await server.connect();
  await slow.call("SET", "k", "v".repeat(1_000_000));
  slow.pause();
  for (let i = 0; i < 40; i++) slow.send(["GET", "k"]);
  const other = await server.connect();
  assert.equal(await other.call("SET", "after", "v"), "OK");
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  await server.restart();
  assert.equal(await (await server.connect()).call("GET", "after"), "v");
});

test("a second signal ends a stop that takes long", async () => {
  await using server = await startServer({ env: TESTING });
  const client = await server.connect();
  client.send(["DEBUG", "SLEEP", "30"]);
  const admin = `http://127.0.0.1:${server.adminPort}`;
  await until(async () => {
    const { workers } = (await (await fetch(`${admin}/status`)).json()) as NodeStatus;
    return workers[0]?.problem;
  });
  process.kill(server.pid, "SIGTERM");
  await until(async () => ((await fetch(`${admin}/livez`)).status === 503 ? true : undefined));
  // Signals close together are one, which came twice (through npm).
  await until(() => {
    if (server.isRunning) process.kill(server.pid, "SIGTERM");
    return server.isRunning ? undefined : true;
  });
  assert.deepEqual(await server.ended, { code: 143, signal: null });
});

test("SHUTDOWN by a client is a clean stop with exit code 0", async () => {
  await using server = await startServer();
  const client = await server.connect();
  await client.call("SET", "k", "v");
  client.send(["SHUTDOWN"]);
  assert.deepEqual(await server.ended, { code: 0, signal: null });
  assert.deepEqual(await client.untilClosed(), []);
  await server.restart();
  assert.equal(await (await server.connect()).call("GET", "k"), "v");
});

test("a worker that crashes again and again ends the node with 70 and the reason", async () => {
  await using server = await startServer({ env: TESTING });
  await until(async () => {
    if (!server.isRunning) return true;
    const client = await server.connect(server.directPorts[0]);
    client.send(["DEBUG", "CRASH-WORKER", "0"]);
    await client.closed;
    return undefined;
  });
  assert.deepEqual(await server.ended, { code: 70, signal: null });
  assert.match(
    server.stderr,
    /the node ended: worker 0 ended \d+ times in a row; last: .*CRASH_LOOP/,
  );
});
