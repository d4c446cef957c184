/** Recovery: what is a torn tail, what is damage, and in which order ops come back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { writeU16, writeU32 } from "../../../runtime/base/bytes.ts";
import { CoterieError, type ErrorCode } from "../../../runtime/base/errors.ts";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import type { Journal } from "../../../runtime/storage/journal.ts";
import { journalFileName } from "../../../runtime/storage/journal-format.ts";
import { noManifests, writeManifest } from "../../../runtime/storage/manifest.ts";
import type { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { recover } from "../../../runtime/storage/recovery.ts";
import { manifestFiles } from "../../../runtime/storage/survey.ts";
import {
  append,
  FOLDER,
  NODE_ID,
  newDisk,
  openJournal,
  recoverStates,
  turns,
  until,
} from "./support.ts";

const FIRST = `${FOLDER}/${journalFileName({ boot: 1, worker: 0, number: 1 })}`;

function code(wanted: ErrorCode, path?: string) {
  return (error: unknown) =>
    error instanceof CoterieError &&
    error.code === wanted &&
    (path === undefined || (error.detail.path === path && error.message.includes(path)));
}

/** A frame as the test saw it being written. */
interface Written {
  readonly path: string;
  readonly offset: number;
  readonly bytes: Buffer;
  readonly commit: number;
  readonly claim: number;
  readonly ops: readonly string[];
}

async function commitNow(disk: MemoryDisk, journal: Journal, ops: string[]): Promise<Written> {
  const before = journal.writtenThrough;
  let claim = journal.durableThrough;
  journal.commit();
  for (let i = 0; i < 500 && journal.writtenThrough === before; i++) {
    claim = journal.durableThrough;
    await Promise.resolve();
  }
  assert.equal(journal.writtenThrough, before + 1);
  const { boot, worker } = { boot: 1, worker: 0 };
  const path = `${FOLDER}/${journalFileName({ boot, worker, number: journal.fileNumber })}`;
  const end = journal.fileOffset;
  const all = disk.peek(path);
  let offset = end - 512;
  while (all.toString("latin1", offset, offset + 4) !== "COTF") offset -= 512;
  const bytes = Buffer.from(all.subarray(offset, end));
  claim = Number(bytes.readBigUInt64LE(48));
  return { path, offset, bytes, commit: before + 1, claim, ops };
}

/** A journal of random frames; some are synced, some are not. */
async function randomJournal(disk: MemoryDisk, random: Random): Promise<Written[]> {
  const { journal } = await openJournal(disk.mount(), { random });
  const frames: Written[] = [];
  let sequence = 0;
  const count = 2 + below(random, 16);
  const durability = below(random, 3);
  for (let i = 0; i < count; i++) {
    const ops: string[] = [];
    for (let n = 1 + below(random, 3); n > 0; n--) {
      const text = `${++sequence}:`.padEnd(4 + below(random, 900), "z");
      append(journal, 1, sequence, text, durability > below(random, 3));
      ops.push(text);
    }
    frames.push(await commitNow(disk, journal, ops));
    await turns(below(random, 14));
    if (below(random, 10) === 0) journal.syncNow();
  }
  return frames;
}

type Verdict = { readonly kind: "ops"; readonly ops: string[] } | { readonly kind: "corrupt" };

/** Judges by comparing the disk's bytes with what was written: knows nothing of the format. */
function oracle(disk: MemoryDisk, frames: readonly Written[]): Verdict {
  const there = new Set(disk.paths());
  const on = (frame: Written, length: number): boolean => {
    if (!there.has(frame.path)) return false;
    const part = disk.peek(frame.path).subarray(frame.offset, frame.offset + length);
    return part.equals(frame.bytes.subarray(0, length));
  };
  const bad = frames.find((frame) => !on(frame, frame.bytes.length));
  if (bad === undefined) return { kind: "ops", ops: frames.flatMap(({ ops }) => ops) };
  const proof = frames.some((frame) => frame.claim >= bad.commit && on(frame, 96));
  if (proof) return { kind: "corrupt" };
  const good = frames.filter(({ commit }) => commit < bad.commit);
  return { kind: "ops", ops: good.flatMap(({ ops }) => ops) };
}

async function verdict(disk: MemoryDisk): Promise<Verdict> {
  try {
    const { states } = await recoverStates(disk.mount());
    return { kind: "ops", ops: states.get(1) ?? [] };
  } catch (error) {
    if (code("CORRUPT")(error)) return { kind: "corrupt" };
    throw error;
  }
}

test("thousands of crashes and flips are judged as the written bytes say", async () => {
  const seen = { whole: 0, torn: 0, corrupt: 0 };
  for (let seed = 1; seed <= Number(process.env.SEEDS ?? 1500); seed++) {
    const random = seeded(seed);
    const disk = await newDisk(seed);
    const frames = await randomJournal(disk, random);
    if (below(random, 3) > 0) disk.crash();
    const flips = [0, 0, 1, 1, 3][below(random, 5)] ?? 0;
    for (let i = 0; i < flips; i++) {
      const frame = frames[below(random, frames.length)];
      if (frame === undefined || !disk.paths().includes(frame.path)) continue;
      // Often in the header, where it hurts the judgement most.
      const within = below(random, below(random, 2) === 0 ? 96 : frame.bytes.length);
      disk.flip(frame.path, frame.offset + within, below(random, 8));
    }
    const expected = oracle(disk, frames);
    const found = await verdict(disk);
    assert.deepEqual(found, expected, `seed ${seed}`);
    const all = frames.flatMap(({ ops }) => ops).length;
    if (expected.kind === "corrupt") seen.corrupt++;
    else if (expected.ops.length === all) seen.whole++;
    else seen.torn++;
    if (flips === 0) assert.equal(expected.kind, "ops", "a crash alone is never corruption");
  }
  assert.ok(Math.min(seen.whole, seen.torn, seen.corrupt) > 50, JSON.stringify(seen));
});

