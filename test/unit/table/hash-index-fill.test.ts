/**
 * Filling a hash index at once, as a load does: the result is an index like any other.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mixHash } from "../../../runtime/base/hash.ts";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { HashIndex } from "../../../runtime/table/hash-index.ts";
import { Heap } from "../../../runtime/table/heap.ts";
import { OrderedIndex } from "../../../runtime/table/ordered-index.ts";
import { PendingIndex } from "../../../runtime/table/pending-index.ts";
import { SlabPool } from "../../../runtime/table/slab-pool.ts";

const KINDS: readonly (readonly [string, (ref: number) => number])[] = [
  ["uniform", (ref) => mixHash(ref, 0)],
  ["many equal", (ref) => mixHash(ref % 7, 0)],
  ["all in one corner", (ref) => 0xffff0000 | (ref & 0xffff)],
];

for (const [name, hashOf] of KINDS) {
  test(`an index that was filled at once is one that grew: hashes ${name}`, () => {
    const random = seeded(3);
    for (const count of [0, 1, 2, 100, 129, 1000, 5000]) {
      const heap = new Heap(new SlabPool({ slabBytes: 4 * 1024 * 1024 }));
      const index = new HashIndex(heap, hashOf);
      const pending = new PendingIndex();
      for (let ref = 1; ref <= count; ref++) pending.push(hashOf(ref), ref);
      const table = { keys: index, keyOrder: new OrderedIndex(heap, (a, b) => a - b), keyRoot: 0 };
      pending.settle(table);

      assert.equal(table.keyOrder.count(table.keyRoot), count);
      table.keyOrder.free(table.keyRoot);
      assert.equal(index.count, count);
      for (let ref = 1; ref <= count; ref++) assert.ok(has(index, hashOf(ref), ref), `${ref}`);
      assert.deepEqual(scanAll(index), new Set(Array.from({ length: count }, (_, i) => i + 1)));
      // It goes on as any other.
      for (let ref = count + 1; ref <= count + 500; ref++) index.insert(hashOf(ref), ref);
      const all = Array.from({ length: count + 500 }, (_, i) => i + 1);
      while (all.length > 0) {
        const [ref = 0] = all.splice(below(random, all.length), 1);
        assert.ok(index.remove(hashOf(ref), ref));
      }
      assert.equal(heap.bytesUsed, 0);
    }
  });
}

test("the record pushed last may move before it is in the index", () => {
  const heap = new Heap(new SlabPool({ slabBytes: 1024 * 1024 }));
  const index = new HashIndex(heap, (ref) => ref);
  const pending = new PendingIndex();
  pending.push(5, 100);
  pending.moveLast(200);
  const table = { keys: index, keyOrder: new OrderedIndex(heap, (a, b) => a - b), keyRoot: 0 };
  pending.settle(table);

  assert.equal(table.keyOrder.at(table.keyRoot, 0), 200);
  assert.ok(has(index, 5, 200));
  assert.ok(!has(index, 5, 100));
});

function has(index: HashIndex, hash: number, wanted: number): boolean {
  for (let ref = index.first(hash); ref !== 0; ref = index.next()) if (ref === wanted) return true;
  return false;
}

function scanAll(index: HashIndex): Set<number> {
  const found = new Set<number>();
  let cursor = 0;
  do {
    cursor = index.scan(cursor, 50, new Uint32Array(100));
    for (let i = 0; i < index.scanned; i++) found.add(index.scannedRefs[i] as number);
  } while (cursor !== 0);
  return found;
}
