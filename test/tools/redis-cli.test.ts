/**
 * redis-cli as people use it: on a terminal, in pipes, through its scans and its cluster manager.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { encodeCommand } from "../support/resp.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { run, Terminal, TOOL_TIMEOUT_MS } from "./tools.ts";

const limit = { timeout: TOOL_TIMEOUT_MS };
const PIPED = 10_000;
const SETS_MEMBERS = 50;

const servers = new Map<number, Promise<TestServer>>();
after(async () => {
  for (const server of servers.values()) await (await server)[Symbol.asyncDispose]();
});

function serverOf(workers: number): Promise<TestServer> {
  const server = servers.get(workers) ?? startServer({ workers });
  servers.set(workers, server);
  return server;
}

/** Runs redis-cli against a port; fails the test unless it ends in order. */
async function cli(port: number, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run("redis-cli", ["-p", String(port), ...args], input);
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

/** Ends words with a newline each, as redis-cli prints them. */
const lines = (text: string) => text.trimEnd().split("\n");

for (const workers of [1, 3]) {
  const where = workers === 1 ? "one worker" : "three workers";

  test(`commands, replies and errors print as Redis's do: ${where}`, limit, async () => {
    const { port } = await serverOf(workers);
    assert.equal(await cli(port, ["SET", "cli", "value"]), "OK\n");
    assert.equal(await cli(port, ["GET", "cli"]), "value\n");
    assert.equal(await cli(port, ["--no-raw", "GET", "none"]), "(nil)\n");
    await cli(port, ["HSET", "cli hash", "field", "value"]);
    assert.equal(
      await cli(port, ["--no-raw", "-3", "HGETALL", "cli hash"]),
      '1# "field" => "value"\n',
    );
    assert.match(await cli(port, ["LPUSH", "cli", "1"]), /^WRONGTYPE /);
    assert.match(await cli(port, ["NOSUCH"]), /^ERR unknown command 'NOSUCH'/);
    const input = "SET in 1\nINCR in\nGET in\n";
    assert.deepEqual(lines(await cli(port, [], input)), ["OK", "2", "2"]);
    assert.equal(await cli(port, ["-x", "SET", "cli"], "from stdin"), "OK\n");
    assert.equal(await cli(port, ["-r", "3", "INCR", "repeated"]), "1\n2\n3\n");
    assert.equal(await cli(port, ["-n", "5", "DBSIZE"]), "0\n");
  });

  test(`10,000 commands go through --pipe: ${where}`, limit, async () => {
    const { port } = await serverOf(workers);
    const bytes = Array.from({ length: PIPED }, (_, i) =>
      encodeCommand(["SET", `piped:${i}`, "v"]),
    );
    const printed = await cli(port, ["-n", "1", "--pipe"], Buffer.concat(bytes).toString("latin1"));
    assert.match(printed, /errors: 0, replies: 10000/);
    assert.equal(await cli(port, ["-n", "1", "DBSIZE"]), `${PIPED}\n`);
  });

  test(`--scan, --bigkeys and --memkeys walk the keys of a database: ${where}`, limit, async () => {
    const { port } = await serverOf(workers);
    const names = Array.from({ length: 200 }, (_, i) => `scanned:${i}`);
    const sets = names.map((name) => `SET ${name} v\n`).join("");
    const members = Array.from({ length: SETS_MEMBERS }, (_, i) => `m${i}`).join(" ");
    await cli(port, ["-n", "2"], `${sets}SADD big ${members}\nHSET hash f v\nRPUSH list 1 2 3\n`);
    const scanned = lines(await cli(port, ["-n", "2", "--scan", "--pattern", "scanned:*"]));
    assert.deepEqual([...new Set(scanned)].sort(), names.toSorted());
    const big = await cli(port, ["-n", "2", "--bigkeys"]);
    assert.match(big, /Sampled 203 keys in the keyspace!/);
    assert.match(big, new RegExp(`Biggest\\s+set found '"big"' has ${SETS_MEMBERS} members`));
    assert.match(big, /Biggest\s+list found '"list"' has 3 items/);
    const memory = await cli(port, ["-n", "2", "--memkeys"]);
    assert.match(memory, /Biggest\s+set found '"big"' has [1-9]\d+ bytes/);
  });

  test(`--latency measures and ends: ${where}`, limit, async () => {
    const { port } = await serverOf(workers);
    const printed = await cli(port, ["--latency", "-i", "0.2"]);
    assert.match(printed, /^\d+ \d+ \d+\.\d+ \d+\n$/);
  });

  test(`--stat prints a line an interval: ${where}`, limit, async () => {
    const { port } = await serverOf(workers);
    await using terminal = new Terminal(`redis-cli -p ${port} --stat -i 0.05`);
    await terminal.until(/keys +mem +clients/);
    await terminal.until(/\n\d+ +[\d.]+[BKMG] +\d+ +0 +\d+ \(\+0\) +\d+/);
    await terminal.until(/\n\d+ +[\d.]+[BKMG] +\d+ +0 +\d+ \(\+\d+\) +\d+/);
  });

  test(`on a terminal it hints and helps from COMMAND DOCS: ${where}`, limit, async () => {
    const { port } = await serverOf(workers);
    await using terminal = new Terminal(`redis-cli -p ${port}`);
    const prompt = /127\.0\.0\.1:\d+(\(TX\))?> /;
    const answer = async (line: string, pattern: RegExp) => {
      terminal.type(line);
      const shown = await terminal.until(pattern);
      await terminal.until(prompt);
      return shown;
    };
    await terminal.until(prompt);
    // The hint after the name of a command comes from the server's own table.
    assert.match(await answer("set typed 1", /\nOK\r/), /key value \[NX\|XX/);
    await answer("get typed", /\n"1"\r/);
    assert.match(await answer("help delex", /group:.* string\r/), /IFEQ/);
    await answer("multi", /\nOK\r/);
    await answer("incr typed", /QUEUED/);
    await answer("exec", /1\) \(integer\) 2\r/);
    terminal.type("quit");
    assert.equal((await terminal.ended).code, 0);
  });

  test(`an RDB file is refused in words and not begun: ${where}`, limit, async () => {
    const server = await serverOf(workers);
    const file = join(server.folder, "dump.rdb");
    const { code, stderr } = await run("redis-cli", ["-p", String(server.port), "--rdb", file]);
    assert.equal(code, 1);
    assert.match(stderr, /SYNC with master failed: -ERR unknown command 'SYNC'/);
    assert.equal(existsSync(file), false);
  });

  test(`-c follows MOVED from any direct port: ${where}`, limit, async () => {
    const { directPorts } = await serverOf(workers);
    for (const [i, port] of directPorts.entries()) {
      for (let k = 0; k < 8; k++) {
        assert.equal(await cli(port, ["-c", "SET", `moved:${i}:${k}`, "v"]), "OK\n");
      }
    }
    const last = directPorts.at(-1) ?? 0;
    assert.equal(await cli(last, ["-c", "GET", "moved:0:5"]), "v\n");
  });

  test(`the cluster manager finds a whole cluster at a direct port: ${where}`, limit, async () => {
    const { directPorts } = await serverOf(workers);
    const seed = `127.0.0.1:${directPorts[0]}`;
    await cli(directPorts.at(-1) ?? 0, ["-c", "SET", "owned", "once"]);
    const owners = "--cluster-search-multiple-owners";
    const check = await run("redis-cli", ["--cluster", "check", seed, owners]);
    assert.equal(check.code, 0, check.stdout);
    assert.match(check.stdout, /\[OK\] All nodes agree about slots configuration\./);
    assert.match(check.stdout, /\[OK\] All 16384 slots covered\./);
    assert.match(check.stdout, /\[OK\] No multiple owners found\./);
    const info = await run("redis-cli", ["--cluster", "info", seed]);
    assert.equal(info.code, 0, info.stdout);
    assert.match(info.stdout, new RegExp(`keys in ${workers} masters`));
    for (const port of directPorts) assert.match(info.stdout, new RegExp(`127.0.0.1:${port} `));
    const sizes = await run("redis-cli", ["--cluster", "call", seed, "DBSIZE"]);
    assert.equal(sizes.stdout.match(/127\.0\.0\.1:\d+: \d+/g)?.length, workers);
    const meet = await cli(directPorts[0] ?? 0, ["CLUSTER", "MEET", "127.0.0.1", "1"]);
    assert.match(meet, /^ERR CLUSTER MEET does not change this cluster: .*cluster\.config\.json/);
  });
}
