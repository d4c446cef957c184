/** When a worker's data take no more memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryLimit } from "../../../actors/worker/memory-limit.ts";
import { SLAB_BYTES_MAX, SLABS_MAX, SlabPool } from "../../../runtime/table/slab-pool.ts";

const MAX = 1_000_000_000;
const CONFIG = { workers: 2, memory: { bytesMax: 2 * MAX, youngGenerationBytes: 0 } };

function isReached(pool: Partial<SlabPool>): boolean {
  const some = { bytesUsed: 0, bytesReserved: 0, slabsLeft: SLABS_MAX, ...pool };
  return new MemoryLimit(some as SlabPool, CONFIG).isReached;
}

test("it is reached by what is used", () => {
  assert.equal(isReached({ bytesUsed: MAX }), false);
  assert.equal(isReached({ bytesUsed: MAX + 1 }), true);
});

test("it is reached by what is taken from the system for holes, too", () => {
  const most = 1.25 * MAX + 2 * SLAB_BYTES_MAX;
  assert.equal(isReached({ bytesReserved: most }), false);
  assert.equal(isReached({ bytesReserved: most + 1 }), true);
});

test("it is reached before there are no more slabs", () => {
  assert.equal(isReached({ slabsLeft: 16 }), false);
  assert.equal(isReached({ slabsLeft: 15 }), true);
});

test("values of all sizes that come and go reach it before the pool's end, and leave it", () => {
  const pool = new SlabPool({ slabBytes: 4096 });
  const limit = new MemoryLimit(pool, CONFIG);
  const blocks: number[] = [];
  while (!limit.isReached) blocks.push(pool.allocateRun(1024 + ((blocks.length * 1024) % 5120)));
  assert.ok(pool.slabsLeft > 0 && pool.bytesUsed < MAX);
  for (const block of blocks) pool.freeBlock(block);
  assert.equal(limit.isReached, false);
});
