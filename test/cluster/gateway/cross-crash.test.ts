/**
 * Transactions over several workers are all or nothing: kill -9 of the node, with another number of
 * workers after each start, and the death of single workers, in the middle of them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientOn } from "../../support/placement.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import type { TestClient } from "../../support/test-client.ts";

const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 5);
const KEYS = ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"];

/** What one client has done: rising values, each written to all keys at once. */
interface Progress {
  /** The last value whose writing was acknowledged, and the last that was sent. */
  acked: number;
  sent: number;
  /** Transactions that were refused: nothing was changed. */
  refused: number;
}

/** One transaction that writes `value` to all keys, in one of the ways that there are. */
async function write(client: TestClient, value: number): Promise<unknown> {
  const text = String(value);
  if (value % 3 === 0) return client.call("MSET", ...KEYS.flatMap((key) => [key, text]));
  const sets = KEYS.map((key) => ["SET", key, text]);
  // A name that wanders over the workers: exactly one of two is there.
  const move = ["RENAME", "moved:a", "moved:b"];
  const back = ["RENAME", "moved:b", "moved:a"];
  const extra = value % 3 === 1 ? [["INCR", "count"]] : [move, back, ["INCR", "count"]];
  const replies = await client.pipeline(["MULTI"], ...sets, ...extra, ["EXEC"]);
  return replies.at(-1);
}

/** Writes until the connection ends, or `stop` says so. */
async function load(client: TestClient, progress: Progress, stop = () => false): Promise<void> {
  try {
    while (!stop()) {
      progress.sent++;
      const reply = await write(client, progress.sent);
      const text = JSON.stringify(reply);
      if (text.includes('{"error":"TRYAGAIN')) progress.refused++;
      else if (!text.includes('{"error":"UNKNOWN')) progress.acked = progress.sent;
    }
  } catch {
    // The connection ended: the last one is unknown.
  }
}

async function check(server: TestServer, progress: Progress): Promise<void> {
  using client = await server.connect();
  const values = (await client.call("MGET", ...KEYS)) as (string | null)[];
  assert.equal(new Set(values).size, 1, `half a transaction: ${values.join()}`);
  const value = Number(values[0]);
  assert.ok(
    value >= progress.acked && value <= progress.sent,
    `${value}: ${JSON.stringify(progress)}`,
  );
  assert.equal(await client.call("EXISTS", "moved:a", "moved:b"), 1);
  progress.acked = value;
  progress.sent = value;
}

for (const durability of ["os", "always"] as const) {
  test(`kill -9 leaves no half transaction (${durability})`, async () => {
    await using server = await startServer({ workers: 3, durability });
    const progress = { acked: 0, sent: 0, refused: 0 };
    {
      using client = await server.connect();
      await client.call("MSET", ...KEYS.flatMap((key) => [key, "0"]), "moved:a", "x");
    }
    for (let round = 0; round < ROUNDS; round++) {
      const loading = load(await server.connect(), progress);
      // Not before some are done, and in the middle of one.
      const began = progress.sent;
      while (progress.sent < began + 25) await new Promise((resolve) => setImmediate(resolve));
      await server.kill9();
      await loading;
      await server.restart({ workers: [2, 3, 1, 4][round % 4] ?? 3 });
      await check(server, progress);
    }
    assert.equal(progress.refused, 0);
    assert.equal(server.stderr, "");
  });
}

for (const point of ["logged", "half"]) {
  test(`what was ${point} when the process died is done wholly at the next start`, async () => {
    const armed = { COTERIE_TEST_COMMANDS: "1", COTERIE_TEST_CRASH_POINT: `${point}:1` };
    await using server = await startServer({ workers: 3 });
    const setUp = await server.connect();
    await setUp.call("MSET", ...KEYS.flatMap((key) => [key, "0"]), "moved:a", "x");
    for (const [round, value] of [300, 301, 302].entries()) {
      await server.restart({ workers: 3, env: armed });
      await assert.rejects(write(await server.connect(), value));
      await server.ended;
      // Recovery may be killed as well, and comes with another number of workers.
      await server.restart({ workers: [2, 1, 4][round] ?? 3, env: {} });
      await server.kill9();
      await server.restart({ workers: 3 });
      using reader = await server.connect();
      const found = (await reader.call("MGET", ...KEYS)) as string[];
      assert.deepEqual(
        found,
        KEYS.map(() => String(value)),
      );
      assert.deepEqual(await reader.call("MGET", "moved:a", "moved:b"), ["x", null]);
      // Once, however often it was asked for.
      assert.equal(Number((await reader.call("GET", "count")) ?? 0), round);
    }
  });
}

test("the death of a worker leaves no half transaction, and no partition locked", async () => {
  const env = { COTERIE_TEST_COMMANDS: "1" };
  await using server = await startServer({ workers: 3, durability: "always", env });
  const progress = { acked: 0, sent: 0, refused: 0 };
  const admin = await clientOn(server, 0, 3);
  await admin.call("MSET", ...KEYS.flatMap((key) => [key, "0"]), "moved:a", "x");
  for (const worker of [1, 2]) {
    let isOver = false;
    const client = await clientOn(server, 0, 3);
    const loading = load(client, progress, () => isOver);
    const began = progress.sent;
    while (progress.sent < began + 10) await new Promise((resolve) => setImmediate(resolve));
    await admin.call("DEBUG", "CRASH-WORKER", String(worker));
    const acked = progress.acked;
    while (progress.acked < acked + 20) await new Promise((resolve) => setImmediate(resolve));
    isOver = true;
    await loading;
    await check(server, progress);
  }
});

test("the death of the worker that leads a transaction ends it wholly, or never begins it", async () => {
  const env = { COTERIE_TEST_COMMANDS: "1" };
  await using server = await startServer({ workers: 3, durability: "os", env });
  const progress = { acked: 0, sent: 0, refused: 0 };
  const admin = await clientOn(server, 0, 3);
  await admin.call("MSET", ...KEYS.flatMap((key) => [key, "0"]), "moved:a", "x");
  for (const worker of [1, 2]) {
    const loading = load(await clientOn(server, worker, 3), progress);
    const began = progress.sent;
    while (progress.sent < began + 10) await new Promise((resolve) => setImmediate(resolve));
    await admin.call("DEBUG", "CRASH-WORKER", String(worker));
    await loading;
    // The others' next write waits until the past is settled.
    for (;;) {
      const reply = await admin.call(
        "MSET",
        ...KEYS.flatMap((key) => [key, String(progress.sent)]),
      );
      if (reply === "OK") break;
      assert.match(JSON.stringify(reply), /TRYAGAIN/);
    }
    progress.acked = progress.sent;
    await check(server, progress);
  }
});
