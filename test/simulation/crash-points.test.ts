/**
 * Crashes at every write and sync boundary: whatever was promised is found again, nothing is
 * invented, and what a crash leaves is never taken for damage.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, seeded } from "../../runtime/base/prng.ts";
import { systemCode } from "../../runtime/storage/files.ts";
import type { MemoryDisk } from "../../runtime/storage/memory-files.ts";
import { FOLDER, Ledger, load, newDisk, TinyNode, turns } from "../unit/storage/support.ts";

const SEEDS = Number(process.env.SEEDS ?? 4);
const STEPS = Number(process.env.STEPS ?? 14);

/** Errors that a failing disk gives; anything else is a bug. */
function fromDisk(error: unknown): boolean {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return systemCode(cause) !== undefined || /journal failed|is open at a time/.test(String(cause));
}

interface Life {
  readonly disk: MemoryDisk;
  readonly ledger: Ledger;
  readonly boot: number;
  readonly seed: number;
  /** Operation, counted from this start, at which the power fails. */
  readonly crashAfter: number;
}

/** One start, some load, and its end; returns the operations that it took. */
async function live({ disk, ledger, boot, seed, crashAfter }: Life): Promise<number> {
  const before = disk.operations;
  disk.crashAt = before + crashAfter;
  const random = seeded(seed);
  try {
    const node = await TinyNode.start({ fs: disk.mount(), boot, random, ledger });
    await load(node, random, STEPS);
    if (!node.failed) await node.journal.close();
  } catch (error) {
    if (!fromDisk(error)) throw error;
  }
  await turns(20);
  return disk.operations - before;
}

async function crashOnce(seed: number, crashAfter: number, power: boolean): Promise<number> {
  const disk = await newDisk(seed * 1000 + crashAfter);
  const ledger = new Ledger();
  const taken = await live({ disk, ledger, boot: 1, seed, crashAfter });
  if (power) disk.crash();
  else disk.kill();
  // Crashes of the next start, in recovery above all; then one that lives.
  const random = seeded(seed + crashAfter);
  await live({ disk, ledger, boot: 2, seed: seed + 1, crashAfter: below(random, 40) });
  if (below(random, 2) === 0) disk.crash();
  else disk.kill();
  await live({ disk, ledger, boot: 3, seed: seed + 2, crashAfter: Number.POSITIVE_INFINITY });
  return taken;
}

for (const [end, isPower, first] of [
  ["a power failure", true, 1],
  ["a kill", false, 101],
] as const) {
  test(`what was promised survives ${end} at every operation`, async () => {
    for (let seed = first; seed < first + SEEDS; seed++) {
      const total = await crashOnce(seed, Number.POSITIVE_INFINITY, isPower);
      for (let k = 0; k < total; k++) {
        await crashOnce(seed, k, isPower).catch((error: unknown) => {
          throw new Error(`seed ${seed}, operation ${k}`, { cause: error });
        });
      }
    }
  });
}

test("what was promised survives a call that fails once, at every operation", async () => {
  for (let seed = 201; seed <= 200 + SEEDS; seed++) {
    const total = await crashOnce(seed, Number.POSITIVE_INFINITY, true);
    for (let k = 0; k < total; k++) {
      const disk = await newDisk(seed * 1000 + k);
      const ledger = new Ledger();
      const random = seeded(seed + k);
      const code = below(random, 3) === 0 ? "ENOSPC" : "EIO";
      disk.fault = ({ index, kind }) => (index === k && kind !== "read" ? code : undefined);
      await live({ disk, ledger, boot: 1, seed, crashAfter: Number.POSITIVE_INFINITY });
      disk.fault = () => undefined;
      if (below(random, 2) === 0) disk.crash();
      else disk.kill();
      await live({ disk, ledger, boot: 2, seed, crashAfter: below(random, 90) });
      disk.crash();
      await live({ disk, ledger, boot: 3, seed, crashAfter: Number.POSITIVE_INFINITY });
    }
  }
});

test("starts that are killed again and again do not grow the log", async () => {
  const disk = await newDisk(5);
  const ledger = new Ledger();
  await live({ disk, ledger, boot: 1, seed: 5, crashAfter: 60 });
  disk.kill();
  let bytes = 0;
  for (let boot = 2; boot < 12; boot++) {
    const random = seeded(boot);
    const node = await TinyNode.start({ fs: disk.mount(), boot, random, ledger });
    const written = node.journal.files().reduce((sum, file) => sum + file.bytes, 0);
    // What proves a tail may be the claim of a torn frame after it, which the next start's manifest
    // cuts off: then it is written once more, in boot 3.
    if (boot === 4) bytes = written;
    if (boot > 4) assert.equal(written, bytes, "a proven tail is not written again");
    disk.kill();
  }
  assert.ok(disk.paths().every((path) => path.startsWith(FOLDER)));
});
