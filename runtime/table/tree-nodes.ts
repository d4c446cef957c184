/**
 * Nodes of the counted B+trees of ordered-index.ts: layout, sizes, moving entries. Knows no order.
 *
 *   leaf:  | count:8 capacity:8 level:8 edge:8 | item:32 ... |
 *   inner: | count:8 capacity:8 level:8 edge:8 | items below:32 | separators | counts | children |
 *
 * A leaf's level is 0; `edge` counts only in a root (see ordered-index.ts). The three arrays of an
 * inner node have `capacity` entries of 32 bits each; a child's separator is the first item below
 * it, and that of the first child is not kept (undefined).
 *
 * Invariant: an entry's count is the number of items below it; capacities are just large enough,
 * so that a node takes the memory of what it holds.
 */
import type { Heap, Ref } from "./heap.ts";
import { SLAB_SHIFT, UNIT_MASK } from "./slab-pool.ts";

// limits:
/** Items of a leaf: with its header 248 bytes, four of which fill a span of 1 KB. */
export const LEAF_ITEMS_MAX = 61;
/** Children of an inner node. */
export const INNER_CHILDREN_MAX = 64;

/**
 * Capacities: odd for leaves (4-byte header), even for inner nodes, so that nothing is padded; few,
 * and of sizes that fill small spans (5 of 49 items to the KB, 6 of 41, 7 of 35 ...).
 */
const LEAF_STEPS = [1, 3, 5, 7, 9, 11, 13, 15, 19, 23, 29, 35, 41, 49, LEAF_ITEMS_MAX];
const INNER_STEPS = [2, 4, 6, 8, 12, 16, 24, 32, 40, 48, 64];

const LEAF_CAPACITY = fitTable(LEAF_STEPS, LEAF_ITEMS_MAX);
const INNER_CAPACITY = fitTable(INNER_STEPS, INNER_CHILDREN_MAX);

function fitTable(steps: readonly number[], max: number): Uint8Array {
  const table = new Uint8Array(max + 1);
  for (let n = 0; n <= max; n++) table[n] = steps.find((step) => step >= n) ?? max;
  return table;
}

/** Index of a node's first word in its slab. */
export function baseOf(node: Ref): number {
  return (node & UNIT_MASK) << 1;
}

export function capacityOf(header: number): number {
  return (header >>> 8) & 0xff;
}

export function levelOf(header: number): number {
  return (header >>> 16) & 0xff;
}

/** Word indexes of an inner node's arrays, from its base and header. */
export function separatorsAt(base: number): number {
  return base + 2;
}

export function countsAt(base: number, header: number): number {
  return base + 2 + ((header >>> 8) & 0xff);
}

export function childrenAt(base: number, header: number): number {
  return base + 2 + 2 * ((header >>> 8) & 0xff);
}

/** Makes, resizes, splits and merges nodes of one heap. */
export class TreeNodes {
  readonly #heap: Heap;
  readonly #u32: Uint32Array[];

  constructor(heap: Heap) {
    this.#heap = heap;
    this.#u32 = heap.pool.u32;
  }

  words(node: Ref): Uint32Array {
    return this.#u32[node >>> SLAB_SHIFT] as Uint32Array;
  }

  header(node: Ref): number {
    return this.words(node)[baseOf(node)] as number;
  }

  /** Items in the subtree. */
  items(node: Ref): number {
    const words = this.words(node);
    const base = baseOf(node);
    const header = words[base] as number;
    return levelOf(header) === 0 ? header & 0xff : (words[base + 1] as number);
  }

  free(node: Ref): void {
    this.#heap.free(node);
  }

  /** An empty leaf with room for `items`. */
  newLeaf(items: number): Ref {
    const capacity = LEAF_CAPACITY[items] as number;
    const leaf = this.#heap.allocate(4 + 4 * capacity);
    this.words(leaf)[baseOf(leaf)] = capacity << 8;
    return leaf;
  }

  /** An empty inner node with room for `children`. */
  newInner(children: number, level: number): Ref {
    const capacity = INNER_CAPACITY[children] as number;
    const inner = this.#heap.allocate(8 + 12 * capacity);
    const words = this.words(inner);
    const base = baseOf(inner);
    words[base] = (capacity << 8) | (level << 16);
    words[base + 1] = 0;
    return inner;
  }

  /** Makes room for one more entry in a node that is not full; returns it or its successor. */
  widen(node: Ref): Ref {
    const header = this.header(node);
    const count = header & 0xff;
    return count < capacityOf(header) ? node : this.#resize(node, count + 1);
  }

  /** Moves a node that has become much smaller; returns it or its successor. */
  narrow(node: Ref): Ref {
    const header = this.header(node);
    const count = header & 0xff;
    const roomy = count + 1 + (count >>> 3);
    const leaf = levelOf(header) === 0;
    const fit = (leaf ? LEAF_CAPACITY[roomy] : INNER_CAPACITY[roomy]) ?? INNER_CHILDREN_MAX;
    return fit < capacityOf(header) ? this.#resize(node, roomy) : node;
  }

  /** Moves the entries from `start` on to a new right neighbour; returns that. */
  splitOff(node: Ref, start: number): Ref {
    const header = this.header(node);
    const room = (header & 0xff) - start;
    const level = levelOf(header);
    const upper = level === 0 ? this.newLeaf(room + 1) : this.newInner(room + 1, level);
    this.append(upper, node, start);
    const words = this.words(node);
    const base = baseOf(node);
    if (level > 0) {
      words[base + 1] = (words[base + 1] as number) - this.items(upper);
    }
    words[base] = (words[base] as number) - room;
    return upper;
  }

