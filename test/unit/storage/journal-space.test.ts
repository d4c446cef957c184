/** Room for frames: what is kept for later goes where the disk has none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { append, newDisk, openJournal, turns } from "./support.ts";

test("a full disk gets back the files that wait for another use", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  let sequence = 0;
  const write = async () => {
    append(journal, 1, ++sequence, "x".repeat(700));
    journal.commit();
    await turns(30);
  };
  while (journal.fileNumber < 3) await write();
  for (const { name } of journal.files().slice(0, -1)) journal.recycle(name);
  disk.capacityBytes = disk.usedBytes;
  const before = disk.paths().length;
  while (!journal.full) await write();
  await turns(30);
  assert.ok(disk.paths().length < before);
});
