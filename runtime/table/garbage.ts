/**
 * What clears leave to be done: elements that are gone, or may be, looked through and freed piece by
 * piece, so that deleting a million elements holds nobody up (the lazy cut of design 4.4).
 *
 * A clear that covers all of a collection detaches the whole order from its key: nothing of it exists
 * any more, and what the key gets next starts in a fresh block. A clear that is concurrent to some of
 * it cuts: the order is set aside, and a pass frees what the cut hides (a version vector, all that the
 * clear's op covers) and puts the rest back.
 *
 *   block ── root ───► elements that live         a further clear sets these aside again, under the
 *     └───── orders ─► elements not yet judged    entry-wise maximum of both cuts
 *
 * Until the pass has ended, an element that is named is judged first (`judge`), and who needs the
 * collection as a whole, be it only whether it has an element, ends the pass (`settle`). A command
 * that would have much to judge waits for the slices instead (`MemoryTable.isSettling`).
 *
 * A snapshot that runs is handed each element before it is freed or put back; one that begins while
 * something is cut settles it.
 *
 * Invariants: an element is in its block's order or, not yet judged, in one that is set aside; what
 * is in a block's order has no version that the block's cut hides.
 */
import { assert } from "../base/assert.ts";
import type { MemoryTable } from "./memory-table.ts";
import { BLOB, MARKED } from "./record.ts";
import type { Ref } from "./slab-pool.ts";

// limits:
/** What is looked through at once costs less than remembering it. */
const EAGER_ITEMS_MAX = 64;
/** Elements that a command judges in its turn, about a millisecond; where more are left, it waits. */
export const SETTLE_ITEMS_MAX = 1_000;

export interface Pass {
  readonly block: Ref;
  readonly type: number;
  /** Elements not yet judged; the last order is the next. */
  readonly orders: Ref[];
  /** How far each origin's versions are hidden; null: the collection is detached, all are. */
  cut: Float64Array | null;
  /** Of a detached collection the key's bytes, which a snapshot may still ask for. */
  key: Buffer;
  /** Detached before the running snapshot began: not part of it. */
  hiddenFromSnapshot: boolean;
}

const NOTHING = Buffer.alloc(0);
const NO_CUT = new Float64Array(0);

export class Garbage {
  /** Collections up to this size are looked through at once. */
  eagerItemsMax = EAGER_ITEMS_MAX;

  readonly #table: MemoryTable;
  /** Collections under a cut, by block. */
  readonly #cuts = new Map<Ref, Pass>();
  /** Detached collections, by block, in the order in which they were detached. */
  readonly #detached = new Map<Ref, Pass>();
  /** Passes over elements that the running snapshot has yet to see. */
  #held = 0;

  constructor(table: MemoryTable) {
    this.#table = table;
  }

  get isEmpty(): boolean {
    return this.#cuts.size === 0 && this.#detached.size === 0;
  }

  /** Whether elements remain that the running snapshot has yet to see. */
  get holdsSnapshot(): boolean {
    return this.#held > 0;
  }

  /** Called when a snapshot begins: what is detached already is no part of it. */
  hideFromSnapshot(): void {
    this.settleAll();
    for (const pass of this.#detached.values()) pass.hiddenFromSnapshot = true;
    this.#held = 0;
  }

  /** The key of a detached block. */
  keyOf(block: Ref): Buffer {
    const pass = this.#detached.get(block);
    assert(pass !== undefined, "a block without a key is detached");
    return pass.key;
  }

  /** Forgets everything: the heap has been given back as a whole. */
  reset(): void {
    this.#cuts.clear();
    this.#table.hasCuts = false;
    this.#detached.clear();
    this.#held = 0;
  }

  /** Takes a block from its (still linked) key record. The caller removes or relinks the key. */
  detach(keyRef: Ref, block: Ref): void {
    const table = this.#table;
    const { records } = table;
    const keyAt = records.keyAt(keyRef);
    const pass = this.#setAside(block);
    this.#forgetCut(block);
    pass.cut = null;
    pass.key = Buffer.from(
      records.bytes(keyRef).subarray(keyAt, keyAt + records.keyLength(keyRef)),
    );
    table.orphanBlock(block);
    this.#detached.set(block, pass);
    const count = this.#count(pass);
    if (count <= this.eagerItemsMax) this.#advance(pass, count);
  }

  /** Hides the versions of a collection that a clear covers. An emptied collection goes. */
  cut(block: Ref, hidden: Float64Array): void {
    const table = this.#table;
    const count = table.elements.countOf(block);
    const pass = this.#setAside(block);
    pass.cut = maximum(pass.cut ?? NO_CUT, hidden);
    table.setBlockCopyMin(block, Number.POSITIVE_INFINITY);
    table.blocks.setChanged(block, table.op.sequence);
    table.blocks.setCut(block, true);
    this.#cuts.set(block, pass);
    table.hasCuts = true;
    if (count <= this.eagerItemsMax) this.#advance(pass, count);
  }

  /** Sets a block's order aside; the pass over it, a new one if there is none. */
  #setAside(block: Ref): Pass {
    const { blocks } = this.#table;
    let pass = this.#cuts.get(block);
    if (pass === undefined) {
      const type = blocks.type(block);
      pass = { block, type, orders: [], cut: NO_CUT, key: NOTHING, hiddenFromSnapshot: false };
      this.#held++;
    }
    pass.orders.push(blocks.root(block));
    blocks.setRoot(block, 0);
    return pass;
  }

