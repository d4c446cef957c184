/** Memory for a start: as much as the tables will fill, touched in turns, never changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StartMemory } from "../../../actors/supervisor/start-memory.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { embeddedConfig } from "../../../runtime/config/embedded.ts";
import { journalFileName } from "../../../runtime/storage/journal-format.ts";
import { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { snapshotName } from "../../../runtime/storage/snapshot.ts";
import { SLAB_BYTES_MAX, SlabPool } from "../../../runtime/table/slab-pool.ts";

const FOLDER = "/data";
const MB = 1024 * 1024;

/** The memory for snapshots of so many MB, by partition, of two workers' four partitions. */
async function memoryFor(
  snapshots: Readonly<Record<number, number>>,
  {
    limit = 1024 * MB,
    fault,
  }: {
    readonly limit?: number;
    readonly fault?: string;
  } = {},
) {
  const disk = new MemoryDisk({ random: seeded(1) });
  const fs = disk.mount();
  await fs.makeFolder(FOLDER);
  const make = async (name: string, megabytes: number) => {
    const file = await fs.create(`${FOLDER}/${name}`, "new");
    await file.truncate(megabytes * MB);
    await file.close();
  };
  for (const [partition, megabytes] of Object.entries(snapshots)) {
    const id = vnodeId(0, Number(partition));
    await make(snapshotName({ vnodeId: id, sequence: 1 }), megabytes);
  }
  await make(journalFileName({ boot: 1, worker: 0, number: 1 }), 32);
  await make("node.json", 1);
  const config = embeddedConfig(
    { workers: 2, memory: limit, config: { keyspaces: { default: { partitions: 4 } } } },
    { folder: FOLDER, machine: { cores: 4, memoryBytes: 2 ** 34 } },
  );
  disk.fault = () => fault;
  const turns: (() => void)[] = [];
  const later = (run: () => void) => void turns.push(run);
  return { memory: await StartMemory.of({ fs, folder: FOLDER, config, later }), turns };
}

/** Runs every turn; how many there were. */
function run(turns: (() => void)[]): number {
  let count = 0;
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift(), count++) turn();
  return count;
}

test("each worker gets the slabs that its own snapshots will fill, once", async () => {
  const { memory } = await memoryFor({ 0: 30, 1: 30, 2: 1 });
  const slabs = [memory.take(0, 0), memory.take(1, 0)];
  assert.deepEqual(
    slabs.map((list) => list.map(({ byteLength }) => byteLength)),
    [[SLAB_BYTES_MAX, SLAB_BYTES_MAX], [SLAB_BYTES_MAX]],
  );
  assert.equal(memory.take(0, 0).length + memory.take(1, 0).length, 0);
});

test("a folder without snapshots, and a small memory limit, take no more than they need", async () => {
  const empty = await memoryFor({});
  assert.equal(empty.memory.take(0, 0).length, 0);
  empty.memory.touch();
  assert.equal(run(empty.turns), 0);
  const limited = await memoryFor({ 0: 100, 1: 100 }, { limit: 64 * MB });
  limited.memory.touch();
  assert.equal(run(limited.turns), 127, "half of the limit, a quarter of a MB a turn");
  assert.equal(limited.memory.take(0, 0).length, 1);
});

test("a touch takes many turns and changes nothing of what the worker has written", async () => {
  const { memory, turns } = await memoryFor({ 0: 10 });
  const [slab] = memory.take(0, 0);
  const bytes = new Uint8Array(slab as SharedArrayBuffer).fill(7);
  memory.touch();
  assert.equal(run(turns), 47);
  assert.ok(bytes.every((byte) => byte === 7));
});

test("what the log holds gets memory too, by worker, an eighth of the tables at most", async () => {
  const steps = async (logMegabytes: number, limit = 1024 * MB) => {
    const { memory, turns } = await memoryFor({ 0: 12, 1: 13 }, { limit });
    memory.take(0, logMegabytes * MB);
    return run(turns);
  };
  // 30 MB for snapshots, 4 steps a MB, the first of them at once.
  assert.equal(await steps(0), 119);
  assert.equal(await steps(5), 127, "0.8 bytes for a byte of the log, halved");
  assert.equal(await steps(1000), 134);
  assert.equal(await steps(1000, 64 * MB), 127);
});

test("slabs are added where the log needs more than one", async () => {
  const { memory } = await memoryFor({ 0: 50 });
  assert.equal(memory.take(0, 1000 * MB).length, 2);
});

test("touching goes on for the log where it had ended, and once only", async () => {
  const { memory, turns } = await memoryFor({ 0: 10 });
  memory.touch();
  memory.touch();
  assert.equal(run(turns), 47);
  memory.take(0, 1000 * MB);
  assert.equal(run(turns), 5);
});

test("nothing is touched any more once the workers serve", async () => {
  const { memory, turns } = await memoryFor({ 0: 10, 2: 10 });
  memory.touch();
  memory.stop();
  assert.equal(run(turns), 1);
});

test("a pool takes the slabs that it was given first, out of the list", async () => {
  const { memory } = await memoryFor({ 0: 60, 1: 10 });
  const given = memory.take(0, 0);
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

test("a folder that cannot be looked at gets no memory, and no error: others say it", async () => {
  const { memory, turns } = await memoryFor({ 0: 10 }, { fault: "EIO" });
  assert.equal(memory.take(0, 0).length, 0);
  memory.touch();
  assert.equal(run(turns), 0);
});
