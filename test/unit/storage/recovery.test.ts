/** Recovery: what is a torn tail, what is damage, and in which order ops come back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { writeU16, writeU32 } from "../../../runtime/base/bytes.ts";
import type { CoterieError } from "../../../runtime/base/errors.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import type { FileUse } from "../../../runtime/storage/file-space.ts";
import { journalFileName } from "../../../runtime/storage/journal-format.ts";
import { noManifests, writeManifest } from "../../../runtime/storage/manifest.ts";
import type { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { recover } from "../../../runtime/storage/recovery.ts";
import { manifestFiles } from "../../../runtime/storage/survey.ts";
import { code, edit, FIRST, fiveFrames } from "./five-frames.ts";
import {
  append,
  commitNow,
  FOLDER,
  NODE_ID,
  newDisk,
  openJournal,
  recoverStates,
  turns,
  until,
  type Written,
} from "./support.ts";

test("a flipped bit in a frame that was durable names the file and the offset", async () => {
  const { disk, frames } = await fiveFrames();
  const third = frames[2] as Written;
  disk.flip(third.path, third.offset + 120, 3);
  await assert.rejects(recoverStates(disk.mount()), (error) => {
    assert.ok(code("CORRUPT", FIRST)(error));
    assert.equal((error as CoterieError).detail.offset, third.offset);
    assert.match((error as CoterieError).message, new RegExp(`offset ${third.offset}`));
    return true;
  });
});

test("what snapshots hold is not read at the beginning of a file, and skipped behind it", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  const commit = async () => {
    const written = journal.writtenThrough + 1;
    journal.commit();
    await until(() => journal.durableThrough === written);
  };
  for (const sequence of [1, 2]) append(journal, 1, sequence, `op ${sequence}`);
  append(journal, 2, 1, "other 1");
  await commit();
  append(journal, 3, 1, "third 1");
  await commit();
  append(journal, 1, 3, "op 3");
  await commit();
  for (const sequence of [4, 5]) append(journal, 1, sequence, `op ${sequence}`);
  await commit();
  const vnodes = [
    { id: 1, snapshot: "one", sequence: 4 },
    { id: 2, snapshot: "two", sequence: 1 },
  ];
  const files = journal.files().map(({ name, firstCommit }) => ({ name, firstCommit }));
  const manifest = { nodeId: NODE_ID, boot: 1, worker: 0, vnodes, files };
  await writeManifest(disk.mount(), FOLDER, manifest);
  const { states, skipped } = await recoverStates(disk.mount());
  assert.deepEqual(
    [states.get(1), states.get(2), states.get(3)],
    [["op 5"], undefined, ["third 1"]],
  );
  assert.equal(skipped, 2);
});

test("a frame whose header is damaged is said of the file that held it", async () => {
  // Three frames a file, or one.
  for (const bytes of [1500, 6000]) {
    const disk = await newDisk();
    const { journal } = await openJournal(disk.mount());
    const frames: Written[] = [];
    for (let sequence = 1; journal.fileNumber < 4; sequence++) {
      const text = "v".repeat(bytes);
      append(journal, 1, sequence, text);
      frames.push(await commitNow(disk, journal, [text]));
      await until(() => journal.durableThrough === sequence);
      await turns(30);
    }
    for (const { path, offset } of frames.slice(0, -2)) {
      disk.flip(path, offset + 1, 3);
      await assert.rejects(recoverStates(disk.mount()), (error) => {
        assert.ok(code("CORRUPT", path)(error));
        assert.equal((error as CoterieError).detail.offset, offset);
        return true;
      });
      disk.flip(path, offset + 1, 3);
    }
  }
});

test("a damaged last frame is the torn tail", async () => {
  const { disk, frames } = await fiveFrames();
  disk.flip(FIRST, (frames[4] as Written).offset + 120, 3);
  const { states } = await recoverStates(disk.mount());
  assert.equal(states.get(1)?.length, 4);
});

test("zeros and garbage after the last frame are no frames", async () => {
  for (const fill of [0, 0xff, 0x43]) {
    const { disk, frames } = await fiveFrames();
    const last = frames[4] as Written;
    edit(disk, FIRST, (bytes) => bytes.fill(fill, last.offset + 512));
    assert.equal((await recoverStates(disk.mount())).states.get(1)?.length, 5);
  }
});

test("a file of zeros, an empty one and one of a byte were never used", async () => {
  const { disk } = await fiveFrames();
  const name = (number: number) => `${FOLDER}/${journalFileName({ boot: 1, worker: 1, number })}`;
  disk.put(name(1), Buffer.alloc(4096));
  disk.put(name(2), Buffer.alloc(0));
  disk.put(name(3), Buffer.from([0x43]));
  assert.equal((await recoverStates(disk.mount())).states.get(1)?.length, 5);
});

test("a length of 0xffffffff or past the end is damage, not a reason to read on", async () => {
  for (const length of [0xffffffff, 0x10000, 0, 4]) {
    const { disk, frames } = await fiveFrames();
    const last = frames[4] as Written;
    edit(disk, FIRST, (bytes) => {
      writeU32(bytes, last.offset + 56, length);
      return bytes;
    });
    assert.equal((await recoverStates(disk.mount())).states.get(1)?.length, 4);
  }
});

test("a file cut short inside a frame is corruption: no crash leaves that", async () => {
  const { disk, frames } = await fiveFrames();
  const last = frames[4] as Written;
  edit(disk, FIRST, (bytes) => Buffer.from(bytes.subarray(0, last.offset + 200)));
  await assert.rejects(recoverStates(disk.mount()), code("CORRUPT", FIRST));
});

test("a damaged file header before durable frames is corruption", async () => {
  const { disk } = await fiveFrames();
  disk.flip(FIRST, 20, 1);
  await assert.rejects(recoverStates(disk.mount()), code("CORRUPT", FIRST));
});

test("an unknown format is refused by its number", async () => {
  const { disk } = await fiveFrames();
  edit(disk, FIRST, (bytes) => {
    writeU16(bytes, 4, 9);
    return bytes;
  });
  await assert.rejects(recoverStates(disk.mount()), (error) => {
    return code("FORMAT_UNKNOWN", FIRST)(error) && /format 9/.test(String(error));
  });
});

test("a journal of another node is refused", async () => {
  const { disk } = await fiveFrames();
  const options = { fs: disk.mount(), folder: FOLDER, filter: () => true, onOp: () => undefined };
  await assert.rejects(
    recover({ ...options, nodeId: "ffffffffffffffff", manifests: noManifests }),
    code("DATA_FOLDER_FOREIGN", FIRST),
  );
});

/** A journal over several files, everything durable. */
async function manyFiles(): Promise<{ disk: MemoryDisk; names: string[]; ops: number }> {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  let sequence = 0;
  while (journal.fileNumber < 4) {
    append(journal, 1, ++sequence, "x".repeat(700));
    journal.commit();
    await until(() => journal.durableThrough === sequence);
    await turns(30);
  }
  await journal.close();
  return { disk, names: journal.files().map(({ name }) => name), ops: sequence };
}

