/** What workers are told of the data folder when they are born. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BirthSurveys } from "../../../actors/supervisor/birth-surveys.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import type { FileSystem } from "../../../runtime/storage/files.ts";
import { append, FOLDER, NODE_ID, newDisk, openJournal, until } from "../storage/support.ts";

/** A folder with a journal of each of these boots and workers; counts how often it is listed. */
async function folderOf(journals: readonly (readonly [boot: number, worker: number])[]) {
  const disk = await newDisk();
  for (const [boot, worker] of journals) {
    const random = seeded(boot * 10 + worker);
    const { journal } = await openJournal(disk.mount(), { boot, worker, random });
    append(journal, worker, boot, `of boot ${boot}`);
    journal.commit();
    await until(() => journal.durableThrough === 1);
  }
  let surveys = 0;
  const fs: FileSystem = Object.create(disk.mount(), {
    list: {
      value: (path: string) => {
        surveys++;
        return disk.mount().list(path);
      },
    },
  });
  return { disk, fs, surveys: () => surveys };
}

test("those who are born first are told of earlier boots, and the folder is judged once for all", async () => {
  const { fs, surveys } = await folderOf([
    [1, 0],
    [1, 1],
  ]);
  const births = new BirthSurveys({ fs, folder: FOLDER, nodeId: NODE_ID, boot: 2 });
  const [first, second] = await Promise.all([births.of(0), births.of(1)]);
  const found = first.survey.files.map(({ boot, worker }) => [boot, worker]);
  assert.deepEqual(found, [
    [1, 0],
    [1, 1],
  ]);
  assert.equal(second, first);
  const listings = surveys();
  await births.of(0);
  assert.equal(surveys(), listings * 2);
});

test("a successor is told of its predecessor's journal, and of no other of this boot", async () => {
  const { fs } = await folderOf([
    [1, 0],
    [2, 0],
    [2, 1],
  ]);
  const births = new BirthSurveys({ fs, folder: FOLDER, nodeId: NODE_ID, boot: 2 });
  const boots = async (worker: number) => {
    const { survey } = await births.of(worker);
    return survey.files.map((file) => `${file.boot}/${file.worker}`);
  };
  assert.deepEqual(await boots(0), ["1/0"]);
  assert.deepEqual(await boots(1), ["1/0"]);
  assert.deepEqual(await boots(1), ["1/0", "2/1"]);
  assert.deepEqual(await boots(0), ["1/0", "2/0"]);
});

test("what failed starts have left gives its room back before anybody begins, and never later", async () => {
  const { disk, fs } = await folderOf([[1, 0]]);
  const { journal } = await openJournal(disk.mount(), { boot: 2, random: seeded(7) });
  const left = `${FOLDER}/${journal.files()[0]?.name}`;
  const births = new BirthSurveys({ fs, folder: FOLDER, nodeId: NODE_ID, boot: 3 });
  // The first one dies at once.
  const [{ survey }, successor] = await Promise.all([births.of(0), births.of(0)]);
  assert.deepEqual([survey.files.length, disk.paths().includes(left)], [1, false]);
  assert.deepEqual(successor.survey, survey);

  const running = await openJournal(disk.mount(), { boot: 3, random: seeded(8) });
  await births.of(0);
  assert.ok(disk.paths().includes(`${FOLDER}/${running.journal.files()[0]?.name}`));
});
