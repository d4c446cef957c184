/** Room for frames: what is kept for later goes where the disk has none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileUse } from "../../../runtime/storage/file-space.ts";
import { FILE_HEADER_BYTES } from "../../../runtime/storage/journal-format.ts";
import { append, FOLDER, newDisk, openJournal, recoverStates, turns } from "./support.ts";

const KB = 1024;

/** A journal whose disk holds so many files that nobody needs. */
async function withClosedFiles(count: number) {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  let sequence = 0;
  const write = async () => {
    append(journal, 1, ++sequence, "x".repeat(700));
    journal.commit();
    await turns(30);
  };
  while (journal.fileNumber <= count) await write();
  const closed = journal.files().slice(0, -1);
  assert.equal(closed.length, count);
  return {
    disk,
    journal,
    write,
    recycle(sparesMax: number) {
      for (const use of closed) journal.recycle(use);
      journal.keepSpares(sparesMax);
    },
  };
}

test("a journal begins with little room and takes more when it is told to, though nobody writes", async () => {
  const disk = await newDisk();
  const fs = disk.mount();
  const sizes = { fileBytes: 2048 * KB, stepBytes: 1024 * KB };
  const { journal } = await openJournal(fs, sizes);
  const path = `${FOLDER}/${journal.files()[0]?.name}`;
  await turns(500);
  assert.equal(await fs.size(path), FILE_HEADER_BYTES + 256 * KB);
  journal.prepare();
  await turns(500);
  assert.equal(await fs.size(path), FILE_HEADER_BYTES + 256 * KB + 1024 * KB);
  await journal.close();
});

test("of many files that nobody needs, as many are kept for another use as is said", async () => {
  const { disk, recycle } = await withClosedFiles(6);
  const before = disk.paths().length;
  recycle(2);
  await turns(30);
  assert.equal(before - disk.paths().length, 4);
});

test("a file that was made for a giant frame is not kept for another use", async () => {
  const { disk, journal } = await withClosedFiles(1);
  const [closed] = journal.files() as [FileUse];
  const before = disk.paths();
  journal.recycle({ ...closed, bytes: closed.bytes * 40 });
  await turns(30);
  assert.deepEqual(
    disk.paths(),
    before.filter((path) => !path.endsWith(closed.name)),
  );
});

test("a full disk gets back the files that wait for another use", async () => {
  const { disk, journal, write, recycle } = await withClosedFiles(2);
  recycle(2);
  disk.capacityBytes = disk.usedBytes;
  const before = disk.paths().length;
  while (!journal.full) await write();
  await turns(30);
  assert.ok(disk.paths().length < before);
});

test("a step that does not fit leaves the disk its last room", async () => {
  const disk = await newDisk();
  const sizes = { fileBytes: 2048 * KB, stepBytes: 1024 * KB };
  const { journal } = await openJournal(disk.mount(), sizes);
  const before = disk.usedBytes;
  disk.capacityBytes = before + 1000 * KB;
  journal.prepare();
  await turns(500);
  assert.ok(journal.full);
  assert.equal(disk.usedBytes, before);
  await journal.close();
});

test("a journal that is closed gives back what it has written ahead, and can be read", async () => {
  const disk = await newDisk();
  const fs = disk.mount();
  const { journal } = await openJournal(fs, { fileBytes: 2048 * KB, stepBytes: 1024 * KB });
  journal.prepare();
  await turns(500);
  append(journal, 1, 1, "op");
  await journal.close();
  const [file] = journal.files();
  assert.equal(await fs.size(`${FOLDER}/${file?.name}`), file?.bytes);
  assert.deepEqual((await recoverStates(fs)).states.get(1), ["op"]);
});
