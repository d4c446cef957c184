/** What earlier boots left: manifests go when they are superseded, files when all released them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EarlierFiles } from "../../../actors/supervisor/earlier-files.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { writeManifest } from "../../../runtime/storage/manifest.ts";
import { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { reserveName } from "../../../runtime/storage/reserve.ts";

const FOLDER = "/data";
const NODE = "0123456789abcdef";
const OLD = "journal-00000001-000-00000001.log";
const OLD_NEXT = "journal-00000001-000-00000002.log";
const OWN = "journal-00000002-000-00000001.log";
const OLD_MANIFEST = "manifest-00000001-000.json";
const OWN_MANIFEST = "manifest-00000002-000.json";

async function staged() {
  const disk = new MemoryDisk({ random: seeded(1) });
  const fs = disk.mount();
  await fs.makeFolder(FOLDER);
  for (const name of [OLD, OLD_NEXT, OWN, OLD_MANIFEST, "node.json"]) {
    await (await fs.create(`${FOLDER}/${name}`, "new")).close();
  }
  const named = [OLD, OLD_NEXT, OWN].map((name) => ({ name, firstCommit: 1 }));
  const manifest = { nodeId: NODE, boot: 2, worker: 0, vnodes: [], files: named };
  await writeManifest(fs, FOLDER, manifest);
  const errors: unknown[] = [];
  const failed = (error: unknown) => void errors.push(error);
  const files = new EarlierFiles({ fs, folder: FOLDER, nodeId: NODE, boot: 2, workers: 2, failed });
  const left = async () => {
    await files.idle();
    assert.deepEqual(errors, []);
    return (await fs.list(FOLDER)).filter((name) => name !== "node.json");
  };
  return { files, left, fs };
}

test("earlier manifests go once every worker has its own, this boot's stay", async () => {
  const { files, left } = await staged();
  for (const worker of [0, 1]) files.workerUp(worker);
  assert.deepEqual(await left(), [OLD, OLD_NEXT, OWN, OWN_MANIFEST]);
});

test("a journal file goes when the last worker has released it, and no manifest is left", async () => {
  const { files, left } = await staged();
  files.released(0, [OLD]);
  files.released(1, [OLD, OLD_NEXT]);
  assert.ok((await left()).includes(OLD), "an earlier manifest still names it");
  for (const worker of [0, 1]) files.workerUp(worker);
  assert.deepEqual(await left(), [OLD_NEXT, OWN, OWN_MANIFEST]);
  files.released(0, [OLD_NEXT]);
  assert.deepEqual(await left(), [OWN, OWN_MANIFEST]);
});

test("what a worker released before its restart counts no more", async () => {
  const { files, left } = await staged();
  for (const worker of [0, 1]) files.workerUp(worker);
  files.released(0, [OLD]);
  files.workerDown(0);
  files.released(1, [OLD]);
  assert.ok((await left()).includes(OLD));
});

test("a file of this boot is never removed here", async () => {
  const { files, left } = await staged();
  for (const worker of [0, 1]) files.workerUp(worker);
  for (const worker of [0, 1]) files.released(worker, [OWN, "node.json"]);
  assert.ok((await left()).includes(OWN));
});

test("a spare of an earlier boot, that no manifest names, is removed", async () => {
  const { files, left, fs } = await staged();
  await (await fs.create(`${FOLDER}/journal-00000001-001-00000004.log`, "new")).close();
  for (const worker of [0, 1]) files.workerUp(worker);
  assert.deepEqual(await left(), [OLD, OLD_NEXT, OWN, OWN_MANIFEST]);
});

test("nothing goes while a worker restarts: it looks at what there is", async () => {
  const { files, left } = await staged();
  for (const worker of [0, 1]) files.workerUp(worker);
  for (const worker of [0, 1]) files.released(worker, [OLD]);
  files.workerDown(1);
  assert.ok((await left()).includes(OLD_MANIFEST));
  files.workerUp(1);
  assert.deepEqual(await left(), [OLD, OLD_NEXT, OWN, OWN_MANIFEST]);
});

test("the reserve of a worker that is no more is removed", async () => {
  const { files, left, fs } = await staged();
  for (const worker of [1, 2]) {
    await (await fs.create(`${FOLDER}/${reserveName(worker)}`, "new")).close();
  }
  for (const worker of [0, 1]) files.workerUp(worker);
  assert.deepEqual(await left(), [OLD, OLD_NEXT, OWN, OWN_MANIFEST, reserveName(1)]);
});
