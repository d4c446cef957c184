/**
 * The mutations of design 4.4-4.6 on a table: the one way in which cells change, whether the op
 * was made here, comes from another replica, or is replayed.
 *
 * The op's dot, stamp and what it covers stand in `table.op`. Mutations that cover all that the
 * table holds of their cell go in place; the others through the general case.
 */
import { assert } from "../base/assert.ts";
import type { AddEntry, Covers, Dot, Undo, Version } from "../causality/cell.ts";
import {
  addToVersion,
  expireVersion,
  newVersion,
  removeCovered,
  setVersion,
  sumOfAdds,
  undoOnVersion,
} from "../causality/cell.ts";
import { type CellName, emptyCellName } from "../causality/cell-name.ts";
import { UNTIL_NEVER } from "../causality/op.ts";
import type { Origins } from "../causality/origins.ts";
import type { GeneralCells } from "./general-cells.ts";
import type { MemoryTable, TableOp } from "./memory-table.ts";
import {
  ADDS,
  BLOB,
  HEADLESS,
  KIND_COUNTER_SHIFT,
  KIND_ELEMENT,
  KIND_TYPE,
  MARKED,
} from "./record.ts";
import type { Ref } from "./slab-pool.ts";

const NOTHING = Buffer.alloc(0);

type Change = (all: readonly Version[]) => readonly Version[];

export class Mutations {
  readonly cells: GeneralCells;
  readonly #table: MemoryTable;
  readonly #origins: Origins;

  constructor(table: MemoryTable, origins: Origins) {
    this.#table = table;
    this.#origins = origins;
    this.cells = table.cells;
  }

  /** `set` of the head, `until` as in an op. Returns the key's record. */
  setHead(
    key: Buffer,
    start: number,
    end: number,
    type: number,
    counterKind: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
    until: number,
    covers: Covers | null,
  ): Ref {
    const table = this.#table;
    const ref = table.find(key, start, end);
    if (ref === 0 || covers === null || table.records.flags(ref) & HEADLESS) {
      const kind = type | (counterKind << KIND_COUNTER_SHIFT);
      return table.setHead(ref, key, start, end, kind, value, valueStart, valueEnd, until);
    }
    const { slot, counter, hlc } = table.op;
    const at = until === UNTIL_NEVER ? 0 : until;
    const expiry = until === 0 ? null : { at, hlc, slot };
    const bytes = Buffer.from(value.subarray(valueStart, valueEnd));
    const made = newVersion({ slot, counter, hlc, type, counterKind, value: bytes, expiry });
    const versions = setVersion(this.cells.versions(ref), made, covers);
    return this.cells.storeHead(ref, key, start, end, versions);
  }

  /**
   * `set` of an element. `typeKind`: its type and, shifted, its counter kind. Returns the element's
   * record.
   */
  setElement(
    key: Buffer,
    start: number,
    end: number,
    typeKind: number,
    name: Buffer,
    nameStart: number,
    nameEnd: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
    copyAt: number,
    covers: Covers | null,
  ): Ref {
    const table = this.#table;
    let ref = table.find(key, start, end);
    if (ref === 0) ref = table.insertKey(key, start, end, 0, HEADLESS, 0);
    const type = typeKind & KIND_TYPE;
    const block = table.ensureBlock(ref, type);
    const element = table.elements.find(block, name, nameStart, nameEnd);
    if (element === 0 || covers === null) {
      return table.elements.set(
        block,
        element,
        name,
        nameStart,
        nameEnd,
        value,
        valueStart,
        valueEnd,
        copyAt,
        typeKind,
      );
    }
    const { slot, counter, hlc } = table.op;
    const { hash } = table.elements;
    const bytes = Buffer.from(value.subarray(valueStart, valueEnd));
    const counterKind = typeKind >>> KIND_COUNTER_SHIFT;
    const made = newVersion({ slot, counter, hlc, type, counterKind, value: bytes, copyAt });
    const versions = setVersion(this.cells.versions(element), made, covers);
    return this.cells.storeElement(block, element, hash, name, nameStart, nameEnd, versions);
  }