test("a missing middle file is corruption once later frames prove it was durable", async () => {
  const { disk, names } = await manyFiles();
  disk.lose(`${FOLDER}/${names[1]}`);
  await assert.rejects(recoverStates(disk.mount()), (error) => {
    return code("CORRUPT")(error) && /missing file/.test(String(error));
  });
});

test("a missing first file is corruption", async () => {
  const { disk, names } = await manyFiles();
  disk.lose(`${FOLDER}/${names[0]}`);
  await assert.rejects(recoverStates(disk.mount()), code("CORRUPT"));
});

test("a file that a manifest lists must be there", async () => {
  const { disk, names } = await manyFiles();
  const last = names[names.length - 1] as string;
  await writeManifest(disk.mount(), FOLDER, {
    nodeId: NODE_ID,
    boot: 1,
    worker: 0,
    vnodes: [],
    files: names.map((name) => ({ name, firstCommit: 1 })),
  });
  disk.lose(`${FOLDER}/${last}`);
  await assert.rejects(recoverStates(disk.mount()), code("CORRUPT", `${FOLDER}/${last}`));
});

test("files that no manifest lists any more are left over, not read", async () => {
  const { disk, ops } = await manyFiles();
  const fs = disk.mount();
  const surveyed = await recover({
    fs,
    folder: FOLDER,
    nodeId: NODE_ID,
    manifests: noManifests,
    filter: () => true,
    onOp: () => undefined,
  });
  const first = surveyed.survey.files[1]?.firstCommit ?? 0;
  await writeManifest(fs, FOLDER, {
    nodeId: NODE_ID,
    boot: 1,
    worker: 0,
    vnodes: [{ id: 1, snapshot: "snapshot", sequence: first - 1 }],
    files: surveyed.survey.files.slice(1).map(({ name, firstCommit }) => ({ name, firstCommit })),
  });
  assert.equal((await recoverStates(fs)).states.get(1)?.length, ops - first + 1);
});

