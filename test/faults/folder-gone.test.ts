/**
 * The data folder, or the journal in it, is taken from under a running node: it acknowledges nothing
 * more into files that no start would find, and ends with what to do.
 */
import assert from "node:assert/strict";
import { readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const WORKERS = 2;
const SAYS =
  /\.log is not in its place any more: .* Put it back, or restore a backup, and start again/;

function moveAway({ folder, data }: TestServer): void {
  renameSync(data, join(folder, "elsewhere"));
}

function removeJournals({ data }: TestServer): void {
  for (const name of readdirSync(data)) if (name.startsWith("journal-")) rmSync(join(data, name));
}

async function withKeys(): Promise<TestServer> {
  const server = await startServer({ workers: WORKERS, durability: "always" });
  const client = await server.connect();
  for (let i = 0; i < 200; i++) assert.equal(await client.call("SET", `key${i}`, "value"), "OK");
  return server;
}

for (const take of [moveAway, removeJournals]) {
  test(`a node ends with an error when its files are gone (${take.name})`, async () => {
    await using server = await withKeys();
    const client = await server.connect();
    take(server);
    await client.call("BGSAVE").catch(() => undefined);
    await until(() => (server.isRunning ? undefined : true));
    assert.deepEqual(await server.ended, { code: 70, signal: null });
    assert.doesNotMatch(server.stderr, /it is restarted/);
    const lines = server.stderr.trimEnd().split("\n");
    assert.match(lines.at(-1) ?? "", /^coterie: the node ended: /);
    assert.match(lines.at(-1) ?? "", SAYS);
    const failed = lines.filter((line) => line.includes('"event":"snapshot failed"'));
    assert.ok(failed.length <= 2 * WORKERS, `${failed.length} times`);
  });

  test(`a node whose files are gone does not stop as if all were well (${take.name})`, async () => {
    await using server = await withKeys();
    take(server);
    const { code } = await server.stop();
    assert.ok(code === 1 || code === 70, `exit code ${code}`);
    assert.match(server.stderr, SAYS);
  });
}

test("a folder that is put back is started on with all that was acknowledged", async () => {
  await using server = await withKeys();
  moveAway(server);
  await until(() => (server.isRunning ? undefined : true));
  renameSync(join(server.folder, "elsewhere"), server.data);
  await server.restart();
  const client = await server.connect();
  assert.equal(await client.call("DBSIZE"), 200);
});
