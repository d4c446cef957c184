/** Memory for the tables: as much as the snapshots will fill, touched in turns, never changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TableMemory } from "../../../actors/supervisor/table-memory.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { embeddedConfig } from "../../../runtime/config/embedded.ts";
import { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { snapshotName } from "../../../runtime/storage/snapshot.ts";
import { SLAB_BYTES_MAX, SlabPool } from "../../../runtime/table/slab-pool.ts";

const FOLDER = "/data";
const MB = 1024 * 1024;

/** The memory for snapshots of so many MB, by partition, of two workers' four partitions. */
async function memoryFor(snapshots: Readonly<Record<number, number>>, memory = 1024 * MB) {
  const fs = new MemoryDisk({ random: seeded(1) }).mount();
  await fs.makeFolder(FOLDER);
  for (const [partition, megabytes] of Object.entries(snapshots)) {
    const name = snapshotName({ vnodeId: vnodeId(0, Number(partition)), sequence: 1 });
    const file = await fs.create(`${FOLDER}/${name}`, "new");
    await file.truncate(megabytes * MB);
    await file.close();
  }
  await (await fs.create(`${FOLDER}/journal-00000001-000-00000001.log`, "new")).close();
  const config = embeddedConfig(
    { workers: 2, memory, config: { keyspaces: { default: { partitions: 4 } } } },
    { folder: FOLDER, machine: { cores: 4, memoryBytes: 2 ** 34 } },
  );
  const turns: (() => void)[] = [];
  const later = (run: () => void) => void turns.push(run);
  return { table: await TableMemory.of({ fs, folder: FOLDER, config, later }), turns };
}

/** Runs every turn; how many there were. */
function run(turns: (() => void)[]): number {
  let count = 0;
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift(), count++) turn();
  return count;
}

test("each worker gets the slabs that its own snapshots will fill, once", async () => {
  const { table } = await memoryFor({ 0: 30, 1: 30, 2: 1 });
  const slabs = [table.take(0), table.take(1)];
  assert.deepEqual(
    slabs.map((list) => list.map(({ byteLength }) => byteLength)),
    [[SLAB_BYTES_MAX, SLAB_BYTES_MAX], [SLAB_BYTES_MAX]],
  );
  assert.deepEqual([table.take(0).length, table.take(1).length], [0, 0]);
});

test("a folder without snapshots, and a small memory limit, take no more than they need", async () => {
  const empty = await memoryFor({});
  assert.equal(empty.table.take(0).length, 0);
  empty.table.touch();
  assert.equal(run(empty.turns), 0);
  const limited = await memoryFor({ 0: 100, 1: 100 }, 64 * MB);
  limited.table.touch();
  assert.equal(run(limited.turns), 128, "half of the limit, a quarter of a MB a turn");
  assert.equal(limited.table.take(0).length, 1);
});

test("a touch takes many turns and changes nothing of what the worker has written", async () => {
  const { table, turns } = await memoryFor({ 0: 10 });
  const [slab] = table.take(0);
  const bytes = new Uint8Array(slab as SharedArrayBuffer).fill(7);
  table.touch();
  assert.equal(run(turns), 48);
  assert.ok(bytes.every((byte) => byte === 7));
});

test("nothing is touched any more once the workers serve", async () => {
  const { table, turns } = await memoryFor({ 0: 10, 2: 10 });
  table.touch();
  table.stop();
  assert.equal(run(turns), 1);
});

test("a pool takes the slabs that it was given first, out of the list", async () => {
  const { table } = await memoryFor({ 0: 60, 1: 10 });
  const given = table.take(0);
  const [first, second] = given;
  const pool = new SlabPool({ given });
  pool.allocateRun(SLAB_BYTES_MAX);
  pool.allocateRun(SLAB_BYTES_MAX);
  const buffers = pool.u8.map(({ buffer }) => buffer);
  assert.ok(buffers[0] === first && buffers[1] === second);
  assert.equal(buffers.length, 3);
  assert.equal(given.length, 0);
  assert.throws(() => new SlabPool({ given: [new SharedArrayBuffer(1024)] }), /whole slabs/);
});
