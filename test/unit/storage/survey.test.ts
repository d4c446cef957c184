/** What a start takes of the journals: what a manifest has counted has to be there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FILE_HEADER_BYTES, journalFileName } from "../../../runtime/storage/journal-format.ts";
import { type ManifestFile, writeManifest } from "../../../runtime/storage/manifest.ts";
import type { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { manifestFiles, surveyFolder } from "../../../runtime/storage/survey.ts";
import { code, edit, FIRST, fiveFrames } from "./five-frames.ts";
import { FOLDER, NODE_ID, recoverStates, type Written } from "./support.ts";

const NAME = journalFileName({ boot: 1, worker: 0, number: 1 });

/** A manifest lists the first file. */
async function list(disk: MemoryDisk, counted: Partial<ManifestFile> = {}): Promise<void> {
  const files = [{ name: NAME, firstCommit: 1, ...counted }];
  const manifest = { nodeId: NODE_ID, boot: 1, worker: 0, vnodes: [], files };
  await writeManifest(disk.mount(), FOLDER, manifest);
}

test("a file in use that is empty, or holds nothing or another journal's data, is corruption", async () => {
  const edits: ((bytes: Buffer) => Buffer)[] = [
    () => Buffer.alloc(0),
    () => Buffer.from("x"),
    (bytes) => Buffer.alloc(bytes.length),
  ];
  for (const change of edits) {
    const { disk } = await fiveFrames();
    await list(disk);
    edit(disk, FIRST, change);
    await assert.rejects(recoverStates(disk.mount()), code("CORRUPT", FIRST));
  }
});

test("a file without a frame that was known to be durable is corruption", async () => {
  const { disk, frames } = await fiveFrames();
  const whole = disk.peek(FIRST);
  const [fourth, last] = [frames[3] as Written, frames[4] as Written];
  const { survey } = await surveyFolder({ fs: disk.mount(), folder: FOLDER, nodeId: NODE_ID });
  const [counted] = manifestFiles(survey);
  assert.equal(counted?.durable, 4, "the last frame may be lost with the power");
  await list(disk, counted);
  assert.equal((await recoverStates(disk.mount())).states.get(1)?.length, 5);
  disk.put(FIRST, Buffer.from(whole.subarray(0, last.offset)));
  assert.equal((await recoverStates(disk.mount())).states.get(1)?.length, 4);
  for (const length of [fourth.offset, FILE_HEADER_BYTES]) {
    disk.put(FIRST, Buffer.from(whole.subarray(0, length)));
    await assert.rejects(recoverStates(disk.mount()), code("CORRUPT", FIRST), `${length}`);
  }
});

test("what one of two manifests knows to be durable is", async () => {
  const { disk, frames } = await fiveFrames();
  await list(disk, { durable: 4 });
  const files = [{ name: NAME, firstCommit: 1, durable: 2 }];
  await writeManifest(disk.mount(), FOLDER, {
    nodeId: NODE_ID,
    boot: 1,
    worker: 1,
    vnodes: [],
    files,
  });
  const third = frames[2] as Written;
  edit(disk, FIRST, (bytes) => Buffer.from(bytes.subarray(0, third.offset + third.bytes.length)));
  await assert.rejects(recoverStates(disk.mount()), code("CORRUPT", FIRST));
});
