/**
 * The key that commands have open: what it is, the range last found in it, and the changes that
 * strings and collections share. `KeyAccess` and `ElementAccess` are its two faces.
 *
 * Invariants: a command's first change opens its op, and every change goes both into the op and
 * into the table.
 */
import { FLOAT_COUNTER } from "../../runtime/causality/cell.ts";
import { type CellName, emptyCellName } from "../../runtime/causality/cell-name.ts";
import { KeyView } from "../../runtime/table/key-view.ts";
import type { MemoryTable } from "../../runtime/table/memory-table.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import { ADDS, BLOB, KIND_COUNTER_SHIFT, KIND_FLOAT } from "../../runtime/table/record.ts";
import { hiddenCells, shownDot } from "../../runtime/table/shown.ts";
import type { Ref } from "../../runtime/table/slab-pool.ts";

/** Which keys have ops that are not yet durable, so that nothing undurable is shown (design 5). */
export interface UnsyncedKeys {
  /** The commit that a reader of this key must wait for; 0: none. */
  gateOf(hash: number): number;
  /** Notes that the op being made touches this key; it will be in this commit. */
  touch(hash: number): number;
  /** As `touch`, for an op that touches every key. */
  touchAll(): number;
}

/** How often keys were opened to be read, and were there or not. They rise. */
export interface Lookups {
  keyspaceHits: number;
  keyspaceMisses: number;
}

/** Where keys are: a vnode. */
export interface Place {
  readonly partition: Partition;
  readonly table: MemoryTable;
  /** How readers and writers wait for the log; null: none ever does. */
  readonly unsynced: UnsyncedKeys | null;
  /** The same for all places of a thread. */
  readonly lookups: Lookups;
}

export const NOTHING: Buffer = Buffer.alloc(0);

export class OpenKey {
  partition: Partition;
  table: MemoryTable;
  readonly view: KeyView;
  unsynced: UnsyncedKeys | null;
  /** Wall time of the turn, ms. */
  nowMs = 0;
  /** The largest commit that the reply must wait for; 0: none. */
  gate = 0;
  /** The command has made a change. Reset by who executes. */
  isChanged = false;
  /** When a collection that the next change makes expires; 0: never. */
  expiryOfNew = 0;

  /** The range last found. */
  buffer: Buffer = NOTHING;
  start = 0;
  end = 0;

  /** The key's own bytes. */
  key: Buffer = NOTHING;
  keyStart = 0;
  keyEnd = 0;
  hash = 0;

  /** Elements made by the running op, to tell list positions apart. */
  pushes = 0;
  readonly #cellName: CellName = emptyCellName();

  constructor({ partition, table, unsynced }: Place) {
    this.partition = partition;
    this.table = table;
    this.view = new KeyView(partition);
    this.unsynced = unsynced;
  }

  /** Goes to another partition; the key there is to be opened. */
  enter({ partition, table, unsynced }: Place): void {
    if (partition === this.partition) return;
    this.partition = partition;
    this.table = table;
    this.unsynced = unsynced;
    this.view.enter(partition, table);
  }

  /** Opens a key by its bytes. Returns its type, or ABSENT. */
  open(key: Buffer, start: number, end: number): number {
    this.key = key;
    this.keyStart = start;
    this.keyEnd = end;
    this.expiryOfNew = 0;
    const type = this.view.open(key, start, end, this.nowMs);
    this.hash = this.table.hash;
    return type;
  }

  /** The reply waits until what others did to the open key is durable. */
  waitForOthers(): void {
    if (this.unsynced === null) return;
    const gate = this.unsynced.gateOf(this.hash);
    if (gate > this.gate) this.gate = gate;
  }

  /** Looks at the key again, after changes. */
  reopen(): number {
    return this.view.open(this.key, this.keyStart, this.keyEnd, this.nowMs);
  }

