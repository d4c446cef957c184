/** Opening a data folder: one owner, its own data, a new boot each time. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { CoterieError, type ErrorCode } from "../../../runtime/base/errors.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { sealText } from "../../../runtime/storage/checked-text.ts";
import { type DataFolderOptions, openDataFolder } from "../../../runtime/storage/data-folder.ts";
import { systemFiles } from "../../../runtime/storage/files.ts";
import { memoryFolderLock, systemFolderLock } from "../../../runtime/storage/folder-lock.ts";
import type { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { replaceFile } from "../../../runtime/storage/replace-file.ts";
import { FOLDER, newDisk } from "./support.ts";

function options(disk: MemoryDisk, more: Partial<DataFolderOptions> = {}): DataFolderOptions {
  return {
    fs: disk.mount(),
    lock: memoryFolderLock(),
    random: seeded(1),
    path: FOLDER,
    clusterId: "main",
    nodeName: "n1",
    partitions: [256, 16],
    pid: 4711,
    ...more,
  };
}

function code(wanted: ErrorCode, ...words: string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof CoterieError, String(error));
    assert.equal(error.code, wanted, error.message);
    for (const word of words) assert.ok(error.message.includes(word), error.message);
    return true;
  };
}

test("a folder keeps its identity and counts its boots, also through power failures", async () => {
  const disk = await newDisk();
  const first = await openDataFolder(options(disk));
  assert.ok(first.isNew);
  assert.match(first.nodeId, /^[0-9a-f]{16}$/);
  for (let boot = 2; boot < 8; boot++) {
    disk.crash();
    const next = await openDataFolder(options(disk, { random: seeded(boot) }));
    assert.deepEqual(
      [next.nodeId, next.hashKey, next.boot, next.isNew],
      [first.nodeId, first.hashKey, boot, false],
    );
  }
});

test("a folder of an earlier commit, with a seed of 32 bits, gets a key and keeps it", async () => {
  const disk = await newDisk();
  const first = await openDataFolder(options(disk));
  const fs = disk.mount();
  const path = `${first.path}/node.json`;
  const [json = ""] = (await fs.readWhole(path)).toString().split("checksum ");
  const earlier = json.replace(/"hashKey": "[0-9a-f]{16}"/, '"hashSeed": 7');
  await replaceFile(fs, first.path, "node.json", sealText(earlier));
  const second = await openDataFolder(options(disk, { random: seeded(2) }));
  const third = await openDataFolder(options(disk, { random: seeded(3) }));
  assert.match(second.hashKey, /^[0-9a-f]{16}$/);
  assert.deepEqual([third.hashKey, third.nodeId], [second.hashKey, first.nodeId]);
});

test("no boot number is used twice whatever operation the power fails at", async () => {
  for (let k = 0; k < 14; k++) {
    const disk = await newDisk(k);
    await openDataFolder(options(disk));
    disk.crashAt = disk.operations + k;
    const second = await openDataFolder(options(disk)).catch(() => undefined);
    disk.crash();
    const third = await openDataFolder(options(disk));
    assert.ok(third.boot > (second?.boot ?? 1));
  }
});

test("a boot is larger than any in a file's name", async () => {
  const disk = await newDisk();
  await openDataFolder(options(disk));
  disk.put(`${FOLDER}/journal-00000041-000-00000001.log`, Buffer.alloc(0));
  assert.equal((await openDataFolder(options(disk))).boot, 42);
});

test("a folder in use names its owner's pid, and is free after release", async () => {
  const disk = await newDisk();
  const lock = memoryFolderLock();
  const first = await openDataFolder(options(disk, { lock }));
  await assert.rejects(
    openDataFolder(options(disk, { lock, pid: 4712 })),
    code("DATA_FOLDER_IN_USE", "4711", FOLDER),
  );
  await first.release();
  await first.release();
  await openDataFolder(options(disk, { lock, pid: 4712 }));
});

test("a failed open releases the lock", async () => {
  const disk = await newDisk();
  const lock = memoryFolderLock();
  disk.put(`${FOLDER}/holiday.jpg`, Buffer.alloc(1));
  await assert.rejects(
    openDataFolder(options(disk, { lock })),
    code("DATA_FOLDER_FOREIGN", "holiday.jpg"),
  );
  disk.lose(`${FOLDER}/holiday.jpg`);
  await openDataFolder(options(disk, { lock }));
});

test("the folder of another cluster or node is refused and not touched", async () => {
  const disk = await newDisk();
  await openDataFolder(options(disk));
  const before = disk.peek(`${FOLDER}/node.json`);
  await assert.rejects(
    openDataFolder(options(disk, { clusterId: "other" })),
    code("DATA_FOLDER_FOREIGN", "main", "other"),
  );
  await assert.rejects(
    openDataFolder(options(disk, { nodeName: "n2" })),
    code("DATA_FOLDER_FOREIGN", "n1", "n2"),
  );
  assert.deepEqual(disk.peek(`${FOLDER}/node.json`), before);
});

test("temporary files that a crash left are removed", async () => {
  const disk = await newDisk();
  disk.put(`${FOLDER}/snapshot-1.snap.tmp`, Buffer.alloc(9));
  await openDataFolder(options(disk));
  assert.deepEqual(await disk.mount().list(FOLDER), ["node.json", "owner.lock", "owner.pid"]);
});

test("a read-only disk, missing rights and a full disk each say so", async () => {
  for (const [systemCode, wanted] of [
    ["EROFS", "DISK_READ_ONLY"],
    ["EACCES", "DATA_FOLDER_UNREADABLE"],
    ["ENOSPC", "DISK_FULL"],
    ["ENOTDIR", "DATA_FOLDER_UNREADABLE"],
  ] as const) {
    const disk = await newDisk();
    disk.fault = ({ kind, path }) =>
      kind === "create" && path !== FOLDER ? systemCode : undefined;
    await assert.rejects(openDataFolder(options(disk)), code(wanted, FOLDER));
  }
});

test("a folder whose name is too long is no failing disk", async () => {
  const disk = await newDisk();
  const real = { ...options(disk), fs: systemFiles };
  const path = `${tmpdir()}/${"x".repeat(300)}`;
  const wanted = code("DATA_FOLDER_UNREADABLE", "too long", "--data");
  await assert.rejects(openDataFolder({ ...real, path }), wanted);
  disk.fault = ({ kind, path: at }) =>
    kind === "create" && at !== FOLDER ? "ENAMETOOLONG" : undefined;
  await assert.rejects(openDataFolder(options(disk)), wanted);
});

test("a damaged or newer identity file is refused", async () => {
  const disk = await newDisk();
  await openDataFolder(options(disk));
  disk.flip(`${FOLDER}/node.json`, 30, 2);
  await assert.rejects(openDataFolder(options(disk)), code("CORRUPT", "node.json"));
  disk.put(`${FOLDER}/node.json`, sealText('{"format": 7}\n'));
  await assert.rejects(openDataFolder(options(disk)), code("FORMAT_UNKNOWN", "format 7"));
});

test("the machine's lock is exclusive for every name of a folder", async () => {
  const folder = await mkdtemp(`${tmpdir()}/coterie-folder-`);
  try {
    const real = { ...options(await newDisk()), fs: systemFiles, lock: systemFolderLock };
    const first = await openDataFolder({ ...real, path: `${folder}/data` });
    await assert.rejects(
      openDataFolder({ ...real, path: `${folder}/data/../data` }),
      code("DATA_FOLDER_IN_USE", "4711"),
    );
    await first.release();
    await (await openDataFolder({ ...real, path: `${folder}/data` })).release();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a keyspace keeps its partitions, also while it is not configured", async () => {
  const disk = await newDisk();
  await openDataFolder(options(disk));
  const changed = openDataFolder(options(disk, { partitions: [256, 32] }));
  await assert.rejects(changed, code("CONFIG_INVALID", "keyspace 1 has 16 partitions", FOLDER));
  for (const partitions of [[256], [256, 16, 64]])
    await openDataFolder(options(disk, { partitions }));
  const again = openDataFolder(options(disk, { partitions: [256, 16, 32] }));
  await assert.rejects(again, code("CONFIG_INVALID", "keyspace 2"));
});

test("a folder on a full disk is opened with a part of what is held back, or not at all", async () => {
  const disk = await newDisk();
  const reserve = `${FOLDER}/reserve-1`;
  const MB = 1024 * 1024;
  await openDataFolder(options(disk));
  disk.put(`${FOLDER}/reserve-0`, Buffer.alloc(0));
  disk.put(reserve, Buffer.alloc(2 * MB));
  disk.kill();
  disk.capacityBytes = disk.usedBytes;
  const { boot } = await openDataFolder(options(disk));
  assert.deepEqual([boot, disk.peek(reserve).length], [2, MB]);

  disk.kill();
  disk.lose(reserve);
  disk.capacityBytes = disk.usedBytes;
  const before = disk.paths();
  await assert.rejects(openDataFolder(options(disk)), code("DISK_FULL", "free some space"));
  assert.deepEqual(disk.paths(), before);
});
