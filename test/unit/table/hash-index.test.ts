/** The hash index against a map: entries found, moved and removed while the index grows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mixHash } from "../../../runtime/base/hash.ts";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { HashIndex } from "../../../runtime/table/hash-index.ts";
import { Heap } from "../../../runtime/table/heap.ts";
import { SlabPool } from "../../../runtime/table/slab-pool.ts";

/** Refs here are plain numbers; the index never looks behind them but through `hashOf`. */
function indexOver(hashOf: (ref: number) => number, slabBytes = 64 * 1024) {
  const pool = new SlabPool({ slabBytes });
  const heap = new Heap(pool);
  return { pool, heap, index: new HashIndex(heap, hashOf) };
}

const uniform = (ref: number) => mixHash(ref, 0);

function candidates(index: HashIndex, hash: number): number[] {
  const found: number[] = [];
  for (let ref = index.first(hash); ref !== 0; ref = index.next()) found.push(ref);
  return found;
}

/** `first`, a step at a time. */
function firstInSteps(index: HashIndex, hash: number): number {
  const segment = index.segmentOf(hash);
  return index.firstIn(index.chunkOf(segment, hash), segment, hash);
}

function scanAll(index: HashIndex, limit: number, room: number): number[] {
  const out = new Uint32Array(room);
  const found: number[] = [];
  let cursor = 0;
  do {
    cursor = index.scan(cursor, limit, out);
    found.push(...index.scannedRefs.subarray(0, index.scanned));
  } while (cursor !== 0);
  return found;
}

const hashes: readonly (readonly [string, (ref: number) => number])[] = [
  ["uniform hashes", uniform],
  ["hashes with many equals", (ref) => mixHash(ref % 40, 0)],
  ["hashes that differ at the end only", (ref) => (0xabcd0000 | ref) >>> 0],
  ["hashes that differ at the front only", (ref) => (ref << 20) >>> 0],
];

for (const [name, hashOf] of hashes) {
  test(`the index agrees with a set through growth and shrinking: ${name}`, () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = seeded(seed);
        const { pool, heap, index } = indexOver(hashOf);
        const model = new Set<number>();
        for (let step = 0; step < 4000; step++) {
          const ref = 1 + below(random, 2000);
          const growing = step % 2000 < 1300;
          if (below(random, 10) < (growing ? 8 : 1)) {
            if (model.has(ref)) continue;
            index.insert(hashOf(ref), ref);
            model.add(ref);
          } else {
            assert.equal(index.remove(hashOf(ref), ref), model.delete(ref));
          }
          const probe = 1 + below(random, 2000);
          assert.equal(candidates(index, hashOf(probe)).includes(probe), model.has(probe));
          assert.equal(firstInSteps(index, hashOf(probe)), index.first(hashOf(probe)));
        }
        assert.equal(index.count, model.size);
        assert.equal(index.bytes, heap.bytesUsed);
        const found = scanAll(index, 10, 40);
        assert.equal(found.length, model.size);
        assert.deepEqual(new Set(found), model);
        for (const ref of model) assert.ok(index.remove(hashOf(ref), ref));
        assert.deepEqual([index.count, index.bytes, heap.bytesUsed, pool.bytesUsed], [0, 0, 0, 0]);
      }),
      { numRuns: 12 },
    );
  });
}

test("all refs of one hash are candidates for it", () => {
  const { index } = indexOver(() => 77);
  for (let ref = 1; ref <= 300; ref++) index.insert(77, ref);
  assert.equal(new Set(candidates(index, 77)).size, 300);
  assert.deepEqual(candidates(index, 0x80000000), []);
});

test("few other keys share a tag, so a lookup rarely reads a foreign record", () => {
  const { index } = indexOver(uniform, 1 << 20);
  for (let ref = 1; ref <= 50_000; ref++) index.insert(uniform(ref), ref);
  let foreign = 0;
  for (let ref = 1; ref <= 50_000; ref++) foreign += candidates(index, uniform(ref)).length - 1;
  assert.ok(foreign < 2500, `${foreign} foreign candidates in 50,000 lookups`);
});

test("a moved record is found at its new place only", () => {
  const { index } = indexOver(() => 5);
  index.insert(5, 10);
  index.insert(5, 20);
  assert.ok(index.replace(5, 10, 11));
  assert.deepEqual(candidates(index, 5).sort(), [11, 20]);
  assert.equal(index.replace(5, 10, 12), false);
});

