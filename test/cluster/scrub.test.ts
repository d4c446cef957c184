/**
 * Damage to files at rest under a running node: it is found while the data are in memory, said, and
 * written anew, so that the next start finds everything.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { partitionOfKey } from "../support/placement.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const ENV = { COTERIE_TEST_COMMANDS: "1", COTERIE_TEST_SCRUB_MS: "50" };
const KEYS = 200;

async function metric(server: TestServer, name: string): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${server.adminPort}/metrics`)).text();
  return Number(new RegExp(`^coterie_${name} (.*)$`, "m").exec(page)?.[1]);
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(path, bytes);
}

async function assertAllThere(server: TestServer): Promise<void> {
  const client = await server.connect();
  const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`);
  const values = await client.call("MGET", ...keys);
  assert.deepEqual(
    values,
    keys.map((key) => `of ${key}`),
  );
}

async function writeAll(server: TestServer): Promise<void> {
  const client = await server.connect();
  const commands = Array.from({ length: KEYS }, (_, i) => ["SET", `k${i}`, `of k${i}`]);
  await client.pipeline(...commands);
}

test("a damaged snapshot is written anew, under the node that serves it", async () => {
  await using server = await startServer({ durability: "always", env: ENV });
  await writeAll(server);
  await (await server.connect()).call("BGSAVE");
  const wanted = `^snapshot-${String(partitionOfKey("k0")).padStart(10, "0")}-\\d+\\.snap$`;
  const name = await until(() => {
    return readdirSync(server.data).find((file) => new RegExp(wanted).test(file));
  });
  await until(async () => ((await metric(server, "scrub_files_total")) > 0 ? true : undefined));
  const path = join(server.data, name);
  flip(path, readFileSync(path).length - 40);
  const damaged = readFileSync(path);
  await until(async () => {
    return (await metric(server, "scrub_damaged_files_total")) > 0 ? true : undefined;
  });
  assert.match(server.stderr, new RegExp(`${path} is damaged at offset \\d+: .*check the disk`));
  await until(() => (readFileSync(path).equals(damaged) ? undefined : true));
  await server.kill9();
  await server.restart();
  await assertAllThere(server);
});

test("a damaged journal file is let go once snapshots hold what it held", async () => {
  const config = { journal: { fileBytes: 1024 * 1024, reserveBytes: 1024 * 1024 } };
  await using server = await startServer({ durability: "always", env: ENV, config });
  await writeAll(server);
  const client = await server.connect();
  const journal = join(server.data, "journal-00000001-000-00000001.log");
  // Another file is begun: this one rests.
  await until(async () => {
    await client.call("SET", "filler", "x".repeat(50_000));
    const names = readdirSync(server.data).filter((name) => name.startsWith("journal-"));
    return names.length > 2 ? true : undefined;
  });
  flip(journal, readFileSync(journal).indexOf("of k0"));
  await until(() => (existsSync(journal) ? undefined : true));
  assert.match(server.stderr, new RegExp(`${journal} is damaged at offset \\d+: a frame is not`));
  await server.kill9();
  await server.restart();
  await assertAllThere(server);
});
