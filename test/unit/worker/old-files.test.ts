/** Which journal files stay, what is done so that they can go, and what is read from them. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Vnode } from "../../../actors/vnode/vnode.ts";
import { OldFiles } from "../../../actors/worker/old-files.ts";
import { SyncTimes } from "../../../actors/worker/sync-times.ts";
import type { WorkerArgs } from "../../../actors/worker/worker-args.ts";
import { openStorage } from "../../../actors/worker/worker-storage.ts";
import { ManualClock, systemTimers } from "../../../runtime/base/clock.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { embeddedConfig } from "../../../runtime/config/embedded.ts";
import { systemFiles } from "../../../runtime/storage/files.ts";
import { surveyFolder } from "../../../runtime/storage/survey.ts";
import { canonicalState } from "../../model/vnode-state.ts";
import { clearKey, setStrings } from "../../support/partitions.ts";
import { vnodeMaker } from "../../support/vnode-maker.ts";

const MB = 1024 * 1024;
const [BUSY, IDLE] = [1, 2];
const fail = () => assert.fail();

/** One worker's storage on real files of 1 MB, and vnodes that log to it. */
async function openWorker(context: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "coterie-old-files-"));
  const config = embeddedConfig(
    { config: { journal: { fileBytes: MB, reserveBytes: 0 } }, workers: 1, durability: "always" },
    { folder, machine: { cores: 1, memoryBytes: 1024 * MB } },
  );
  const args = { config, nodeId: "00112233445566aa", boot: 1, folder } as WorkerArgs;
  const syncTimes = new SyncTimes(new ManualClock());
  const events = { onDurable: () => undefined, onFailed: fail, onFull: () => undefined, syncTimes };
  const machine = { fs: systemFiles, timers: systemTimers, random: seeded(1) };
  const found = await surveyFolder({ ...args, fs: systemFiles });
  const storage = await openStorage({ args, index: 0, found, ...machine, events });
  context.after(async () => {
    await storage.close();
    await rm(folder, { recursive: true });
  });
  const random = seeded(1);
  const createVnode = vnodeMaker(storage.log, random);
  const vnodes = new Map([BUSY, IDLE].map((id) => [id, createVnode(id)]));
  const of = (id: number) => vnodes.get(id) ?? assert.fail();
  await storage.recover({ createVnode, adopt: fail });
  const wanted: number[] = [];
  const options = {
    storage,
    find: (id: number) => vnodes.get(id),
    filesKept: () => 0,
    want: ({ id }: Vnode) => void wanted.push(id),
    isSnapshotting: () => false,
    snapshotsIdle: () => Promise.resolve(),
    released: fail,
  };
  const oldFiles = new OldFiles(options);
  /** Values until so many further files are full. */
  const fill = async (id: number, files: number) => {
    const until = storage.journal.fileNumber + files;
    while (storage.journal.fileNumber < until) {
      setStrings(of(id).partition, [["key", "v".repeat(50_000)]]);
      await storage.sync();
    }
  };
  /** What a snapshot leaves, before and after the manifest names it. */
  const finishSnapshot = (id: number) => {
    const vnode = of(id);
    vnode.logBytes = 0;
    vnode.snapshotSequence = vnode.partition.sequence;
    return { vnodeId: id, name: `snapshot-${id}`, sequence: vnode.snapshotSequence };
  };
  const recovered = (id: number) => storage.recoverVnode(id, { createVnode, adopt: fail });
  const closedFiles = () => storage.journal.files().length - 1;
  const worker = { folder, storage, options, oldFiles, wanted, of, fill };
  return { ...worker, finishSnapshot, recovered, closedFiles };
}

/**
 * A vnode that has a snapshot and pins a file, on a disk that is full: `bytes` of its table, and what
 * cleans where the snapshot has `replaced` bytes of a table of `tableBytes` (0: not known).
 */
