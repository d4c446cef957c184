/**
 * What is left of damaged journals: never an op that is not what was written, never one that is
 * missing and not named.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import type { FileSystem } from "../../../runtime/storage/files.ts";
import { JournalRemains } from "../../../runtime/storage/journal-remains.ts";
import { readableManifests, writeManifest } from "../../../runtime/storage/manifest.ts";
import type { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { parseSnapshotName, readSnapshot } from "../../../runtime/storage/snapshot.ts";
import {
  append,
  commitNow,
  FOLDER,
  Ledger,
  load,
  NODE_ID,
  newDisk,
  openJournal,
  recoverStates,
  type States,
  TinyNode,
  until,
  type Written,
} from "./support.ts";

const SEEDS = Number(process.env.SEEDS ?? 60);
const FIRST = `${FOLDER}/journal-00000001-000-00000001.log`;

interface Salvaged {
  readonly states: States;
  /** The last op of each vnode that is known to have been there. */
  readonly known: Map<number, number>;
  readonly isAccounted: boolean;
  readonly damages: readonly string[];
  readonly tails: number;
}

/** Snapshots that a manifest names, then what the journals still hold, as far as it is dense. */
async function salvage(fs: FileSystem): Promise<Salvaged> {
  const states: States = new Map();
  const known = new Map<number, number>();
  const damaged: string[] = [];
  const note = ({ path, offset, what }: { path: string; offset: number; what: string }) =>
    void damaged.push(`${path} at ${offset}: ${what}`);
  const manifests = await readableManifests(fs, FOLDER, NODE_ID, note);
  for (const { id, snapshot } of manifests.vnodes.values()) {
    if (snapshot === undefined) continue;
    const pieces: Buffer[] = [];
    await readSnapshot(fs, `${FOLDER}/${snapshot}`, (bytes, start, end) => {
      pieces.push(Buffer.from(bytes.subarray(start, end)));
    });
    states.set(id, JSON.parse(Buffer.concat(pieces).toString()) as string[]);
    known.set(id, parseSnapshotName(snapshot)?.sequence ?? 0);
  }
  const remains = await JournalRemains.survey({
    fs,
    folder: FOLDER,
    nodeId: NODE_ID,
    manifests,
    isManifestWhole: damaged.length === 0,
  });
  const knows = (id: number, last: number) => known.set(id, Math.max(last, known.get(id) ?? 0));
  for (let isMoving = true; isMoving; ) {
    isMoving = false;
    await remains.walk({
      onSegment({ vnodeId, firstSequence, starts, ends }, bytes) {
        const state = states.get(vnodeId) ?? [];
        states.set(vnodeId, state);
        starts.forEach((start, i) => {
          if (firstSequence + i !== state.length + 1) return;
          state.push(bytes.toString("latin1", start, ends[i]));
          isMoving = true;
        });
        knows(vnodeId, firstSequence + starts.length - 1);
      },
      onLost: ({ vnodeId, lastSequence }) => knows(vnodeId, lastSequence),
    });
  }
  for (const damage of remains.damages()) note(damage);
  const { isAccounted, tails } = remains;
  return { states, known, isAccounted, damages: damaged, tails: tails.length };
}

/** Five durable frames of two ops of vnodes 1 and 2 each, and the one that proves the last. */
async function fiveFrames(): Promise<{ disk: MemoryDisk; frames: Written[] }> {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  const frames: Written[] = [];
  for (let sequence = 1; sequence <= 5; sequence++) {
    append(journal, 1, sequence, `one ${sequence}`);
    append(journal, 2, sequence, `two ${sequence}`);
    frames.push(await commitNow(disk, journal, []));
    await until(() => journal.durableThrough === sequence);
  }
  await journal.close();
  return { disk, frames };
}

function counts({ states }: Salvaged): number[] {
  return [1, 2].map((vnode) => states.get(vnode)?.length ?? 0);
}

test("of a frame with a damaged op the other vnodes' ops are read", async () => {
  const { disk, frames } = await fiveFrames();
  const third = frames[2] as Written;
  disk.flip(FIRST, third.offset + third.bytes.indexOf("two 3"), 0);
  const salvaged = await salvage(disk.mount());
  assert.deepEqual(counts(salvaged), [5, 2]);
  assert.equal(salvaged.known.get(2), 5);
  assert.ok(salvaged.isAccounted);
  assert.deepEqual(salvaged.damages, [
    `${FIRST} at ${third.offset}: commit 3 is not there whole: 1 of 2 ops were read`,
  ]);
});

test("a frame without its header is read whole if its ops are", async () => {
  const { disk, frames } = await fiveFrames();
  disk.flip(FIRST, (frames[2] as Written).offset + 60, 0);
  const salvaged = await salvage(disk.mount());
  assert.deepEqual(counts(salvaged), [5, 5]);
  assert.ok(salvaged.isAccounted);
});

test("a frame without header and with a damaged op is lost, and whose it was is not known", async () => {
  const { disk, frames } = await fiveFrames();
  const { offset, bytes } = frames[2] as Written;
  disk.flip(FIRST, offset + 60, 0);
  disk.flip(FIRST, offset + bytes.indexOf("one 3"), 0);
  const salvaged = await salvage(disk.mount());
  assert.deepEqual(counts(salvaged), [2, 2]);
  assert.ok(!salvaged.isAccounted);
});