  /** The pass over a block under a cut. */
  passOver(block: Ref): Readonly<Pass> | undefined {
    return this.#cuts.get(block);
  }

  /** Elements of a block that no pass has judged yet. */
  unjudged(block: Ref): number {
    const pass = this.#cuts.get(block);
    return pass === undefined ? 0 : this.#count(pass);
  }

  #count({ type, orders }: Pass): number {
    const order = this.#table.elements.orderOf(type);
    return orders.reduce((sum, root) => sum + order.count(root), 0);
  }

  /**
   * Judges an element of a block under a cut, if it is still to be: `find` looks for it in an order
   * or by its name. The element may be gone then, or another record.
   */
  judge(block: Ref, find: (root: Ref) => Ref): void {
    const pass = this.#cuts.get(block);
    assert(pass !== undefined, "a block under a cut has a pass");
    const order = this.#table.elements.orderOf(pass.type);
    for (const [i, root] of pass.orders.entries()) {
      const ref = find(root);
      if (ref === 0 || order.rankOf(root, ref) < 0) continue;
      pass.orders[i] = order.remove(root, ref);
      this.#judge(pass, ref);
      return;
    }
  }

  /** Ends the pass over a block under a cut. False: nothing is left of the collection. */
  settle(block: Ref): boolean {
    const pass = this.#cuts.get(block);
    assert(pass !== undefined, "a block under a cut has a pass");
    this.#walk(pass, Number.POSITIVE_INFINITY);
    const isLeft = this.#table.blocks.root(block) !== 0;
    this.#end(pass);
    return isLeft;
  }

  /** Ends the passes over all blocks under a cut. */
  settleAll(): void {
    for (const block of this.#cuts.keys()) this.settle(block);
  }

  /** Looks through up to about `itemsMax` elements, cuts first; returns whether any remain. */
  collect(itemsMax: number): boolean {
    let left = itemsMax;
    for (const passes of [this.#cuts, this.#detached]) {
      for (const pass of passes.values()) {
        if (left <= 0) return true;
        left -= this.#advance(pass, left);
      }
    }
    return !this.isEmpty;
  }

  /** A slice of a pass, which ends it if there is no more. Returns its size, at least 1. */
  #advance(pass: Pass, itemsMax: number): number {
    const walked = this.#walk(pass, itemsMax);
    if (pass.orders.length === 0) this.#end(pass);
    return Math.max(walked, 1);
  }

  #walk(pass: Pass, itemsMax: number): number {
    const { orders } = pass;
    const order = this.#table.elements.orderOf(pass.type);
    let walked = 0;
    for (let i = orders.length - 1; i >= 0; i--) {
      const rest = order.freeSlice(orders[i] as Ref, itemsMax - walked, (ref) => {
        walked++;
        this.#judge(pass, ref);
      });
      if (rest !== 0) {
        orders[i] = rest;
        break;
      }
      orders.pop();
    }
    return walked;
  }

  /** Frees an element that was taken out of its order, or puts back what is not hidden of it. */
  #judge({ block, type, cut, hiddenFromSnapshot }: Pass, ref: Ref): void {
    const table = this.#table;
    const { records, cells } = table;
    if (!hiddenFromSnapshot) table.touch(ref);
    const isPlain = (records.flags(ref) & BLOB) === 0;
    if (cut === null || (isPlain && hides(cut, records.slot(ref), records.counter(ref)))) {
      table.elements.forget(type, ref);
      table.heap.free(ref);
      return;
    }
    // A snapshot that was given up meanwhile has left it with the mark of before.
    records.setFlags(ref, (records.flags(ref) & ~MARKED) | table.mark);
    table.elements.putBack(block, ref);
    if (isPlain) {
      table.noteCopy(block, records.copyAt(ref));
      return;
    }
    const left = cells.versions(ref).filter(({ slot, counter }) => !hides(cut, slot, counter));
    cells.rewriteElement(block, ref, left);
  }

  #end({ block, cut, hiddenFromSnapshot }: Pass): void {
    const table = this.#table;
    if (!hiddenFromSnapshot) this.#held--;
    if (cut === null) {
      this.#detached.delete(block);
      table.heap.free(block);
      return;
    }
    this.#forgetCut(block);
    table.blocks.setCut(block, false);
    table.dropEmpty(block);
  }

  #forgetCut(block: Ref): void {
    this.#cuts.delete(block);
    this.#table.hasCuts = this.#cuts.size > 0;
  }
}

/** Whether a cut hides the version with this dot. */
export function hides(cut: Float64Array, slot: number, counter: number): boolean {
  return slot < cut.length && counter <= (cut[slot] as number);
}

/** The entry-wise maximum of two version vectors. */
function maximum(a: Float64Array, b: Float64Array): Float64Array {
  const larger = new Float64Array(Math.max(a.length, b.length));
  for (let slot = 0; slot < larger.length; slot++) {
    larger[slot] = Math.max(a[slot] ?? 0, b[slot] ?? 0);
  }
  return larger;
}