async function onFullDisk(context: TestContext) {
  const worker = await openWorker(context);
  const { storage, oldFiles, wanted, folder } = worker;
  await storage.snapshotsTaken([worker.finishSnapshot(BUSY)]);
  await worker.fill(BUSY, 1);
  Object.defineProperty(storage.journal, "full", { value: true });
  const vnode = worker.of(BUSY);
  const cleanWith = async (disk: { replaced: number; tableBytes?: number; room: number }) => {
    await writeFile(join(folder, `snapshot-${BUSY}`), Buffer.alloc(disk.replaced));
    vnode.snapshotTableBytes = disk.tableBytes ?? 0;
    storage.reserve.room = async () => disk.room;
    await oldFiles.clean();
  };
  return { bytes: vnode.table.heap.bytesUsed, cleanWith, wanted };
}

test("a vnode that was hardly written to keeps no old file: it gets a snapshot", async (context) => {
  const worker = await openWorker(context);
  setStrings(worker.of(IDLE).partition, [["a", "1"]]);
  await worker.fill(BUSY, 2);
  setStrings(worker.of(IDLE).partition, [["b", "2"]]);
  await worker.storage.snapshotsTaken([worker.finishSnapshot(BUSY)]);
  await worker.oldFiles.clean();
  assert.deepEqual(worker.wanted, [IDLE]);

  await worker.storage.snapshotsTaken([worker.finishSnapshot(IDLE)]);
  await worker.oldFiles.clean();
  assert.equal(worker.closedFiles(), 0);
});

test("files are left alone while there are few of them", async (context) => {
  const worker = await openWorker(context);
  await worker.fill(BUSY, 2);
  await new OldFiles({ ...worker.options, filesKept: () => 2 }).clean();
  assert.deepEqual(worker.wanted, []);

  await worker.oldFiles.clean();
  assert.deepEqual(worker.wanted, [BUSY]);
});

test("for each file that is left alone, two may wait for another use", async (context) => {
  const worker = await openWorker(context);
  const { journal } = worker.storage;
  const recycle = context.mock.method(journal, "recycle");
  const keepSpares = context.mock.method(journal, "keepSpares");
  await worker.fill(BUSY, 2);
  const closed = journal.files().slice(0, -1);
  await worker.storage.snapshotsTaken([worker.finishSnapshot(BUSY)]);

  await new OldFiles({ ...worker.options, filesKept: () => 2.2 }).clean();

  assert.deepEqual(
    recycle.mock.calls.map((call) => call.arguments),
    closed.map((use) => [use]),
  );
  assert.deepEqual(keepSpares.mock.calls.at(-1)?.arguments, [5]);
});

test("nobody is asked for a snapshot while snapshots are taken", async (context) => {
  const worker = await openWorker(context);
  await worker.fill(BUSY, 1);
  await new OldFiles({ ...worker.options, isSnapshotting: () => true }).clean();
  assert.deepEqual(worker.wanted, []);
});

test("a reserve that was not enough is lent again once the tables are smaller", async (context) => {
  const worker = await openWorker(context);
  await worker.fill(BUSY, 1);
  Object.defineProperty(worker.storage.journal, "full", { value: true });
  await worker.oldFiles.clean();
  await worker.oldFiles.clean();
  assert.deepEqual(worker.wanted, [BUSY]);

  clearKey(worker.of(BUSY).partition, "key");
  await worker.oldFiles.clean();
  assert.deepEqual(worker.wanted, [BUSY, BUSY]);
});

test("the reserve is not lent to snapshots that it has no room for", async (context) => {
  const worker = await openWorker(context);
  const { storage, oldFiles, wanted } = worker;
  await worker.fill(BUSY, 1);
  Object.defineProperty(storage.journal, "full", { value: true });
  const bytes = worker.of(BUSY).table.heap.bytesUsed + 4_096;
  const cleanWith = async (room: number) => {
    storage.reserve.room = async () => room;
    await oldFiles.clean();
  };
  await cleanWith(bytes - 1);
  assert.deepEqual(wanted, []);
  await cleanWith(bytes);
  assert.deepEqual(wanted, [BUSY]);
});

