/** When a commit counts as durable: syncs of the current file and of files that were left. */
import assert from "node:assert/strict";
import { test } from "node:test";
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
  const syncs = new JournalSyncs(1, {
    moved: (through) => log.push(`moved ${through}`),
    returned: () => log.push("returned"),
    failed: (error) => log.push(`failed ${error.message}`),
  });
  return { syncs, log };
}

test("a commit in a new file waits for the sync of the file that was left", () => {
  const { syncs, log } = watched();
  const [left, current] = [fakeFile(1), fakeFile(2)];
  syncs.retire(left.file, 3, 4096);
  syncs.start(current.file, 4, 1024);
  current.pending[0]?.(undefined);
  assert.deepEqual([syncs.through, syncs.idle], [0, false]);
  left.pending[0]?.(undefined);
  assert.deepEqual(log, ["returned", "returned", "moved 4"]);
  assert.deepEqual(syncs.durableAt, { commit: 4, fileNumber: 2, end: 1024 });
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
  const { syncs, log } = watched();
  const left = fakeFile(1);
  syncs.retire(left.file, 9, 8192);
  left.pending[0]?.(undefined);
  assert.deepEqual(log, ["returned", "moved 9"]);
});
