/** The snapshot container: whole or refused, with file and offset. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CoterieError } from "../../../runtime/base/errors.ts";
import type { File, FileSystem } from "../../../runtime/storage/files.ts";
import {
  readSnapshot,
  SNAPSHOT_CHUNK_BYTES_MAX,
  SnapshotWriter,
  snapshotName,
  unlistedSnapshots,
} from "../../../runtime/storage/snapshot.ts";
import { FOLDER, newDisk } from "./support.ts";

const INFO = { vnodeId: 65_540, sequence: 12_345, createdMs: 1_800_000_000_000 };
const PATH = `${FOLDER}/${snapshotName(INFO)}`;

async function write(fs: FileSystem, chunks: readonly Uint8Array[]): Promise<string> {
  const writer = await SnapshotWriter.create(fs, FOLDER, INFO);
  for (const chunk of chunks) await writer.chunk(Buffer.from(chunk), 0, chunk.length);
  return (await writer.finish()).name;
}

async function read(fs: FileSystem): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  const info = await readSnapshot(fs, PATH, (bytes, start, end) => {
    chunks.push(Buffer.from(bytes.subarray(start, end)));
  });
  assert.deepEqual(info, INFO);
  return chunks;
}

const chunksOf = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 6 });

test("chunks come back as they were given", async () => {
  await fc.assert(
    fc.asyncProperty(chunksOf, async (chunks) => {
      const fs = (await newDisk()).mount();
      await write(fs, chunks);
      assert.deepEqual(
        await read(fs),
        chunks.map((chunk) => Buffer.from(chunk)),
      );
    }),
    { numRuns: 100 },
  );
});

test("full chunks are read once, in a call each", async () => {
  const fs = (await newDisk()).mount();
  const chunks = Array.from({ length: 3 }, (_, i) => Buffer.alloc(SNAPSHOT_CHUNK_BYTES_MAX, i + 1));
  await write(fs, chunks);
  let calls = 0;
  const open: FileSystem["open"] = async (path, mode) => {
    const file = await fs.open(path, mode);
    const read: File["read"] = (...args) => {
      calls++;
      return file.read(...args);
    };
    return { ...file, read };
  };
  assert.deepEqual(await read({ ...fs, open }), chunks);
  assert.ok(calls <= 2 + chunks.length, `${calls} calls`);
});

test("any flipped bit, any cut and any byte too many is refused with its file", async () => {
  const damage = fc.record({ at: fc.nat(), bit: fc.nat(7), how: fc.nat(2) });
  await fc.assert(
    fc.asyncProperty(chunksOf, damage, async (chunks, { at, bit, how }) => {
      const disk = await newDisk();
      await write(disk.mount(), chunks);
      const bytes = disk.peek(PATH);
      if (how === 0) disk.flip(PATH, at % bytes.length, bit);
      else if (how === 1) disk.put(PATH, bytes.subarray(0, at % bytes.length));
      else disk.put(PATH, Buffer.concat([bytes, Buffer.alloc(1 + (at % 600))]));
      await assert.rejects(read(disk.mount()), (error) => {
        assert.ok(error instanceof CoterieError);
        assert.ok(error.code === "CORRUPT" || error.code === "FORMAT_UNKNOWN");
        return error.message.includes(PATH);
      });
    }),
    { numRuns: 300 },
  );
});

test("a chunk whose length is damaged is damage, whatever it says", async () => {
  const lengthAt = 64 + 8;
  for (let bit = 0; bit < 32; bit++) {
    const disk = await newDisk();
    await write(disk.mount(), [Buffer.from("hello")]);
    disk.flip(PATH, lengthAt + (bit >> 3), bit & 7);
    await assert.rejects(read(disk.mount()), { code: "CORRUPT" });
  }
});

test("the largest chunk is read back and a larger one is a bug", async () => {
  const fs = (await newDisk()).mount();
  await write(fs, [Buffer.alloc(1024 * 1024, 5), Buffer.alloc(1024 * 1024, 6)]);
  assert.deepEqual(
    (await read(fs)).map((chunk) => chunk.length),
    [1 << 20, 1 << 20],
  );
  const writer = await SnapshotWriter.create(fs, FOLDER, INFO);
  await assert.rejects(writer.chunk(Buffer.alloc(1024 * 1024 + 1), 0, 1024 * 1024 + 1));
});

test("a finished snapshot survives a power failure, an unfinished one has no name", async () => {
  for (let seed = 0; seed < 30; seed++) {
    const disk = await newDisk(seed);
    const fs = disk.mount();
    const writer = await SnapshotWriter.create(fs, FOLDER, INFO);
    await writer.chunk(Buffer.from("half"), 0, 4);
    assert.equal((await fs.list(FOLDER)).includes(snapshotName(INFO)), false);
    await writer.finish();
    await fs.syncFolder(FOLDER);
    disk.crash();
    assert.deepEqual(await read(disk.mount()), [Buffer.from("half")]);
  }
});

test("a full disk leaves nothing behind", async () => {
  const isFull = (error: unknown) => error instanceof CoterieError && error.code === "DISK_FULL";
  for (const [capacity, length] of [
    [300, 500],
    [300_000, 400_000],
  ] as const) {
    const disk = await newDisk();
    const fs = disk.mount();
    disk.capacityBytes = capacity;
    const writer = await SnapshotWriter.create(fs, FOLDER, INFO);
    const write = async () => {
      await writer.chunk(Buffer.alloc(length), 0, length);
      await writer.finish();
    };
    await assert.rejects(write(), isFull);
    assert.deepEqual(await fs.list(FOLDER), []);
  }
});

test("pieces of any size come out as they went in, small ones in few writes", async () => {
  const disk = await newDisk();
  const lengths = [1, 100, 64_000, 63_000, 5, 131_000, 131_072, 131_073, 200_000, 7, 131_072, 3];
  const chunks = lengths.map((length, i) => Buffer.alloc(length, i + 1));
  await write(disk.mount(), chunks);
  assert.deepEqual(await read(disk.mount()), chunks);
  let writes = 0;
  const fs = disk.mount();
  const create = fs.create.bind(fs);
  fs.create = async (...args) => {
    const file = await create(...args);
    const writeTo = file.write.bind(file);
    file.write = (...what) => {
      writes++;
      return writeTo(...what);
    };
    return file;
  };
  await write(fs, [Buffer.alloc(50_000, 1), Buffer.alloc(50_000, 2)]);
  assert.equal(writes, 1);
});

test("a missing snapshot is damage, not an empty vnode", async () => {
  const fs = (await newDisk()).mount();
  await assert.rejects(read(fs), (error) => (error as CoterieError).code === "CORRUPT");
});

test("a snapshot that is not the listed one of its vnode is unlisted, a stranger's is not", () => {
  const name = (vnodeId: number, sequence: number) => snapshotName({ vnodeId, sequence });
  const names = [name(1, 5), name(1, 9), name(1, 12), name(2, 3), name(3, 1), "node.json"];
  const listed = new Map([[1, { snapshot: name(1, 9) }]]);
  const others = unlistedSnapshots(names, listed, (vnodeId) => vnodeId < 3);
  assert.deepEqual(others, [name(1, 5), name(1, 12), name(2, 3)]);
});
