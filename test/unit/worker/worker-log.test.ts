/** Gates: what a reader of a key waits for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { WorkerLog } from "../../../actors/worker/worker-log.ts";
import type { Durability } from "../../../runtime/config.ts";
import { newDisk, openJournal, turns, until } from "../storage/support.ts";

const KEY = 7;
const OP = Buffer.from("an op of eight words, in place..");

async function opened(durabilities: readonly Durability[] = ["always"]) {
  const { journal } = await openJournal((await newDisk()).mount(), {
    onDurable: () => log.moved(),
  });
  const log = new WorkerLog(journal, durabilities);
  return { journal, log, keys: log.unsynced(0) };
}

test("a reader waits for the commit that touched its key, until that is durable", async () => {
  const { journal, log, keys } = await opened();
  const gate = keys.touch(KEY);
  log.append(1, 1, OP, 0, OP.length);
  assert.equal(keys.gateOf(KEY), gate);
  assert.equal(keys.gateOf(KEY + 1), 0);
  assert.equal(log.gateOfAll(0), gate);
  journal.commit();
  assert.ok(!log.isOpen(gate));
  await until(() => log.isOpen(gate));
  assert.equal(keys.gateOf(KEY), 0);
});

test("a reader does not wait for an op that was rolled back, but for the one before it", async () => {
  const { journal, log, keys } = await opened();
  const gate = keys.touch(KEY);
  log.append(1, 1, OP, 0, OP.length);
  journal.commit();
  const mark = journal.mark();
  keys.touch(KEY);
  log.append(1, 2, OP, 0, OP.length);
  journal.rewind(mark);
  assert.equal(keys.gateOf(KEY), gate);
  await until(() => log.isOpen(gate));
  assert.equal(keys.gateOf(KEY), 0);
  assert.equal(log.gateOfAll(0), 0);
});

test("a reader of all waits for no commit that nobody syncs: a proof, another keyspace's ops", async () => {
  const { journal, log, keys } = await opened(["always", "os"]);
  keys.touch(KEY);
  log.append(1, 1, OP, 0, OP.length);
  await new Promise<void>((done) => log.sync(done));
  journal.prove();
  assert.ok(journal.durableThrough < journal.writtenThrough);
  assert.equal(log.gateOfAll(0), 0);

  log.append(vnodeId(1, 0), 1, OP, 0, OP.length);
  journal.commit();
  assert.equal(log.gateOfAll(0), 0);
  const mark = journal.mark();
  keys.touch(KEY);
  log.append(1, 2, OP, 0, OP.length);
  journal.rewind(mark);
  assert.equal(keys.gateOf(KEY), 0);
});

test("who waits for the log to settle waits for no room on the disk, but for what is written", async () => {
  const disk = await newDisk();
  const moved = () => log.moved();
  const { journal } = await openJournal(disk.mount(), { onDurable: moved, onFull: moved });
  const log = new WorkerLog(journal, ["os"]);
  disk.capacityBytes = disk.usedBytes;
  const large = Buffer.alloc(1500, OP);
  let sequence = 0;
  while (!journal.full || journal.pendingBytes === 0) {
    log.append(1, ++sequence, large, 0, large.length);
    journal.commit();
    await turns(30);
  }
  assert.ok(journal.durableThrough < journal.writtenThrough);
  assert.ok(journal.waitsForRoom);
  assert.equal(await log.settled(), false);
  assert.equal(journal.durableThrough, journal.writtenThrough);
  assert.ok(journal.isPending(1, sequence) && !journal.isPending(1, sequence - 1));
});

test("who waits for a write waits for the sync before it, and is told that the disk failed", async () => {
  const disk = await newDisk();
  const moved = () => log.moved();
  const { journal } = await openJournal(disk.mount(), { onWritten: moved, onFailed: moved });
  const log = new WorkerLog(journal, ["always"]);
  log.append(1, 1, OP, 0, OP.length);
  journal.commit();
  log.append(1, 2, OP, 0, OP.length);
  journal.commit();
  assert.equal(journal.writtenThrough, 1);
  await log.written();
  assert.equal(journal.writtenThrough, 2);
  log.append(1, 3, OP, 0, OP.length);
  const failed = assert.rejects(log.written(), { code: "DISK_FAILED" });
  disk.fault = () => "EIO";
  const settled = log.settled();
  await failed;
  await assert.rejects(log.written(), { code: "DISK_FAILED" });
  assert.equal(await settled, false);
});
