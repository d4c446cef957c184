/** A salvage that does not come to its end leaves no folder that a node would start on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isComplete, type SalvageOptions, salvage } from "../../../actors/salvage/salvage.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { newIdentity, writeIdentity } from "../../../runtime/storage/data-folder.ts";
import type { FileSystem } from "../../../runtime/storage/files.ts";
import { memoryFolderLock } from "../../../runtime/storage/folder-lock.ts";
import {
  type ManifestVnode,
  readManifests,
  writeManifest,
} from "../../../runtime/storage/manifest.ts";
import { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { readSnapshot, SnapshotWriter, snapshotName } from "../../../runtime/storage/snapshot.ts";
import type { Partition } from "../../../runtime/table/partition.ts";
import { StateLoader } from "../../../runtime/table/state-loader.ts";
import { setStrings, stateOf, testPartition } from "../../support/partitions.ts";

const FROM = "/old";
const TO = "/new";

/** A folder with the snapshots of two vnodes, one of which has been replaced by a newer one. */
async function folder(
  more: readonly ManifestVnode[] = [],
  seed = 1,
): Promise<{ disk: MemoryDisk; options: SalvageOptions }> {
  const disk = new MemoryDisk({ random: seeded(seed) });
  const fs = disk.mount();
  const random = seeded(2);
  const names = { clusterId: "c", nodeName: "n" };
  await fs.makeFolder(FROM);
  const { partition } = testPartition(1);
  const vnodes: { id: number; snapshot: string; sequence: number }[] = [];
  for (const [id, key] of [
    [1, "a"],
    [1, "b"],
    [2, "c"],
  ] as const) {
    setStrings(partition, [[key, key]]);
    vnodes[id - 1] = await writeSnapshot(fs, id, partition);
  }
  const identity = newIdentity({ ...names, random });
  const { nodeId } = identity;
  await writeManifest(fs, FROM, {
    nodeId,
    boot: 1,
    worker: 0,
    vnodes: [...vnodes, ...more],
    files: [],
  });
  await writeIdentity(fs, FROM, { ...identity, boot: 1 });
  const clock = new ManualClock();
  const lock = memoryFolderLock();
  return { disk, options: { fs, lock, random, clock, from: FROM, to: TO, ...names } };
}

async function writeSnapshot(fs: FileSystem, id: number, partition: Partition) {
  const { sequence } = partition;
  const writer = await SnapshotWriter.create(fs, FROM, { vnodeId: id, sequence, createdMs: 5 });
  for (const chunk of stateOf(partition)) await writer.chunk(chunk, 0, chunk.length);
  const { name } = await writer.finish();
  return { id, snapshot: name, sequence };
}

async function keysIn(disk: MemoryDisk, vnodeId: number, sequence: number): Promise<number> {
  const { partition } = testPartition(9);
  const loader = new StateLoader(partition);
  const path = `${TO}/${snapshotName({ vnodeId, sequence })}`;
  await readSnapshot(disk.mount(), path, (bytes, start, end) => loader.chunk(bytes, start, end));
  loader.finish();
  return partition.table.keyCount;
}

test("the identity comes last: a salvage that fails leaves none, and one that ends is whole", async () => {
  const whole = await folder();
  const before = whole.disk.operations;
  assert.ok(isComplete(await salvage(whole.options)));
  const operations = whole.disk.operations - before;
  assert.ok(operations > 20);
  for (let k = 0; k < operations; k++) {
    const { disk, options } = await folder();
    const end = disk.operations + k;
    disk.fault = ({ index, kind }) => (index >= end && kind !== "read" ? "ENOSPC" : undefined);
    const ended = await salvage(options).then(
      () => true,
      ({ code }: { code: string }) => {
        assert.equal(code, "DISK_FULL");
        return false;
      },
    );
    const hasIdentity = disk.paths().includes(`${TO}/node.json`);
    assert.ok(!ended || hasIdentity, `operation ${k}`);
    if (hasIdentity) assert.equal(disk.paths().filter((path) => path.startsWith(TO)).length, 4);
  }
});

