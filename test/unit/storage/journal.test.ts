/** The journal: group commit, ordering of write and sync, space, failure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../../runtime/base/assert.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import type { CoterieError } from "../../../runtime/base/errors.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { Reserve } from "../../../runtime/storage/reserve.ts";
import {
  append,
  FOLDER,
  newDisk,
  openJournal,
  recoverStates,
  SMALL,
  turns,
  until,
} from "./support.ts";

test("a durable op is acknowledged only after its sync has returned", async () => {
  const disk = await newDisk();
  const { journal, durable } = await openJournal(disk.mount());
  append(journal, 1, 1, "a");
  const commit = journal.collecting;
  journal.commit();
  assert.equal(journal.writtenThrough, commit);
  assert.equal(journal.durableThrough, 0);
  await until(() => durable.length > 0);
  assert.deepEqual(durable, [commit]);
  disk.crash();
  assert.deepEqual([...(await recoverStates(disk.mount())).states], [[1, ["a"]]]);
});

test("ops that arrive during a sync share the next one", async () => {
  const disk = await newDisk();
  const { journal, durable } = await openJournal(disk.mount());
  append(journal, 1, 1, "first");
  journal.commit();
  for (let i = 2; i <= 9; i++) {
    append(journal, 1, i, `op ${i}`);
    journal.commit();
  }
  assert.equal(journal.writtenThrough, 1, "no durable frame overtakes an unsynced one");
  await until(() => durable.length === 2);
  assert.equal(journal.writtenThrough, 2);
  assert.equal(journal.pendingBytes, 0);
});

test("the next sync takes along what comes in the round of the loop in which the last returned", async () => {
  const disk = await newDisk();
  const durable: number[] = [];
  const { journal } = await openJournal(disk.mount(), {
    onDurable: (commit) => {
      durable.push(commit);
      if (commit === 1) append(journal, 1, 3, "c");
    },
  });
  append(journal, 1, 1, "a");
  journal.commit();
  append(journal, 1, 2, "b");
  await until(() => durable.length === 2);
  assert.deepEqual(durable, [1, 2]);
  assert.deepEqual((await recoverStates(disk.mount())).states.get(1), ["a", "b", "c"]);
});

test("ops without durability are written at once and never synced for themselves", async () => {
  const disk = await newDisk();
  const { journal, durable } = await openJournal(disk.mount());
  append(journal, 1, 1, "synced");
  journal.commit();
  append(journal, 1, 2, "os", false);
  journal.commit();
  assert.equal(journal.writtenThrough, 2, "also while a sync is in flight");
  await turns(50);
  assert.deepEqual(durable, [1]);
  journal.syncNow();
  await until(() => durable.length === 2);
  assert.deepEqual(durable, [1, 2]);
});

test("rewinding takes ops back without a trace", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  append(journal, 1, 1, "a", false);
  const mark = journal.mark();
  append(journal, 2, 1, "gone", false);
  append(journal, 1, 2, "gone");
  append(journal, 2, 2, "gone");
  journal.rewind(mark);
  append(journal, 2, 1, "b", false);
  append(journal, 1, 2, "c", false);
  journal.commit();
  assert.deepEqual(
    [...(await recoverStates(disk.mount())).states],
    [
      [1, ["a", "c"]],
      [2, ["b"]],
    ],
  );
  await turns(20);
  assert.equal(journal.durableThrough, 0, "the durable op went with them");
});

test("a cancelled op leaves nothing and its sequence is used again", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  journal.open(1, 1, 100);
  journal.cancel();
  append(journal, 1, 1, "a");
  assert.throws(() => append(journal, 1, 3, "gap"), AssertionError);
  journal.commit();
  assert.deepEqual([...(await recoverStates(disk.mount())).states], [[1, ["a"]]]);
});

test("any ops come back, over files, giants and rewinds", async () => {
  const op = fc.record({
    vnode: fc.nat(70),
    bytes: fc.oneof({ weight: 9, arbitrary: fc.nat(400) }, fc.nat(30_000)),
    durable: fc.boolean(),
    fate: fc.constantFrom("keep", "keep", "keep", "rewind", "cancel"),
    commit: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(op, { maxLength: 60 }), async (ops) => {
      const disk = await newDisk();
      const { journal } = await openJournal(disk.mount());
      const expected = new Map<number, string[]>();
      for (const [i, { vnode, bytes, durable, fate, commit }] of ops.entries()) {
        const list = expected.get(vnode) ?? [];
        const text = `${i}`.padEnd(bytes, "y");
        if (fate === "cancel") {
          journal.open(vnode, list.length + 1, bytes);
          journal.cancel();
          continue;
        }
        const mark = journal.mark();
        append(journal, vnode, list.length + 1, text, durable);
        if (fate === "rewind") journal.rewind(mark);
        else {
          list.push(text);
          expected.set(vnode, list);
        }
        if (commit) {
          journal.commit();
          await turns(i % 7);
        }
      }
      await journal.close();
      const { states, unproven } = await recoverStates(disk.mount());
      assert.deepEqual(states, expected);
      assert.equal(unproven.length, 0, "a clean stop leaves nothing in doubt");
    }),
    { numRuns: 150 },
  );
});

test("a frame larger than a file gets a file of its own", async () => {
  const disk = await newDisk();
  const { journal, durable } = await openJournal(disk.mount());
  append(journal, 1, 1, "small");
  journal.commit();
  await until(() => durable.length === 1);
  append(journal, 1, 2, "g".repeat(5 * SMALL.fileBytes));
  journal.commit();
  await until(() => durable.length === 2);
  append(journal, 1, 3, "after");
  journal.commit();
  await until(() => durable.length === 3);
  assert.deepEqual(
    (await recoverStates(disk.mount())).states.get(1)?.map((text) => text.length),
    [5, 5 * SMALL.fileBytes, 5],
  );
});

test("the arena refuses an op past its bound and goes on", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount(), { arenaBytesMax: 10_000 });
  append(journal, 1, 1, "x".repeat(8000));
  assert.equal(journal.open(1, 2, 3000), -1);
  append(journal, 1, 2, "fits");
  journal.commit();
  await until(() => journal.durableThrough === 1);
});

test("a full disk stops commits, says so, and resumes by itself", async () => {
  const disk = await newDisk();
  const changes: boolean[] = [];
  const { journal, durable, failures, clock } = await openJournal(disk.mount(), {
    onFull: (full) => changes.push(full),
  });
  disk.capacityBytes = disk.usedBytes;
  let sequence = 0;
  while (!journal.full) {
    append(journal, 1, ++sequence, "x".repeat(500));
    journal.commit();
    await turns(30);
  }
  append(journal, 1, ++sequence, "x".repeat(3000));
  journal.commit();
  await turns(50);
  const before = durable.length;
  clock.advance(5000);
  await turns(50);
  assert.equal(durable.length, before, "still full");
  assert.ok(journal.full);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  clock.advance(5000);
  await until(() => journal.pendingBytes === 0 && !journal.full);
  await until(() => journal.durableThrough === journal.writtenThrough);
  assert.equal(journal.pendingBytes, 0);
  assert.deepEqual(failures, []);
  assert.deepEqual(changes, [true, false]);
  await journal.close();
  assert.equal((await recoverStates(disk.mount())).states.get(1)?.length, sequence);
});

test("the reserve is whole again before the journal takes new space", async () => {
  const disk = await newDisk();
  const fs = disk.mount();
  const reserve = new Reserve(fs, FOLDER, "reserve.bin", 4096);
  await reserve.restore();
  const { journal, clock } = await openJournal(fs, { reserve });
  disk.capacityBytes = disk.usedBytes;
  for (let sequence = 1; !journal.full; sequence++) {
    append(journal, 1, sequence, "x".repeat(500));
    journal.commit();
    await turns(30);
  }
  await reserve.lend(
    () => true,
    async () => {
      clock.advance(5000);
      await turns(100);
      assert.ok(!reserve.held, "it is not taken back before the cleaning is done");
    },
  );
  clock.advance(5000);
  await turns(100);
  assert.ok(journal.full, "the freed reserve is for cleaning, not for the journal");
  assert.ok(reserve.held);
  disk.capacityBytes += 100_000;
  clock.advance(5000);
  await until(() => !journal.full);
});

test("a journal whose file was moved away takes nothing more, and says what became of it", async () => {
  const disk = await newDisk();
  const errors: CoterieError[] = [];
  const { journal } = await openJournal(disk.mount(), { onFailed: (error) => errors.push(error) });
  await journal.checkPlace();
  assert.ok(!journal.dead);
  disk.lose(`${FOLDER}/${journal.files()[0]?.name}`);
  await journal.checkPlace();
  await journal.checkPlace();
  assert.deepEqual([journal.dead, journal.open(1, 1, 10), errors.length], [true, -1, 1]);
  assert.equal(errors[0]?.code, "DATA_FOLDER_FOREIGN");
  assert.match(errors[0]?.message ?? "", /\.log is not in its place any more: .* and start again/);
});

test("a failed sync is never acknowledged and kills the journal", async () => {
  const disk = await newDisk();
  const { journal, durable, failures } = await openJournal(disk.mount());
  append(journal, 1, 1, "good");
  journal.commit();
  await until(() => durable.length === 1);
  await turns(50);
  let fail = true;
  disk.fault = ({ kind }) => {
    if (kind !== "sync" || !fail) return undefined;
    fail = false;
    return "EIO";
  };
  append(journal, 1, 2, "unknown");
  journal.commit();
  append(journal, 1, 3, "waits");
  journal.commit();
  await until(() => failures.length === 1);
  assert.deepEqual(failures, [{ code: "DISK_FAILED", lastDurable: 1 }]);
  assert.ok(journal.dead);
  assert.equal(journal.open(1, 4, 10), -1);
  journal.commit();
  journal.syncNow();
  await turns(50);
  assert.deepEqual(durable, [1]);
  // The files count no further than the last good sync.
  const limits = new Map(journal.trusted().map(({ name, accepted }) => [name, accepted]));
  assert.equal([...limits.values()][0], 512 + 512);
});

test("a failed write kills the journal with what was durable before", async () => {
  const disk = await newDisk();
  const { journal, durable, failures } = await openJournal(disk.mount());
  append(journal, 1, 1, "good");
  journal.commit();
  await until(() => durable.length === 1);
  await turns(50);
  disk.fault = ({ kind }) => (kind === "write" ? "EIO" : undefined);
  append(journal, 1, 2, "lost");
  journal.commit();
  assert.deepEqual(failures, [{ code: "DISK_FAILED", lastDurable: 1 }]);
});

test("a failing sync of the zeros written ahead kills the journal too", async () => {
  const disk = await newDisk();
  const { journal, failures } = await openJournal(disk.mount());
  await turns(50);
  disk.fault = ({ kind }) => (kind === "sync" ? "EIO" : undefined);
  // Nothing else is synced: no op asks for it, and the journal stays in its first file.
  for (let sequence = 1; sequence < 4 && !journal.dead; sequence++) {
    append(journal, 1, sequence, "x".repeat(600), false);
    journal.commit();
    await turns(20);
  }
  assert.equal(failures.length, 1);
  assert.equal(journal.fileNumber, 1);
});

test("a file that was left is synced before a later commit counts as durable", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const disk = await newDisk(seed);
    const { journal, durable } = await openJournal(disk.mount(), { random: seeded(seed) });
    let sequence = 0;
    // Unsynced frames until the journal is about to leave its first file.
    while (journal.fileNumber === 1 && journal.fileOffset < SMALL.fileBytes - 1000) {
      append(journal, 1, ++sequence, "o".repeat(300), false);
      journal.commit();
      await turns(20);
    }
    append(journal, 1, ++sequence, "o".repeat(400), false);
    journal.commit();
    append(journal, 1, ++sequence, "d".repeat(900), true);
    journal.commit();
    const commit = journal.writtenThrough;
    await until(() => durable.some((through) => through >= commit));
    disk.crash();
    const { states } = await recoverStates(disk.mount());
    assert.equal(states.get(1)?.length, sequence);
  }
});

test("a slow sync delays nobody's append, and commits share it", async () => {
  const timers = new ManualClock();
  const disk = new MemoryDisk({ random: seeded(1), timers });
  await disk.mount().makeFolder(FOLDER);
  const { journal, durable } = await openJournal(disk.mount(), { arenaBytesMax: 1 << 20 });
  await turns(50);
  disk.syncDelayMs = 250;
  for (let sequence = 1; sequence <= 4; sequence++) {
    append(journal, 1, sequence, "x".repeat(100));
    journal.commit();
    timers.advance(50);
    await turns(10);
  }
  assert.deepEqual(durable, []);
  timers.advance(250);
  await turns(10);
  timers.advance(250);
  await turns(10);
  assert.deepEqual(durable, [1, 2]);
});

test("closing makes everything durable and removes the file prepared in vain", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  for (let sequence = 1; sequence <= 10; sequence++) {
    append(journal, 1, sequence, "x".repeat(500), false);
    journal.commit();
    await turns(10);
  }
  await journal.close();
  disk.crash();
  const { states } = await recoverStates(disk.mount());
  assert.equal(states.get(1)?.length, 10);
  assert.ok(disk.paths().every((path) => path.includes("journal")));
});
