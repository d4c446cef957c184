/**
 * Files of each format version, kept for ever: they are still read, and the same inputs still
 * write the same bytes. REWRITE=1 writes them anew (only before a version was ever released).
 */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
} from "../../../runtime/storage/manifest.ts";
import { readSnapshot, SnapshotWriter, snapshotName } from "../../../runtime/storage/snapshot.ts";
import { append, FOLDER, NODE_ID, newDisk, openJournal, recoverStates, until } from "./support.ts";

async function golden(name: string, made: Buffer): Promise<Buffer> {
  const path = fileURLToPath(new URL(`../../golden/${name}`, import.meta.url));
  if (process.env.REWRITE === "1") await writeFile(path, made);
  return readFile(path);
}

const JOURNAL = `${FOLDER}/journal-00000001-000-00000001.log`;

async function makeJournal(): Promise<Buffer> {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount(), { fileBytes: 3072, stepBytes: 2560 });
  append(journal, 1, 1, "first op");
  append(journal, 65_538, 1, "op of another keyspace");
  append(journal, 1, 2, "second op");
  journal.commit();
  await until(() => journal.durableThrough === 1);
  append(journal, 1, 3, "third op", false);
  journal.commit();
  await journal.close();
  return disk.peek(JOURNAL);
}

test("a journal of format 1 is read, and written with the same bytes", async () => {
  const made = await makeJournal();
  const kept = await golden("journal-v1.bin", made);
  // A journal that is closed keeps no room behind its last frame, as it did once.
  const frames = kept.subarray(0, made.length);
  assert.ok(made.equals(frames) && kept.subarray(made.length).every((byte) => byte === 0));
  const disk = await newDisk();
  disk.put(JOURNAL, kept);
  const { states, unproven } = await recoverStates(disk.mount());
  assert.deepEqual(
    [...states],
    [
      [1, ["first op", "second op", "third op"]],
      [65_538, ["op of another keyspace"]],
    ],
  );
  assert.deepEqual(unproven, []);
});

const SNAPSHOT = { vnodeId: 65_538, sequence: 1234, createdMs: 1_800_000_000_000 };

test("a snapshot of format 1 is read, and written with the same bytes", async () => {
  const disk = await newDisk();
  const writer = await SnapshotWriter.create(disk.mount(), FOLDER, SNAPSHOT);
  for (const text of ["the first chunk", "and the second"]) {
    await writer.chunk(Buffer.from(text), 0, text.length);
  }
  await writer.finish();
  const path = `${FOLDER}/${snapshotName(SNAPSHOT)}`;
  const made = disk.peek(path);
  const kept = await golden("snapshot-v1.bin", made);
  assert.ok(made.equals(kept));
  disk.put(path, kept);
  const chunks: string[] = [];
  const info = await readSnapshot(disk.mount(), path, (bytes, start, end) => {
    chunks.push(bytes.toString("latin1", start, end));
  });
  assert.deepEqual(info, SNAPSHOT);
  assert.deepEqual(chunks, ["the first chunk", "and the second"]);
});

const MANIFEST: Manifest = {
  nodeId: NODE_ID,
  boot: 3,
  worker: 1,
  vnodes: [
    { id: 1, sequence: 0 },
    { id: 65_538, snapshot: snapshotName(SNAPSHOT), sequence: 1234 },
  ],
  files: [
    { name: "journal-00000002-000-00000004.log", firstCommit: 81, accepted: 28_160 },
    { name: "journal-00000003-001-00000001.log", firstCommit: 1 },
  ],
};

test("a manifest of format 1 is read, and written with the same bytes", async () => {
  const made = encodeManifest(MANIFEST);
  const kept = await golden("manifest-v1.txt", made);
  assert.equal(String(made), String(kept));
  assert.deepEqual(decodeManifest(kept, "manifest-v1.txt"), MANIFEST);
});
