/** A window over a journal file: what it shows is the file's, wherever it moves; errors say where. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CoterieError } from "../../../runtime/base/errors.ts";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { systemFiles } from "../../../runtime/storage/files.ts";
import { journalWindow } from "../../../runtime/storage/journal-window.ts";
import { emptyFolder } from "../../support/command-line.ts";
import { append, FOLDER, newDisk, openJournal, recoverStates, until } from "./support.ts";

const PATH = `${FOLDER}/journal-00000001-000-00000001.log`;
const KB = 1024;

function randomBytes(count: number, seed = 1): Buffer {
  const random = seeded(seed);
  return Buffer.from(Uint8Array.from({ length: count }, () => below(random, 256)));
}

async function windowOver(bytes: Buffer, bytesMax = Number.POSITIVE_INFINITY) {
  const disk = await newDisk();
  disk.put(PATH, bytes);
  const window = journalWindow(disk.mount());
  await window.open(PATH, bytesMax);
  return { disk, window };
}

test("whatever is shown is what the file has there", async () => {
  const bytes = randomBytes(9000 * KB);
  const { window } = await windowOver(bytes);
  const random = seeded(2);
  const sizes = [1, 512, 100 * KB, 2048 * KB, 3000 * KB];
  for (let step = 0; step < 100; step++) {
    const at = below(random, bytes.length);
    const size = sizes[below(random, sizes.length)] as number;
    await window.show(at, size);
    const end = Math.min(at + size, bytes.length);
    assert.ok(window.start <= at && window.end >= end);
    const shown = window.bytes.subarray(at - window.start, end - window.start);
    assert.ok(shown.equals(bytes.subarray(at, end)));
    assert.equal(window.show(at, size), undefined, "it need not move again");
  }
  await window.close();
});

test("a file as long as the window, or of which less counts, ends where it ends", async () => {
  for (const [size, counts] of [
    [0, 0],
    [2048 * KB, 2048 * KB],
    [2700 * KB, 2600 * KB],
  ] as const) {
    const { window } = await windowOver(randomBytes(size), counts);
    assert.equal(window.length, counts);
    await window.show(counts, 96);
    assert.equal(window.end, counts);
    await window.close();
  }
});

test("behind the end of a file there is nothing", async () => {
  using folder = emptyFolder();
  const path = join(folder.path, "file");
  writeFileSync(path, randomBytes(3000 * KB));
  const window = journalWindow(systemFiles);
  await window.open(path, Number.POSITIVE_INFINITY);
  await window.show(4000 * KB, 96);
  assert.equal(window.end - window.start, 0);
  await window.close();
});

test("a file that became shorter meanwhile ends there", async () => {
  const bytes = randomBytes(5000 * KB);
  const { disk, window } = await windowOver(bytes);
  const file = await disk.mount().open(PATH, "write");
  await file.truncate(2800 * KB);
  await file.close();
  await window.show(2700 * KB, 300 * KB);
  assert.equal(window.length, 2800 * KB);
  assert.equal(window.end, 2800 * KB);
  await window.close();
});

test("a disk that does not give the bytes is damage, named with its place; other errors are not", async () => {
  const { disk, window } = await windowOver(randomBytes(5000 * KB));
  for (const [fault, code] of [
    ["EIO", "CORRUPT"],
    ["EMFILE", "DISK_FAILED"],
  ] as const) {
    disk.fault = ({ kind }) => (kind === "read" ? fault : undefined);
    await assert.rejects(
      async () => window.show(2900 * KB, 1),
      (error) => {
        assert.ok(error instanceof CoterieError);
        assert.equal(error.code, code);
        assert.ok(error.message.includes(PATH));
        if (code === "CORRUPT") assert.equal(error.detail.offset, 2900 * KB);
        return true;
      },
    );
  }
  await window.close();
});

test("frames come back that lie across the window's ends, and one that is larger than it", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount(), {
    fileBytes: 16 * 1024 * KB,
    stepBytes: 1024 * KB,
    arenaBytes: 64 * KB,
  });
  const sizes = [900, 900, 900, 700, 30, 4200, 3, 3, 90].map((size) => size * KB);
  const texts = sizes.map((size, i) => String.fromCharCode(97 + i).repeat(size));
  for (const [i, text] of texts.entries()) {
    append(journal, 1, i + 1, text);
    journal.commit();
    await until(() => journal.durableThrough === i + 1);
  }
  const { states, unproven } = await recoverStates(disk.mount());
  assert.ok(states.get(1)?.every((text, i) => text === texts[i]));
  assert.equal(states.get(1)?.length, texts.length);
  assert.equal(unproven.length, 1, "the last, of which no later frame says that it was durable");
});
