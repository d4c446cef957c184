/** Disk space that is held back, and how it is lent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../runtime/base/prng.ts";
import { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { Reserve } from "../../../runtime/storage/reserve.ts";

const BYTES = 8000;
const LAST_BYTES = BYTES / 4;
const always = () => true;

async function fullDisk() {
  const disk = new MemoryDisk({ random: seeded(1) });
  const fs = disk.mount();
  await fs.makeFolder("/data");
  const reserve = new Reserve(fs, "/data", "reserve-0", BYTES);
  await reserve.restore();
  disk.capacityBytes = disk.usedBytes;
  const room = () => disk.capacityBytes - disk.usedBytes;
  const take = (bytes: number) => disk.put(`/data/taken-${bytes}`, Buffer.alloc(bytes));
  return { disk, reserve, room, take };
}

test("what is lent leaves a last part for the manifest", async () => {
  const { disk, reserve, room } = await fullDisk();
  disk.capacityBytes += 100; // free beside it
  const seen = [await reserve.room()];
  await reserve.lend(always, async (giveLast) => {
    seen.push(room());
    await giveLast();
    seen.push(room());
  });
  const first = BYTES - LAST_BYTES + 100;
  assert.deepEqual(seen, [first, first, BYTES + 100]);
  assert.ok(!reserve.held);
});

test("a reserve that is not whole again keeps a last part of what there is all the same", async () => {
  const { disk, reserve, room, take } = await fullDisk();
  await reserve.lend(always, async (giveLast) => {
    take(BYTES / 2);
    await giveLast();
  });
  await reserve.restore();
  assert.ok(!reserve.held, "there is no room for all of it");
  const seen = [await reserve.room()];
  await reserve.lend(always, async (giveLast) => {
    seen.push(room());
    await giveLast();
    seen.push(room());
  });
  const first = BYTES / 2 - LAST_BYTES / 2;
  assert.deepEqual(seen, [first, first, BYTES / 2]);
  disk.capacityBytes += BYTES;
  await reserve.restore();
  assert.ok(reserve.held);
  assert.equal(disk.peek("/data/reserve-0").length, BYTES);
});

test("space that is not there is not tried to be taken: others have it", async () => {
  const { disk, reserve, room, take } = await fullDisk();
  await reserve.lend(always, async (giveLast) => {
    await giveLast();
    take(BYTES / 2);
  });
  const left = room();
  let least = left;
  disk.fault = () => {
    least = Math.min(least, room());
    return undefined;
  };
  await reserve.restore();
  assert.deepEqual([reserve.held, room(), least], [false, left, left]);
});

test("what takes space in vain gives it back", async () => {
  const { disk, reserve } = await fullDisk();
  await reserve.lend(always, async () => undefined);
  const size = () => disk.peek("/data/reserve-0").length;
  const before = size();
  // Others take the room meanwhile.
  disk.fault = ({ kind }) => (kind === "sync" ? "ENOSPC" : undefined);
  await reserve.restore();
  assert.deepEqual([reserve.held, size()], [false, before]);
  disk.fault = () => undefined;
  await reserve.restore();
  assert.deepEqual([reserve.held, size()], [true, BYTES]);
});

test("a reserve that has lent something to a start is not whole until that is back", async () => {
  const { disk, reserve } = await fullDisk();
  let tries = 0;
  await reserve.withLoan(async () => {
    if (++tries === 1) throw Object.assign(new Error("full"), { code: "ENOSPC" });
  });
  assert.deepEqual([tries, reserve.held, disk.peek("/data/reserve-0").length], [2, false, 0]);
  await reserve.restore();
  assert.ok(reserve.held);
});

test("nothing is lent to cleaning that is not needed any more", async () => {
  const { reserve } = await fullDisk();
  await reserve.lend(
    () => false,
    () => assert.fail(),
  );
  assert.ok(reserve.held);
});
