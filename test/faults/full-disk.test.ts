/**
 * A disk that is full, in a real process on a small tmpfs: writes are refused and nothing else is,
 * and it resumes by itself.
 */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { NodeStatus } from "../../actors/node-api.ts";
import { mayUnshare } from "../support/namespaces.ts";
import { keyOn } from "../support/placement.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const MEBIBYTE = 1024 * 1024;
const VALUE = "v".repeat(64 * 1024);

/** A tmpfs of its own on the data folder; gone with the process. */
function smallDisk({ data }: TestServer): readonly string[] {
  const mounted = 'mkdir -p "$0" && mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"';
  return ["unshare", "-rm", "sh", "-c", mounted, data];
}

async function acceptsWrites(server: TestServer): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${server.adminPort}/status`);
  return ((await answer.json()) as NodeStatus).writes.accepted;
}

test("a full disk refuses writes with MISCONF, reads and deletes go on, and it resumes by itself", async (context) => {
  if (!mayUnshare("-rm")) return context.skip("this user cannot mount");
  const config = { journal: { fileBytes: 4 * MEBIBYTE, reserveBytes: MEBIBYTE } };
  await using server = await startServer({ durability: "always", config, through: smallDisk });
  // Seen through the process: the mount is its own.
  const filler = `/proc/${server.pid}/root${server.data}/filler`;
  writeFileSync(filler, Buffer.alloc(8 * MEBIBYTE));
  const client = await server.connect();
  let written = 0;
  const set = (i: number) => client.call("SET", `k${i}`, `${i}${VALUE}`);
  const reply = await until(async () => {
    const answer = await set(written);
    if (answer !== "OK") return answer as { error: string };
    written++;
    return undefined;
  });
  assert.match(reply.error, /^MISCONF the disk is full/);
  assert.ok(written > 20);
  assert.ok(!(await acceptsWrites(server)));
  assert.equal(await client.call("GET", "k3"), `3${VALUE}`);
  assert.equal(await client.call("EXISTS", `k${written}`), 0);
  assert.equal(await client.call("DEL", "k0"), 1);
  assert.match(server.stderr, /^{"level":"error","event":"disk full"/m);
  // Nothing else is wrong: what cleaning could not write before that was known is the same.
  for (const line of server.stderr.trimEnd().split("\n")) {
    assert.match(line, /"event":"disk (full|has room again)"|\(ENOSPC\)/);
  }
  rmSync(filler);
  await until(async () => ((await set(written)) === "OK" ? true : undefined));
  assert.ok(await acceptsWrites(server));
  const keys = Array.from({ length: written }, (_, i) => `k${i + 1}`);
  assert.equal(await client.call("EXISTS", ...keys), written);
});

test("a disk that the log has filled is cleaned with the reserve, and writes go on by themselves", async (context) => {
  if (!mayUnshare("-rm")) return context.skip("this user cannot mount");
  const config = {
    journal: { fileBytes: 4 * MEBIBYTE, reserveBytes: MEBIBYTE },
    // No snapshot is due by itself.
    snapshot: { logBytesMin: 1024 * MEBIBYTE },
  };
  await using server = await startServer({ durability: "always", config, through: smallDisk });
  writeFileSync(`/proc/${server.pid}/root${server.data}/filler`, Buffer.alloc(8 * MEBIBYTE));
  const client = await server.connect();
  const set = async (i: number) => (await client.call("SET", "key", `${i}${VALUE}`)) === "OK";
  let refused = 0;
  for (let i = 0; i < 300; i++) {
    await until(async () => {
      const isSet = await set(i);
      if (!isSet) refused++;
      return isSet ? true : undefined;
    });
  }
  assert.ok(refused > 0, "the disk was full");
  assert.equal(await client.call("GET", "key"), `299${VALUE}`);
});

test("what is left of a full disk's journal is used up: all is answered, and nothing stays locked", async (context) => {
  if (!mayUnshare("-rm")) return context.skip("this user cannot mount");
  const config = { journal: { fileBytes: 4 * MEBIBYTE, reserveBytes: MEBIBYTE } };
  const options = { durability: "always", workers: 2, config, through: smallDisk } as const;
  await using server = await startServer(options);
  const client = await server.connect();
  const [from, to] = [keyOn(0, 2, "from"), keyOn(1, 2, "to")];
  await client.call("SADD", from, "a", "b");
  const filler = `/proc/${server.pid}/root${server.data}/filler`;
  assert.throws(() => writeFileSync(filler, Buffer.alloc(24 * MEBIBYTE)), { code: "ENOSPC" });
  // Expiries are taken on a full disk, as whatever frees memory is.
  const expiries = Array.from({ length: 2_000 }, (_, i) => ["EXPIRE", from, String(1_000_000 + i)]);
  const refused = await until(async () => {
    const replies = await client.pipeline(...expiries);
    return replies.find((reply) => reply !== 1) as { error: string } | undefined;
  });
  assert.match(refused.error, /^MISCONF the disk is full/);
  assert.deepEqual(await client.call("SMOVE", from, to, "a"), refused);
  assert.deepEqual(await client.call("SCARD", from), 2);
  assert.deepEqual(await client.call("SCARD", to), 0);
  rmSync(filler);
  await until(async () => ((await client.call("SMOVE", from, to, "a")) === 1 ? true : undefined));
  assert.deepEqual(await client.call("SMEMBERS", to), ["a"]);
});