  /**
   * One node with the entries of both, which are freed. `separator` is the first item of `upper`.
   */
  merge(lower: Ref, upper: Ref, separator: Ref): Ref {
    const header = this.header(lower);
    const count = header & 0xff;
    const level = levelOf(header);
    const sum = count + (this.header(upper) & 0xff);
    const merged = level === 0 ? this.newLeaf(sum) : this.newInner(sum, level);
    this.append(merged, lower, 0);
    this.append(merged, upper, 0);
    if (level > 0) this.words(merged)[separatorsAt(baseOf(merged)) + count] = separator;
    this.free(lower);
    this.free(upper);
    return merged;
  }

  /** Copies the entries of `source` from `start` on behind those of `target`, which has room. */
  append(target: Ref, source: Ref, start: number): void {
    const from = this.words(source);
    const fromBase = baseOf(source);
    const fromHeader = from[fromBase] as number;
    const to = this.words(target);
    const toBase = baseOf(target);
    const toHeader = to[toBase] as number;
    const before = toHeader & 0xff;
    const length = (fromHeader & 0xff) - start;
    if (levelOf(toHeader) === 0) {
      copyWords(to, toBase + 1 + before, from, fromBase + 1 + start, length);
    } else {
      const fromCapacity = capacityOf(fromHeader);
      const toCapacity = capacityOf(toHeader);
      for (let array = 0; array < 3; array++) {
        const at = toBase + 2 + array * toCapacity + before;
        copyWords(to, at, from, fromBase + 2 + array * fromCapacity + start, length);
      }
      const counts = countsAt(toBase, toHeader) + before;
      let items = to[toBase + 1] as number;
      for (let i = 0; i < length; i++) items += to[counts + i] as number;
      to[toBase + 1] = items;
    }
    to[toBase] = toHeader + length;
  }

  /** Inserts an item into a leaf with room. */
  insertItem(leaf: Ref, slot: number, item: Ref): void {
    const words = this.words(leaf);
    const base = baseOf(leaf);
    const header = words[base] as number;
    const at = base + 1;
    for (let i = header & 0xff; i > slot; i--) words[at + i] = words[at + i - 1] as number;
    words[at + slot] = item;
    words[base] = header + 1;
  }

  removeItem(leaf: Ref, slot: number): void {
    const words = this.words(leaf);
    const base = baseOf(leaf);
    const header = words[base] as number;
    const end = base + (header & 0xff);
    for (let i = base + 1 + slot; i < end; i++) words[i] = words[i + 1] as number;
    words[base] = header - 1;
  }

  /** Inserts a child into an inner node with room, and counts its items. */
  insertChild(inner: Ref, slot: number, child: Ref, separator: Ref): void {
    const words = this.words(inner);
    const base = baseOf(inner);
    const header = words[base] as number;
    const capacity = capacityOf(header);
    const count = header & 0xff;
    const items = this.items(child);
    for (let array = 0; array < 3; array++) {
      const at = base + 2 + array * capacity;
      for (let i = count; i > slot; i--) words[at + i] = words[at + i - 1] as number;
    }
    words[separatorsAt(base) + slot] = separator;
    words[countsAt(base, header) + slot] = items;
    words[childrenAt(base, header) + slot] = child;
    words[base] = header + 1;
    words[base + 1] = (words[base + 1] as number) + items;
  }

  /** A tree of the first `count` of these items, which ascend: full nodes, but for the last ones. */
  build(items: Uint32Array, count: number): Ref {
    let nodes: Ref[] = [];
    let firsts: Ref[] = [];
    for (let at = 0; at < count; at += LEAF_ITEMS_MAX) {
      const length = Math.min(LEAF_ITEMS_MAX, count - at);
      const leaf = this.newLeaf(length);
      const words = this.words(leaf);
      const base = baseOf(leaf);
      copyWords(words, base + 1, items, at, length);
      words[base] = (words[base] as number) + length;
      nodes.push(leaf);
      firsts.push(items[at] as number);
    }
    for (let level = 1; nodes.length > 1; level++) {
      const above: Ref[] = [];
      const firstsAbove: Ref[] = [];
      for (let at = 0; at < nodes.length; at += INNER_CHILDREN_MAX) {
        const length = Math.min(INNER_CHILDREN_MAX, nodes.length - at);
        const inner = this.newInner(length, level);
        for (let i = 0; i < length; i++) {
          this.insertChild(inner, i, nodes[at + i] as Ref, firsts[at + i] as Ref);
        }
        above.push(inner);
        firstsAbove.push(firsts[at] as Ref);
      }
      nodes = above;
      firsts = firstsAbove;
    }
    return nodes[0] ?? 0;
  }

  /** Takes a child out of the arrays; the items below are left as they are. */
  removeChild(inner: Ref, slot: number): void {
    const words = this.words(inner);
    const base = baseOf(inner);
    const header = words[base] as number;
    const capacity = capacityOf(header);
    const last = (header & 0xff) - 1;
    for (let array = 0; array < 3; array++) {
      const at = base + 2 + array * capacity;
      for (let i = slot; i < last; i++) words[at + i] = words[at + i + 1] as number;
    }
    words[base] = header - 1;
  }

  #resize(node: Ref, entries: number): Ref {
    const header = this.header(node);
    const level = levelOf(header);
    const resized = level === 0 ? this.newLeaf(entries) : this.newInner(entries, level);
    this.append(resized, node, 0);
    this.free(node);
    return resized;
  }
}

function copyWords(
  to: Uint32Array,
  toAt: number,
  from: Uint32Array,
  fromAt: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i] as number;
}
