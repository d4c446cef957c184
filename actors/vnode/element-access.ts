/**
 * The elements of the collection that commands have open: found by name, rank or score, read in
 * place, put and taken.
 *
 * Invariants: the last element takes the key with it; a collection that is made or changed hides
 * nothing of another type; elements that are expired by their copy of the expiry are absent.
 *
 * References (`find`, `at`, `next`) and ranges hold until the next change.
 */
import { copyBytes } from "../../runtime/base/bytes.ts";
import { LIST } from "../../runtime/causality/cell.ts";
import { deltaThatShows } from "../../runtime/causality/counter-add.ts";
import { hlcWallMs } from "../../runtime/causality/hlc.ts";
import type { PositionPush } from "../../runtime/causality/position.ts";
import {
  POSITION_LEVEL_BYTES,
  positionBetween,
  writePushPosition,
} from "../../runtime/causality/position.ts";
import { ABSENT, type KeyView } from "../../runtime/table/key-view.ts";
import { ADDS, BLOB, KIND_COUNTER_SHIFT } from "../../runtime/table/record.ts";
import { shownElement } from "../../runtime/table/shown.ts";
import type { Ref } from "../../runtime/table/slab-pool.ts";
import { NOTHING, type OpenKey } from "./open-key.ts";

export class ElementAccess {
  readonly view: KeyView;
  readonly #opened: OpenKey;
  readonly #position = Buffer.alloc(POSITION_LEVEL_BYTES);
  readonly #push: PositionPush = {
    originHigh: 0,
    originLow: 0,
    counter: 0,
    index: 0,
    edge: NOTHING,
    edgeStart: 0,
    edgeEnd: 0,
    before: false,
  };
  #cursor = 0;

  constructor(opened: OpenKey) {
    this.view = opened.view;
    this.#opened = opened;
  }

  /** Elements of the open collection. */
  get count(): number {
    return this.view.type === ABSENT ? 0 : this.view.count;
  }

  /** The element with this name, or 0. */
  find(name: Buffer, start: number, end: number): Ref {
    const { view } = this;
    if (view.type === ABSENT || view.block === 0) return 0;
    const ref = this.#opened.table.elements.find(view.block, name, start, end);
    if (ref !== 0 && view.live !== null && !view.live.includes(ref)) return 0;
    return ref;
  }

  /** The element of this rank in the collection's order; 0 past the end. */
  at(rank: number): Ref {
    const { view } = this;
    if (rank < 0 || rank >= this.count) return 0;
    if (view.live !== null) return view.live[rank] as Ref;
    return this.#opened.table.elements
      .orderOf(view.type)
      .at(this.#opened.table.blocks.root(view.block), rank);
  }

  /** Starts an iteration at a rank; `next` gives refs and 0 at the end. No changes meanwhile. */
  seek(rank: number): void {
    const { view } = this;
    this.#cursor = rank;
    if (view.live === null && view.type !== ABSENT) {
      this.#opened.table.elements
        .orderOf(view.type)
        .seek(this.#opened.table.blocks.root(view.block), rank);
    }
  }

  next(): Ref {
    const { view } = this;
    if (view.type === ABSENT) return 0;
    if (view.live !== null) return view.live[this.#cursor++] ?? 0;
    return this.#opened.table.elements.orderOf(view.type).next();
  }

  /** As `next`, the other way: the element before the cursor. */
  previous(): Ref {
    const { view } = this;
    if (view.type === ABSENT) return 0;
    if (view.live !== null) return this.#cursor > 0 ? (view.live[--this.#cursor] as Ref) : 0;
    return this.#opened.table.elements.orderOf(view.type).previous();
  }

  /** The place of a hash's or set's element in its order, which scans go by: 32 bits. */
  nameHash(ref: Ref): number {
    return this.#opened.table.records.nameHash(ref);
  }

  /** Rank of the first element of a hash or set whose place is not before this one. */
  rankOfHash(hash: number): number {
    const { view } = this;
    const table = this.#opened.table;
    if (view.type === ABSENT) return 0;
    if (view.live !== null) {
      const rank = view.live.findIndex((ref) => table.records.nameHash(ref) >= hash);
      return rank < 0 ? view.live.length : rank;
    }
    table.elements.hash = hash;
    const probe = table.elements.probe(NOTHING, 0, 0, 0);
    return table.elements.orderOf(view.type).lowerBound(table.blocks.root(view.block), probe);
  }

  /** Rank of the first element of a sorted set whose score (as bytes) is not below this one. */
  rankOfScore(score: Buffer): number {
    const { view } = this;
    const table = this.#opened.table;
    const { records } = table;
    if (view.type === ABSENT) return 0;
    const probe = table.elements.probe(NOTHING, 0, 0, score.length);
    copyBytes(records.bytes(probe), records.valueAt(probe), score, 0, score.length);
    if (view.live !== null) {
      const rank = view.live.findIndex((ref) => records.compareScores(ref, probe) >= 0);
      return rank < 0 ? view.live.length : rank;
    }
    return table.elements.orderOf(view.type).lowerBound(table.blocks.root(view.block), probe);
  }

  /** Whether the running command has written this element: a later mention of it is its second. */
  isWritten(ref: Ref): boolean {
    const { op, records } = this.#opened.table;
    if (!this.#opened.partition.isOpen || records.flags(ref) & BLOB) return false;
    return records.slot(ref) === op.slot && records.counter(ref) === op.counter;
  }

  /** Points `buffer`, `start`, `end` at an element's name. */
  loadName(ref: Ref): void {
    const opened = this.#opened;
    const { records } = opened.table;
    opened.buffer = records.bytes(ref);
    opened.start = records.keyAt(ref);
    opened.end = opened.start + records.keyLength(ref);
  }

  /** Points `buffer`, `start`, `end` at an element's shown value. */
  loadValue(ref: Ref): void {
    const opened = this.#opened;
    const { records } = opened.table;
    if (records.flags(ref) & (BLOB | ADDS)) {
      opened.loadWhole(shownElement(opened.partition, ref, this.view));
      return;
    }
    opened.buffer = records.bytes(ref);
    opened.start = records.valueAt(ref);
    opened.end = opened.start + records.valueLength(ref);
  }

  /**
   * Sets an element of the open key, which is made a collection of this type if it is absent.
   * `counterKind`: the value is a number that increments made.
   */
  put(
    type: number,
    name: Buffer,
    nameStart: number,
    nameEnd: number,
    value: Buffer,
    start: number,
    end: number,
    counterKind = 0,
  ): void {
    const opened = this.#opened;
    const { view } = this;
    const { partition } = opened;
    const typeKind = type | (counterKind << KIND_COUNTER_SHIFT);
    opened.begin();
    if (view.type === ABSENT || view.hasHidden) this.#makeRoom(type);
    const copyAt = view.expiryAt === 0 ? 0 : this.#copyOfExpiry();
    const key = opened.key;
    partition.writer.setElement(
      key,
      opened.keyStart,
      opened.keyEnd,
      typeKind,
      name,
      nameStart,
      nameEnd,
      value,
      start,
      end,
      copyAt,
    );
    partition.mutations.setElement(
      key,
      opened.keyStart,
      opened.keyEnd,
      typeKind,
      name,
      nameStart,
      nameEnd,
      value,
      start,
      end,
      copyAt,
      opened.table.op.covers,
    );
    if (view.type === ABSENT || view.live !== null) opened.reopen();
  }

  /**
   * The copy of the key's expiry that an element carries; 0: none. A copy counts unless a head was
   * born before that time. Where the wall clock was set back, stamps are ahead of it, and so is a
   * head's birth: its elements carry none, or they would be gone at that time whatever the key's
   * expiry is then (docs/decisions/0056).
   */
  #copyOfExpiry(): number {
    const { view } = this;
    const { hlc } = this.#opened.table.op;
    const bornMs = view.type === ABSENT ? hlcWallMs(hlc) : view.headBornMs;
    return bornMs < view.expiryAt ? view.expiryAt : 0;
  }

  /** Before the first element of a collection, and over what another type left hidden. */
  #makeRoom(type: number): void {
    const opened = this.#opened;
    const { view } = this;
    if (view.type === ABSENT) {
      if (view.ref !== 0) opened.clear();
      view.expiryAt = opened.expiryOfNew;
      opened.setHead(type, opened.expiryOfNew);
      return;
    }
    opened.removeHidden();
    opened.removeHiddenHeads();
    opened.reopen();
  }

  /**
   * Removes an element; the last one takes all that is left of the key with it, so that nothing
   * hidden comes to light. Returns whether any are left.
   */
  take(ref: Ref): boolean {
    const opened = this.#opened;
    const { view } = this;
    opened.begin();
    const isLast = this.count === 1;
    if (view.hasHidden) {
      opened.removeHidden();
      if (!isLast) opened.removeHiddenHeads();
    }
    if (isLast && view.live !== null) {
      for (const name of view.dead().map((dead) => this.#nameCopy(dead) as Buffer)) {
        opened.remove(view.type, name, 0, name.length);
      }
    }
    this.loadName(ref);
    // The name is read where it lies: the record goes only after the last look at it.
    opened.remove(view.type, opened.buffer, opened.start, opened.end);
    if (isLast) {
      opened.remove(view.type, null, 0, 0);
      opened.reopen();
    } else if (view.live !== null || view.hasHidden) opened.reopen();
    return !isLast;
  }

  /** Adds to the number that an element holds. */
  addToElement(ref: Ref, delta: bigint | number): void {
    const opened = this.#opened;
    const { view } = this;
    const { partition } = opened;
    this.loadName(ref);
    const name = Buffer.from(opened.buffer.subarray(opened.start, opened.end));
    opened.begin();
    if (view.hasHidden) {
      opened.removeHidden();
      opened.removeHiddenHeads();
    }
    const dot = opened.shownDot(ref);
    const cell = opened.cell(view.type, name, 0, name.length);
    partition.writer.add(cell, partition.originDot(dot.slot, dot.counter), delta);
    partition.mutations.add(cell, dot, delta);
    if (view.live !== null || view.hasHidden) opened.reopen();
  }

  /** As for keys: whether an increment adds to this element's sum. */
  takesIntegers(ref: Ref): boolean {
    return this.#opened.takesIntegers(ref);
  }

  /**
   * Adds to the number that an element holds, which then shows this text. False, and nothing has
   * changed: no add leads there, or a new version is as good (see `OpenKey.takesIntegers`).
   */
  addTowards(ref: Ref, delta: bigint | number, text: string): boolean {
    const opened = this.#opened;
    const { partition } = opened;
    if (partition.isAlone) return false;
    // The op is opened first: its dot says which partial sum the add goes to.
    opened.begin();
    const all = partition.mutations.cells.versions(ref);
    const versions = this.view.live === null ? all : this.view.liveVersions(all);
    const wanted = { target: opened.shownDot(ref), adder: opened.table.op, delta, text };
    const amount = deltaThatShows(versions, partition.origins, wanted);
    if (amount === undefined) return false;
    this.addToElement(ref, amount);
    return true;
  }

  // ---- lists ------------------------------------------------------------------------------------

  /** Pushes a value at an end of the open list, which is made if the key is absent. */
  push(atHead: boolean, value: Buffer, start: number, end: number): void {
    const opened = this.#opened;
    const position = this.#position;
    opened.begin();
    const { op } = opened.table;
    const edge = this.#edge(atHead);
    if (edge === 0) opened.loadWhole(NOTHING);
    else this.loadName(edge);
    const push = this.#push;
    push.edge = opened.buffer;
    push.edgeStart = opened.start;
    push.edgeEnd = opened.end;
    push.before = atHead;
    push.originHigh = opened.partition.originHigh;
    push.originLow = opened.partition.originLow;
    push.counter = op.counter;
    push.index = opened.pushes++;
    const length = writePushPosition(position, 0, push);
    this.put(LIST, position, 0, length, value, start, end);
  }

  /** The first or last element of the list, one past its copy of the expiry included; or 0. */
  #edge(atHead: boolean): Ref {
    const { view } = this;
    if (view.type === ABSENT) return 0;
    const root = this.#opened.table.blocks.root(view.block);
    const order = this.#opened.table.elements.orderOf(LIST);
    return order.at(root, atHead ? 0 : order.count(root) - 1);
  }

  /**
   * Inserts a value between two neighbours of the open list (0: its end). False, and nothing
   * happens, where so many were inserted at this spot that a position would be too long.
   */
  insert(left: Ref, right: Ref, value: Buffer, start: number, end: number): boolean {
    this.#opened.begin();
    const { originHigh, originLow } = this.#opened.partition;
    const position = positionBetween(this.#nameCopy(left), this.#nameCopy(right), {
      originHigh,
      originLow,
      counter: this.#opened.table.op.counter,
      index: this.#opened.pushes++,
    });
    if (position === undefined) return false;
    this.put(LIST, position, 0, position.length, value, start, end);
    return true;
  }

  #nameCopy(ref: Ref): Buffer | undefined {
    const opened = this.#opened;
    if (ref === 0) return undefined;
    this.loadName(ref);
    return Buffer.from(opened.buffer.subarray(opened.start, opened.end));
  }

  /** Replaces the value of a list's element. */
  setAt(ref: Ref, value: Buffer, start: number, end: number): void {
    const name = this.#nameCopy(ref) as Buffer;
    this.put(this.view.type, name, 0, name.length, value, start, end);
  }
}