test("frames of an earlier use of a recycled file are never read", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  let sequence = 0;
  const write = async (bytes: number) => {
    append(journal, 1, ++sequence, "x".repeat(bytes));
    journal.commit();
    await until(() => journal.durableThrough === sequence);
    await turns(30);
  };
  while (journal.fileNumber < 2) await write(700);
  const [first] = journal.files();
  journal.recycle(first as FileUse);
  while (journal.fileNumber < 4) await write(700);
  // The recycled file is in use, its old frames lie behind the new ones.
  await write(10);
  const path = `${FOLDER}/${journalFileName({ boot: 1, worker: 0, number: journal.fileNumber })}`;
  const frames = disk.peek(path).toString("latin1").split("COTF").length - 1;
  const uses = journal.files();
  assert.ok(frames > 3 || uses.length > 2);
  await writeManifest(disk.mount(), FOLDER, {
    nodeId: NODE_ID,
    boot: 1,
    worker: 0,
    vnodes: [
      {
        id: 1,
        snapshot: "snapshot",
        sequence: (uses[0] as { firstCommit: number }).firstCommit - 1,
      },
    ],
    files: uses.map(({ name, firstCommit }) => ({ name, firstCommit })),
  });
  disk.crash();
  const { states } = await recoverStates(disk.mount());
  assert.equal(states.get(1)?.length, sequence - (uses[0]?.firstCommit ?? 0) + 1);
});

test("an op is proven durable by any later frame that says so", async () => {
  const { disk } = await fiveFrames();
  const { unproven } = await recoverStates(disk.mount());
  assert.deepEqual(unproven, ["op 5"]);
});

test("a second recovery does not read past the first one's truncation", async () => {
  const { disk, frames } = await fiveFrames();
  const last = frames[4] as Written;
  const fs = disk.mount();
  edit(disk, FIRST, (bytes) => bytes.fill(0, last.offset, last.offset + 512));
  const { survey } = await recover({
    fs,
    folder: FOLDER,
    nodeId: NODE_ID,
    manifests: noManifests,
    filter: () => true,
    onOp: () => undefined,
  });
  const files = manifestFiles(survey);
  await writeManifest(fs, FOLDER, { nodeId: NODE_ID, boot: 2, worker: 0, vnodes: [], files });
  // The page comes back (a flaky disk, a lying cache), and meanwhile another op took its number.
  edit(disk, FIRST, (bytes) => {
    last.bytes.copy(bytes, last.offset);
    return bytes;
  });
  const { journal } = await openJournal(fs, { boot: 2, random: seeded(9) });
  append(journal, 1, 5, "another fifth op");
  await journal.close();
  const { states } = await recoverStates(fs);
  assert.deepEqual(states.get(1)?.slice(3), ["op 4", "another fifth op"]);
});

test("a file of an earlier boot that the newest manifests do not list is left over", async () => {
  const { disk } = await fiveFrames();
  const fs = disk.mount();
  await writeManifest(fs, FOLDER, {
    nodeId: NODE_ID,
    boot: 2,
    worker: 0,
    vnodes: [{ id: 1, snapshot: "snapshot", sequence: 5 }],
    files: [],
  });
  // Damage in it is of no interest any more.
  disk.flip(FIRST, 700, 1);
  assert.equal((await recoverStates(fs)).states.size, 0);
});

test("unsynced frames in a recycled file are lost or found, never taken for damage", async () => {
  for (let seed = 0; seed < 60; seed++) {
    const disk = await newDisk(seed);
    const { journal } = await openJournal(disk.mount(), { random: seeded(seed) });
    let sequence = 0;
    const write = async (durable: boolean) => {
      append(journal, 1, ++sequence, "x".repeat(700), durable);
      journal.commit();
      await turns(40);
    };
    while (journal.fileNumber < 2) await write(true);
    journal.recycle(journal.files()[0] as FileUse);
    const files = journal.files().map(({ name, firstCommit }) => ({ name, firstCommit }));
    const before = (files[0]?.firstCommit ?? 1) - 1;
    await writeManifest(disk.mount(), FOLDER, {
      nodeId: NODE_ID,
      boot: 1,
      worker: 0,
      vnodes: [{ id: 1, snapshot: "snapshot", sequence: before }],
      files,
    });
    await write(true);
    const durable = journal.durableThrough;
    while (journal.fileNumber < 3) await write(false);
    for (let i = 0; i < 3; i++) await write(false);
    disk.crash();
    const { states } = await recoverStates(disk.mount());
    assert.ok((states.get(1)?.length ?? 0) >= durable - before);
  }
});
