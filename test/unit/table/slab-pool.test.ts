/** The pool of slabs: references name their bytes, and slabs are taken and given back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { SLAB_SHIFT, SlabPool, UNIT_MASK } from "../../../runtime/table/slab-pool.ts";

const SLAB_BYTES = 16 * 1024;

/** Bytes [start, end) of a block in the pool's address space. */
function fill(pool: SlabPool, ref: number, bytes: number, value: number): void {
  const at = (ref & UNIT_MASK) << 3;
  pool.u8[ref >>> SLAB_SHIFT]?.fill(value, at, at + bytes);
}

function holds(pool: SlabPool, ref: number, bytes: number, value: number): boolean {
  const at = (ref & UNIT_MASK) << 3;
  const there = pool.u8[ref >>> SLAB_SHIFT]?.subarray(at, at + bytes);
  return there?.equals(Buffer.alloc(bytes, value)) ?? false;
}

test("blocks, runs and huge blocks never overlap, in any order of frees", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seeded(seed);
      const pool = new SlabPool({ slabBytes: SLAB_BYTES });
      const live: { ref: number; bytes: number; value: number }[] = [];
      let used = 0;
      for (let step = 0; step < 400; step++) {
        if (below(random, 100) < 55) {
          const kind = below(random, 20);
          const order = below(random, kind === 0 ? 5 : 3);
          const runBytes = 1 + below(random, SLAB_BYTES / 2);
          const ref =
            kind === 1
              ? pool.allocateHuge(SLAB_BYTES + 1 + runBytes)
              : kind > 1 && kind < 8
                ? pool.allocateRun(runBytes)
                : pool.allocateBlock(order);
          const bytes = pool.blockBytes(ref);
          if (kind === 0 || kind >= 8) assert.equal(bytes, 1024 << order);
          else if (kind > 1) assert.equal(bytes, Math.ceil(runBytes / 1024) * 1024);
          assert.notEqual(ref, 0);
          used += bytes;
          const value = step & 0xff;
          fill(pool, ref, bytes, value);
          live.push({ ref, bytes, value });
        } else if (live.length > 0) {
          const [gone] = live.splice(below(random, live.length), 1);
          if (gone === undefined) continue;
          assert.ok(holds(pool, gone.ref, gone.bytes, gone.value), "a block keeps its bytes");
          pool.freeBlock(gone.ref);
          used -= gone.bytes;
        }
        assert.equal(pool.bytesUsed, used);
      }
      for (const { ref, bytes, value } of live) {
        assert.ok(holds(pool, ref, bytes, value), "a block keeps its bytes");
        pool.freeBlock(ref);
      }
      assert.equal(pool.bytesUsed, 0);
      assert.ok(pool.bytesReserved <= 2 * SLAB_BYTES, "one spare slab stays at most");
    }),
    { numRuns: 60 },
  );
});

test("free buddies merge, so a slab whose blocks are freed gives a whole slab again", () => {
  const pool = new SlabPool({ slabBytes: SLAB_BYTES });
  const small = Array.from({ length: 15 + 16 }, () => pool.allocateBlock(0));
  const reserved = pool.bytesReserved;
  assert.equal(reserved, 2 * SLAB_BYTES);
  for (let i = 0; i < small.length; i++) pool.freeBlock(small[(i * 7) % small.length] ?? 0);
  const whole = pool.allocateBlock(4);
  assert.equal(whole >>> SLAB_SHIFT, 1);
  assert.equal(pool.blockBytes(whole), SLAB_BYTES);
  assert.equal(pool.bytesReserved, reserved);
});

test("views of one slab show the same memory", () => {
  const pool = new SlabPool({ slabBytes: SLAB_BYTES });
  pool.allocateBlock(4);
  const ref = pool.allocateBlock(1);
  const slab = ref >>> SLAB_SHIFT;
  const at = (ref & UNIT_MASK) << 3;
  pool.u8[slab]?.writeUInt32LE(0x01020304, at);
  assert.equal(pool.u32[slab]?.[at >>> 2], 0x01020304);
  assert.equal(pool.u16[slab]?.[at >>> 1], 0x0304);
  pool.u8[slab]?.writeDoubleLE(1.5, at);
  assert.equal(pool.f64[slab]?.[at >>> 3], 1.5);
});

test("empty slabs above the first are released, all but one, and their numbers used again", () => {
  const pool = new SlabPool({ slabBytes: SLAB_BYTES });
  const refs = Array.from({ length: 5 }, () => pool.allocateBlock(4));
  assert.equal(pool.bytesReserved, 6 * SLAB_BYTES);
  for (const ref of refs) pool.freeBlock(ref);
  assert.equal(pool.bytesReserved, 2 * SLAB_BYTES);
  const again = Array.from({ length: 5 }, () => pool.allocateBlock(4) >>> SLAB_SHIFT);
  assert.deepEqual(again.sort(), [1, 2, 3, 4, 5]);
});

test("a huge block goes back to the system as soon as it is freed", () => {
  const pool = new SlabPool({ slabBytes: SLAB_BYTES });
  const huge = pool.allocateRun(5 * SLAB_BYTES);
  assert.ok(huge > UNIT_MASK, "slab 0 is never a huge block");
  assert.equal(pool.blockBytes(huge), 5 * SLAB_BYTES);
  fill(pool, huge, 5 * SLAB_BYTES, 7);
  pool.freeBlock(huge);
  assert.equal(pool.bytesReserved, SLAB_BYTES);
  assert.equal(pool.u8[huge >>> SLAB_SHIFT]?.length, 0);
});

test("freeing a free block is a programmer error", () => {
  const pool = new SlabPool({ slabBytes: SLAB_BYTES });
  const ref = pool.allocateBlock(0);
  pool.freeBlock(ref);
  assert.throws(() => pool.freeBlock(ref), /only a used block is freed/);
});

test("the peak is the most bytes that were in use at once", () => {
  const pool = new SlabPool({ slabBytes: SLAB_BYTES });
  const huge = pool.allocateHuge(SLAB_BYTES + 1);
  // Cut off a larger block, which is never in use whole.
  const run = pool.allocateRun(5 * 1024);
  const block = pool.allocateBlock(0);
  const most = pool.bytesUsed;
  assert.equal(pool.bytesPeak, most);
  for (const ref of [huge, run, block]) pool.freeBlock(ref);
  pool.allocateBlock(1);
  assert.deepEqual([pool.bytesPeak, pool.bytesUsed], [most, 2048]);
});
