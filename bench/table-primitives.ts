/**
 * Benchmarks of the off-heap primitives: each named function does `n` operations and returns a
 * checksum of what it found, so that nothing is optimised away. `node bench/table-primitives.ts [n]`
 * runs them all once and prints ns an operation and bytes a key.
 */
import { systemClock } from "../runtime/base/clock.ts";
import { mixHash } from "../runtime/base/hash.ts";
import { HashIndex } from "../runtime/table/hash-index.ts";
import { Heap } from "../runtime/table/heap.ts";
import { OrderedIndex } from "../runtime/table/ordered-index.ts";
import { SLAB_SHIFT, SlabPool, UNIT_MASK } from "../runtime/table/slab-pool.ts";

const RECORD_BYTES = 104;

/** The hash of a number, signed as hashes are: V8 boxes an unsigned one above 2^31 at each call. */
function hashOfNumber(value: number): number {
  return mixHash(value, 1);
}

/** The i-th number of a series, below `bound`. */
function drawn(i: number, series: number, bound: number): number {
  return (mixHash(i, series) >>> 0) % bound;
}

/** `keys` records, each with a distinct 32-bit key in its first word, over both kinds of index. */
export interface Fixture {
  readonly heap: Heap;
  readonly refs: Uint32Array;
  readonly hash: HashIndex;
  readonly order: OrderedIndex;
  readonly keyOf: (ref: number) => number;
  root: number;
}

export function emptyFixture(keys: number, ascending = false): Fixture {
  const pool = new SlabPool();
  const heap = new Heap(pool);
  const words = pool.u32;
  const keyOf = (ref: number) =>
    ((words[ref >>> SLAB_SHIFT] as Uint32Array)[(ref & UNIT_MASK) << 1] as number) | 0;
  const refs = new Uint32Array(keys);
  for (let i = 0; i < keys; i++) {
    const ref = heap.allocate(RECORD_BYTES);
    refs[i] = ref;
    (words[ref >>> SLAB_SHIFT] as Uint32Array)[(ref & UNIT_MASK) << 1] = ascending
      ? i
      : hashOfNumber(i);
  }
  const hash = new HashIndex(heap, keyOf);
  const order = new OrderedIndex(heap, (a, b) => keyOf(a) - keyOf(b));
  return { heap, refs, hash, order, keyOf, root: 0 };
}

/** Allocates n objects of 16 to 143 bytes into the places of a ring, freeing what was there. */
export function allocateAndFree(heap: Heap, n: number, live: number): number {
  const ring = new Uint32Array(live);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const random = mixHash(i, 2) >>> 0;
    const place = random % live;
    const old = ring[place] as number;
    if (old !== 0) heap.free(old);
    const ref = heap.allocate(16 + (random >>> 25));
    ring[place] = ref;
    sum = (sum + ref) | 0;
  }
  for (const ref of ring) if (ref !== 0) heap.free(ref);
  return sum;
}

export function insertHashes({ hash, refs, keyOf }: Fixture): number {
  for (let i = 0; i < refs.length; i++) hash.insert(keyOf(refs[i] as number), refs[i] as number);
  return hash.count;
}

export function lookUpHashes({ hash, refs, keyOf }: Fixture, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const wanted = hashOfNumber(drawn(i, 3, refs.length));
    let ref = hash.first(wanted);
    while (ref !== 0 && keyOf(ref) !== wanted) ref = hash.next();
    sum = (sum + ref) | 0;
  }
  return sum;
}

export function missHashes({ hash }: Fixture, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += hash.first(mixHash(i, 4)) === 0 ? 1 : 0;
  return sum;
}

export function replaceHashes({ hash, refs, keyOf }: Fixture, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const ref = refs[drawn(i, 5, refs.length)] as number;
    if (hash.replace(keyOf(ref), ref, ref)) sum++;
  }
  return sum;
}

export function scanHashes({ hash }: Fixture): number {
  const out = new Uint32Array(64);
  let sum = 0;
  let cursor = 0;
  do {
    cursor = hash.scan(cursor, 10, out);
    sum += hash.scanned;
  } while (cursor !== 0);
  return sum;
}

