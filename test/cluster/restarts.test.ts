/** Starting again and again: data stay, files do not pile up, whatever the number of workers. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

function names(server: TestServer, pattern: RegExp): string[] {
  return readdirSync(server.data).filter((name) => pattern.test(name));
}

async function keysFound(server: TestServer, count: number): Promise<number> {
  const client = await server.connect();
  assert.equal(await client.call("DBSIZE"), count);
  const keys = Array.from({ length: count }, (_, i) => `k${i}`);
  return (await client.call("EXISTS", ...keys)) as number;
}

test("manifests of earlier boots go, also after kill -9 and with other numbers of workers", async () => {
  await using server = await startServer({ workers: 3, durability: "always" });
  const client = await server.connect();
  for (let i = 0; i < 50; i++) await client.call("SET", `k${i}`, "v");
  for (const [workers, isKilled] of [
    [1, true],
    [2, false],
    [3, true],
    [1, true],
  ] as const) {
    if (isKilled) await server.kill9();
    await server.restart({ workers });
    assert.equal(await keysFound(server, 50), 50);
    const boots = await until(() => {
      const found = new Set(names(server, /^manifest-/).map((name) => name.split("-")[1]));
      return found.size === 1 ? found : undefined;
    });
    assert.equal(names(server, /^manifest-/).length, workers, [...boots].join());
  }
});

test("journal files of earlier boots go once snapshots hold what is in them", async () => {
  await using server = await startServer({ workers: 2 });
  for (let boot = 0; boot < 3; boot++) {
    const client = await server.connect();
    for (let i = 0; i < 50; i++) await client.call("SET", `k${i}`, `${boot}`);
    await server.restart();
  }
  const client = await server.connect();
  assert.ok(names(server, /^journal-/).length > 2);
  await client.call("BGSAVE");
  await until(() => (names(server, /^journal-/).length === 2 ? true : undefined));
  assert.equal(await keysFound(server, 50), 50);
  await server.kill9();
  await server.restart();
  assert.equal(await keysFound(server, 50), 50);
});
