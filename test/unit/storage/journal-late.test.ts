/** Frames that are written late: who waits for them is told. How long syncs take is measured. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../runtime/base/clock.ts";
import type { File, FileSystem } from "../../../runtime/storage/files.ts";
import type { Journal } from "../../../runtime/storage/journal.ts";
import { append, newDisk, openJournal, turns, until } from "./support.ts";

/** A disk whose journal files' syncs wait in `pending` once they are held. */
async function holdingSyncs() {
  const disk = await newDisk();
  const inner = disk.mount();
  const held = { isHeld: false, pending: [] as (() => void)[] };
  const create: FileSystem["create"] = async (path, mode) => {
    const file = await inner.create(path, mode);
    const sync: File["sync"] = (done) => {
      if (held.isHeld) held.pending.push(() => file.sync(done));
      else file.sync(done);
    };
    return { ...file, sync };
  };
  return { disk, fs: { ...inner, create }, held };
}

test("a frame that was written late, since it waited, is told", async () => {
  const disk = await newDisk();
  let told = 0;
  const { journal } = await openJournal(disk.mount(), { onWritten: () => told++ });
  append(journal, 1, 1, "durable");
  journal.commit();
  append(journal, 1, 2, "waits for the sync");
  journal.commit();
  assert.deepEqual([journal.writtenThrough, told], [1, 0], "in time: nobody has to be told");
  await until(() => journal.writtenThrough === 2);
  assert.equal(told, 1);
  for (let i = 3; journal.pendingBytes === 0; i++) {
    append(journal, 1, i, "x".repeat(500), false);
    journal.commit();
  }
  const before = journal.writtenThrough;
  await until(() => journal.writtenThrough > before, "room for the frame");
  assert.equal(told, 2);
});

test("syncs of commits are measured", async () => {
  const disk = await newDisk();
  const clock = new ManualClock();
  const times: number[] = [];
  const syncTimes = { clock, note: (ms: number) => void times.push(ms) };
  const { journal } = await openJournal(disk.mount(), { syncTimes });
  append(journal, 1, 1, "a");
  journal.commit();
  clock.advance(7);
  await until(() => journal.durableThrough === 1);
  assert.deepEqual(times, [7]);
});

test("a frame that waited for more ops is told, whoever writes it", async () => {
  const writers = [(journal: Journal) => journal.commit(), (journal: Journal) => journal.syncNow()];
  for (const write of writers) {
    const { fs, held } = await holdingSyncs();
    const clock = new ManualClock();
    const syncTimes = { clock, note: () => undefined };
    let told = 0;
    const options = { syncTimes, timers: clock, onWritten: () => told++ };
    const { journal } = await openJournal(fs, options);
    held.isHeld = true;
    const commit = (vnode: number, sequence: number) => {
      append(journal, vnode, sequence, "durable");
      journal.commit();
      clock.advance(1);
    };
    const synced = async (through: number) => {
      clock.advance(9);
      held.pending.shift()?.();
      await until(() => journal.durableThrough === through);
      clock.advance(1);
    };
    // Two writers take turns; each is back 1 ms after its answer, a sync takes 10.
    commit(1, 1);
    commit(2, 1);
    await synced(1);
    commit(1, 2);
    await synced(2);
    assert.equal(journal.writtenThrough, 2, "it waits for the other writer");
    told = 0;
    append(journal, 2, 2, "durable");
    write(journal);
    assert.deepEqual([journal.writtenThrough, told], [3, 1]);
  }
});

test("a clean stop syncs what is written, also if the disk is found full as a sync returns", async () => {
  const { disk, fs, held } = await holdingSyncs();
  const clock = new ManualClock();
  const soon: (() => void)[] = [];
  const timers = { after: clock.after.bind(clock), soon: (run: () => void) => void soon.push(run) };
  const { journal } = await openJournal(fs, { timers });
  held.isHeld = true;
  append(journal, 1, 1, "durable");
  journal.commit();
  append(journal, 1, 2, "not synced yet", false);
  journal.commit();
  disk.capacityBytes = disk.usedBytes;
  for (let i = 3; i < 8; i++) append(journal, 1, i, "x".repeat(3000), false);
  const closing = journal.close();
  held.pending.shift()?.();
  await until(() => journal.full && journal.durableThrough === 1);
  await turns(100);
  assert.equal(journal.durableThrough, 1, "the loop's round has not ended");
  held.isHeld = false;
  for (let run = soon.shift(); run !== undefined; run = soon.shift()) {
    run();
    await turns(100);
  }
  await closing;
  assert.deepEqual([journal.writtenThrough, journal.durableThrough], [2, 2]);
});
