/**
 * What workers keep of a data folder over their ends, restarts and failed calls: nothing that is
 * needed goes, and what is not needed does.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Vnode } from "../../../actors/vnode/vnode.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { OldFiles } from "../../../actors/worker/old-files.ts";
import { SyncTimes } from "../../../actors/worker/sync-times.ts";
import type { WorkerArgs } from "../../../actors/worker/worker-args.ts";
import { openStorage } from "../../../actors/worker/worker-storage.ts";
import { ManualClock, systemTimers } from "../../../runtime/base/clock.ts";
import { systemRandom } from "../../../runtime/base/prng.ts";
import { embeddedConfig } from "../../../runtime/config/embedded.ts";
import { systemFiles } from "../../../runtime/storage/files.ts";
import type { JournalFileName } from "../../../runtime/storage/journal-format.ts";
import { decodeManifest, manifestName, writeManifest } from "../../../runtime/storage/manifest.ts";
import { surveyFolder } from "../../../runtime/storage/survey.ts";
import { emptyFolder } from "../../support/command-line.ts";
import { setStrings } from "../../support/partitions.ts";
import { vnodeMaker } from "../../support/vnode-maker.ts";

const MB = 1024 * 1024;
const [FIRST, SECOND, LAST] = [1, 2, 255];
const fail = () => assert.fail();

interface Start {
  readonly folder: string;
  readonly boot: number;
  readonly index?: number;
  readonly workers?: number;
  readonly keyspaces?: number;
  readonly fileBytes?: number;
  readonly durability?: "always" | "os";
}

/** One worker's storage, with nothing recovered. */
async function openWorker({ folder, boot, index = 0, workers = 1, ...more }: Start) {
  const { keyspaces = 16, fileBytes = MB, durability = "always" } = more;
  const journal = { fileBytes, reserveBytes: 0 };
  const config = embeddedConfig(
    { config: { journal, keyspaces: { count: keyspaces } }, workers, durability },
    { folder, machine: { cores: 4, memoryBytes: 1024 * MB } },
  );
  const args = { config, nodeId: "00112233445566aa", boot, folder } as WorkerArgs;
  const syncTimes = new SyncTimes(new ManualClock());
  const events = { onDurable: () => undefined, onFailed: fail, onFull: fail, syncTimes };
  const machine = { fs: systemFiles, timers: systemTimers, random: systemRandom() };
  const include = (file: JournalFileName) => file.boot < boot || file.worker === index;
  const found = await surveyFolder({ ...args, fs: systemFiles, include });
  return openStorage({ args, index, found, ...machine, events });
}

/** One worker's storage with what it recovers. */
async function startWorker(start: Start) {
  const { folder } = start;
  const storage = await openWorker(start);
  const random = systemRandom();
  const vnodes = new Map<number, Vnode>();
  const adopt = (vnode: Vnode) => void vnodes.set(vnode.id, vnode);
  const createVnode = vnodeMaker(storage.log, random);
  await storage.recover({ createVnode, adopt });
  const of = (id: number) => {
    const vnode = vnodes.get(id) ?? createVnode(id);
    adopt(vnode);
    return vnode;
  };
  const released: string[] = [];
  const oldFiles = new OldFiles({
    storage,
    find: (id) => vnodes.get(id),
    filesKept: () => 1000,
    want: fail,
    isSnapshotting: () => false,
    snapshotsIdle: () => Promise.resolve(),
    released: (names) => void released.push(...names),
  });
  /** Values of half a file until so many further files are full. */
  const fill = async (id: number, files: number) => {
    const until = storage.journal.fileNumber + files;
    while (storage.journal.fileNumber < until) {
      setStrings(of(id).partition, [["key", "v".repeat(MB / 2 - 4096)]]);
      await storage.sync();
    }
  };
  /** A file in a snapshot's place, which nobody reads. */
  const finishSnapshot = (id: number) => {
    const { sequence } = of(id).partition;
    const name = `snapshot-${id}-${sequence}`;
    writeFileSync(join(folder, name), "");
    return { vnodeId: id, name, sequence };
  };
  return { storage, of, oldFiles, released, fill, finishSnapshot };
}

/** Makes the next writings of a manifest fail; returns what ends that. */
function blockManifest(folder: string, boot: number): () => void {
  const path = join(folder, `${manifestName({ boot, worker: 0 })}.tmp`);
  mkdirSync(path);
  return () => rmdirSync(path);
}

test("a journal that fails before anything is recovered leaves the snapshots in the manifest", async () => {
  using folder = emptyFolder();
  const { path } = folder;
  const vnodes = [
    { id: FIRST, snapshot: "snapshot-0000000001-0000000000000004.snap", sequence: 4 },
  ];
  const manifest = { nodeId: "00112233445566aa", boot: 1, worker: 0, vnodes, files: [] };
  await writeManifest(systemFiles, path, manifest);
  const storage = await openWorker({ folder: path, boot: 1 });
  await storage.distrust();
  const name = join(path, manifestName({ boot: 1, worker: 0 }));
  assert.deepEqual(decodeManifest(readFileSync(name), name).vnodes, vnodes);
  await storage.close();
});