test("damaged entries of a frame leave its vnodes unknown", async () => {
  const { disk, frames } = await fiveFrames();
  const { offset, bytes } = frames[4] as Written;
  const directory = bytes.readUInt32LE(60);
  disk.flip(FIRST, offset + directory + 4, 0);
  const salvaged = await salvage(disk.mount());
  assert.deepEqual(counts(salvaged), [4, 5]);
  assert.ok(!salvaged.isAccounted);
});

test("a damaged entry that names another vnode is not believed", async () => {
  const { disk, frames } = await fiveFrames();
  const { offset, bytes } = frames[2] as Written;
  disk.flip(FIRST, offset + bytes.readUInt32LE(60) + 32, 0);
  const salvaged = await salvage(disk.mount());
  assert.deepEqual(counts(salvaged), [5, 2]);
  assert.equal(salvaged.known.get(3), undefined);
  assert.ok(!salvaged.isAccounted);
});

test("the torn tail is dropped as at a start, not read", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk.mount());
  for (let sequence = 1; sequence <= 3; sequence++) {
    append(journal, 1, sequence, `one ${sequence}`, false);
    journal.commit();
  }
  disk.flip(FIRST, 1024 + 120, 0);
  const salvaged = await salvage(disk.mount());
  assert.deepEqual(counts(salvaged), [1, 0]);
  assert.equal(salvaged.tails, 1);
  assert.ok(salvaged.isAccounted);
  assert.deepEqual(salvaged.damages, []);
});

test("what a manifest accepts and is not there is damage, not a torn tail", async () => {
  for (const isHeaderHurt of [false, true]) {
    const disk = await newDisk();
    const { journal } = await openJournal(disk.mount());
    for (let sequence = 1; sequence <= 3; sequence++) {
      append(journal, 1, sequence, `one ${sequence}`, false);
      journal.commit();
    }
    const files = [{ name: "journal-00000001-000-00000001.log", firstCommit: 1, accepted: 2048 }];
    const manifest = { nodeId: NODE_ID, boot: 2, worker: 0, vnodes: [], files };
    await writeManifest(disk.mount(), FOLDER, manifest);
    disk.flip(FIRST, 1536 + 115, 0);
    if (isHeaderHurt) disk.flip(FIRST, 1536 + 60, 0);
    const salvaged = await salvage(disk.mount());
    assert.deepEqual(counts(salvaged), [2, 0]);
    assert.match(salvaged.damages.join(), /at 1536: commits? (from )?3 (on )?.* not there whole/);
    assert.equal(salvaged.tails, 0);
    assert.equal(salvaged.isAccounted, !isHeaderHurt);
    assert.equal(salvaged.known.get(1), isHeaderHurt ? 2 : 3);
  }
});

test("pieces that the disk does not give are lost, and the rest is read", async () => {
  const { disk, frames } = await fiveFrames();
  const { offset } = frames[2] as Written;
  const fs = disk.mount();
  const open: FileSystem["open"] = async (path, mode) => {
    const file = await fs.open(path, mode);
    const read: typeof file.read = (target, start, length, position) => {
      const isHit = position <= offset && offset < position + length;
      if (isHit && path === FIRST) throw Object.assign(new Error("bad sector"), { code: "EIO" });
      return file.read(target, start, length, position);
    };
    return Object.assign(Object.create(file), {
      read: async (...args: Parameters<typeof read>) => read(...args),
      size: () => file.size(),
      close: () => file.close(),
    });
  };
  const salvaged = await salvage({ ...fs, open });
  assert.ok(!salvaged.isAccounted);
  assert.match(salvaged.damages.join(), /at 0: the disk does not give its bytes/);
});

/** Hurts a journal in one place. */
function hurt(disk: MemoryDisk, random: Random): void {
  const journals = disk.paths().filter((path) => path.endsWith(".log"));
  const path = journals[below(random, journals.length)] as string;
  const bytes = disk.peek(path);
  if (below(random, 10) === 0) {
    disk.lose(path);
    return;
  }
  const at = below(random, bytes.length);
  if (below(random, 2) === 0) disk.flip(path, at, below(random, 8));
  else
    disk.put(
      path,
      bytes.fill(below(random, 256), at, Math.min(bytes.length, at + 1 + below(random, 1500))),
    );
}

test("whatever is damaged, what is read is a prefix of what was written, and losses are known", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = seeded(seed);
    const disk = await newDisk(seed);
    const ledger = new Ledger();
    for (let boot = 1; boot <= 1 + below(random, 3); boot++) {
      const node = await TinyNode.start({ fs: disk.mount(), boot, random, ledger });
      await load(node, random, 20);
      await node.journal.close();
    }
    hurt(disk, random);
    const { states, known, isAccounted, damages } = await salvage(disk.mount());
    const isRefused = await recoverStates(disk.mount()).then(
      () => false,
      () => true,
    );
    assert.ok(!isRefused || damages.length > 0, `seed ${seed}: a start is refused for a reason`);
    for (const [vnode, written] of ledger.appended) {
      const found = states.get(vnode) ?? [];
      assert.deepEqual(found, written.slice(0, found.length), `seed ${seed}, vnode ${vnode}`);
      const isLost = found.length < (ledger.promised.get(vnode) ?? 0);
      const isKnown = !isAccounted || (known.get(vnode) ?? 0) > found.length;
      // What hits the last frame and the proof behind it looks like a torn tail to everybody.
      assert.ok(
        !isLost || isKnown || !isRefused,
        `seed ${seed}: the loss of vnode ${vnode} is known`,
      );
    }
  }
});
