/** When a commit counts as durable: syncs of the current file and of files that were left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../runtime/base/clock.ts";
import type { File } from "../../../runtime/storage/files.ts";
import type { JournalFile } from "../../../runtime/storage/journal-space.ts";
import { JournalSyncs } from "../../../runtime/storage/journal-syncs.ts";
import { NODE_ID } from "./support.ts";

type Done = (error: Error | undefined) => void;

/** A file whose syncs return when the test says so. */
function fakeFile(number: number): { file: JournalFile; pending: Done[]; closed: () => boolean } {
  const pending: Done[] = [];
  let closed = false;
  const file: File = {
    path: `file ${number}`,
    writeSync: () => undefined,
    write: async () => undefined,
    sync: (done) => void pending.push(done),
    read: async () => 0,
    truncate: async () => undefined,
    isInPlace: async () => true,
    size: async () => 0,
    close: async () => {
      closed = true;
    },
  };
  const id = NODE_ID;
  const header = { boot: 1, worker: 0, number, nodeId: id, journalId: id, generation: id };
  return {
    file: { name: file.path, file, header, capacity: 0, ahead: 0 },
    pending,
    closed: () => closed,
  };
}

function watched() {
  const log: string[] = [];
  const clock = new ManualClock();
  const state = { appended: 0 };
  const events = {
    moved: (through: number) => log.push(`moved ${through}`),
    returned: () => log.push("returned"),
    failed: (error: Error) => log.push(`failed ${error.message}`),
    appended: () => state.appended,
  };
  let round: (() => void)[] = [];
  const endRound = () => {
    const runs = round;
    round = [];
    for (const run of runs) run();
  };
  const timers = {
    after: (delayMs: number, run: () => void) => clock.after(delayMs, run),
    soon: (run: () => void) => void round.push(run),
  };
  const syncs = new JournalSyncs(1, events, {
    timers,
    syncTimes: { clock, note: () => undefined },
  });
  return { syncs, log, clock, state, endRound };
}

test("a commit in a new file waits for the sync of the file that was left", () => {
  const { syncs, log, endRound } = watched();
  const [left, current] = [fakeFile(1), fakeFile(2)];
  syncs.retire(left.file, 3, 4096);
  syncs.start(current.file, 4, 1024);
  current.pending[0]?.(undefined);
  assert.deepEqual([syncs.through, syncs.idle], [0, false]);
  endRound();
  left.pending[0]?.(undefined);
  endRound();
  assert.deepEqual(log, ["returned", "moved 4", "returned"]);
  const none = { vnodes: new Uint32Array(0), sequences: new Float64Array(0) };
  const accepted = [1, 2, 3].map((number) => {
    return syncs.accepted({ name: "", number, firstCommit: 1, bytes: 4096, ...none }).accepted;
  });
  assert.deepEqual(accepted, [4096, 1024, 0]);
  assert.ok(left.closed() && syncs.idle);
});

test("no handle has two syncs in flight", () => {
  const { syncs } = watched();
  const left = fakeFile(1);
  syncs.start(left.file, 1, 1024);
  syncs.retire(left.file, 2, 2048);
  assert.equal(left.pending.length, 1);
  left.pending[0]?.(undefined);
  assert.equal(left.pending.length, 2);
  assert.equal(syncs.through, 0, "the first sync may have missed an error that the second reports");
  left.pending[1]?.(undefined);
  assert.equal(syncs.through, 2);
});

test("a failed sync of a file that was left is final", () => {
  const { syncs, log } = watched();
  const [left, current] = [fakeFile(1), fakeFile(2)];
  syncs.retire(left.file, 3, 4096);
  syncs.start(current.file, 4, 1024);
  left.pending[0]?.(new Error("EIO"));
  current.pending[0]?.(undefined);
  assert.deepEqual(log, ["failed EIO"]);
  assert.equal(syncs.through, 0);
});

test("a file that was left makes its commits durable though nobody asked", () => {
  const { syncs, log, endRound } = watched();
  const left = fakeFile(1);
  syncs.retire(left.file, 9, 8192);
  left.pending[0]?.(undefined);
  endRound();
  assert.deepEqual(log, ["moved 9", "returned"]);
});

test("another sync may begin once the round of the loop ends, unless all has ended", () => {
  const { syncs, log, endRound } = watched();
  const current = fakeFile(1);
  syncs.start(current.file, 1, 1024);
  current.pending[0]?.(undefined);
  assert.deepEqual(log, ["moved 1"]);
  endRound();
  assert.deepEqual(log, ["moved 1", "returned"]);
  syncs.start(current.file, 2, 2048);
  current.pending[1]?.(undefined);
  syncs.abandon();
  endRound();
  assert.deepEqual(log, ["moved 1", "returned", "moved 2"]);
});

/** A sync takes so long, and twice as much is done where it waits for who was just answered. */
function waiting(syncMs: number) {
  const watching = watched();
  const { syncs, clock, state, endRound } = watching;
  const current = fakeFile(1);
  for (let commit = 1; commit <= 200; commit++) {
    if (!syncs.holds()) clock.advance(syncMs);
    state.appended += 2;
    assert.equal(syncs.holds(), false, "both writers are back");
    syncs.start(current.file, commit, commit * 1024);
    assert.ok(syncs.holds(), "one is in flight");
    clock.advance(syncMs);
    current.pending[commit - 1]?.(undefined);
    endRound();
  }
  watching.log.length = 0;
  assert.ok(syncs.holds(), "who was just answered is waited for");
  return watching;
}

test("a sync waits for the writers who were just answered until they are back", () => {
  const { syncs, clock, state, log, endRound } = waiting(10);
  clock.advance(1);
  state.appended++;
  assert.ok(syncs.holds(), "one of them");
  state.appended++;
  assert.equal(syncs.holds(), false);
  syncs.start(fakeFile(1).file, 201, 201 * 1024);
  clock.advance(100);
  endRound();
  assert.deepEqual(log, []);
});

test("a short sync that waits is looked at again in each round of the loop", () => {
  const { syncs, clock, log, endRound } = waiting(1);
  assert.ok(syncs.holds());
  endRound();
  assert.deepEqual(log, ["returned"], "once a round");
  clock.advance(0.25);
  assert.ok(syncs.holds());
  endRound();
  clock.advance(0.25);
  assert.equal(syncs.holds(), false);
  endRound();
  assert.deepEqual(log, ["returned", "returned"]);
});

test("a sync that waits in vain may begin after half of what syncs take", () => {
  const { syncs, clock, log } = waiting(10);
  clock.advance(4);
  assert.deepEqual(log, []);
  clock.advance(1);
  assert.deepEqual(log, ["returned"]);
  assert.equal(syncs.holds(), false);
});

test("nobody waits where a sync is asked for at once, nor once all has ended", () => {
  const hurried = waiting(10);
  hurried.syncs.hurry();
  assert.equal(hurried.syncs.holds(), false);
  const ended = waiting(10);
  ended.syncs.abandon();
  ended.clock.advance(100);
  assert.deepEqual(ended.log, []);
});
