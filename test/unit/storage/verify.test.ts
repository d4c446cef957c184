/** Files at rest are verified whole: what has a checksum is checked, what is gone is said to be. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { systemFiles, uncachedFiles } from "../../../runtime/storage/files.ts";
import type { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { SnapshotWriter } from "../../../runtime/storage/snapshot.ts";
import { verifyFile } from "../../../runtime/storage/verify.ts";
import { append, FOLDER, newDisk, openJournal, until } from "./support.ts";

const JOURNAL = "journal-00000001-000-00000001.log";

async function withFiles(): Promise<{ disk: MemoryDisk; snapshot: string; end: number }> {
  const disk = await newDisk();
  const info = { vnodeId: 1, sequence: 5, createdMs: 0 };
  const writer = await SnapshotWriter.create(disk.mount(), FOLDER, info);
  for (const text of ["a chunk", "another"]) await writer.chunk(Buffer.from(text), 0, 7);
  const { name } = await writer.finish();
  const { journal } = await openJournal(disk.mount());
  for (let sequence = 1; sequence <= 3; sequence++) {
    append(journal, 1, sequence, "x".repeat(300));
    journal.commit();
    await until(() => journal.durableThrough === sequence);
  }
  return { disk, snapshot: name, end: journal.fileOffset };
}

test("a snapshot and a journal file are whole, or damaged where a bit was flipped", async () => {
  const { disk, snapshot, end } = await withFiles();
  const verify = (name: string) => verifyFile(disk.mount(), { folder: FOLDER, name, end });
  for (const name of [snapshot, JOURNAL]) {
    assert.equal((await verify(name)).kind, "whole");
    const bytes = disk.peek(`${FOLDER}/${name}`).length;
    for (let at = 0; at < Math.min(end, bytes); at += at < 40 ? 1 : 7) {
      disk.flip(`${FOLDER}/${name}`, at, at % 8);
      const found = await verify(name);
      assert.equal(found.kind, "damaged", `${name}, byte ${at}`);
      if (found.kind === "damaged") assert.ok(found.damage.offset <= at + 16);
      disk.flip(`${FOLDER}/${name}`, at, at % 8);
    }
  }
});

test("what comes after the end of a journal file is not looked at, and less than that is damage", async () => {
  const { disk, end } = await withFiles();
  const path = `${FOLDER}/${JOURNAL}`;
  disk.flip(path, end + 3, 0);
  const verify = () => verifyFile(disk.mount(), { folder: FOLDER, name: JOURNAL, end });
  assert.equal((await verify()).kind, "whole");
  disk.put(path, Buffer.from(disk.peek(path).subarray(0, end - 512)));
  assert.equal((await verify()).kind, "damaged");
  disk.lose(path);
  assert.equal((await verify()).kind, "gone");
});

test("a disk that does not give a file's bytes is damage; another error says nothing", async () => {
  const { disk, snapshot, end } = await withFiles();
  const args = { folder: FOLDER, name: snapshot, end };
  for (const [code, isDamage] of [
    ["EIO", true],
    ["EMFILE", false],
  ] as const) {
    const fs = {
      open: () => Promise.reject(Object.assign(new Error(code), { code })),
    };
    for (const name of [snapshot, JOURNAL]) {
      const found = verifyFile(fs, { ...args, name });
      if (isDamage) assert.equal((await found).kind, "damaged");
      else await assert.rejects(found);
    }
  }
  assert.equal((await verifyFile(disk.mount(), args)).kind, "whole");
});

test("reads past the page cache give the same bytes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "coterie-uncached-"));
  const random = seeded(3);
  for (const length of [0, 1, 4095, 4096, 1_048_576, 2_500_001]) {
    const path = join(folder, `${length}`);
    const bytes = Buffer.from(Uint8Array.from({ length }, () => random.u32()));
    writeFileSync(path, bytes);
    const [cached, uncached] = [
      await systemFiles.open(path, "read"),
      await uncachedFiles.open(path, "read"),
    ];
    assert.equal(await uncached.size(), length);
    for (let i = 0; i < 20; i++) {
      const at = below(random, length + 100);
      const wanted = below(random, i === 0 ? 3_000_000 : 5000);
      const [one, two] = [Buffer.alloc(wanted), Buffer.alloc(wanted)];
      const count = await cached.read(one, 0, wanted, at);
      assert.equal(await uncached.read(two, 0, wanted, at), count);
      assert.ok(one.equals(two), `${wanted} bytes at ${at} of ${length}`);
    }
    await cached.close();
    await uncached.close();
  }
  rmSync(folder, { recursive: true });
});
