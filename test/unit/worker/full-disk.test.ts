/** A worker that starts where the disk has no room: what the reserve is for, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Vnode } from "../../../actors/vnode/vnode.ts";
import { SyncTimes } from "../../../actors/worker/sync-times.ts";
import type { WorkerArgs } from "../../../actors/worker/worker-args.ts";
import { openStorage } from "../../../actors/worker/worker-storage.ts";
import { type UpkeepHost, WorkerUpkeep } from "../../../actors/worker/worker-upkeep.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { embeddedConfig } from "../../../runtime/config/embedded.ts";
import type { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { surveyFolder } from "../../../runtime/storage/survey.ts";
import { setStrings } from "../../support/partitions.ts";
import { until } from "../../support/until.ts";
import { vnodeMaker } from "../../support/vnode-maker.ts";
import { FOLDER, newDisk, turns } from "../storage/support.ts";

const MB = 1024 * 1024;
const RESERVE = `${FOLDER}/reserve-0`;
const ID = 1;

interface Start {
  readonly boot: number;
  readonly durability?: "always" | "os";
  readonly fileBytes?: number;
}

/** One worker's storage, recovered. */
async function startWorker(
  disk: MemoryDisk,
  { boot, durability = "always", fileBytes = 32 * MB }: Start,
) {
  const config = embeddedConfig(
    { config: { journal: { fileBytes, reserveBytes: 4 * MB } }, workers: 1, durability },
    { folder: FOLDER, machine: { cores: 1, memoryBytes: 1024 * MB } },
  );
  const args = { config, nodeId: "00112233445566aa", boot, folder: FOLDER } as WorkerArgs;
  const fs = disk.mount();
  const clock = new ManualClock();
  const full: boolean[] = [];
  const events = {
    onDurable: () => undefined,
    onFailed: () => assert.fail(),
    onFull: (isFull: boolean) => void full.push(isFull),
    syncTimes: new SyncTimes(clock),
  };
  const found = await surveyFolder({ ...args, fs });
  const random = seeded(boot);
  const storage = await openStorage({
    ...{ args, index: 0, found, fs, timers: clock, random, events },
  });
  const vnodes = new Map<number, Vnode>();
  const createVnode = vnodeMaker(storage.log, random);
  const adopt = (vnode: Vnode) => void vnodes.set(vnode.id, vnode);
  await storage.recover({ createVnode, adopt });
  const vnode = () => {
    const found = vnodes.get(ID) ?? createVnode(ID);
    adopt(found);
    return found;
  };
  return { storage, args, clock, full, vnode };
}

/** A disk without any room: a killed worker has left its data and its reserve there. */
async function fullDisk(valueBytes = 1000, durability: "always" | "os" = "always") {
  const disk = await newDisk();
  const { storage, vnode } = await startWorker(disk, { boot: 1, durability });
  setStrings(vnode().partition, [["key", "v".repeat(valueBytes)]]);
  storage.journal.commit();
  await storage.log.written();
  await until(() => (storage.reserve.held ? true : undefined));
  await turns(1000);
  disk.kill();
  assert.equal(disk.peek(RESERVE).length, 4 * MB);
  disk.capacityBytes = disk.usedBytes;
  return disk;
}

test("a worker that is started on a full disk is lent a part of the reserve, and gives it back", async () => {
  const disk = await fullDisk();
  const { storage, clock, full, vnode } = await startWorker(disk, { boot: 1 });
  assert.equal(vnode().partition.sequence, 1);
  await turns(1000);
  assert.deepEqual(full, [true], "writes are refused");
  assert.ok(!storage.reserve.held && disk.peek(RESERVE).length >= 2 * MB, "most is still held");
  // What is not refused is done, and durable.
  setStrings(vnode().partition, [["other", "value"]]);
  await storage.sync();

  disk.capacityBytes += 32 * MB;
  clock.advance(5000);
  await turns(1000);
  assert.deepEqual([full, storage.reserve.held], [[true, false], true]);
  assert.equal(disk.peek(RESERVE).length, 4 * MB);
  await storage.close();
});

test("a worker that has room for its first file and a manifest starts, and refuses writes", async () => {
  const disk = await fullDisk();
  disk.lose(RESERVE);
  disk.capacityBytes = disk.usedBytes + 300 * 1024;
  const { storage, full, vnode } = await startWorker(disk, { boot: 1 });
  await turns(1000);
  assert.deepEqual([vnode().partition.sequence, full], [1, [true]]);
  await storage.close();
});

test("what a crash may have kept from a full disk is written again to the reserve's room", async () => {
  const disk = await fullDisk(3 * MB, "os");
  const { storage, vnode } = await startWorker(disk, { boot: 2 });
  assert.equal(vnode().partition.sequence, 1);
  assert.equal(storage.journal.durableThrough, 1);
  // With a proof behind it: the next start, as full, has nothing to write.
  assert.equal(storage.journal.writtenThrough, 2);
  disk.kill();
  const later = await startWorker(disk, { boot: 3 });
  assert.equal(later.vnode().partition.sequence, 1);
});

test("what does not fit in there either is not served: the disk is full", async () => {
  const disk = await fullDisk(6 * MB, "os");
  await assert.rejects(startWorker(disk, { boot: 2 }), {
    code: "DISK_FULL",
    message: /cannot write again in \/data .* the disk is full; free some space/,
  });
  disk.kill();
  disk.capacityBytes += 32 * MB;
  const later = await startWorker(disk, { boot: 3 });
  assert.equal(later.vnode().partition.sequence, 1);
});

test("a worker that is started where nothing is held back says that the disk is full", async () => {
  const disk = await fullDisk();
  disk.lose(RESERVE);
  disk.capacityBytes = disk.usedBytes;
  const before = disk.paths();
  await assert.rejects(startWorker(disk, { boot: 1 }), { code: "DISK_FULL" });
  assert.deepEqual(disk.paths(), before);
});

test("a snapshot that has no room gets that of the files which wait for another use", async (context) => {
  const disk = await newDisk();
  const { storage, args, clock, full, vnode } = await startWorker(disk, { boot: 1, fileBytes: MB });
  const said: { readonly event: string; readonly error?: { readonly code?: string } }[] = [];
  const host = {
    memoryBytes: 0,
    findAny: () => vnode(),
    everyVnode: () => [vnode()],
    report: (event: (typeof said)[number]) => void said.push(event),
  } as unknown as UpkeepHost;
  const upkeep = new WorkerUpkeep({
    ...{ host, args, clock, timers: clock, storage, released: () => undefined },
  });
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) {
      setStrings(vnode().partition, [[`key ${i}`, "v".repeat(200_000)]]);
      storage.journal.commit();
      await storage.log.written();
    }
  };
  const whenSo = (isSo: () => boolean) => until(() => (isSo() ? true : undefined));
  const recycle = context.mock.method(storage.journal, "recycle");
  await write(30);
  upkeep.snapshot();
  await whenSo(() => recycle.mock.callCount() > 4);
  const spares = recycle.mock.calls.map(({ arguments: [use] }) => `${FOLDER}/${use?.name}`);

  await write(1);
  disk.capacityBytes = disk.usedBytes + MB;
  upkeep.snapshot();
  await whenSo(() => said.length > 0);
  const [told] = said;
  assert.deepEqual([told?.event, told?.error?.code], ["snapshot failed", "DISK_FULL"]);
  assert.deepEqual(full, [], "the journal has met no full disk");
  await whenSo(() => spares.every((path) => !disk.paths().includes(path)));

  upkeep.snapshot();
  await whenSo(() => vnode().logBytes === 0);
  assert.equal(said.length, 1);
  await storage.close();
});
