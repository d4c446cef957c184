/** The counted tree against a sorted array: order, ranks, and iteration both ways. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { Heap } from "../../../runtime/table/heap.ts";
import { OrderedIndex } from "../../../runtime/table/ordered-index.ts";
import { SLAB_SHIFT, SlabPool, UNIT_MASK } from "../../../runtime/table/slab-pool.ts";
import { assertProbe, TreeSubject } from "./tree-subject.ts";

test("a tree agrees with a sorted array through random inserts, removes and moves", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seeded(seed);
      const subject = new TreeSubject();
      const range = 1 + below(random, 3000);
      for (let step = 0; step < 5000; step++) {
        const growing = step % 2500 < 1500;
        const kind = below(random, 10);
        const key = below(random, range);
        if (kind === 0) subject.move(key);
        else if (kind < (growing ? 8 : 3)) subject.add(key);
        else subject.remove(key);
        if (step % 8 === 0) assertProbe(subject, random, range);
      }
      subject.assertSame();
      subject.assertEmptyAfter(() => subject.keys[below(random, subject.keys.length)] ?? 0);
    }),
    { numRuns: 25 },
  );
});

const orders: readonly (readonly [string, (n: number, i: number) => number])[] = [
  ["ascending", (_n, i) => i],
  ["descending", (n, i) => n - 1 - i],
  ["outwards from the middle", (n, i) => (n >>> 1) + (i % 2 === 0 ? i >>> 1 : -1 - (i >>> 1))],
  ["scattered", (n, i) => (i * 7919) % n],
];

for (const [name, order] of orders) {
  test(`a deep tree is right when it grows and goes away in another order: ${name}`, () => {
    const n = 12_000;
    for (const [, way] of orders) {
      const subject = new TreeSubject(1 << 20);
      for (let i = 0; i < n; i++) {
        const key = order(n, i);
        const ref = subject.heap.allocate(8);
        (subject.pool.u32[ref >>> SLAB_SHIFT] as Uint32Array)[(ref & UNIT_MASK) << 1] = key;
        subject.refs.set(key, ref);
        subject.root = subject.index.insert(subject.root, ref);
      }
      for (let i = 0; i < n; i++) subject.keys.push(i);
      subject.assertSame();
      for (let rank = 0; rank < n; rank += 97) {
        assert.equal(subject.keyAt(rank), rank);
        assert.equal(subject.index.rankOf(subject.root, subject.refs.get(rank) ?? 0), rank);
      }
      let left = n;
      for (let i = 0; i < n; i++) {
        const ref = subject.refs.get(way(n, i)) ?? 0;
        subject.root = subject.index.remove(subject.root, ref);
        subject.heap.free(ref);
        assert.equal(subject.index.count(subject.root), --left);
      }
      assert.equal(subject.root, 0);
    }
  });
}

for (const count of [0, 1, 2, 61, 62, 63, 61 * 64, 61 * 64 + 1, 12_000]) {
  test(`a tree that was built at once is one that grew: ${count} items`, () => {
    const random = seeded(count);
    const subject = new TreeSubject(1 << 20);
    subject.build(Array.from({ length: count }, (_, i) => 3 * i));
    assert.equal(subject.compared, 0);
    subject.assertSame();
    const range = 3 * count + 10;
    for (let step = 0; step < 400; step++) {
      subject.add(below(random, range));
      subject.remove(subject.keys[below(random, subject.keys.length)] ?? 0);
      if (step % 2 === 0) subject.move(subject.keys[below(random, subject.keys.length)] ?? 0);
      assertProbe(subject, random, range);
    }
    for (let key = range; key < range + 200; key++) subject.add(key);
    subject.assertSame();
    subject.assertEmptyAfter(() => subject.keys[below(random, subject.keys.length)] ?? 0);
  });
}

test("a tree of four levels is built at once", () => {
  const count = 61 * 64 * 64 + 100;
  const heap = new Heap(new SlabPool({ slabBytes: 4 << 20 }));
  const index = new OrderedIndex(heap, (a, b) => a - b);
  const root = index.build(
    Uint32Array.from({ length: count }, (_, i) => i + 1),
    count,
  );
  assert.equal(index.count(root), count);
  for (let rank = 0; rank < count; rank += 61) {
    assert.equal(index.at(root, rank), rank + 1);
    assert.equal(index.rankOf(root, rank + 1), rank);
  }
  index.free(root);
  assert.equal(heap.bytesUsed, 0);
});

test("ascending and descending inserts compare with the edge only", () => {
  const subject = new TreeSubject();
  for (let i = 0; i < 5; i++) subject.add(100_000 + i);
  subject.compared = 0;
  for (let i = 5; i < 3000; i++) subject.add(100_000 + i);
  assert.equal(subject.compared, 2995);
  subject.add(0);
  subject.compared = 0;
  for (let i = 1; i < 2000; i++) subject.add(50_000 - i);
  assert.ok(subject.compared > 1999, "an insert behind the edge searches");
  subject.assertSame();
});

test("pushes at alternating ends compare twice at most", () => {
  const subject = new TreeSubject();
  subject.add(10_000);
  subject.add(10_001);
  for (let i = 1; i < 2000; i++) {
    const before = subject.compared;
    subject.add(i % 2 === 0 ? 10_001 + i : 10_000 - i);
    assert.ok(subject.compared - before <= 2);
  }
  subject.assertSame();
});

test("bounds take a probe that equals several items", () => {
  const pool = new SlabPool();
  const heap = new Heap(pool);
  const tens = new Set<number>();
  const index = new OrderedIndex(heap, (a, b) =>
    tens.has(a) ? Math.floor(a / 1000) - Math.floor(b / 1000) : a - b,
  );
  let root = 0;
  for (let item = 1000; item < 9000; item += 7) root = index.insert(root, item);
  tens.add(4500);
  const lower = index.lowerBound(root, 4500);
  const upper = index.upperBound(root, 4500);
  assert.equal(index.at(root, lower), 4003);
  assert.equal(index.at(root, upper), 5004);
});

test("a cursor turns around anywhere", () => {
  const random = seeded(11);
  const subject = new TreeSubject();
  for (let i = 0; i < 1000; i++) subject.add(i * 2);
  for (let run = 0; run < 50; run++) {
    let rank = below(random, 1001);
    subject.index.seek(subject.root, rank);
    for (let step = 0; step < 200; step++) {
      if (below(random, 2) === 0) {
        const ref = subject.index.next();
        assert.equal(ref === 0 ? undefined : subject.keyOf(ref), subject.keys[rank]);
        if (ref !== 0) rank++;
      } else {
        const ref = subject.index.previous();
        assert.equal(ref === 0 ? undefined : subject.keyOf(ref), subject.keys[rank - 1]);
        if (ref !== 0) rank--;
      }
    }
  }
});

test("one instance serves many trees at once", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seeded(seed);
      const heap = new Heap(new SlabPool({ slabBytes: 64 * 1024 }));
      const index = new OrderedIndex(heap, (a, b) => a - b);
      const roots = new Uint32Array(30);
      const models: number[][] = Array.from({ length: 30 }, () => []);
      for (let step = 0; step < 2000; step++) {
        const tree = below(random, 30);
        const model = models[tree] as number[];
        const root = roots[tree] as number;
        if (below(random, 3) > 0) {
          const item = (model.at(-1) ?? 0) + 1 + below(random, 9);
          roots[tree] = index.insert(root, item);
          model.push(item);
        } else if (model.length > 0) {
          roots[tree] = index.remove(root, model.shift() ?? 0);
        }
      }
      for (let tree = 0; tree < 30; tree++) {
        const items: number[] = [];
        index.seek(roots[tree] as number, 0);
        for (let item = index.next(); item !== 0; item = index.next()) items.push(item);
        assert.deepEqual(items, models[tree]);
        index.free(roots[tree] as number);
      }
      assert.equal(heap.bytesUsed, 0);
    }),
    { numRuns: 10 },
  );
});

test("a detached tree goes away piece by piece, the last items first", () => {
  for (const slice of [1, 7, 64, 1000, 100_000]) {
    const heap = new Heap(new SlabPool({ slabBytes: 1 << 20 }));
    const index = new OrderedIndex(heap, (a, b) => a - b);
    let other = 0;
    let root = 0;
    for (let item = 1; item <= 9000; item++) root = index.insert(root, item);
    let expected = 9000;
    while (root !== 0) {
      const before = expected;
      root = index.freeSlice(root, slice, (item) => {
        assert.equal(item, expected--);
        other = index.insert(other, item);
      });
      assert.ok(before - expected <= slice);
      assert.equal(index.count(root), expected);
      if (expected > 0) assert.equal(index.at(root, expected - 1), expected);
    }
    assert.equal(expected, 0);
    assert.equal(index.count(other), 9000);
    index.free(other);
    assert.equal(heap.bytesUsed, 0);
  }
});

test("the rest of a sliced tree is still a tree", () => {
  const subject = new TreeSubject();
  for (let key = 0; key < 6000; key++) subject.add((key * 7919) % 6000);
  subject.root = subject.index.freeSlice(subject.root, 3333, () => {
    subject.refs.delete(subject.keys.pop() ?? -1);
  });
  for (let key = 0; key < 6000; key += 3) subject.add(key);
  subject.assertSame();
});

test("a tree of one item costs eight bytes, of four thousand less than six an item", () => {
  const random = seeded(5);
  const one = new TreeSubject();
  const before = one.heap.bytesUsed;
  one.add(1);
  assert.equal(one.heap.bytesUsed - before, 8 + 8);
  for (const [ascending, most] of [
    [true, 4.4],
    [false, 5],
  ] as const) {
    const heap = new Heap(new SlabPool());
    const index = new OrderedIndex(heap, (a, b) => a - b);
    const seen = new Set<number>();
    let root = 0;
    for (let i = 1; i <= 4000; i++) {
      const item = ascending ? i : 1 + random.u32();
      if (seen.has(item)) continue;
      seen.add(item);
      root = index.insert(root, item);
    }
    assert.ok(heap.bytesUsed / seen.size < most, `${heap.bytesUsed / seen.size} bytes an item`);
    assert.ok(heap.spanBytes / seen.size < most + 2, `${heap.spanBytes / seen.size} in spans`);
  }
});

test("taking out what is not there is a programmer error", () => {
  const index = new OrderedIndex(new Heap(new SlabPool()), (a, b) => a - b);
  const root = index.insert(0, 5);
  assert.throws(() => index.remove(root, 6), /only an item of the tree/);
  assert.throws(() => index.insert(index.insert(root, 7), 5), /an item once/);
});

test("descending inserts leave full leaves behind too", () => {
  const heap = new Heap(new SlabPool());
  const index = new OrderedIndex(heap, (a, b) => a - b);
  let root = 0;
  for (let item = 4000; item > 0; item--) root = index.insert(root, item);
  assert.ok(heap.bytesUsed / 4000 < 4.4, `${heap.bytesUsed / 4000} bytes an item`);
});

test("a tree that lost most of its items takes little memory", () => {
  const heap = new Heap(new SlabPool());
  const index = new OrderedIndex(heap, (a, b) => a - b);
  let root = 0;
  for (let item = 1; item <= 20_000; item++) root = index.insert(root, item);
  for (let item = 1; item <= 20_000; item++) {
    if (item % 40 !== 0) root = index.remove(root, item);
  }
  assert.equal(index.count(root), 500);
  assert.ok(heap.bytesUsed / 500 < 6, `${heap.bytesUsed / 500} bytes an item`);
});