test("what a snapshot replaces counts as room for it, but not before it is written", async (context) => {
  const { bytes, cleanWith, wanted } = await onFullDisk(context);
  // The old one is larger: all of the new one is beside it for a while.
  await cleanWith({ replaced: 2 * bytes, room: bytes - 1 });
  // The old one is smaller: what is more comes on top.
  await cleanWith({ replaced: bytes - 100, room: bytes - 1 });
  assert.deepEqual(wanted, []);
  await cleanWith({ replaced: bytes - 100, room: bytes });
  assert.deepEqual(wanted, [BUSY]);
});

test("a snapshot is as much smaller than its table as the last one was", async (context) => {
  const { bytes, cleanWith, wanted } = await onFullDisk(context);
  const half = Math.floor(bytes / 2);
  // The table has grown by a quarter since.
  const before = { replaced: half, tableBytes: (bytes * 4) / 5 };
  await cleanWith({ ...before, room: Math.floor(half * 1.2) });
  assert.deepEqual(wanted, []);
  await cleanWith({ ...before, room: Math.ceil(half * 1.3) });
  assert.deepEqual(wanted, [BUSY]);
});

test("the reserve is lent to what waits for room, whatever else it was not enough for", async (context) => {
  const worker = await openWorker(context);
  const { journal } = worker.storage;
  let squeezed = 0;
  const squeeze = journal.squeeze.bind(journal);
  journal.squeeze = () => {
    squeezed++;
    return squeeze();
  };
  Object.defineProperty(journal, "full", { value: true });
  await worker.oldFiles.clean();
  assert.equal(squeezed, 0, "there is no old file, and nothing waits");
  Object.defineProperty(journal, "waitsForRoom", { value: true });
  await worker.oldFiles.clean();
  const once = squeezed;
  assert.ok(once > 0);
  await worker.oldFiles.clean();
  assert.equal(squeezed, 2 * once);
});

test("a reserve that nobody could use is lent again", async (context) => {
  const worker = await openWorker(context);
  await worker.fill(BUSY, 1);
  Object.defineProperty(worker.storage.journal, "full", { value: true });
  let isBack = false;
  let isSnapshotting = false;
  const oldFiles = new OldFiles({
    ...worker.options,
    find: (id) => (isBack ? worker.of(id) : undefined),
    isSnapshotting: () => isSnapshotting,
  });
  await oldFiles.clean();
  isBack = true;
  isSnapshotting = true;
  await oldFiles.clean();
  assert.deepEqual(worker.wanted, []);

  isSnapshotting = false;
  await oldFiles.clean();
  await oldFiles.clean();
  assert.deepEqual(worker.wanted, [BUSY]);
});

test("a failed vnode is recovered from the files that hold its ops, and no others", async (context) => {
  const worker = await openWorker(context);
  await worker.fill(BUSY, 1);
  setStrings(worker.of(IDLE).partition, [["a", "1"]]);
  await worker.fill(BUSY, 1);
  setStrings(worker.of(IDLE).partition, [["b", "2"]]);
  const [first] = worker.storage.journal.files();
  await rm(join(worker.folder, first?.name ?? ""));

  const { partition } = await worker.recovered(IDLE);
  assert.deepEqual(canonicalState(partition), canonicalState(worker.of(IDLE).partition));
});

test("what a failed vnode is brought back from stays until it is back", async (context) => {
  const { storage, oldFiles, of, fill, recovered, finishSnapshot, closedFiles } =
    await openWorker(context);
  await fill(BUSY, 2);
  const recovering = recovered(BUSY);
  // It was taken before the vnode failed.
  await storage.snapshotsTaken([finishSnapshot(BUSY)]);
  await oldFiles.clean();
  assert.equal(closedFiles(), 2);
  const { partition } = await recovering;
  assert.deepEqual(canonicalState(partition), canonicalState(of(BUSY).partition));

  await oldFiles.clean(); // names it
  await oldFiles.clean();
  assert.equal(closedFiles(), 0);
});

test("everything that was appended is durable after a sync, also where none could begin", async (context) => {
  const { storage, of } = await openWorker(context);
  const { journal } = storage;
  setStrings(of(BUSY).partition, [["a", "1"]]);
  journal.syncNow();
  setStrings(of(BUSY).partition, [["a", "2"]]);
  const commit = journal.collecting;
  await storage.sync();
  assert.ok(journal.durableThrough >= commit);
});
