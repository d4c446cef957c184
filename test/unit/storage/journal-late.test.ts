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

/** One op at a time. */
interface Writer {
  readonly vnode: number;
  sequence: number;
  commit: number;
}

test("a frame that waited for more ops is told, whoever writes it", async () => {
  const ends = [(journal: Journal) => journal.commit(), (journal: Journal) => journal.syncNow()];
  for (const end of ends) {
    const { fs, held } = await holdingSyncs();
    const clock = new ManualClock();
    const syncTimes = { clock, note: () => undefined };
    let told = 0;
    const room = { fileBytes: 1 << 20, stepBytes: 1 << 20 };
    const options = { ...room, syncTimes, timers: clock, onWritten: () => told++ };
    const { journal } = await openJournal(fs, options);
    held.isHeld = true;
    const write = (writer: Writer) => {
      writer.commit = journal.collecting;
      append(journal, writer.vnode, ++writer.sequence, "durable");
      journal.commit();
    };
    // Each writes again once it is answered: twice as much is done where a commit waits for both.
    const [first, second] = [1, 2].map((vnode) => ({ vnode, sequence: 0, commit: 0 }));
    assert.ok(first !== undefined && second !== undefined);
    for (let syncs = 0; syncs < 200; syncs++) {
      for (const writer of [first, second]) {
        if (writer.commit <= journal.durableThrough) write(writer);
      }
      const before = journal.durableThrough;
      clock.advance(10);
      held.pending.shift()?.();
      await until(() => journal.durableThrough > before);
      await turns(10);
    }
    const before = journal.writtenThrough;
    write(first);
    assert.equal(journal.writtenThrough, before, "it waits for the other writer");
    told = 0;
    append(journal, second.vnode, second.sequence + 1, "durable");
    end(journal);
    assert.deepEqual([journal.writtenThrough - before, told], [1, 1]);
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
