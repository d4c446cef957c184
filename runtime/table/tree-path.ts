/**
 * Changes at the end of a path through a counted B+tree: the entry goes into the leaf or out of it,
 * and nodes split, merge, move and are recounted on the way back up. Compares nothing.
 *
 * A path is the nodes from the root to a leaf and the slot taken in each; the slot in the leaf is an
 * item's place. One path for all trees of a thread: operations do not nest.
 *
 * Invariant: after a change every count, child and separator along the path is right again.
 */
import type { Ref } from "./heap.ts";
import type { TreeNodes } from "./tree-nodes.ts";
import {
  baseOf,
  childrenAt,
  countsAt,
  INNER_CHILDREN_MAX,
  LEAF_ITEMS_MAX,
  levelOf,
  separatorsAt,
} from "./tree-nodes.ts";

/** Where in its tree a path ends. An overflow at an edge leaves the full node as it is. */
export const NOWHERE = 0;
export const FIRST = 1;
export const LAST = 2;

/** Deeper than any tree of 2^32 items. */
const DEPTH_MAX = 32;
/** A node with this many entries or fewer looks for a neighbour to merge with. */
const SMALL_ENTRIES = 15;
/** Entries of two neighbours that merge: leaves room, so that the next insert does not split. */
const MERGED_ENTRIES_MAX = 47;
/** Items that a new leaf at an edge has room for: more will follow. */
const EDGE_LEAF_ITEMS = 15;

export const pathNodes = new Uint32Array(DEPTH_MAX);
export const pathSlots = new Int32Array(DEPTH_MAX);

/** Changes the trees of one heap where the shared path leads. */
export class TreePath {
  /** Index of the leaf in the path. */
  depth = 0;
  readonly #tree: TreeNodes;
  /** The right half of the node that split last, and its first item; 0 = it did not split. */
  #sibling: Ref = 0;
  #separator: Ref = 0;

  constructor(tree: TreeNodes) {
    this.#tree = tree;
  }

  /** Which edge of the tree the path, to a place for a new item, leads to. */
  edge(): number {
    let first = true;
    let last = true;
    for (let i = 0; i <= this.depth && (first || last); i++) {
      const slot = pathSlots[i] as number;
      const count = this.#tree.header(pathNodes[i] as number) & 0xff;
      if (slot !== 0) first = false;
      if (slot !== (i === this.depth ? count : count - 1)) last = false;
    }
    if (last) return LAST;
    return first ? FIRST : NOWHERE;
  }

  /** Rank of the path's end. */
  rank(): number {
    let rank = pathSlots[this.depth] as number;
    for (let i = 0; i < this.depth; i++) {
      const node = pathNodes[i] as number;
      const words = this.#tree.words(node);
      const base = baseOf(node);
      const counts = countsAt(base, words[base] as number);
      const end = counts + (pathSlots[i] as number);
      for (let at = counts; at < end; at++) rank += words[at] as number;
    }
    return rank;
  }

