/**
 * The disk fails under a journal, in a real process: strace makes fdatasync or pwrite of the
 * journal's file return EIO. Clients that wait are told nothing (their connections end: unknown),
 * nothing that was acknowledged is lost, and the worker comes back with a new file, or the node ends.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startServer, type TestServer } from "../support/server.ts";
import { inject } from "../support/strace.ts";
import { ConnectionClosed, type TestClient } from "../support/test-client.ts";
import { until } from "../support/until.ts";

const CLIENTS = 6;

/** What a client knows of its counter: that many were acknowledged, that many sent. */
interface Count {
  readonly key: string;
  acked: number;
  sent: number;
}

/** Counts until the connection ends; no other answer than the next number is right. */
async function count(client: TestClient, state: Count): Promise<void> {
  try {
    for (;;) {
      state.sent++;
      assert.equal(await client.call("INCR", state.key), state.acked + 1);
      state.acked++;
    }
  } catch (error) {
    assert.ok(error instanceof ConnectionClosed, String(error));
  }
}

function newCounts(): Count[] {
  return Array.from({ length: CLIENTS }, (_, i) => ({ key: `n${i}`, acked: 0, sent: 0 }));
}

async function load(server: TestServer, counts: readonly Count[]): Promise<Promise<void>[]> {
  const clients = await Promise.all(counts.map(() => server.connect()));
  const loads = counts.map((state, i) => count(clients[i] as TestClient, state));
  await until(() => (counts.every(({ acked }) => acked > 20) ? true : undefined));
  return loads;
}

/** Every counter is what was acknowledged, or with the one that was under way; that is its value. */
async function check(client: TestClient, counts: readonly Count[]): Promise<void> {
  for (const state of counts) {
    const found = Number(await client.call("GET", state.key));
    assert.ok(found >= state.acked && found <= state.sent, `${found} of ${JSON.stringify(state)}`);
    state.acked = found;
    state.sent = found;
  }
}

function journals(server: TestServer): string[] {
  return readdirSync(server.data).filter((name) => name.startsWith("journal-"));
}

for (const call of ["fdatasync", "pwrite64"] as const) {
  test(`a failed ${call} of the journal loses nothing acknowledged, and goes on in a new file`, async () => {
    await using server = await startServer({ durability: "always" });
    const counts = newCounts();
    const loads = await load(server, counts);
    const [name = ""] = journals(server);
    const path = join(server.data, name);
    {
      await using injection = await inject({ pid: server.pid, call, error: "EIO", path });
      await Promise.all(loads);
      assert.ok(injection.count > 0);
      const client = await until(() => server.connect());
      await check(client, counts);
      assert.equal(await client.call("SET", "after", "the failure"), "OK");
    }
    assert.match(server.stderr, /cannot write the journal \S+ \(EIO\): .*check the disk/);
    assert.ok(journals(server).some((other) => other > name));
    // The frame that was not synced is there, whole, and no start may believe it.
    const manifest = readFileSync(join(server.data, "manifest-00000001-000.json"), "utf8");
    const listed = new RegExp(`"name":"${name}","firstCommit":1,"accepted":(\\d+)`).exec(manifest);
    const accepted = Number(listed?.[1]);
    const next = readFileSync(path).toString("latin1", accepted, accepted + 4);
    assert.equal(next === "COTF", call === "fdatasync");
    await server.kill9();
    await server.restart();
    const later = await server.connect();
    await check(later, counts);
    assert.equal(await later.call("GET", "after"), "the failure");
  });
}

test("a disk that fails for good ends the node with an error, and nothing acknowledged is lost", async () => {
  await using server = await startServer({ durability: "always" });
  const counts = newCounts();
  const loads = await load(server, counts);
  {
    await using _ = await inject({ pid: server.pid, call: "fdatasync", error: "EIO" });
    await Promise.all(loads);
    assert.deepEqual(await server.ended, { code: 70, signal: null });
  }
  assert.match(
    server.stderr,
    /the node ended: worker 0 ended \d+ times in a row; .*\(EIO\).*CRASH_LOOP/,
  );
  await server.restart();
  await check(await server.connect(), counts);
});