export function removeHashes({ hash, refs, keyOf }: Fixture): number {
  for (let i = 0; i < refs.length; i++) hash.remove(keyOf(refs[i] as number), refs[i] as number);
  return hash.count;
}

export function insertInOrder(fixture: Fixture): number {
  const { order, refs } = fixture;
  for (let i = 0; i < refs.length; i++) {
    fixture.root = order.insert(fixture.root, refs[i] as number);
  }
  return order.count(fixture.root);
}

export function selectByRank({ order, refs, root }: Fixture, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum = (sum + order.at(root, drawn(i, 6, refs.length))) | 0;
  return sum;
}

export function rankOfItems({ order, refs, root }: Fixture, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum = (sum + order.rankOf(root, refs[drawn(i, 7, refs.length)] as number)) | 0;
  }
  return sum;
}

export function walkInOrder({ order, root }: Fixture): number {
  let sum = 0;
  order.seek(root, 0);
  for (let ref = order.next(); ref !== 0; ref = order.next()) sum = (sum + ref) | 0;
  return sum;
}

export function removeFromOrder(fixture: Fixture): number {
  const { order, refs } = fixture;
  for (let i = 0; i < refs.length; i++) {
    fixture.root = order.remove(fixture.root, refs[i] as number);
  }
  return fixture.root;
}

export function freeInSlices(fixture: Fixture): number {
  let sum = 0;
  const visit = (ref: number) => {
    sum = (sum + ref) | 0;
  };
  while (fixture.root !== 0) fixture.root = fixture.order.freeSlice(fixture.root, 256, visit);
  return sum;
}

function time(name: string, n: number, run: () => number): void {
  const start = systemClock.monotonicMs();
  const sum = run();
  const ns = ((systemClock.monotonicMs() - start) * 1e6) / n;
  console.log(`${name.padEnd(28)} ${ns.toFixed(1).padStart(8)} ns   (${sum})`);
}

function runHash(fixture: Fixture, keys: number, n: number): void {
  time("hash insert", keys, () => insertHashes(fixture));
  console.log(`${"hash bytes a key".padEnd(28)} ${(fixture.hash.bytes / keys).toFixed(2)}`);
  time("hash look up", n, () => lookUpHashes(fixture, n));
  time("hash miss", n, () => missHashes(fixture, n));
  time("hash replace", n, () => replaceHashes(fixture, n));
  time("hash scan", keys, () => scanHashes(fixture));
  time("hash remove", keys, () => removeHashes(fixture));
}

function runOrder(fixture: Fixture, keys: number, n: number): void {
  const before = fixture.heap.bytesUsed;
  time("order insert", keys, () => insertInOrder(fixture));
  const bytes = (fixture.heap.bytesUsed - before) / keys;
  console.log(`${"order bytes an item".padEnd(28)} ${bytes.toFixed(2)}`);
  time("order at", n, () => selectByRank(fixture, n));
  time("order rankOf", n, () => rankOfItems(fixture, n));
  time("order walk", keys, () => walkInOrder(fixture));
  time("order remove", keys, () => removeFromOrder(fixture));
  insertInOrder(fixture);
  time("order free in slices", keys, () => freeInSlices(fixture));
}

/** Every benchmark once at this many keys, after a short one to warm up. */
export function runAll(keys: number, operations: number): void {
  const heap = new Heap(new SlabPool());
  time("heap allocate + free", operations, () => allocateAndFree(heap, operations, keys));
  const random = emptyFixture(keys);
  runHash(random, keys, operations);
  runOrder(random, keys, operations);
  console.log("ascending:");
  runOrder(emptyFixture(keys, true), keys, operations);
}

if (import.meta.main) {
  const keys = Number(process.argv[2] ?? 4000);
  runAll(4000, 100_000);
  console.log(`--- ${keys} keys`);
  runAll(keys, 1_000_000);
}
