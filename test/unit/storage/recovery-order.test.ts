/** In which order ops of several journals come back, and whose. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CoterieError } from "../../../runtime/base/errors.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { noManifests } from "../../../runtime/storage/manifest.ts";
import { RECOVERY_SLICE_OPS, recover } from "../../../runtime/storage/recovery.ts";
import { append, FOLDER, NODE_ID, newDisk, openJournal, recoverStates } from "./support.ts";

test("a gap in a vnode's sequences is corruption", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  append(journal, 1, 1, "a");
  append(journal, 2, 1, "other");
  journal.commit();
  journal.restartVnode(1);
  append(journal, 1, 3, "c");
  await journal.close();
  await assert.rejects(recoverStates(disk.mount()), (error) => {
    assert.ok(error instanceof CoterieError && error.code === "CORRUPT");
    return /vnode 1 has op 3 here, but op 2 nowhere/.test(String(error));
  });
});

test("an op found twice is handed over once", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  append(journal, 1, 1, "a");
  append(journal, 1, 2, "b");
  journal.commit();
  journal.restartVnode(1);
  for (const [i, text] of ["a", "b", "c"].entries()) append(journal, 1, i + 1, text);
  await journal.close();
  const { states, skipped } = await recoverStates(disk.mount());
  assert.deepEqual(states.get(1), ["a", "b", "c"]);
  assert.equal(skipped, 2);
});

test("journals of several workers and boots merge by vnode sequence", async () => {
  const disk = await newDisk();
  const fs = disk.mount();
  // Boot 1: two workers share the vnodes; boot 2: one worker has both, boot 3: swapped.
  const parts: [number, number, [number, number][]][] = [
    [
      1,
      0,
      [
        [1, 1],
        [1, 2],
      ],
    ],
    [1, 1, [[2, 1]]],
    [
      2,
      0,
      [
        [1, 3],
        [2, 2],
        [2, 3],
      ],
    ],
    [3, 0, [[2, 4]]],
    [3, 1, [[1, 4]]],
  ];
  for (const [boot, worker, ops] of parts) {
    const { journal } = await openJournal(fs, { boot, worker, random: seeded(boot * 10 + worker) });
    for (const [vnode, sequence] of ops) append(journal, vnode, sequence, `${vnode}.${sequence}`);
    await journal.close();
  }
  const { states, unproven } = await recoverStates(fs);
  assert.deepEqual(states.get(1), ["1.1", "1.2", "1.3", "1.4"]);
  assert.deepEqual(states.get(2), ["2.1", "2.2", "2.3", "2.4"]);
  assert.deepEqual(unproven, []);
});

test("a journal waits for a vnode's earlier ops in another journal of the same boot", async () => {
  const disk = await newDisk();
  const fs = disk.mount();
  const left = (await openJournal(fs, { worker: 0, random: seeded(1) })).journal;
  const right = (await openJournal(fs, { worker: 1, random: seeded(2) })).journal;
  append(right, 1, 1, "a");
  right.commit();
  append(left, 1, 2, "b");
  append(left, 2, 1, "x");
  left.commit();
  right.restartVnode(1);
  append(right, 1, 3, "c");
  await right.close();
  await left.close();
  const { states } = await recoverStates(fs);
  assert.deepEqual(states.get(1), ["a", "b", "c"]);
  assert.deepEqual(states.get(2), ["x"]);
});

test("a filter picks the partitions of one worker", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  append(journal, 1, 1, "another worker's");
  append(journal, 2, 1, "own");
  await journal.close();
  const seen: number[] = [];
  const { ops } = await recover({
    fs: disk.mount(),
    folder: FOLDER,
    nodeId: NODE_ID,
    manifests: noManifests,
    filter: (vnode) => vnode !== 1,
    onOp: (op) => seen.push(op.vnodeId),
  });
  assert.deepEqual([ops, seen], [1, [2]]);
});

test("a replay lets others run, also while it passes over the ops of other vnodes", async () => {
  const disk = await newDisk();
  const bytes = 1024 * 1024;
  const { journal } = await openJournal(disk.mount(), { fileBytes: bytes, stepBytes: bytes });
  const ops = 3 * RECOVERY_SLICE_OPS;
  for (let sequence = 1; sequence <= ops; sequence++) {
    append(journal, 1, sequence, "", false);
    if (sequence % 1000 === 0) journal.commit();
  }
  await journal.close();
  let pauses = 0;
  await recover({
    fs: disk.mount(),
    folder: FOLDER,
    nodeId: NODE_ID,
    manifests: noManifests,
    filter: () => false,
    onOp: () => assert.fail(),
    pause: async () => void pauses++,
  });
  assert.equal(pauses, 3);
});
