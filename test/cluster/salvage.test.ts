/**
 * `coterie salvage` on folders that a real node made and that then were damaged: what a node serves
 * from the new folder, against what the clients know they wrote.
 *
 * Each write is a SET of a key of its own, in a known order, so that what a partition holds can be
 * compared with a prefix of what it was given: nothing left out, nothing invented.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PARTITIONS_DEFAULT } from "../../runtime/base/limits.ts";
import { coterie, type Ended } from "../support/command-line.ts";
import { clientOn, keysOnAll, partitionOfKey } from "../support/placement.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const WRITES = 2000;
/** Writes that are under way together, and so may share a frame. */
const PIPELINE = 8;

function textOf(i: number): string {
  return `the value of write ${i}.`;
}

/** Writes in order, all acknowledged. */
async function write(server: TestServer, from = 0, to = WRITES): Promise<void> {
  const client = await server.connect();
  for (let i = from; i < to; i += PIPELINE) {
    const commands = Array.from({ length: Math.min(PIPELINE, to - i) }, (_, n) => {
      return ["SET", `k${i + n}`, textOf(i + n)];
    });
    assert.deepEqual(
      await client.pipeline(...commands),
      commands.map(() => "OK"),
    );
  }
}

function files(server: TestServer, pattern: RegExp): string[] {
  const names = readdirSync(server.data).filter((name) => pattern.test(name));
  return names.map((name) => join(server.data, name));
}

function onlyFile(server: TestServer, pattern: RegExp): string {
  const [file, ...others] = files(server, pattern);
  assert.ok(file !== undefined && others.length === 0, `one file matches ${pattern}`);
  return file;
}

function snapshotOf(server: TestServer, partition: number): string {
  return onlyFile(server, new RegExp(`^snapshot-${String(partition).padStart(10, "0")}-`));
}

/** Changes the bytes of a file where a text first stands, or at an offset. */
function damage(path: string, where: string | number, length = 1): number {
  const bytes = readFileSync(path);
  const at = typeof where === "number" ? where : bytes.indexOf(where, 0, "latin1");
  assert.notEqual(at, -1, `${where} is in ${path}`);
  for (let i = at; i < at + length; i++) bytes[i] = (bytes[i] as number) ^ 0x10;
  writeFileSync(path, bytes);
  return at;
}

function fingerprint(folder: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder).sort())
    hash.update(name).update(readFileSync(join(folder, name)));
  return hash.digest("hex");
}

/** A start on the damaged folder is refused, and says what to do. */
async function assertRefused(server: TestServer, what: RegExp): Promise<void> {
  const words = ["start", "--port", "0", "--data", server.data];
  const { code, stderr } = await coterie(words, { folder: server.folder });
  assert.equal(code, 1);
  assert.match(stderr, what);
  assert.match(stderr, new RegExp(`: coterie salvage --data ${server.data} --to FOLDER`));
}

/** Snapshots of everything, and the manifest that names them. */
async function snapshotAll(server: TestServer): Promise<void> {
  const client = await server.connect();
  await client.call("BGSAVE");
  await until(async () => {
    const info = String(await client.call("INFO", "persistence"));
    const isDone = /rdb_bgsave_in_progress:0/.test(info) && /changes_since_last_save:0/.test(info);
    return isDone ? true : undefined;
  });
}

/** Snapshots are all there is: the log of what they hold is gone. */
async function onlySnapshots(server: TestServer): Promise<void> {
  await snapshotAll(server);
  await server.restart();
  const client = await server.connect();
  await until(() => (files(server, /^journal-00000001-/).length === 0 ? true : undefined));
  client.destroy();
}

async function salvage(
  server: TestServer,
  name = "salvaged",
): Promise<Ended & { readonly to: string }> {
  const before = fingerprint(server.data);
  const to = join(server.folder, name);
  const words = ["salvage", "--data", server.data, "--to", to];
  const end = await coterie(words, { folder: server.folder });
  assert.equal(fingerprint(server.data), before, "the damaged folder is as it was");
  return { ...end, to };
}

