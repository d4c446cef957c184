/** Torn or damaged: recovery against an oracle that compares bytes and knows nothing of formats. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CoterieError } from "../../runtime/base/errors.ts";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import type { MemoryDisk } from "../../runtime/storage/memory-files.ts";
import {
  append,
  commitNow,
  newDisk,
  openJournal,
  recoverStates,
  turns,
  type Written,
} from "../unit/storage/support.ts";

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
    if (error instanceof CoterieError && error.code === "CORRUPT") return { kind: "corrupt" };
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