  /** `remove` of what is covered of a cell. */
  remove(cell: CellName, covers: Covers | null): void {
    const table = this.#table;
    const ref = table.find(cell.key, cell.keyStart, cell.keyEnd);
    if (ref === 0) return;
    if (cell.name === null) {
      this.#removeHead(ref, cell, covers);
      return;
    }
    const block = table.blocks.of(ref, cell.type);
    if (block === 0) return;
    const element = table.elements.find(block, cell.name, cell.nameStart, cell.nameEnd);
    if (element === 0) return;
    if (covers === null) table.elements.free(block, element);
    else this.#changeElement(block, element, cell, (all) => removeCovered(all, covers));
    table.dropEmpty(block);
  }

  #removeHead(ref: Ref, cell: CellName, covers: Covers | null): void {
    const table = this.#table;
    if (table.records.flags(ref) & HEADLESS) return;
    if (covers === null) table.removeHead(ref);
    else this.#changeHead(ref, cell, (all) => removeCovered(all, covers));
  }

  /** `clear`: a remove of every cell of the key. */
  clear(key: Buffer, start: number, end: number, covers: Covers | null): void {
    const table = this.#table;
    const ref = table.find(key, start, end);
    if (ref === 0) return;
    if (covers === null) {
      table.clear(ref);
      return;
    }
    const { records, blocks, garbage } = table;
    const cut = cutOf(table.op);
    for (let block = records.block(ref); block !== 0; ) {
      const next = blocks.next(block);
      garbage.cut(block, cut);
      block = next;
    }
    const left = table.find(key, start, end);
    if (left === 0) return;
    const cell = { ...emptyCellName(), key, keyStart: start, keyEnd: end };
    this.#removeHead(left, cell, covers);
  }

  /** A `clear` of every key, by an op that is concurrent to some of them. */
  flush(covers: Covers): void {
    const table = this.#table;
    const { records, keyOrder } = table;
    for (let rank = 0; ; ) {
      const ref = keyOrder.at(table.keyRoot, rank);
      if (ref === 0) return;
      const at = records.keyAt(ref);
      const key = Buffer.from(records.bytes(ref).subarray(at, at + records.keyLength(ref)));
      this.clear(key, 0, key.length, covers);
      if (table.find(key, 0, key.length) !== 0) rank++;
    }
  }

  /** The element records of a collection in its order, as a list that survives changes. */
  elementsOf(block: Ref): Ref[] {
    const table = this.#table;
    assert(!table.blocks.isCut(block), "a collection is settled before it is looked through");
    const order = table.elements.orderOf(table.blocks.type(block));
    const root = table.blocks.root(block);
    const refs: Ref[] = [];
    if (root === 0) return refs;
    order.seek(root, 0);
    for (let ref = order.next(); ref !== 0; ref = order.next()) refs.push(ref);
    return refs;
  }

  /** Stores versions of an element that is not there. */
  addElement(key: Buffer, type: number, name: Buffer, versions: readonly Version[]): void {
    const table = this.#table;
    let ref = table.find(key, 0, key.length);
    if (ref === 0) ref = table.insertKey(key, 0, key.length, 0, HEADLESS, 0);
    const block = table.ensureBlock(ref, type);
    const hash = table.hashOf(name, 0, name.length);
    this.cells.storeElement(block, 0, hash, name, 0, name.length, versions);
  }

  /** `add` to the version with that dot, if it is still there. */
  add(cell: CellName, dot: Dot, delta: bigint | number): void {
    const { slot, counter } = this.#table.op;
    const entry: AddEntry =
      typeof delta === "bigint"
        ? { slot, counter, integer: delta, real: 0, float: false }
        : { slot, counter, integer: 0n, real: delta, float: true };
    const ref = this.#cellRef(cell);
    if (ref === 0) return;
    if (this.#addInPlace(ref, dot, entry)) return;
    this.#change(cell, (all) => addToVersion(all, dot, entry));
  }

  /** `add` of an integer in halves to the head version with that dot: what INCR does. */
  addInteger(cell: CellName, slot: number, counter: number, high: number, low: number): void {
    const table = this.#table;
    const { op, records } = table;
    const ref = table.find(cell.key, cell.keyStart, cell.keyEnd);
    if (ref === 0) return;
    const flags = records.flags(ref);
    const isPlain = (flags & (BLOB | HEADLESS)) === 0;
    if (isPlain && records.slot(ref) === slot && records.counter(ref) === counter) {
      if ((flags & ADDS) === 0) {
        const made = table.reshapeKey(ref, (flags & ~MARKED) | ADDS);
        this.cells.setIntegerEntry(made, op.slot, op.counter, high, low);
        return;
      }
      if (this.cells.addToEntry(ref, op.slot, op.counter, high, low)) return;
    }
    this.add(cell, { slot, counter }, (BigInt(high) << 32n) | BigInt(low));
  }

  #addInPlace(ref: Ref, dot: Dot, entry: AddEntry): boolean {
    const table = this.#table;
    const records = table.records;
    const flags = records.flags(ref);
    if (flags & (BLOB | HEADLESS)) return false;
    if (records.slot(ref) !== dot.slot || records.counter(ref) !== dot.counter) return false;
    const isElement = (records.kind(ref) & KIND_ELEMENT) !== 0;
    if ((flags & ADDS) === 0) {
      if (isElement) return false;
      this.cells.setAddEntry(table.reshapeKey(ref, (flags & ~MARKED) | ADDS), entry);
      return true;
    }
    const before = this.cells.addEntry(ref);
    if (before.slot !== entry.slot) return false;
    if (entry.counter <= before.counter) return true;
    table.touch(ref);
    records.setFlags(ref, (records.flags(ref) & ~MARKED) | table.mark);
    this.cells.setAddEntry(ref, sumOfAdds(before, entry));
    if (isElement) table.blocks.setChanged(records.owner(ref), table.op.sequence);
    return true;
  }

  /** `expire` on those versions of the head. `at` 0: never. */
  expire(cell: CellName, dots: readonly Dot[], at: number): void {
    const table = this.#table;
    const ref = table.find(cell.key, cell.keyStart, cell.keyEnd);
    if (ref === 0) return;
    const { slot, hlc } = table.op;
    const register = { at, hlc, slot };
    this.#changeHead(ref, cell, (all) => {
      let versions = all;
      for (const dot of dots) versions = expireVersion(versions, dot, register, this.#origins);
      return versions;
    });
  }

  /** `undo` of a try on the version with that dot. */
  undo(cell: CellName, dot: Dot, tried: Dot, delta: bigint | number): void {
    const undo: Undo =
      typeof delta === "bigint"
        ? { slot: tried.slot, counter: tried.counter, integer: delta, real: 0, float: false }
        : { slot: tried.slot, counter: tried.counter, integer: 0n, real: delta, float: true };
    if (this.#cellRef(cell) !== 0) this.#change(cell, (all) => undoOnVersion(all, dot, undo));
  }

  /** The versions of a cell. */
  versionsOf(cell: CellName): readonly Version[] {
    const ref = this.#cellRef(cell);
    return ref === 0 ? [] : this.cells.versions(ref);
  }

  /** The record of a cell, or 0. */
  #cellRef({ key, keyStart, keyEnd, type, name, nameStart, nameEnd }: CellName): Ref {
    const { blocks, elements } = this.#table;
    const ref = this.#table.find(key, keyStart, keyEnd);
    if (ref === 0 || name === null) return ref;
    const block = blocks.of(ref, type);
    return block === 0 ? 0 : elements.find(block, name, nameStart, nameEnd);
  }

  #change(cell: CellName, change: Change): void {
    const table = this.#table;
    const ref = table.find(cell.key, cell.keyStart, cell.keyEnd);
    if (cell.name === null) {
      this.#changeHead(ref, cell, change);
      return;
    }
    const block = table.blocks.of(ref, cell.type);
    const element = table.elements.find(block, cell.name, cell.nameStart, cell.nameEnd);
    this.#changeElement(block, element, cell, change);
  }

  #changeHead(ref: Ref, cell: CellName, change: Change): void {
    const before = this.cells.versions(ref);
    const after = change(before);
    if (after === before) return;
    this.cells.storeHead(ref, cell.key, cell.keyStart, cell.keyEnd, after);
  }

  #changeElement(block: Ref, element: Ref, cell: CellName, change: Change): void {
    const before = this.cells.versions(element);
    const after = change(before);
    if (after === before) return;
    const name = cell.name ?? NOTHING;
    const hash = this.#table.records.nameHash(element);
    this.cells.storeElement(block, element, hash, name, cell.nameStart, cell.nameEnd, after);
  }
}

/** What the running op covers as a version vector: its past, and its origin's ops before it. */
function cutOf({ past, slot, counter }: TableOp): Float64Array {
  const cut = new Float64Array(Math.max(past.length, slot + 1));
  cut.set(past);
  cut[slot] = counter - 1;
  return cut;
}