/** Five durable frames of one op each, all proven but the last. */
async function fiveFrames(
  seed = 1,
  settle = true,
): Promise<{ disk: MemoryDisk; frames: Written[] }> {
  const disk = await newDisk(seed);
  const { journal } = await openJournal(disk.mount());
  const frames: Written[] = [];
  for (let sequence = 1; sequence <= 5; sequence++) {
    append(journal, 1, sequence, `op ${sequence}`);
    frames.push(await commitNow(disk, journal, [`op ${sequence}`]));
    if (settle) await until(() => journal.durableThrough === sequence);
  }
  return { disk, frames };
}

function edit(disk: MemoryDisk, path: string, change: (bytes: Buffer) => Buffer): void {
  disk.put(path, change(disk.peek(path)));
}

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

test("a file cut short inside a frame loses that frame only", async () => {
  const { disk, frames } = await fiveFrames();
  const last = frames[4] as Written;
  edit(disk, FIRST, (bytes) => Buffer.from(bytes.subarray(0, last.offset + 200)));
  assert.equal((await recoverStates(disk.mount())).states.get(1)?.length, 4);
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
  await assert.rejects(recoverStates(disk.mount()), code("CORRUPT"));
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
  journal.recycle((first as { name: string }).name);
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

test("a gap in a vnode's sequences is corruption", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  append(journal, 1, 1, "a");
  append(journal, 2, 1, "other");
  journal.commit();
  journal.restartVnode(1);
  append(journal, 1, 3, "c");
  await journal.close();
  await assert.rejects(recoverStates(disk.mount()), (error) => {
    return code("CORRUPT")(error) && /vnode 1 has op 3 here, but op 2 nowhere/.test(String(error));
  });
});

test("an op found twice is handed over once", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  append(journal, 1, 1, "a");
  append(journal, 1, 2, "b");
  journal.commit();
  journal.restartVnode(1);
  for (const [i, text] of ["a", "b", "c"].entries()) append(journal, 1, i + 1, text);
  await journal.close();
  const { states, skipped } = await recoverStates(disk.mount());
  assert.deepEqual(states.get(1), ["a", "b", "c"]);
  assert.equal(skipped, 2);
});

test("journals of several workers and boots merge by vnode sequence", async () => {
  const disk = await newDisk();
  const fs = disk.mount();
  // Boot 1: two workers share the vnodes; boot 2: one worker has both, boot 3: swapped.
  const parts: [number, number, [number, number][]][] = [
    [
      1,
      0,
      [
        [1, 1],
        [1, 2],
      ],
    ],
    [1, 1, [[2, 1]]],
    [
      2,
      0,
      [
        [1, 3],
        [2, 2],
        [2, 3],
      ],
    ],
    [3, 0, [[2, 4]]],
    [3, 1, [[1, 4]]],
  ];
  for (const [boot, worker, ops] of parts) {
    const { journal } = await openJournal(fs, { boot, worker, random: seeded(boot * 10 + worker) });
    for (const [vnode, sequence] of ops) append(journal, vnode, sequence, `${vnode}.${sequence}`);
    await journal.close();
  }
  const { states, unproven } = await recoverStates(fs);
  assert.deepEqual(states.get(1), ["1.1", "1.2", "1.3", "1.4"]);
  assert.deepEqual(states.get(2), ["2.1", "2.2", "2.3", "2.4"]);
  assert.deepEqual(unproven, []);
});

test("a journal waits for a vnode's earlier ops in another journal of the same boot", async () => {
  const disk = await newDisk();
  const fs = disk.mount();
  const left = (await openJournal(fs, { worker: 0, random: seeded(1) })).journal;
  const right = (await openJournal(fs, { worker: 1, random: seeded(2) })).journal;
  append(right, 1, 1, "a");
  right.commit();
  append(left, 1, 2, "b");
  append(left, 2, 1, "x");
  left.commit();
  right.restartVnode(1);
  append(right, 1, 3, "c");
  await right.close();
  await left.close();
  const { states } = await recoverStates(fs);
  assert.deepEqual(states.get(1), ["a", "b", "c"]);
  assert.deepEqual(states.get(2), ["x"]);
});

test("a filter picks the partitions of one worker", async () => {
  const { disk } = await fiveFrames();
  const seen: number[] = [];
  const { ops } = await recover({
    fs: disk.mount(),
    folder: FOLDER,
    nodeId: NODE_ID,
    manifests: noManifests,
    filter: (vnode) => vnode !== 1,
    onOp: (op) => seen.push(op.vnodeId),
  });
  assert.deepEqual([ops, seen], [0, []]);
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