test("a worker that needs an old file no more takes it from nobody who has not started yet", async () => {
  using data = emptyFolder();
  const folder = data.path;
  const before = { folder, boot: 1, workers: 2 };
  const other = await startWorker({ ...before, index: 0 });
  const worker = await startWorker({ ...before, index: 1 });
  await worker.fill(LAST, 2);
  const { sequence } = worker.of(LAST).partition;
  for (const { storage } of [other, worker]) await storage.close();
  const early = await startWorker({ folder, boot: 2, index: 0, workers: 2 });
  await early.oldFiles.clean();
  assert.equal(early.released.length, 4);
  // The node is killed: the other worker has not come so far as to write a manifest.
  await early.storage.close();

  const late = await startWorker({ folder, boot: 3, index: 1, workers: 2 });
  assert.equal(late.of(LAST).partition.sequence, sequence);
  await late.storage.close();
});

test("a manifest that could not be written is written later, and then frees what it had to free", async () => {
  using data = emptyFolder();
  const folder = data.path;
  const { storage, oldFiles, of, fill, finishSnapshot } = await startWorker({ folder, boot: 1 });
  setStrings(of(FIRST).partition, [["a", "1"]]);
  const first = finishSnapshot(FIRST);
  await storage.snapshotsTaken([first]);
  await fill(FIRST, 1);
  const unblock = blockManifest(folder, 1);
  const second = finishSnapshot(FIRST);
  await assert.rejects(storage.snapshotsTaken([second]));
  await assert.rejects(oldFiles.clean());
  assert.ok(readdirSync(folder).includes(first.name));
  unblock();
  await oldFiles.clean();
  await oldFiles.clean();
  assert.ok(!readdirSync(folder).includes(first.name));
  assert.equal(storage.journal.files().length, 1);
  await storage.close();
});

test("what a worker logged before it was restarted goes when nothing needs it", async () => {
  using data = emptyFolder();
  const folder = data.path;
  const dead = await startWorker({ folder, boot: 1 });
  await dead.fill(FIRST, 1);
  await dead.storage.close();
  const { storage, oldFiles, released, finishSnapshot } = await startWorker({ folder, boot: 1 });
  await storage.snapshotsTaken([finishSnapshot(FIRST)]);
  await oldFiles.clean();
  const [own] = storage.journal.files();
  const logs = () => readdirSync(folder).filter((name) => name.endsWith(".log"));
  assert.deepEqual([logs(), released], [[own?.name], []]);
  await storage.close();
});

test("a snapshot never lasts longer than the rest of a transaction that it holds a part of", async () => {
  using data = emptyFolder();
  const { path: folder } = data;
  const { storage, of, finishSnapshot } = await startWorker({ folder, boot: 1 });
  // One turn, one frame: all of it or nothing.
  for (const id of [FIRST, SECOND]) setStrings(of(id).partition, [["a", "1"]]);
  await storage.snapshotsTaken([finishSnapshot(FIRST)]);
  const { vnodes } = decodeManifest(
    readFileSync(join(folder, manifestName({ boot: 1, worker: 0 }))),
    "",
  );
  assert.deepEqual([vnodes.length, storage.journal.durableThrough], [1, 1]);
  await storage.close();
});

test("a snapshot with ops that a full disk keeps from being written is named once they are durable", async () => {
  using data = emptyFolder();
  const { path: folder } = data;
  const { storage, of, finishSnapshot } = await startWorker({ folder, boot: 1 });
  for (const id of [FIRST, SECOND]) setStrings(of(id).partition, [["a", "1"]]);
  const named = () => {
    const name = join(folder, manifestName({ boot: 1, worker: 0 }));
    return decodeManifest(readFileSync(name), name).vnodes.map(({ id }) => id);
  };
  let [isWaiting, dead] = [true, false];
  Object.defineProperty(storage.journal, "isPending", {
    value: (id: number) => id === FIRST && isWaiting,
  });
  Object.defineProperty(storage.journal, "dead", { get: () => dead });
  await storage.snapshotsTaken([FIRST, SECOND].map(finishSnapshot));
  assert.deepEqual(named(), [SECOND]);
  // Nothing that waits for a journal that has failed becomes durable.
  [isWaiting, dead] = [false, true];
  await storage.snapshotsTaken([]);
  assert.deepEqual(named(), [SECOND]);
  dead = false;
  await storage.snapshotsTaken([]);
  assert.deepEqual(named(), [SECOND, FIRST]);
  await storage.close();
});

test("a folder with data of a keyspace that is not configured any more is refused, not emptied", async () => {
  using data = emptyFolder();
  const { path: folder } = data;
  const { storage, of } = await startWorker({ folder, boot: 1 });
  setStrings(of(vnodeId(3, 7)).partition, [["a", "1"]]);
  await storage.close();
  await assert.rejects(startWorker({ folder, boot: 2, keyspaces: 3 }), /holds data of keyspace 3/);
  const again = await startWorker({ folder, boot: 3 });
  assert.equal(again.of(vnodeId(3, 7)).partition.sequence, 1);
  await again.storage.close();
});

test("a long tail that may be lost is written again in several frames, each as it was", async () => {
  using data = emptyFolder();
  const { path: folder } = data;
  const size = { folder, fileBytes: 32 * MB };
  const { storage, of } = await startWorker({ ...size, boot: 1, durability: "os" });
  for (let i = 0; i < 3; i++) {
    for (const id of [FIRST, SECOND]) setStrings(of(id).partition, [["a", "v".repeat(3 * MB)]]);
    storage.journal.commit();
    await storage.log.written();
  }
  assert.equal(storage.journal.durableThrough, 0);
  const next = await startWorker({ ...size, boot: 2 });
  assert.equal(next.of(SECOND).partition.sequence, 3);
  assert.equal(next.storage.journal.writtenThrough, 4, "three frames, and the proof");
  for (const one of [next.storage, storage]) await one.close();
});
