/**
 * Records in order: counted B+trees over refs, so that rank and select cost what search costs. One
 * instance serves many trees; a tree is known by its root, 0 when empty, and a small tree is one
 * leaf of the size that it needs. Nodes are in tree-nodes.ts.
 *
 * Separators are the refs of first items, so inner nodes cost 12 bytes a child; a record that
 * moves or goes is replaced in them too. Inserts at an edge find it by one comparison: the root
 * remembers the edge of its tree's last insert, and a leaf that overflows at an edge stays full.
 *
 * Invariant: items ascend strictly; separators name live items; no node is empty, and two small
 * neighbours are merged; all leaves have the same depth.
 */
import { assert } from "../base/assert.ts";
import type { Heap, Ref } from "./heap.ts";
import { baseOf, childrenAt, countsAt, levelOf, separatorsAt, TreeNodes } from "./tree-nodes.ts";
import { FIRST, LAST, NOWHERE, pathNodes, pathSlots, TreePath } from "./tree-path.ts";

/** A total order over records; what is searched for is always `a`. */
export type CompareRefs = (a: Ref, b: Ref) => number;

/** Where a root's header keeps the edge of the tree's last insert. */
const EDGE_SHIFT = 24;

/** See the file comment. */
export class OrderedIndex {
  readonly #nodes: TreeNodes;
  readonly #path: TreePath;
  readonly #compare: CompareRefs;
  /** Whether the last search met its very item. */
  #exact = false;
  /** The leaf that #leafOf found. */
  #leaf: Ref = 0;

  #cursorRoot: Ref = 0;
  #cursorRank = 0;
  #cursorCount = 0;
  /** The leaf under the cursor: ranks [#leafStart, #leafEnd), items from #leafAt on. */
  #leafStart = 0;
  #leafEnd = 0;
  #leafAt = 0;
  #leafWords: Uint32Array = NO_WORDS;

  constructor(heap: Heap, compare: CompareRefs) {
    this.#nodes = new TreeNodes(heap);
    this.#path = new TreePath(this.#nodes);
    this.#compare = compare;
  }

  count(root: Ref): number {
    return root === 0 ? 0 : this.#nodes.items(root);
  }