/** Starts a node on a salvaged folder, in the place of the damaged one. */
async function serve(server: TestServer, to: string): Promise<void> {
  if (server.isRunning) await server.stop();
  rmSync(server.data, { recursive: true });
  renameSync(to, server.data);
  await server.restart({ env: {} });
}

/** Which of the writes a node on the new folder has; a value that is wrong fails. */
async function found(server: TestServer, to: string): Promise<boolean[]> {
  await serve(server, to);
  const client = await server.connect();
  const keys = Array.from({ length: WRITES }, (_, i) => ["GET", `k${i}`]);
  const values = await client.pipeline(...keys);
  return values.map((value, i) => {
    if (value !== null) assert.equal(value, textOf(i));
    return value !== null;
  });
}

/** The partitions that miss writes; each has a prefix of what it was given. */
function shortened(has: readonly boolean[]): Map<number, { kept: number; missing: number }> {
  const short = new Map<number, { kept: number; missing: number }>();
  for (let partition = 0; partition < PARTITIONS_DEFAULT; partition++) {
    const own = has.filter((_, i) => partitionOfKey(`k${i}`) === partition);
    const kept = own.indexOf(false);
    if (kept < 0) continue;
    assert.ok(!own.slice(kept).includes(true), `partition ${partition} has a prefix`);
    short.set(partition, { kept, missing: own.length - kept });
  }
  return short;
}

test("a folder that is not damaged is copied whole, from log and snapshots", async () => {
  await using server = await startServer({ durability: "always", workers: 2 });
  await write(server, 0, 300);
  await server.restart();
  await write(server, 300);
  await server.kill9();
  const { code, stdout, to } = await salvage(server);
  assert.match(stdout, /2000 keys in \d+ partitions; complete: nothing is lost/);
  assert.equal(code, 0);
  assert.ok((await found(server, to)).every(Boolean));
});

test("a damaged op cuts its partition's log there, and no other's", async () => {
  await using server = await startServer({ durability: "always" });
  await write(server);
  await server.kill9();
  const journal = onlyFile(server, /^journal-/);
  damage(journal, textOf(1000));
  await assertRefused(server, /journal-\d+-000-\d+\.log is damaged at offset \d+: commit \d+ was/);
  const { code, stdout, to } = await salvage(server);
  assert.equal(code, 2, stdout);
  const short = shortened(await found(server, to));
  const partition = partitionOfKey("k1000");
  assert.deepEqual([...short.keys()], [partition]);
  const { kept = 0, missing = 0 } = short.get(partition) ?? {};
  assert.match(
    stdout,
    new RegExp(`^damaged:\n  ${journal} at \\d+: commit \\d+ is not there whole`, "m"),
  );
  const lost = new RegExp(
    `^  keyspace 0, partition ${partition} \\(slots ${partition * 64}-${partition * 64 + 63}\\): ` +
      `as after op ${kept} of 20\\S+Z; 1 op after that cannot be read` +
      (missing > 1 ? `; ${missing - 1} ops? behind them, until 20\\S+Z, not applied$` : "$"),
    "m",
  );
  assert.match(stdout, lost);
  assert.match(stdout, /with losses/);
  assert.doesNotMatch(stdout, /may be lost/);
});

test("a damaged frame header loses nothing: the ops say where they are", async () => {
  await using server = await startServer({ durability: "always" });
  await write(server);
  await server.kill9();
  const journal = onlyFile(server, /^journal-/);
  const frame = readFileSync(journal).lastIndexOf("COTF", damage(journal, textOf(1000), 0));
  damage(journal, frame + 33);
  await assertRefused(server, new RegExp(`is damaged at offset ${frame}: commit \\d+ was durable`));
  const { code, stdout, to } = await salvage(server);
  assert.match(stdout, /commit \d+ is not there whole: 8 of 8 ops were read/);
  assert.match(stdout, /complete: nothing is lost/);
  assert.equal(code, 0);
  assert.ok((await found(server, to)).every(Boolean));
});