test("a scan finds what stays, whatever comes and goes meanwhile", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 50 }), (seed, limit) => {
      const random = seeded(seed);
      const { index } = indexOver(uniform);
      const passing = new Set<number>();
      const stays = new Set<number>();
      for (let ref = 1; ref <= 1500; ref++) {
        const here = below(random, 2) === 0;
        if (here) index.insert(uniform(ref), ref);
        if (ref % 10 === 0 && here) stays.add(ref);
        else if (here) passing.add(ref);
      }
      const out = new Uint32Array(limit + 4);
      const found = new Set<number>();
      const growing = below(random, 2) === 0;
      let cursor = 0;
      do {
        cursor = index.scan(cursor, limit, out);
        for (const ref of index.scannedRefs.subarray(0, index.scanned)) found.add(ref);
        for (let i = 0; i < 200; i++) {
          const ref = 1 + below(random, growing ? 6000 : 1500);
          if (stays.has(ref)) continue;
          if (passing.has(ref)) {
            if (growing && i % 4 !== 0) continue;
            index.remove(uniform(ref), ref);
            passing.delete(ref);
          } else if (growing) {
            index.insert(uniform(ref), ref);
            passing.add(ref);
          }
        }
      } while (cursor !== 0);
      for (const ref of stays) assert.ok(found.has(ref), "what stays is found");
    }),
    { numRuns: 15 },
  );
});

test("a scan goes in hash order and returns a group of equal hashes whole", () => {
  const hashOf = (ref: number) => (mixHash(ref % 50, 0) & 0xffff0000) >>> 0;
  const { index } = indexOver(hashOf);
  for (let ref = 1; ref <= 1000; ref++) index.insert(hashOf(ref), ref);
  const out = new Uint32Array(7);
  let cursor = 0;
  let last = -1;
  let found = 0;
  do {
    cursor = index.scan(cursor, 3, out);
    const refs = index.scannedRefs.subarray(0, index.scanned);
    const first = hashOf(refs[0] ?? 0);
    assert.equal(index.scanned, 20);
    assert.ok(refs.every((ref) => hashOf(ref) === first));
    assert.ok(first > last);
    last = first;
    found += refs.length;
  } while (cursor !== 0);
  assert.equal(found, 1000);
});

test("an empty index holds no memory and a cleared one gives all of it back", () => {
  const { pool, index } = indexOver(uniform);
  assert.equal(index.first(1), 0);
  assert.equal(index.scan(0, 10, new Uint32Array(10)), 0);
  assert.equal(index.scanned, 0);
  assert.equal(pool.bytesReserved, 0);
  for (let ref = 1; ref <= 5000; ref++) index.insert(uniform(ref), ref);
  index.clear();
  assert.deepEqual([index.count, index.bytes, pool.bytesUsed], [0, 0, 0]);
  index.insert(uniform(1), 1);
  assert.deepEqual(candidates(index, uniform(1)), [1]);
});

test("a key costs less than eight bytes, spans included, and less still after shrinking", () => {
  for (const keys of [4000, 100_000]) {
    const { heap, index } = indexOver(uniform, 64 * 1024 * 1024);
    for (let ref = 1; ref <= keys; ref++) index.insert(uniform(ref), ref);
    assert.ok(heap.spanBytes / keys < 8, `${heap.spanBytes / keys} bytes a key`);
    for (let ref = 1; ref <= keys * 0.9; ref++) index.remove(uniform(ref), ref);
    assert.ok(index.bytes / index.count < 10, `${index.bytes / index.count} bytes a key left`);
  }
});

test("one insert moves no more than one segment", () => {
  let asked = 0;
  const { index } = indexOver((ref) => {
    asked++;
    return uniform(ref);
  });
  let worst = 0;
  for (let ref = 1; ref <= 20_000; ref++) {
    const before = asked;
    index.insert(uniform(ref), ref);
    worst = Math.max(worst, asked - before);
  }
  assert.ok(worst <= 128, `${worst} hashes in one insert`);
});

test("an index that shrank to few keys has a small directory again", () => {
  const { index } = indexOver(uniform);
  for (let ref = 1; ref <= 20_000; ref++) index.insert(uniform(ref), ref);
  for (let ref = 41; ref <= 20_000; ref++) index.remove(uniform(ref), ref);
  assert.ok(index.bytes < 700, `${index.bytes} bytes for 40 keys`);
  assert.equal(scanAll(index, 10, 20).length, 40);
});

test("a scan keeps what it found when the next group has no room", () => {
  const hashOf = (ref: number) => mixHash(ref % 5, 0);
  const { index } = indexOver(hashOf);
  for (let ref = 1; ref <= 100; ref++) index.insert(hashOf(ref), ref);
  assert.equal(new Set(scanAll(index, 24, 25)).size, 100);
});

test("every change is told by another number, and no look-up is", () => {
  const { index } = indexOver(uniform);
  const told = new Set([index.changes]);
  const steps = [
    () => index.insert(uniform(1), 1),
    () => index.replace(uniform(1), 1, 1),
    () => index.insert(uniform(2), 2),
    () => index.remove(uniform(2), 2),
    () => index.clear(),
    () => index.fill(Uint32Array.of(uniform(3)), Uint32Array.of(3), 1),
  ];
  for (const step of steps) {
    step();
    assert.ok(!told.has(index.changes), String(step));
    told.add(index.changes);
  }
  index.first(uniform(3));
  assert.equal(index.remove(uniform(4), 4), false);
  assert.ok(told.has(index.changes));
});