  /** Opens the command's op, if it has none yet, for a change of the key. */
  begin(): void {
    this.isChanged = true;
    if (!this.partition.isOpen) {
      this.partition.begin();
      this.pushes = 0;
    }
    if (this.unsynced !== null) this.gate = this.unsynced.touch(this.hash);
  }

  /** Whether a record is one version, summed of integers only. */
  sumsIntegers(ref: Ref): boolean {
    const { records } = this.table;
    const notInteger = KIND_FLOAT | (FLOAT_COUNTER << KIND_COUNTER_SHIFT);
    return (records.flags(ref) & BLOB) === 0 && (records.kind(ref) & notInteger) === 0;
  }

  /**
   * Whether an increment adds to a record's sum: of integers, and with nothing of another origin
   * where that is over. Such parts would stay for ever, one a start; a new version covers them.
   */
  takesIntegers(ref: Ref): boolean {
    if (!this.sumsIntegers(ref)) return false;
    const { partition, table } = this;
    if (!partition.isAlone || (table.records.flags(ref) & ADDS) === 0) return true;
    return partition.mutations.cells.entrySlot(ref) === partition.ownSlot;
  }

  /** Points the range at the whole of these bytes. */
  loadWhole(bytes: Buffer): void {
    this.buffer = bytes;
    this.start = 0;
    this.end = bytes.length;
  }

  /** The key's cell of this type and name; good until the next one is asked for. */
  cell(type: number, name: Buffer | null, start: number, end: number): CellName {
    const cell = this.#cellName;
    cell.key = this.key;
    cell.keyStart = this.keyStart;
    cell.keyEnd = this.keyEnd;
    cell.type = type;
    cell.name = name;
    cell.nameStart = start;
    cell.nameEnd = end;
    return cell;
  }

  /** The dot of the version that the resolver shows. */
  shownDot(ref: Ref): { slot: number; counter: number } {
    const { records } = this.table;
    if ((records.flags(ref) & BLOB) === 0) {
      return { slot: records.slot(ref), counter: records.counter(ref) };
    }
    return shownDot(this.partition, ref, this.view);
  }

  /** Removes everything under the key. */
  clear(): void {
    const { key, partition } = this;
    partition.writer.clear(key, this.keyStart, this.keyEnd);
    partition.mutations.clear(key, this.keyStart, this.keyEnd, this.table.op.covers);
  }

  /** Writes a head without a value: a collection's, or one for its expiry. */
  setHead(type: number, until: number): void {
    const { key, keyStart, keyEnd } = this;
    const { writer, mutations } = this.partition;
    writer.setHead(key, keyStart, keyEnd, type, 0, NOTHING, 0, 0, until);
    const { covers } = this.table.op;
    mutations.setHead(key, keyStart, keyEnd, type, 0, NOTHING, 0, 0, until, covers);
  }

  /** Removes one cell. */
  remove(type: number, name: Buffer | null, start: number, end: number): void {
    const { writer, mutations } = this.partition;
    const cell = this.cell(type, name, start, end);
    writer.remove(cell);
    mutations.remove(cell, this.table.op.covers);
  }

  /** Takes away the elements of other types that the shown one hides. */
  removeHidden(): void {
    for (const { type, name } of hiddenCells(this.partition, this.view)) {
      this.remove(type, name, 0, name.length);
    }
  }

  /**
   * Takes away the heads of other types, by their dots: a new head in their place would be born too
   * late to rule the elements' copies of the expiry.
   */
  removeHiddenHeads(): void {
    const { partition, view } = this;
    const hidden = view.heads().filter((head) => head.type !== view.type);
    if (hidden.length === 0) return;
    const dots = hidden.map((head) => partition.originDot(head.slot, head.counter));
    const { writer, mutations } = partition;
    const cell = this.cell(view.type, null, 0, 0);
    const start = writer.length;
    writer.remove(cell);
    writer.context(start, dots);
    mutations.remove(cell, partition.coversDots(dots));
  }
}
