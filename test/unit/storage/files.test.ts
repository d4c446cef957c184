/** One suite for every FileSystem, and what only the simulated disk can show. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { seeded } from "../../../runtime/base/prng.ts";
import {
  diskError,
  type FileSystem,
  isDiskFull,
  synced,
  systemCode,
  systemFiles,
} from "../../../runtime/storage/files.ts";
import { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { replaceFile } from "../../../runtime/storage/replace-file.ts";
import { emptyFolder } from "../../support/command-line.ts";
import { FOLDER, newDisk } from "./support.ts";

interface Subject {
  readonly name: string;
  run(use: (fs: FileSystem, folder: string) => Promise<void>): Promise<void>;
}

const subjects: Subject[] = [
  {
    name: "real",
    async run(use) {
      const folder = await mkdtemp(`${tmpdir()}/coterie-files-`);
      try {
        await use(systemFiles, folder);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  },
  {
    name: "memory",
    async run(use) {
      await use((await newDisk()).mount(), FOLDER);
    },
  },
];

for (const { name, run } of subjects) {
  test(`${name} files read back what was written, at any position`, () =>
    run(async (fs, folder) => {
      const file = await fs.create(`${folder}/a`, "new");
      file.writeSync(Buffer.from("..hello.."), 2, 5, 1000);
      await file.write(Buffer.from("world"), 0, 5, 1005);
      await synced(file);
      const target = Buffer.alloc(20);
      assert.equal(await file.read(target, 1, 19, 998), 12);
      assert.equal(target.toString("latin1", 1, 13), "\0\0helloworld");
      assert.equal(await file.size(), 1010);
      assert.equal((await fs.readWhole(`${folder}/a`)).length, 1010);
      assert.equal(await fs.size(`${folder}/a`), 1010);
      await file.truncate(1002);
      assert.equal(await file.read(target, 0, 20, 1000), 2);
      assert.equal(await file.read(target, 0, 20, 5000), 0);
      await file.close();
      await file.close();
    }));

  test(`${name} files rename over, list in order and remove`, () =>
    run(async (fs, folder) => {
      for (const name of ["b", "c", "a"]) await replaceFile(fs, folder, name, Buffer.from(name));
      await fs.rename(`${folder}/c`, `${folder}/a`);
      assert.deepEqual(await fs.list(folder), ["a", "b"]);
      assert.equal(String(await fs.readWhole(`${folder}/a`)), "c");
      await fs.remove(`${folder}/b`);
      await fs.remove(`${folder}/b`);
      await fs.syncFolder(folder);
      assert.deepEqual(await fs.list(folder), ["a"]);
      assert.equal(await fs.realPath(folder), folder);
    }));

  test(`${name} files say what is missing and what is already there`, () =>
    run(async (fs, folder) => {
      const code = (wanted: string) => (error: unknown) => systemCode(error) === wanted;
      await assert.rejects(fs.open(`${folder}/none`, "read"), code("ENOENT"));
      await assert.rejects(fs.readWhole(`${folder}/none`), code("ENOENT"));
      await assert.rejects(fs.size(`${folder}/none`), code("ENOENT"));
      await assert.rejects(fs.list(`${folder}/none`), code("ENOENT"));
      await (await fs.create(`${folder}/a`, "new")).close();
      await assert.rejects(fs.create(`${folder}/a`, "new"), code("EEXIST"));
      await (await fs.create(`${folder}/a`, "replace")).close();
    }));

  test(`${name} files know whether their path still leads to them`, () =>
    run(async (fs, folder) => {
      const file = await fs.create(`${folder}/a`, "new");
      assert.ok(await file.isInPlace());
      await fs.rename(`${folder}/a`, `${folder}/b`);
      assert.ok(!(await file.isInPlace()), "it was moved away");
      const other = await fs.create(`${folder}/a`, "new");
      assert.ok(!(await file.isInPlace()), "another one is there");
      assert.ok(await other.isInPlace());
      await fs.remove(`${folder}/a`);
      assert.ok(!(await other.isInPlace()), "it was removed");
      await file.close();
      await other.close();
    }));

  test(`${name} folders are made with their parents and may exist`, () =>
    run(async (fs, folder) => {
      await fs.makeFolder(`${folder}/x/y`);
      await fs.makeFolder(`${folder}/x/y`);
      assert.deepEqual(await fs.list(`${folder}/x/y`), []);
    }));
}

async function written(disk: MemoryDisk, bytes: number, value: number, sync: boolean) {
  const fs = disk.mount();
  const file = await fs.create(`${FOLDER}/f`, "replace");
  await file.write(Buffer.alloc(bytes, value), 0, bytes, 0);
  if (sync) await synced(file);
  return file;
}

test("a power failure keeps what was synced, with its name", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const disk = await newDisk(seed);
    await written(disk, 2000, 7, true);
    await disk.mount().syncFolder(FOLDER);
    disk.crash();
    assert.deepEqual(disk.peek(`${FOLDER}/f`), Buffer.alloc(2000, 7));
  }
});

test("a power failure keeps any of the unsynced sectors, each whole", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const disk = await newDisk(seed);
    const file = await written(disk, 1536, 1, true);
    await disk.mount().syncFolder(FOLDER);
    file.writeSync(Buffer.alloc(1536, 2), 0, 1536, 0);
    disk.crash();
    const bytes = disk.peek(`${FOLDER}/f`);
    for (let sector = 0; sector < 3; sector++) {
      assert.equal(new Set(bytes.subarray(sector * 512, (sector + 1) * 512)).size, 1);
    }
    seen.add([0, 512, 1024].map((at) => bytes[at]).join());
  }
  assert.equal(seen.size, 8);
});

test("a name that was not synced with its folder may be lost", async () => {
  let lost = 0;
  for (let seed = 0; seed < 50; seed++) {
    const disk = await newDisk(seed);
    await written(disk, 10, 1, true);
    disk.crash();
    if (disk.paths().length === 0) lost++;
  }
  assert.ok(lost > 5 && lost < 45);
});

test("a sync covers what was written before it began, not after", async () => {
  let kept = 0;
  for (let seed = 0; seed < 60; seed++) {
    const disk = await newDisk(seed);
    const file = await written(disk, 512, 1, true);
    await disk.mount().syncFolder(FOLDER);
    file.writeSync(Buffer.alloc(512, 2), 0, 512, 0);
    const done = synced(file);
    file.writeSync(Buffer.alloc(512, 3), 0, 512, 0);
    await done;
    disk.crash();
    const value = disk.peek(`${FOLDER}/f`)[0];
    assert.notEqual(value, 1);
    if (value === 3) kept++;
  }
  assert.ok(kept > 10 && kept < 50);
});

test("a failed sync loses pages for good though the next one succeeds", async () => {
  let lost = 0;
  for (let seed = 0; seed < 60; seed++) {
    const disk = await newDisk(seed);
    const file = await written(disk, 512, 1, true);
    await disk.mount().syncFolder(FOLDER);
    file.writeSync(Buffer.alloc(512, 2), 0, 512, 0);
    disk.fault = ({ kind }) => (kind === "sync" ? "EIO" : undefined);
    await assert.rejects(synced(file), (error) => systemCode(error) === "EIO");
    disk.fault = () => undefined;
    await synced(file);
    assert.equal(disk.peek(`${FOLDER}/f`)[0], 2, "the page cache shows it all the same");
    disk.crash();
    if (disk.peek(`${FOLDER}/f`)[0] === 1) lost++;
  }
  assert.ok(lost > 10 && lost < 50);
});

test("a full disk refuses what does not fit, and only that", async () => {
  const disk = new MemoryDisk({ random: seeded(1), capacityBytes: 1000 });
  const fs = disk.mount();
  await fs.makeFolder(FOLDER);
  const file = await fs.create(`${FOLDER}/f`, "new");
  file.writeSync(Buffer.alloc(900), 0, 900, 0);
  assert.throws(() => file.writeSync(Buffer.alloc(200, 1), 0, 200, 900), isDiskFull);
  assert.equal(await file.size(), 1000);
  file.writeSync(Buffer.alloc(1000, 2), 0, 1000, 0);
});

test("a small file that does not fit leaves nothing behind, and what it was to replace", async () => {
  const disk = await newDisk();
  const fs = disk.mount();
  await replaceFile(fs, FOLDER, "f", Buffer.from("before"));
  disk.capacityBytes = disk.usedBytes + 3;
  await assert.rejects(replaceFile(fs, FOLDER, "f", Buffer.from("after")), isDiskFull);
  assert.deepEqual(await fs.list(FOLDER), ["f"]);
  assert.equal(String(await fs.readWhole(`${FOLDER}/f`)), "before");
});

test("a folder in a file's place is to be moved away: nothing is wrong with the disk", async () => {
  using folder = emptyFolder();
  const path = `${folder.path}/f`;
  await systemFiles.makeFolder(path);
  const uses = [
    () => replaceFile(systemFiles, folder.path, "f", Buffer.from("f")),
    () => systemFiles.readWhole(path),
    () => systemFiles.remove(path),
  ];
  for (const use of uses) {
    const named = async () => {
      await use().catch((error: unknown) => {
        throw diskError(error, "use", path);
      });
    };
    await assert.rejects(named(), {
      code: "DATA_FOLDER_UNREADABLE",
      message: /a folder is in the file's place; move it away/,
    });
  }
});

test("after a kill everything written is there and earlier handles are dead", async () => {
  const disk = await newDisk();
  const file = await written(disk, 100, 9, false);
  disk.kill();
  assert.throws(() => file.writeSync(Buffer.alloc(1), 0, 1, 0));
  assert.deepEqual(await disk.mount().readWhole(`${FOLDER}/f`), Buffer.alloc(100, 9));
});

test("the same seed leaves the same bytes", async () => {
  const run = async () => {
    const disk = await newDisk(3);
    const file = await written(disk, 4096, 1, true);
    file.writeSync(Buffer.alloc(4096, 2), 0, 4096, 0);
    await disk.mount().syncFolder(FOLDER);
    disk.crash();
    return disk.peek(`${FOLDER}/f`);
  };
  assert.deepEqual(await run(), await run());
});