test("sectors of garbage cut the partitions that had ops in them, and say what is not known", async () => {
  await using server = await startServer({ durability: "always" });
  await write(server);
  await server.kill9();
  const journal = onlyFile(server, /^journal-/);
  const frame = readFileSync(journal).lastIndexOf("COTF", damage(journal, textOf(1000), 0));
  damage(journal, frame, 2048);
  const { code, stdout, to } = await salvage(server);
  assert.equal(code, 2);
  const short = shortened(await found(server, to));
  assert.ok(short.size >= 2 && short.size <= 16, `${short.size} partitions are short`);
  for (const [partition, { kept }] of short) {
    assert.match(stdout, new RegExp(`partition ${partition} .*(as after op ${kept} |empty)`));
  }
  assert.match(stdout, /0 ops were read, how many were in it is not known/);
  assert.match(stdout, /^may be lost beside that:\n {2}writes of any partition/m);
});

test("a damaged snapshot loses nothing while the log still has its ops", async () => {
  await using server = await startServer({ durability: "always" });
  await write(server);
  await snapshotAll(server);
  await server.kill9();
  const partition = partitionOfKey("k1000");
  damage(snapshotOf(server, partition), textOf(1000));
  await assertRefused(
    server,
    /snapshot-\d+-\d+\.snap is damaged at offset \d+: a chunk's checksum/,
  );
  const { code, stdout, to } = await salvage(server);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /\.snap at \d+: a chunk's checksum does not match: it is not used/);
  assert.ok((await found(server, to)).every(Boolean));
});

test("a damaged snapshot without its log is one partition lost, and what came after it", async () => {
  await using server = await startServer({ durability: "always" });
  await write(server, 0, 1500);
  await onlySnapshots(server);
  await write(server, 1500);
  await server.kill9();
  const partition = partitionOfKey("k1999");
  const first = Array.from({ length: 1500 }, (_, i) => `k${i}`).find((key) => {
    return partitionOfKey(key) === partition;
  });
  damage(snapshotOf(server, partition), first ?? "");
  const { code, stdout, to } = await salvage(server);
  assert.equal(code, 2);
  const short = shortened(await found(server, to));
  assert.deepEqual([...short.keys()], [partition]);
  assert.equal(short.get(partition)?.kept, 0);
  const lost = new RegExp(
    `partition ${partition} \\(slots [\\d-]+\\): empty; \\d+ ops after that cannot be read; ` +
      "\\d+ ops? behind them, until \\S+, not applied",
  );
  assert.match(stdout, lost);
  assert.doesNotMatch(stdout, /may be lost/);
});

test("a snapshot whose end is damaged has its state all the same", async () => {
  await using server = await startServer({ durability: "always" });
  await write(server);
  await onlySnapshots(server);
  await server.kill9();
  const snapshot = snapshotOf(server, partitionOfKey("k1000"));
  damage(snapshot, readFileSync(snapshot).length - 8);
  damage(snapshotOf(server, partitionOfKey("k1001")), 20);
  await assertRefused(server, /\.snap is damaged at offset \d+: its (end|header) is damaged/);
  const { code, stdout, to } = await salvage(server);
  assert.match(stdout, /its end is damaged or missing: its state is whole all the same/);
  assert.match(stdout, /its header is damaged: its state is whole all the same/);
  assert.equal(code, 0);
  assert.ok((await found(server, to)).every(Boolean));
});

