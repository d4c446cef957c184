/** The heap of off-heap blocks: what is allocated stays apart, what is freed is used again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import { Heap } from "../../../runtime/table/heap.ts";
import { SLAB_SHIFT, SlabPool, UNIT_MASK } from "../../../runtime/table/slab-pool.ts";

const SLAB_BYTES = 512 * 1024;

interface Live {
  readonly ref: number;
  readonly bytes: number;
  readonly value: number;
}

function fill(pool: SlabPool, ref: number, bytes: number, value: number): void {
  const at = (ref & UNIT_MASK) << 3;
  pool.u8[ref >>> SLAB_SHIFT]?.fill(value, at, at + bytes);
}

function assertHeld(pool: SlabPool, { ref, bytes, value }: Live): void {
  const at = (ref & UNIT_MASK) << 3;
  const there = pool.u8[ref >>> SLAB_SHIFT]?.subarray(at, at + bytes);
  assert.ok(there?.length === bytes, "an object has its place");
  // By memcmp: every byte is the first one, and so is its follower.
  assert.ok(there[0] === value, "an object keeps its bytes");
  assert.ok(there.subarray(1).equals(there.subarray(0, -1)), "an object keeps its bytes");
}

/** Mostly small sizes, some at every scale. */
function anySize(random: Random): number {
  const scale = below(random, 20);
  if (scale < 14) return 1 + below(random, 200);
  if (scale < 17) return 1 + below(random, 3000);
  if (scale < 19) return 1 + below(random, 40_000);
  return 1 + below(random, 700_000);
}

test("objects of any size never overlap, and give everything back in any order of frees", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seeded(seed);
      const pool = new SlabPool({ slabBytes: SLAB_BYTES });
      const heaps = [new Heap(pool), new Heap(pool)];
      const live: (Live & { heap: Heap })[] = [];
      for (let step = 0; step < 1200; step++) {
        const growing = step % 400 < 250;
        if (below(random, 10) < (growing ? 7 : 3)) {
          const heap = heaps[below(random, 2)] as Heap;
          const bytes = anySize(random);
          const ref = heap.allocate(bytes);
          assert.ok(heap.capacity(ref) >= bytes);
          const object = { ref, bytes: heap.capacity(ref), value: step & 0xff, heap };
          fill(pool, ref, object.bytes, object.value);
          live.push(object);
        } else if (live.length > 0) {
          const [gone] = live.splice(below(random, live.length), 1);
          if (gone === undefined) continue;
          assertHeld(pool, gone);
          gone.heap.free(gone.ref);
        }
      }
      const used = live.reduce((sum, object) => sum + object.bytes, 0);
      assert.equal((heaps[0]?.bytesUsed ?? 0) + (heaps[1]?.bytesUsed ?? 0), used);
      assert.equal((heaps[0]?.spanBytes ?? 0) + (heaps[1]?.spanBytes ?? 0), pool.bytesUsed);
      for (const object of live) {
        assertHeld(pool, object);
        object.heap.free(object.ref);
      }
      for (const heap of heaps) assert.deepEqual([heap.bytesUsed, heap.spanBytes], [0, 0]);
      assert.equal(pool.bytesUsed, 0);
    }),
    { numRuns: 15 },
  );
});

test("a heap that is released gives its spans back and leaves the others alone", () => {
  const pool = new SlabPool({ slabBytes: SLAB_BYTES });
  const dropped = new Heap(pool);
  const kept = new Heap(pool);
  const random = seeded(7);
  const object = { ref: kept.allocate(100), bytes: 100, value: 9 };
  fill(pool, object.ref, object.bytes, object.value);
  for (let i = 0; i < 3000; i++) dropped.allocate(anySize(random));
  assert.ok(pool.bytesUsed > kept.spanBytes);
  dropped.releaseAll();
  assert.deepEqual([dropped.bytesUsed, dropped.spanBytes], [0, 0]);
  assert.equal(pool.bytesUsed, kept.spanBytes);
  assertHeld(pool, object);
  const again = dropped.allocate(64);
  assert.ok(dropped.capacity(again) >= 64);
});

test("a large object takes its own kilobytes, not a span of its class", () => {
  const heap = new Heap(new SlabPool());
  for (const bytes of [3000, 9000, 30_000, 33_000, 100_000, 1_000_000]) {
    const before = heap.spanBytes;
    const ref = heap.allocate(bytes);
    assert.ok(heap.spanBytes - before <= bytes + 16 + 1024);
    assert.ok(heap.capacity(ref) >= bytes);
  }
});

test("a value larger than a slab lives in memory of its own", () => {
  const pool = new SlabPool({ slabBytes: SLAB_BYTES });
  const heap = new Heap(pool);
  const object = { ref: heap.allocate(3 * SLAB_BYTES), bytes: 3 * SLAB_BYTES, value: 5 };
  assert.ok(heap.capacity(object.ref) >= object.bytes);
  fill(pool, object.ref, object.bytes, object.value);
  const small = Array.from({ length: 100 }, () => heap.allocate(64));
  assertHeld(pool, object);
  heap.free(object.ref);
  for (const ref of small) heap.free(ref);
  assert.equal(heap.bytesUsed, 0);
  assert.equal(pool.bytesUsed, 0);
});

test("a heap of a few hundred kilobytes wastes less than three percent", () => {
  const pool = new SlabPool();
  const random = seeded(3);
  let asked = 0;
  for (let vnode = 0; vnode < 32; vnode++) {
    const heap = new Heap(pool);
    for (let i = 0; i < 4000; i++) {
      const bytes = 96 + below(random, 16);
      asked += Math.ceil(bytes / 8) * 8;
      heap.allocate(bytes);
    }
  }
  assert.ok(pool.bytesUsed < asked * 1.03, `${pool.bytesUsed / asked} times what was asked for`);
});

test("a steady allocate and free at a span's end keeps the span", () => {
  const pool = new SlabPool();
  const heap = new Heap(pool);
  const kept = Array.from({ length: 9 }, () => heap.allocate(112));
  const extra = heap.allocate(112);
  const spanBytes = heap.spanBytes;
  heap.free(extra);
  assert.equal(heap.spanBytes, spanBytes);
  assert.equal(heap.allocate(112), extra);
  heap.free(extra);
  for (const ref of kept) heap.free(ref);
  assert.equal(heap.spanBytes, 0);
});

test("a class that went from runs to spans gives both back", () => {
  const heap = new Heap(new SlabPool());
  const refs = Array.from({ length: 200 }, () => heap.allocate(3000));
  for (const ref of refs.reverse()) heap.free(ref);
  assert.deepEqual([heap.bytesUsed, heap.spanBytes], [0, 0]);
});
