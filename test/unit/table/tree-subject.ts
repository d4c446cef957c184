/** A tree of ordered-index.ts beside what it should hold, for its tests. */
import assert from "node:assert/strict";
import { below, type Random } from "../../../runtime/base/prng.ts";
import { Heap } from "../../../runtime/table/heap.ts";
import { OrderedIndex } from "../../../runtime/table/ordered-index.ts";
import { SLAB_SHIFT, SlabPool, UNIT_MASK } from "../../../runtime/table/slab-pool.ts";

/** A tree over records of one u32 key in the heap, beside a sorted array of the same keys. */
export class TreeSubject {
  readonly pool: SlabPool;
  readonly heap: Heap;
  readonly index: OrderedIndex;
  readonly keys: number[] = [];
  readonly refs = new Map<number, number>();
  root = 0;
  compared = 0;
  readonly #probe: number;

  constructor(slabBytes = 64 * 1024) {
    this.pool = new SlabPool({ slabBytes });
    this.heap = new Heap(this.pool);
    this.index = new OrderedIndex(this.heap, (a, b) => {
      this.compared++;
      return this.keyOf(a) - this.keyOf(b);
    });
    this.#probe = this.heap.allocate(8);
  }

  keyOf(ref: number): number {
    const key = this.pool.u32[ref >>> SLAB_SHIFT]?.[(ref & UNIT_MASK) << 1] ?? -1;
    assert.notEqual(key, 0xffffffff, "the tree never looks at a freed record");
    return key;
  }

  probe(key: number): number {
    return this.#write(this.#probe, key);
  }

  /** Position of the first key that is not less. */
  position(key: number): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.keys[middle] as number) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(key: number): void {
    if (this.refs.has(key)) return;
    const ref = this.#write(this.heap.allocate(8), key);
    this.root = this.index.insert(this.root, ref);
    this.keys.splice(this.position(key), 0, key);
    this.refs.set(key, ref);
  }

  /** Makes a tree of these keys, which ascend, of none. */
  build(keys: readonly number[]): void {
    for (const key of keys) this.refs.set(key, this.#write(this.heap.allocate(8), key));
    this.keys.push(...keys);
    const refs = Uint32Array.from(this.refs.values());
    this.root = this.index.build(refs, refs.length);
  }

  remove(key: number): void {
    const ref = this.refs.get(key);
    if (ref === undefined) return;
    this.root = this.index.remove(this.root, ref);
    this.keys.splice(this.position(key), 1);
    this.refs.delete(key);
    this.#bury(ref);
  }

  move(key: number): void {
    const old = this.refs.get(key);
    if (old === undefined) return;
    const ref = this.#write(this.heap.allocate(8), key);
    this.root = this.index.replace(this.root, old, ref);
    this.refs.set(key, ref);
    this.#bury(old);
  }

  keyAt(rank: number): number | undefined {
    const ref = this.index.at(this.root, rank);
    return ref === 0 ? undefined : this.keyOf(ref);
  }

  forward(rank: number, length: number): number[] {
    this.index.seek(this.root, rank);
    const found: number[] = [];
    for (let ref = this.index.next(); ref !== 0 && found.length < length; ref = this.index.next()) {
      found.push(this.keyOf(ref));
    }
    return found;
  }

  backward(rank: number, length: number): number[] {
    this.index.seek(this.root, rank);
    const found: number[] = [];
    let ref = this.index.previous();
    for (; ref !== 0 && found.length < length; ref = this.index.previous()) {
      found.push(this.keyOf(ref));
    }
    return found;
  }

  assertSame(): void {
    assert.equal(this.index.count(this.root), this.keys.length);
    assert.deepEqual(this.forward(0, Infinity), this.keys);
    assert.deepEqual(this.backward(this.keys.length, Infinity), this.keys.toReversed());
  }

  assertEmptyAfter(key: () => number): void {
    while (this.keys.length > 0) this.remove(key());
    assert.equal(this.root, 0);
    this.heap.free(this.#probe);
    assert.deepEqual([this.heap.bytesUsed, this.pool.bytesUsed], [0, 0]);
  }

  #write(ref: number, key: number): number {
    const words = this.pool.u32[ref >>> SLAB_SHIFT] as Uint32Array;
    words[(ref & UNIT_MASK) << 1] = key;
    return ref;
  }

  #bury(ref: number): void {
    this.#write(ref, 0xffffffff);
    this.heap.free(ref);
  }
}

export function assertProbe(subject: TreeSubject, random: Random, range: number): void {
  const key = below(random, range);
  const position = subject.position(key);
  const there = subject.refs.get(key);
  const { index, root } = subject;
  assert.equal(index.lowerBound(root, subject.probe(key)), position);
  assert.equal(index.upperBound(root, subject.probe(key)), position + (there ? 1 : 0));
  assert.equal(index.rankOf(root, subject.probe(key)), there ? position : -1);
  if (there) assert.equal(index.rankOf(root, there), position);
  const rank = below(random, subject.keys.length + 2) - 1;
  assert.equal(subject.keyAt(rank), subject.keys[rank]);
}