  /** Inserts the item at the path's end; returns the new root. */
  insert(item: Ref, edge: number): Ref {
    const tree = this.#tree;
    let child = this.#insertItem(item, edge);
    for (let i = this.depth - 1; i >= 0; i--) {
      const node = pathNodes[i] as number;
      const slot = pathSlots[i] as number;
      const words = tree.words(node);
      const base = baseOf(node);
      const header = words[base] as number;
      const count = countsAt(base, header) + slot;
      words[childrenAt(base, header) + slot] = child;
      if (this.#sibling === 0) {
        words[count] = (words[count] as number) + 1;
        words[base + 1] = (words[base + 1] as number) + 1;
        child = node;
      } else {
        const items = tree.items(child);
        words[base + 1] = (words[base + 1] as number) + items - (words[count] as number);
        words[count] = items;
        child = this.#insertSibling(node, slot, edge);
      }
    }
    if (this.#sibling === 0) return child;
    const root = tree.newInner(2, levelOf(tree.header(child)) + 1);
    tree.insertChild(root, 0, child, 0);
    tree.insertChild(root, 1, this.#sibling, this.#separator);
    return root;
  }

  /** Removes the item at the path's end; returns the new root, 0 if nothing is left. */
  remove(): Ref {
    const tree = this.#tree;
    // The new first item of the subtree below, until its separator is found; 0 = as before.
    let first: Ref = 0;
    let child = pathNodes[this.depth] as number;
    tree.removeItem(child, pathSlots[this.depth] as number);
    if ((tree.header(child) & 0xff) === 0) {
      tree.free(child);
      child = 0;
    } else {
      if (pathSlots[this.depth] === 0) first = tree.words(child)[baseOf(child) + 1] as number;
      child = tree.narrow(child);
    }
    for (let i = this.depth - 1; i >= 0; i--) {
      const node = pathNodes[i] as number;
      const slot = pathSlots[i] as number;
      const words = tree.words(node);
      const base = baseOf(node);
      const header = words[base] as number;
      words[base + 1] = (words[base + 1] as number) - 1;
      if (child === 0) {
        tree.removeChild(node, slot);
        if ((header & 0xff) === 1) {
          tree.free(node);
          continue;
        }
        if (slot === 0) first = words[separatorsAt(base)] as number;
      } else {
        const count = countsAt(base, header) + slot;
        words[count] = (words[count] as number) - 1;
        words[childrenAt(base, header) + slot] = child;
        if (first !== 0 && slot > 0) {
          words[separatorsAt(base) + slot] = first;
          first = 0;
        }
        this.#mergeChild(node, slot);
      }
      child = tree.narrow(node);
    }
    return child;
  }

  /** The item at the path's end has another ref from now on. */
  rename(item: Ref): void {
    const leaf = pathNodes[this.depth] as number;
    this.#tree.words(leaf)[baseOf(leaf) + 1 + (pathSlots[this.depth] as number)] = item;
    for (let i = this.depth; i >= 0; i--) {
      if (pathSlots[i] === 0) continue;
      if (i === this.depth) return;
      const node = pathNodes[i] as number;
      const separator = separatorsAt(baseOf(node)) + (pathSlots[i] as number);
      this.#tree.words(node)[separator] = item;
      return;
    }
  }

  /** Returns the leaf, or what takes its place; sets the sibling if it split. */
  #insertItem(item: Ref, edge: number): Ref {
    const tree = this.#tree;
    const leaf = pathNodes[this.depth] as number;
    const slot = pathSlots[this.depth] as number;
    this.#sibling = 0;
    if ((tree.header(leaf) & 0xff) < LEAF_ITEMS_MAX) {
      const wide = tree.widen(leaf);
      tree.insertItem(wide, slot, item);
      return wide;
    }
    if (edge === LAST) {
      this.#sibling = tree.newLeaf(EDGE_LEAF_ITEMS);
      this.#separator = item;
      tree.insertItem(this.#sibling, 0, item);
      return leaf;
    }
    if (edge === FIRST) {
      const lower = tree.newLeaf(EDGE_LEAF_ITEMS);
      this.#sibling = leaf;
      this.#separator = tree.words(leaf)[baseOf(leaf) + 1] as number;
      tree.insertItem(lower, 0, item);
      return lower;
    }
    const middle = (LEAF_ITEMS_MAX + 1) >>> 1;
    const upper = tree.splitOff(leaf, middle);
    if (slot <= middle) tree.insertItem(leaf, slot, item);
    else tree.insertItem(upper, slot - middle, item);
    this.#sibling = upper;
    this.#separator = tree.words(upper)[baseOf(upper) + 1] as number;
    return tree.narrow(leaf);
  }

  /**
   * Inserts the sibling behind the child at `slot`. Returns the node, or what takes its place; the
   * node's own right half is the sibling then.
   */
  #insertSibling(node: Ref, slot: number, edge: number): Ref {
    const tree = this.#tree;
    const header = tree.header(node);
    if ((header & 0xff) < INNER_CHILDREN_MAX) {
      const wide = tree.widen(node);
      tree.insertChild(wide, slot + 1, this.#sibling, this.#separator);
      this.#sibling = 0;
      return wide;
    }
    if (edge === LAST) {
      const upper = tree.newInner(2, levelOf(header));
      tree.insertChild(upper, 0, this.#sibling, 0);
      this.#sibling = upper;
      return node;
    }
    if (edge === FIRST) {
      // The child goes to a new lower node, the sibling takes its place in the full one.
      const words = tree.words(node);
      const base = baseOf(node);
      const lower = tree.newInner(2, levelOf(header));
      tree.insertChild(lower, 0, words[childrenAt(base, header)] as number, 0);
      const items = tree.items(this.#sibling);
      const count = countsAt(base, header);
      words[childrenAt(base, header)] = this.#sibling;
      words[base + 1] = (words[base + 1] as number) + items - (words[count] as number);
      words[count] = items;
      this.#sibling = node;
      return lower;
    }
    const middle = INNER_CHILDREN_MAX >>> 1;
    const separator = tree.words(node)[separatorsAt(baseOf(node)) + middle] as number;
    const upper = tree.splitOff(node, middle);
    const place = slot + 1;
    if (place <= middle) tree.insertChild(node, place, this.#sibling, this.#separator);
    else tree.insertChild(upper, place - middle, this.#sibling, this.#separator);
    this.#sibling = upper;
    this.#separator = separator;
    return tree.narrow(node);
  }

  /** Merges a child that has become small with a neighbour, if both fit in one with room left. */
  #mergeChild(node: Ref, slot: number): void {
    const tree = this.#tree;
    const words = tree.words(node);
    const base = baseOf(node);
    const header = words[base] as number;
    const children = childrenAt(base, header);
    const entries = tree.header(words[children + slot] as number) & 0xff;
    if (entries > SMALL_ENTRIES) return;
    let lower = slot;
    if (!this.#mergeable(words, children, slot, slot + 1, header & 0xff)) {
      lower = slot - 1;
      if (!this.#mergeable(words, children, lower, slot, header & 0xff)) return;
    }
    const counts = countsAt(base, header);
    const merged = tree.merge(
      words[children + lower] as number,
      words[children + lower + 1] as number,
      words[separatorsAt(base) + lower + 1] as number,
    );
    words[counts + lower] =
      (words[counts + lower] as number) + (words[counts + lower + 1] as number);
    tree.removeChild(node, lower + 1);
    words[children + lower] = merged;
  }

  #mergeable(
    words: Uint32Array,
    children: number,
    lower: number,
    upper: number,
    count: number,
  ): boolean {
    if (lower < 0 || upper >= count) return false;
    const tree = this.#tree;
    const left = tree.header(words[children + lower] as number) & 0xff;
    const right = tree.header(words[children + upper] as number) & 0xff;
    return left + right <= MERGED_ENTRIES_MAX;
  }
}
