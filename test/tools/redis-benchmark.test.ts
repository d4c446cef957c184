/**
 * redis-benchmark: its default suite, as a new user's first try, and its cluster mode.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startServer } from "../support/server.ts";
import { run, TOOL_TIMEOUT_MS } from "./tools.ts";

const limit = { timeout: TOOL_TIMEOUT_MS };

/** What the default suite measures, in its order. */
const SUITE = [
  ...["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP"],
  ...["SADD", "HSET", "SPOP", "ZADD", "ZPOPMIN", "LPUSH (needed to benchmark LRANGE)"],
  ...["LRANGE_100", "LRANGE_300", "LRANGE_500", "LRANGE_600", "MSET (10 keys)"],
];

/** The names of the measurements that `--csv` or `-q` printed with a rate. */
function measured(printed: string, pattern: RegExp): string[] {
  return [...printed.matchAll(pattern)].map(([, name = ""]) => name.replace(/ \(first.*/, ""));
}

for (const workers of [1, 3]) {
  const where = workers === 1 ? "one worker" : "three workers";

  test(`the default suite ends in order: ${where}`, limit, async () => {
    await using server = await startServer({ workers });
    const port = String(server.port);
    const plain = await run("redis-benchmark", ["-p", port, "-n", "1000"]);
    assert.equal(plain.code, 0, plain.stderr);
    assert.equal(plain.stderr, "");
    assert.deepEqual(measured(plain.stdout, /====== (.+) ======/g), SUITE);
    const csv = await run("redis-benchmark", ["-p", port, "-n", "1000", "--csv", "-P", "16", "-3"]);
    assert.equal(csv.code, 0, csv.stderr);
    assert.deepEqual(measured(csv.stdout, /^"([^"]+)","\d+\.\d+"/gm), SUITE);
  });
}

test("every command of the suite leaves what it says", limit, async () => {
  await using server = await startServer({ workers: 1 });
  const words = ["-p", String(server.port), "-n", "1000", "-r", "100", "-d", "64", "-q"];
  const { code, stderr } = await run("redis-benchmark", [...words, "-t", "set,incr,lpush,mset"]);
  assert.equal(code, 0, stderr);
  const client = await server.connect();
  assert.equal(await client.call("STRLEN", "key:000000000007"), 64);
  const counters = Array.from({ length: 100 }, (_, i) => `counter:${String(i).padStart(12, "0")}`);
  const counts = (await client.call("MGET", ...counters)) as (string | null)[];
  assert.equal(
    counts.reduce((sum, count) => sum + Number(count), 0),
    1000,
  );
  assert.equal(await client.call("LLEN", "mylist"), 1000);
});

test("--cluster drives every worker by its own port", limit, async () => {
  await using server = await startServer({ workers: 3 });
  for (const seed of [server.port, server.directPorts[1]]) {
    const words = ["-p", String(seed), "--cluster", "-n", "2000", "-r", "1000", "-q", "-c", "9"];
    const { code, stdout, stderr } = await run("redis-benchmark", [...words, "-t", "set,get,mset"]);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /Cluster has 3 master nodes/);
    assert.deepEqual(measured(stdout, /^(\w+)(?: \(10 keys\))?: \d+\.\d+ requests/gm), [
      "SET",
      "GET",
      "MSET",
    ]);
  }
  for (const port of server.directPorts) {
    const client = await server.connect(port);
    assert.ok(Number(await client.call("DBSIZE")) > 0, "every worker has keys");
  }
});