  /** Adds an item that the tree does not have; returns the new root. */
  insert(root: Ref, ref: Ref): Ref {
    if (root === 0) {
      const leaf = this.#nodes.newLeaf(1);
      this.#nodes.insertItem(leaf, 0, ref);
      return leaf;
    }
    let edge = this.#nodes.header(root) >>> EDGE_SHIFT;
    if (edge !== NOWHERE) edge = this.#findEdge(root, ref, edge);
    if (edge === NOWHERE) {
      this.#find(root, ref);
      assert(!this.#exact, "a tree has an item once");
      edge = this.#path.edge();
    }
    return this.#remember(this.#path.insert(ref, edge), edge);
  }

  /** A tree of the first `count` of these items, which ascend strictly. Compares nothing. */
  build(items: Uint32Array, count: number): Ref {
    return count === 0 ? 0 : this.#remember(this.#nodes.build(items, count), LAST);
  }

  /** Takes an item out that the tree has; returns the new root. Free the record afterwards. */
  remove(root: Ref, ref: Ref): Ref {
    const edge = this.#nodes.header(root) >>> EDGE_SHIFT;
    this.#find(root, ref);
    assert(this.#exact, "only an item of the tree is removed");
    let shrunk = this.#path.remove();
    if (shrunk === 0) return 0;
    for (;;) {
      const header = this.#nodes.header(shrunk);
      if (levelOf(header) === 0 || (header & 0xff) > 1) break;
      const only = this.#nodes.words(shrunk)[childrenAt(baseOf(shrunk), header)] as number;
      this.#nodes.free(shrunk);
      shrunk = only;
    }
    return this.#remember(shrunk, edge);
  }

  /** An item's record moved and keeps its place; both are readable during the call. */
  replace(root: Ref, oldRef: Ref, newRef: Ref): Ref {
    this.#find(root, oldRef);
    assert(this.#exact, "only an item of the tree is replaced");
    this.#path.rename(newRef);
    return root;
  }

  /** The item with this rank, 0 if there is none. */
  at(root: Ref, rank: number): Ref {
    if (rank < 0 || rank >= this.count(root)) return 0;
    const start = this.#leafOf(root, rank);
    const leaf = this.#leaf;
    return this.#nodes.words(leaf)[baseOf(leaf) + 1 + rank - start] as number;
  }

  /** An item's rank, -1 if the tree does not have it. */
  rankOf(root: Ref, ref: Ref): number {
    if (root === 0) return -1;
    this.#find(root, ref);
    return this.#exact ? this.#path.rank() : -1;
  }

  /** First rank whose item is not less than the probe; `count` if there is none. */
  lowerBound(root: Ref, probe: Ref): number {
    return this.#bound(root, probe, false);
  }

  /** First rank whose item is greater than the probe; `count` if there is none. */
  upperBound(root: Ref, probe: Ref): number {
    return this.#bound(root, probe, true);
  }

  /** Puts the cursor before the item with this rank. Valid until that tree changes. */
  seek(root: Ref, rank: number): void {
    this.#cursorRoot = root;
    this.#cursorCount = this.count(root);
    this.#cursorRank = Math.max(0, Math.min(rank, this.#cursorCount));
    this.#leafStart = 0;
    this.#leafEnd = 0;
  }

  /** The item behind the cursor, which moves over it; 0 at the end. */
  next(): Ref {
    const rank = this.#cursorRank;
    if (rank >= this.#cursorCount) return 0;
    if (rank >= this.#leafEnd || rank < this.#leafStart) this.#openLeaf(rank);
    this.#cursorRank = rank + 1;
    return this.#leafWords[this.#leafAt + rank - this.#leafStart] as number;
  }

  /** The item before the cursor, which moves over it; 0 at the beginning. */
  previous(): Ref {
    const rank = this.#cursorRank - 1;
    if (rank < 0) return 0;
    if (rank >= this.#leafEnd || rank < this.#leafStart) this.#openLeaf(rank);
    this.#cursorRank = rank;
    return this.#leafWords[this.#leafAt + rank - this.#leafStart] as number;
  }

  /** Gives back the nodes of a tree; the records are the caller's. Costs by nodes. */
  free(root: Ref): void {
    if (root === 0) return;
    const words = this.#nodes.words(root);
    const base = baseOf(root);
    const header = words[base] as number;
    if (levelOf(header) > 0) {
      const children = childrenAt(base, header);
      for (let i = 0; i < (header & 0xff); i++) this.free(words[children + i] as number);
    }
    this.#nodes.free(root);
  }

  /**
   * Takes up to `itemsMax` items off the end, last first, and shows each to `visit`, which may free
   * it and change other trees. Returns the rest, a whole tree: 0 = done. Compares nothing.
   */
  freeSlice(root: Ref, itemsMax: number, visit: (ref: Ref) => void): Ref {
    let rest = root;
    for (let left = itemsMax; rest !== 0 && left > 0; ) {
      this.#leafOf(rest, this.count(rest) - 1);
      const leaf = this.#leaf;
      const words = this.#nodes.words(leaf);
      const count = (words[baseOf(leaf)] as number) & 0xff;
      const taken = Math.min(left, count);
      for (let i = 1; i <= taken; i++) visit(words[baseOf(leaf) + 1 + count - i] as number);
      rest = this.#dropLast(rest, taken);
      left -= taken;
    }
    return rest;
  }

  /** Takes `items` of the last leaf off a tree. */
  #dropLast(node: Ref, items: number): Ref {
    const words = this.#nodes.words(node);
    const base = baseOf(node);
    const header = words[base] as number;
    const count = header & 0xff;
    if (levelOf(header) === 0) {
      words[base] = header - items;
      if (count > items) return node;
    } else {
      const at = childrenAt(base, header) + count - 1;
      const child = this.#dropLast(words[at] as number, items);
      const counts = countsAt(base, header) + count - 1;
      words[base + 1] = (words[base + 1] as number) - items;
      words[counts] = (words[counts] as number) - items;
      if (child === 0) words[base] = header - 1;
      if (child !== 0 || count > 1) return node;
    }
    this.#nodes.free(node);
    return 0;
  }

  /** Path to the item, or to where it would go. */
  #find(root: Ref, ref: Ref): void {
    let node = root;
    let depth = 0;
    let words = this.#nodes.words(node);
    let base = baseOf(node);
    let header = words[base] as number;
    while (levelOf(header) > 0) {
      const separators = separatorsAt(base);
      let low = 0;
      let high = (header & 0xff) - 1;
      while (low < high) {
        const middle = (low + high + 1) >>> 1;
        const separator = words[separators + middle] as number;
        if (separator === ref || this.#compare(ref, separator) >= 0) low = middle;
        else high = middle - 1;
      }
      pathNodes[depth] = node;
      pathSlots[depth++] = low;
      node = words[childrenAt(base, header) + low] as number;
      words = this.#nodes.words(node);
      base = baseOf(node);
      header = words[base] as number;
    }
    let low = 0;
    let high = header & 0xff;
    this.#exact = false;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const item = words[base + 1 + middle] as number;
      const order = item === ref ? 0 : this.#compare(ref, item);
      if (order > 0) low = middle + 1;
      else high = middle;
      if (order === 0) this.#exact = true;
    }
    pathNodes[depth] = node;
    pathSlots[depth] = low;
    this.#path.depth = depth;
  }

  /** Path to the edge where the item belongs, the likely one first; NOWHERE if to neither. */
  #findEdge(root: Ref, ref: Ref, likely: number): number {
    for (const edge of likely === LAST ? LAST_FIRST : FIRST_LAST) {
      let node = root;
      let depth = 0;
      for (;;) {
        const words = this.#nodes.words(node);
        const base = baseOf(node);
        const header = words[base] as number;
        const last = (header & 0xff) - 1;
        pathNodes[depth] = node;
        if (levelOf(header) === 0) {
          const order = this.#compare(ref, words[base + 1 + (edge === LAST ? last : 0)] as number);
          if (edge === LAST ? order <= 0 : order >= 0) break;
          pathSlots[depth] = edge === LAST ? last + 1 : 0;
          this.#path.depth = depth;
          return edge;
        }
        const slot = edge === LAST ? last : 0;
        pathSlots[depth++] = slot;
        node = words[childrenAt(base, header) + slot] as number;
      }
    }
    return NOWHERE;
  }

  #bound(root: Ref, probe: Ref, afterEqual: boolean): number {
    if (root === 0) return 0;
    let rank = 0;
    let node = root;
    for (;;) {
      const words = this.#nodes.words(node);
      const base = baseOf(node);
      const header = words[base] as number;
      const inner = levelOf(header) > 0;
      // The number of entries before the bound; the first separator of a node counts as less.
      const entries = inner ? separatorsAt(base) : base + 1;
      let low = inner ? 1 : 0;
      let high = header & 0xff;
      while (low < high) {
        const middle = (low + high) >>> 1;
        const order = this.#compare(probe, words[entries + middle] as number);
        if (order > 0 || (afterEqual && order === 0)) low = middle + 1;
        else high = middle;
      }
      if (!inner) return rank + low;
      const counts = countsAt(base, header);
      for (let i = 0; i < low - 1; i++) rank += words[counts + i] as number;
      node = words[childrenAt(base, header) + low - 1] as number;
    }
  }

  /** Finds the leaf that has this rank, which exists; returns the rank of its first item. */
  #leafOf(root: Ref, rank: number): number {
    let node = root;
    let left = rank;
    for (;;) {
      const words = this.#nodes.words(node);
      const base = baseOf(node);
      const header = words[base] as number;
      if (levelOf(header) === 0) {
        this.#leaf = node;
        return rank - left;
      }
      const counts = countsAt(base, header);
      let slot = 0;
      while (left >= (words[counts + slot] as number)) left -= words[counts + slot++] as number;
      node = words[childrenAt(base, header) + slot] as number;
    }
  }

  #openLeaf(rank: number): void {
    this.#leafStart = this.#leafOf(this.#cursorRoot, rank);
    this.#leafWords = this.#nodes.words(this.#leaf);
    this.#leafAt = baseOf(this.#leaf) + 1;
    this.#leafEnd = this.#leafStart + (this.#nodes.header(this.#leaf) & 0xff);
  }

  #remember(root: Ref, edge: number): Ref {
    const words = this.#nodes.words(root);
    const base = baseOf(root);
    words[base] = ((words[base] as number) & 0xffffff) | (edge << EDGE_SHIFT);
    return root;
  }
}

const NO_WORDS = new Uint32Array(0);
const FIRST_LAST = [FIRST, LAST];
const LAST_FIRST = [LAST, FIRST];
