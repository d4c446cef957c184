/**
 * Starts and restarts on a disk that is full, in a real process on a small tmpfs: with what is held
 * back it serves reads and deletes; without that it says so and leaves nothing behind.
 */
import assert from "node:assert/strict";
import { readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { mayUnshare } from "../support/namespaces.ts";
import { startServer } from "../support/server.ts";
import { smallDisk } from "../support/small-disk.ts";
import { until } from "../support/until.ts";

const MEBIBYTE = 1024 * 1024;
const WORKERS = 2;
const KEYS = Array.from({ length: 20 }, (_, i) => `key${i}`);
const MISCONF = /^MISCONF the disk is full/;

/** A server with some keys, on a disk that is filled then. */
async function onFullDisk(context: TestContext) {
  if (!mayUnshare("-rm")) {
    context.skip("this user cannot mount");
    return undefined;
  }
  const disk = await smallDisk(40);
  context.after(() => disk[Symbol.asyncDispose]());
  const server = await startServer({
    workers: WORKERS,
    durability: "always",
    config: { journal: { fileBytes: 4 * MEBIBYTE, reserveBytes: 6 * MEBIBYTE } },
    env: { COTERIE_TEST_COMMANDS: "1" },
    through: disk.through,
  });
  context.after(() => server[Symbol.asyncDispose]());
  const client = await server.connect();
  for (const key of KEYS) assert.equal(await client.call("SET", key, "value"), "OK");
  const reserves = () => readdirSync(disk.path).filter((name) => name.startsWith("reserve-"));
  await until(() => (reserves().length === WORKERS ? true : undefined));
  return { disk, server, reserves };
}

test("a node starts on a full disk, serves reads and deletes, and writes once there is room", async (context) => {
  const subject = await onFullDisk(context);
  if (subject === undefined) return;
  const { disk, server } = subject;
  await server.kill9();
  disk.fill("filler");
  for (const key of KEYS.slice(0, 3)) {
    await server.restart();
    const client = await server.connect();
    const last = KEYS.at(-1) as string;
    assert.equal(await client.call("GET", last), "value");
    assert.equal(await client.call("DEL", key), 1);
    await until(async () => {
      const reply = (await client.call("SET", last, "value")) as { error?: string };
      return MISCONF.test(reply.error ?? "") ? true : undefined;
    });
    await server.kill9();
  }
  await server.restart();
  rmSync(join(disk.path, "filler"));
  const client = await server.connect();
  await until(async () => ((await client.call("SET", "new", "value")) === "OK" ? true : undefined));
  assert.equal(await client.call("EXISTS", ...KEYS, "new"), KEYS.length - 3 + 1);
});

test("a start without enough room says that the disk is full, and takes none with every try", async (context) => {
  const subject = await onFullDisk(context);
  if (subject === undefined) return;
  const { disk, server, reserves } = subject;
  await server.kill9();
  for (const name of reserves()) rmSync(join(disk.path, name));
  disk.fill("filler");
  const filler = join(disk.path, "filler");
  const why = /^coterie: cannot .* \(ENOSPC\): the disk is full; free some space.* \(DISK_FULL\)$/;
  const isStarted = async () => {
    server.stderr = "";
    const error = await server.restart().catch((reason: unknown) => reason);
    if (error === undefined) return true;
    assert.match(server.stderr.trim(), why);
    return false;
  };
  assert.equal(await isStarted(), false);
  // Enough for the journal file of one worker, and for more where an earlier start left room.
  truncateSync(filler, statSync(filler).size - 300 * 1024);
  for (let i = 0; i < 5; i++) if (await isStarted()) await server.kill9();
  // And now for both.
  truncateSync(filler, statSync(filler).size - 400 * 1024);
  await server.restart();
  const client = await server.connect();
  assert.equal(await client.call("EXISTS", ...KEYS), KEYS.length);
});

test("workers that crash while the disk is full come back, time and again", async (context) => {
  const subject = await onFullDisk(context);
  if (subject === undefined) return;
  const { disk, server } = subject;
  disk.fill("filler");
  for (let i = 0; i < 8; i++) {
    const client = await server.connect();
    void client.call("DEBUG", "CRASH-WORKER", String(i % WORKERS)).catch(() => undefined);
    await until(() => (server.stderr.split("CRASH-WORKER").length > i + 1 ? true : undefined));
    await until(async () => {
      const reader = await server.connect();
      const found = await reader.call("EXISTS", ...KEYS).catch(() => 0);
      return found === KEYS.length ? true : undefined;
    });
  }
  assert.ok(server.isRunning);
});