test("after a power failure at any operation, too, what has an identity is whole", async () => {
  const whole = await folder();
  const before = whole.disk.operations;
  await salvage(whole.options);
  const operations = whole.disk.operations - before;
  for (let k = 0; k < operations; k++) {
    for (let seed = 0; seed < 10; seed++) {
      const { disk, options } = await folder([], seed);
      disk.crashAt = disk.operations + k;
      await salvage(options).catch(() => undefined);
      disk.crash();
      const paths = disk.paths();
      if (!paths.includes(`${TO}/node.json`)) continue;
      const names = paths.filter((path) => path.startsWith(TO) && !path.endsWith(".tmp"));
      assert.equal(names.length, 4, `operation ${k}, seed ${seed}`);
    }
  }
});

test("the newest snapshot that is whole counts where the one that is named is not", async () => {
  const { disk, options } = await folder();
  disk.flip(`${FROM}/${snapshotName({ vnodeId: 1, sequence: 2 })}`, 90, 0);
  const report = await salvage(options);
  assert.deepEqual(
    report.incomplete.map(({ id, through, throughAtMs, known }) => [
      id,
      through,
      throughAtMs,
      known,
    ]),
    [[1, 1, 5, 2]],
  );
  assert.ok(!isComplete(report));
  assert.equal(report.keys, 1 + 3);
  assert.equal(await keysIn(disk, 1, 1), 1);
});

test("a snapshot that no manifest names does not count, unless the manifest is damaged", async () => {
  const { disk, options } = await folder();
  const { partition } = testPartition(1);
  setStrings(partition, [["d", "d"]]);
  await writeSnapshot(options.fs, 3, partition);
  const other = disk.peek(`${FROM}/${snapshotName({ vnodeId: 2, sequence: 3 })}`);
  disk.put(`${FROM}/${snapshotName({ vnodeId: 4, sequence: 3 })}`, other);
  assert.equal((await salvage(options)).vnodes, 2);
  disk.flip(`${FROM}/manifest-00000001-000.json`, 30, 0);
  const report = await salvage({ ...options, to: "/other" });
  assert.equal(report.vnodes, 3);
  assert.match(report.damages[1]?.what ?? "", /it is snapshot-0000000002-.* under another name/);
});

test("a snapshot of a vnode that has none by its manifest does not count", async () => {
  const { options } = await folder([{ id: 3, sequence: 0 }]);
  const { partition } = testPartition(1);
  setStrings(partition, [["d", "d"]]);
  await writeSnapshot(options.fs, 3, partition);
  const report = await salvage(options);
  assert.equal(report.vnodes, 2);
  assert.ok(isComplete(report));
});

test("a snapshot that ends before its state does is not used, though its chunks are whole", async () => {
  const { disk, options } = await folder();
  const path = `${FROM}/${snapshotName({ vnodeId: 2, sequence: 3 })}`;
  const bytes = disk.peek(path);
  disk.put(path, Buffer.from(bytes.subarray(0, bytes.lastIndexOf("COTC"))));
  const report = await salvage(options);
  assert.match(report.damages[0]?.what ?? "", /its end is damaged or missing: it is not used/);
  assert.deepEqual(
    report.incomplete.map(({ id, through }) => [id, through]),
    [[2, 0]],
  );
});

test("the new folder is another node's, with the names of the old one", async () => {
  const { options } = await folder();
  await salvage({ ...options, clusterId: "configured", nodeName: "configured" });
  const fs = options.fs;
  const [old, made] = await Promise.all(
    [FROM, TO].map(async (path) =>
      JSON.parse(String(await fs.readWhole(`${path}/node.json`)).replace(/checksum.*\n/, "")),
    ),
  );
  assert.notEqual(made.nodeId, old.nodeId);
  assert.deepEqual([made.clusterId, made.nodeName, made.boot], ["c", "n", 1]);
  const { vnodes } = await readManifests(fs, TO, made.nodeId);
  assert.deepEqual([...vnodes.keys()], [1, 2]);
});
