/** Journal files without frames give their room back; nothing that a start needs goes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FILE_HEADER_BYTES, journalFileName } from "../../../runtime/storage/journal-format.ts";
import { writeManifest } from "../../../runtime/storage/manifest.ts";
import { reclaim } from "../../../runtime/storage/reclaim.ts";
import { surveyFolder } from "../../../runtime/storage/survey.ts";
import { append, FOLDER, NODE_ID, newDisk, openJournal, turns, until } from "./support.ts";

const KB = 1024;
const sizes = { fileBytes: 2048 * KB, stepBytes: 512 * KB };

function pathOf(boot: number): string {
  return `${FOLDER}/${journalFileName({ boot, worker: 0, number: 1 })}`;
}

/** A disk with a journal of each of these boots; `write` makes frames of it. */
async function folderOf(boots: readonly { readonly boot: number; readonly text?: string }[]) {
  const disk = await newDisk();
  for (const { boot, text } of boots) {
    const { journal } = await openJournal(disk.mount(), { boot, ...sizes });
    journal.prepare();
    await turns(500);
    if (text === undefined) continue;
    append(journal, 1, 1, text);
    journal.commit();
    await until(() => journal.durableThrough === 1);
  }
  disk.kill();
  const fs = disk.mount();
  const found = () => surveyFolder({ fs, folder: FOLDER, nodeId: NODE_ID });
  const reclaimed = async () => reclaim(fs, FOLDER, await found());
  return { disk, fs, found, reclaimed };
}

test("a file that a failed start has left goes, and its room with it", async () => {
  const { disk, found, reclaimed } = await folderOf([{ boot: 1, text: "a" }, { boot: 2 }]);
  const { survey } = await reclaimed();
  assert.deepEqual(
    survey.files.map(({ boot }) => boot),
    [1],
  );
  assert.deepEqual(disk.paths(), [pathOf(1)]);
  assert.deepEqual((await found()).survey, survey);
});

test("a file that a manifest names stays, cut to its header", async () => {
  const { disk, fs, found, reclaimed } = await folderOf([{ boot: 1, text: "a" }, { boot: 2 }]);
  const files = [1, 2].map((boot) => {
    return { name: journalFileName({ boot, worker: 0, number: 1 }), firstCommit: 1 };
  });
  await writeManifest(fs, FOLDER, { nodeId: NODE_ID, boot: 2, worker: 0, vnodes: [], files });
  const before = await found();
  assert.ok(disk.peek(pathOf(2)).length > 512 * KB);
  assert.deepEqual(await reclaimed(), before);
  assert.equal(disk.peek(pathOf(2)).length, FILE_HEADER_BYTES);
  assert.ok(disk.peek(pathOf(1)).length > 512 * KB);
  assert.deepEqual(await found(), before);
});

test("a file with a torn frame stays as it is", async () => {
  const { disk, reclaimed } = await folderOf([{ boot: 1, text: "a" }]);
  disk.flip(pathOf(1), FILE_HEADER_BYTES + 100, 0);
  const { length } = disk.peek(pathOf(1));
  const { survey } = await reclaimed();
  assert.deepEqual(
    survey.files.map(({ reason }) => reason),
    ["torn"],
  );
  assert.equal(disk.peek(pathOf(1)).length, length);
});
