/** Manifests: readable text, checked, replaced whole, merged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CoterieError } from "../../../runtime/base/errors.ts";
import { sealText } from "../../../runtime/storage/checked-text.ts";
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
  manifestName,
  mergeManifests,
  readManifests,
  writeManifest,
} from "../../../runtime/storage/manifest.ts";
import { FOLDER, NODE_ID, newDisk } from "./support.ts";

const MANIFEST: Manifest = {
  nodeId: NODE_ID,
  boot: 3,
  worker: 1,
  vnodes: [
    { id: 7, snapshot: "snapshot-7", sequence: 40 },
    { id: 8, sequence: 0 },
  ],
  files: [
    { name: "journal-a", firstCommit: 1, accepted: 5120 },
    { name: "journal-b", firstCommit: 0, accepted: 0 },
    { name: "journal-c", firstCommit: 17 },
  ],
};

test("a manifest reads back, and its text is JSON without the last line", () => {
  const bytes = encodeManifest(MANIFEST);
  assert.deepEqual(decodeManifest(bytes, "m"), MANIFEST);
  const lines = bytes.toString().trimEnd().split("\n");
  assert.match(lines.pop() ?? "", /^checksum [0-9a-f]{8}$/);
  assert.equal((JSON.parse(lines.join("\n")) as { boot: number }).boot, 3);
  const empty = { ...MANIFEST, vnodes: [], files: [] };
  assert.deepEqual(decodeManifest(encodeManifest(empty), "m"), empty);
});

test("any changed byte of a manifest is refused", () => {
  const bytes = encodeManifest(MANIFEST);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] as number) ^ 4;
    assert.throws(
      () => decodeManifest(damaged, "the/file"),
      (error) => (error as CoterieError).code === "CORRUPT" && /the\/file/.test(String(error)),
    );
  }
});

test("a manifest of an unknown format or with a wrong field is refused", () => {
  const code = (text: string) => {
    try {
      decodeManifest(sealText(`${text}\n`), "m");
    } catch (error) {
      return error instanceof CoterieError ? error.code : String(error);
    }
    return "none";
  };
  assert.equal(code('{"format": 2}'), "FORMAT_UNKNOWN");
  assert.equal(code('{"format": 1, "nodeId": 5}'), "CORRUPT");
  assert.equal(code("[]"), "CORRUPT");
  assert.equal(code("{"), "CORRUPT");
});

test("a manifest is old or new after a power failure at any operation", async () => {
  for (let k = 0; k < 12; k++) {
    for (let seed = 0; seed < 10; seed++) {
      const disk = await newDisk(seed);
      await writeManifest(disk.mount(), FOLDER, MANIFEST);
      disk.crashAt = disk.operations + k;
      const newer = { ...MANIFEST, vnodes: [] };
      const written = await writeManifest(disk.mount(), FOLDER, newer).then(
        () => true,
        () => false,
      );
      disk.crash();
      const found = await disk.mount().readWhole(`${FOLDER}/${manifestName(MANIFEST)}`);
      const value = decodeManifest(found, "m");
      assert.deepEqual(value, value.vnodes.length === 0 ? newer : MANIFEST);
      if (written) assert.deepEqual(value, newer);
    }
  }
});

test("merging takes a vnode's newest snapshot and a file's least bytes", () => {
  const older = { ...MANIFEST, boot: 2, vnodes: [{ id: 7, snapshot: "old", sequence: 39 }] };
  const other: Manifest = {
    ...MANIFEST,
    worker: 0,
    vnodes: [{ id: 9, snapshot: "nine", sequence: 4 }],
    files: [
      { name: "journal-a", firstCommit: 1, accepted: 4608 },
      { name: "journal-c", firstCommit: 17, accepted: 1024 },
    ],
  };
  for (const all of [
    [older, MANIFEST, other],
    [other, MANIFEST, older],
  ]) {
    const merged = mergeManifests(all);
    assert.equal(merged.boot, 3);
    assert.equal(merged.vnodes.get(7)?.snapshot, "snapshot-7");
    assert.equal(merged.vnodes.get(9)?.sequence, 4);
    assert.equal(merged.files.get("journal-a")?.accepted, 4608);
    assert.equal(merged.files.get("journal-c")?.accepted, 1024);
  }
});

test("manifests of another node are refused", async () => {
  const fs = (await newDisk()).mount();
  await writeManifest(fs, FOLDER, MANIFEST);
  assert.equal((await readManifests(fs, FOLDER, NODE_ID)).names.length, 1);
  await assert.rejects(
    readManifests(fs, FOLDER, "0000000000000000"),
    (error) => (error as CoterieError).code === "DATA_FOLDER_FOREIGN",
  );
});