test("a damaged manifest and identity lose nothing: the files say what they are", async () => {
  await using server = await startServer({ durability: "always", workers: 2 });
  await write(server, 0, 1500);
  await onlySnapshots(server);
  await write(server, 1500);
  await server.kill9();
  const [manifest = ""] = files(server, /^manifest-/);
  damage(manifest, '"sequence":');
  await assertRefused(server, /manifest-\d+-000\.json is damaged at offset 0: its checksum/);
  damage(join(server.data, "node.json"), "nodeId");
  await assertRefused(server, /node\.json is damaged at offset 0: its checksum/);
  const { code, stdout, to } = await salvage(server);
  assert.match(stdout, new RegExp(`${manifest} at 0: its checksum does not match`));
  assert.match(stdout, /complete: nothing is lost/);
  assert.equal(code, 0);
  assert.ok((await found(server, to)).every(Boolean));
});

test("a lost journal file cuts the partitions that it had ops of", async () => {
  await using server = await startServer({ durability: "always" });
  await write(server, 0, 1000);
  await server.restart();
  await write(server, 1000);
  await server.kill9();
  const lost = files(server, /^journal-00000002-/)[0] ?? "";
  assert.ok(existsSync(lost));
  rmSync(lost);
  await assertRefused(server, /the file is missing/);
  const { code, stdout, to } = await salvage(server);
  assert.equal(code, 2);
  assert.match(stdout, new RegExp(`${lost} at 0: the file is missing`));
  assert.match(stdout, /may be lost beside that/);
  const has = await found(server, to);
  assert.equal(has.lastIndexOf(true), 999);
  assert.ok(has.slice(0, 1000).every(Boolean));
});

test("a folder in use, a folder that is not empty, and one inside the damaged one are refused", async () => {
  await using server = await startServer();
  const run = (to: string) =>
    coterie(["salvage", "--data", server.data, "--to", to], { folder: server.folder });
  const used = await run("new");
  assert.equal(used.code, 1);
  assert.match(used.stderr, new RegExp(`in use by process ${server.pid}: .*DATA_FOLDER_IN_USE`));
  await server.stop();
  const names = readdirSync(server.data);
  const inside = await run(join(server.data, "new"));
  assert.match(inside.stderr, /lies in the damaged folder.*DATA_FOLDER_FOREIGN/);
  assert.deepEqual(readdirSync(server.data), names);
  const full = await run(".");
  assert.match(full.stderr, /holds data: .*Choose an empty folder.*DATA_FOLDER_FOREIGN/);
  const nowhere = await coterie(["salvage", "--data", "x", "--to", "y"], { folder: server.folder });
  assert.match(nowhere.stderr, /there is no data folder .*x: name the damaged one with --data/);
  mkdirSync(join(server.folder, "empty"));
  const words = ["salvage", "--data", "empty", "--to", "y"];
  const other = await coterie(words, { folder: server.folder });
  assert.match(other.stderr, /holds no data of Coterie \(DATA_FOLDER_FOREIGN\)/);
  assert.equal((await coterie(["salvage"], { folder: server.folder })).code, 64);
});

test("a transaction over workers that was under way is finished, or known not to be", async () => {
  const env = { COTERIE_TEST_COMMANDS: "1", COTERIE_TEST_CRASH_POINT: "logged:1" };
  await using server = await startServer({ durability: "always", workers: 2, env });
  const keys = keysOnAll(2, "both");
  await write(server, 0, 200);
  const client = await clientOn(server, 0, 2);
  client.send(["MSET", ...keys.flatMap((key) => [key, "all"])]);
  await server.ended;
  const mget = async () => (await server.connect()).call("MGET", ...keys);
  const whole = await salvage(server);
  assert.equal(whole.code, 0, whole.stdout);
  const [journal = ""] = files(server, /^journal-00000001-000-/);
  const frame = readFileSync(journal).indexOf("COTF", 512 + 4);
  damage(journal, frame, 1024);
  const damaged = await salvage(server, "salvaged-damaged");
  assert.match(damaged.stdout, /parts of transactions over several worker threads that were under/);
  await serve(server, whole.to);
  assert.deepEqual(await mget(), ["all", "all"]);
  await serve(server, damaged.to);
  assert.deepEqual(await mget(), [null, null]);
});
