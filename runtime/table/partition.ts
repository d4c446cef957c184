/**
 * One replica's state of one partition: its cells, how far each origin's ops were applied, and the
 * ops that wait for their past. Ops come in as they were made here (`begin` … `finish`), or as
 * bytes (`deliver` from other replicas, `replay` from the log).
 *
 * Invariants (design 4): exactly the ops 1..applied of each origin are in the cells, each once and
 * in causal order; two partitions with equal `applied` hold equal cells.
 */
import { assert } from "../base/assert.ts";
import { PARKED_OPS_MAX } from "../base/limits.ts";
import type { HybridClock } from "../causality/hlc.ts";
import type { OriginDot } from "../causality/op.ts";
import {
  MUTATE_ADD,
  MUTATE_CLEAR,
  MUTATE_EXPIRE,
  MUTATE_REMOVE,
  MUTATE_SET,
  MUTATE_UNDO,
  OP_CONTINUES,
  OP_ID,
  OpReader,
  type OpWriter,
  type OpWriters,
} from "../causality/op.ts";
import { Origins } from "../causality/origins.ts";
import { MemoryTable } from "./memory-table.ts";
import { KIND_COUNTER_SHIFT } from "./record.ts";
import { Mutations } from "./mutations.ts";
import { OpIds } from "./op-ids.ts";
import { Past } from "./past.ts";
import type { SnapshotScan } from "./snapshot-scan.ts";
import { rememberedCall } from "./undo.ts";
import type { Ref, SlabPool } from "./slab-pool.ts";
import type { KeyView } from "./key-view.ts";
import { type CellName, emptyCellName } from "../causality/cell-name.ts";
import { latestVersion } from "../causality/cell.ts";
import type { Covers, Dot } from "../causality/cell.ts";
import { shownBytes } from "../causality/counter-value.ts";

/** What became of a delivered op. */
export type Delivered = "applied" | "known" | "parked" | "refused";

/** Told of each op as it is applied: the log, and who watches it. */
export type OnOp = (buffer: Buffer, start: number, end: number) => void;

export interface PartitionOptions {
  readonly pool: SlabPool;
  /** Seed of the hash that orders keys in scans; one a data folder. */
  readonly hashSeed: number;
  /** The id under which this incarnation makes ops: random, never used before (design 4.9). */
  readonly origin: { readonly high: number; readonly low: number };
  /** Stamps, shared by the vnodes of a thread. */
  readonly clock: HybridClock;
  /** Scratch for building ops, shared by the vnodes of a thread. */
  readonly writers: OpWriters;
  readonly onOp: OnOp;
}

export class Partition {
  readonly table: MemoryTable;
  readonly origins = new Origins();
  readonly past: Past;
  readonly mutations: Mutations;
  readonly opIds = new OpIds(this.origins);
  /** The op being built; idle between commands. */
  writer: OpWriter;
  /** Number of the last op in this vnode's own log, whoever made it. */
  sequence = 0;
  /** The running scan of its state, if any. */
  scan: SnapshotScan | null = null;
  /** Says that the next own op begins a log file: it must carry its whole past. */
  needsFullPast = true;

  /** Stamps, shared by the vnodes of a thread. */
  readonly clock: HybridClock;

  readonly #writers: OpWriters;
  readonly #onOp: OnOp;
  #own = -1;
  readonly #originHigh: number;
  readonly #originLow: number;
  readonly #reader = new OpReader();
  readonly #cell: CellName = emptyCellName();
  #parked: Buffer[] = [];
  /** Remote ops were applied since our last own op: the next one says so in its past. */
  #pastChanged = true;
  /** In a transaction: an op that is built but not yet handed to the log. */
  #pending = false;

  constructor(options: PartitionOptions) {
    this.table = new MemoryTable(options.pool, options.hashSeed);
    this.past = new Past(this.origins);
    this.mutations = new Mutations(this.table, this.origins);
    this.#writers = options.writers;
    this.writer = options.writers.idle;
    this.clock = options.clock;
    this.#onOp = options.onOp;
    this.#originHigh = options.origin.high;
    this.#originLow = options.origin.low;
  }

  /** The slot of the own origin, made at its first op. */
  get ownSlot(): number {
    if (this.#own < 0) this.#own = this.origins.intern(this.#originHigh, this.#originLow);
    return this.#own;
  }

  /** The id of the own origin. */
  get origin(): { high: number; low: number } {
    return { high: this.#originHigh, low: this.#originLow };
  }

  get parkedCount(): number {
    return this.#parked.length;
  }

  // ---- ops made here ----------------------------------------------------------------------------

  /** Whether the running command has made its first mutation. */
  get isOpen(): boolean {
    return this.writer.length > 0 && !this.#pending;
  }

  /** Whether a command or transaction is half done. */
  get isBusy(): boolean {
    return this.writer.length > 0;
  }

  /** Opens the op of the running command, at its first mutation. */
  begin(): void {
    const { table } = this;
    if (this.#pending) this.#flush(true);
    this.writer = this.#writers.take();
    const { writer } = this;
    const slot = this.ownSlot;
    const counter = (this.origins.applied[slot] as number) + 1;
    const hlc = this.clock.next();
    table.op.slot = slot;
    table.op.counter = counter;
    table.op.hlc = hlc;
    table.op.covers = null;
    table.op.sequence = this.sequence + 1;
    writer.begin(this.#originHigh, this.#originLow, counter, hlc);
    if (this.#pastChanged || this.needsFullPast) this.#writePast(slot);
  }

  /** Closes the command's op, if it made one: it counts as applied and goes to the log. */
  finish(): boolean {
    if (this.writer.length === 0 || this.#pending) return false;
    this.#complete();
    this.#flush(false);
    return true;
  }

  /** Closes the command's op inside a transaction: kept until it is known whether more follow. */
  finishInTransaction(): void {
    if (this.writer.length === 0 || this.#pending) return;
    this.#complete();
    this.#pending = true;
  }

  /** Ends a transaction: its last op goes to the log. Returns whether there was one. */
  finishTransaction(): boolean {
    if (!this.#pending) return false;
    this.#flush(false);
    return true;
  }

  /** Gives up the open op, after a failure: this partition is of no use any more. */
  abandon(): void {
    if (this.writer !== this.#writers.idle) this.#writers.give(this.writer);
    this.writer = this.#writers.idle;
    this.#pending = false;
  }

  #complete(): void {
    const { op } = this.table;
    this.origins.applied[op.slot] = op.counter;
    this.sequence++;
  }

  #flush(continues: boolean): void {
    if (continues) this.writer.setFlag(OP_CONTINUES);
    this.#pending = false;
    const { writer } = this;
    this.#onOp(writer.buffer, 0, writer.length);
    this.writer = this.#writers.idle;
    this.#writers.give(writer);
  }

  /** Writes what has been applied of the others: all of it, or what changed since the last op. */
  #writePast(own: number): void {
    const { origins, writer } = this;
    const vector = Float64Array.from(origins.applied.subarray(0, origins.count));
    vector[own] = 0;
    const before = this.needsFullPast ? new Float64Array(0) : this.past.of(own);
    const changed: number[] = [];
    for (let slot = 0; slot < vector.length; slot++) {
      if (vector[slot] !== (before[slot] ?? 0)) changed.push(slot);
    }
    writer.beginPast(changed.length, this.needsFullPast);
    for (const slot of changed) {
      writer.pastEntry(origins.high(slot), origins.low(slot), vector[slot] as number);
    }
    this.past.set(own, vector);
    this.#pastChanged = false;
    this.needsFullPast = false;
  }

  // ---- ops from elsewhere -----------------------------------------------------------------------

  /** Takes an op of another replica: applied once, after everything that it depends on. */
  deliver(bytes: Buffer): Delivered {
    const reader = this.#reader;
    if (!reader.open(bytes, 0, bytes.length)) return "refused";
    const slot = this.origins.intern(reader.originHigh, reader.originLow);
    if (reader.counter <= (this.origins.applied[slot] as number)) return "known";
    if (this.#parked.length >= PARKED_OPS_MAX) return "refused";
    this.#parked.push(bytes);
    this.unpark();
    return reader.counter <= (this.origins.applied[slot] as number) ? "applied" : "parked";
  }

  /** Applies every parked op whose past has been reached; drops those already known. */
  unpark(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (let i = 0; i < this.#parked.length; i++) {
        const group = this.#readyGroup(this.#parked[i] as Buffer);
        if (group === null) continue;
        this.#parked = this.#parked.filter((op) => op !== this.#parked[i] && !group.includes(op));
        for (const op of group) this.#apply(op, 0, op.length);
        moved = group.length > 0;
        break;
      }
    }
    this.#parked = this.#parked.filter((op) => !this.#isKnown(op));
  }

  #isKnown(op: Buffer): boolean {
    this.#reader.open(op, 0, op.length);
    const slot = this.origins.intern(this.#reader.originHigh, this.#reader.originLow);
    return this.#reader.counter <= (this.origins.applied[slot] as number);
  }

  /** The op with the rest of its transaction, if it can be applied now; else null. */
  #readyGroup(first: Buffer): Buffer[] | null {
    const reader = this.#reader;
    reader.open(first, 0, first.length);
    const slot = this.origins.intern(reader.originHigh, reader.originLow);
    if (reader.counter !== (this.origins.applied[slot] as number) + 1) return null;
    const { originHigh, originLow } = reader;
    let continues = (reader.flags & OP_CONTINUES) !== 0;
    let counter = reader.counter;
    if (!this.past.isReached(this.past.read(reader, slot), slot)) return null;
    const group = [first];
    while (continues) {
      const next = this.#parked.find((op) => {
        reader.open(op, 0, op.length);
        return (
          reader.counter === counter + 1 &&
          reader.originHigh === originHigh &&
          reader.originLow === originLow
        );
      });
      if (next === undefined) return null;
      reader.open(next, 0, next.length);
      continues = (reader.flags & OP_CONTINUES) !== 0;
      counter++;
      group.push(next);
    }
    return group;
  }

  #apply(buffer: Buffer, start: number, end: number): void {
    this.replay(buffer, start, end);
    this.#pastChanged = true;
    this.#onOp(buffer, start, end);
  }

  /** Applies an op from the own log, or one whose turn has come. It must be the origin's next. */
  replay(buffer: Buffer, start: number, end: number): void {
    const reader = this.#reader;
    assert(reader.open(buffer, start, end), "an op in the log is well formed");
    const slot = this.origins.intern(reader.originHigh, reader.originLow);
    const { counter, hlc } = reader;
    assert(counter === (this.origins.applied[slot] as number) + 1, "ops are applied densely");
    const past = this.past.read(reader, slot);
    this.past.set(slot, past);
    this.clock.observe(hlc);
    const { op } = this.table;
    op.slot = slot;
    op.counter = counter;
    op.hlc = hlc;
    op.covers = this.past.covers(past, slot);
    op.sequence = this.sequence + 1;
    while (reader.next()) this.#mutate(reader);
    assert(!reader.isBroken, "an op's mutations end inside it");
    if (reader.flags & OP_ID) this.opIds.add(rememberedCall(buffer, start, end, slot));
    this.origins.applied[slot] = counter;
    this.sequence++;
  }

  #mutate(op: OpReader): void {
    const { source } = op;
    const { mutations } = this;
    const covers = op.hasContext ? this.coversDots(op.dots) : this.table.op.covers;
    const { keyStart, keyEnd, type } = op;
    switch (op.kind) {
      case MUTATE_SET:
        if (op.hasName) {
          mutations.setElement(
            source,
            keyStart,
            keyEnd,
            type | (op.counterKind << KIND_COUNTER_SHIFT),
            source,
            op.nameStart,
            op.nameEnd,
            source,
            op.valueStart,
            op.valueEnd,
            op.at,
            covers,
          );
        } else {
          mutations.setHead(
            source,
            keyStart,
            keyEnd,
            type,
            op.counterKind,
            source,
            op.valueStart,
            op.valueEnd,
            op.at,
            covers,
          );
        }
        return;
      case MUTATE_CLEAR:
        mutations.clear(source, keyStart, keyEnd, covers);
        return;
      case MUTATE_REMOVE:
        mutations.remove(this.#cellOf(op), covers);
        return;
      case MUTATE_ADD:
        mutations.add(this.#cellOf(op), this.localDot(op.dot), op.delta);
        return;
      case MUTATE_EXPIRE:
        mutations.expire(
          this.#cellOf(op),
          op.dots.map((dot) => this.localDot(dot)),
          op.at,
        );
        return;
      case MUTATE_UNDO:
        mutations.undo(this.#cellOf(op), this.localDot(op.dot), this.localDot(op.tried), op.delta);
        return;
      default:
        assert(false, "an op has known mutations");
    }
  }

  #cellOf(op: OpReader): CellName {
    const cell = this.#cell;
    cell.key = op.source;
    cell.keyStart = op.keyStart;
    cell.keyEnd = op.keyEnd;
    cell.type = op.type;
    cell.name = op.hasName && op.kind !== MUTATE_EXPIRE ? op.source : null;
    cell.nameStart = op.nameStart;
    cell.nameEnd = op.nameEnd;
    return cell;
  }

  /** A dot in this vnode's slots. */
  localDot(dot: OriginDot): Dot {
    return { slot: this.origins.intern(dot.high, dot.low), counter: dot.counter };
  }

  /** A dot as ops write it. */
  originDot(slot: number, counter: number): OriginDot {
    return { high: this.origins.high(slot), low: this.origins.low(slot), counter };
  }

  /** Coverage by exactly these dots: a client's context. */
  coversDots(dots: readonly OriginDot[]): Covers {
    const local = dots.map((dot) => this.localDot(dot));
    return (slot, counter) => local.some((dot) => dot.slot === slot && dot.counter === counter);
  }

  // ---- what is shown of cells with several versions ---------------------------------------------

  /** The dot of the version that the resolver shows. */
  shown(ref: Ref): Dot {
    const top = latestVersion(this.mutations.cells.versions(ref), this.origins);
    assert(top !== undefined, "a shown cell has a version");
    return top;
  }

  /** The shown value of an element with siblings or adds. */
  shownElement(ref: Ref, view: KeyView): Buffer {
    const all = this.mutations.cells.versions(ref);
    return shownBytes(view.live === null ? all : view.liveVersions(all), this.origins);
  }

  /** The marks of a present key's cells, as a text to compare: dots, adds, undos, expiry, changes. */
  markOf(view: KeyView): string {
    const heads = this.mutations.cells.versions(view.ref);
    const marks = heads.map((head) => {
      const adds = head.adds.map((add) => `${add.slot}@${add.counter}`);
      const undos = head.undos.map((undo) => `${undo.slot}@${undo.counter}`);
      const expiry = head.expiry === null ? "" : `${head.expiry.at}/${head.expiry.hlc}`;
      return `${head.slot}@${head.counter}+${adds.join()}-${undos.join()}<${expiry}`;
    });
    const changed = view.block === 0 ? "" : this.table.blockChanged(view.block);
    return `${view.type}|${marks.sort().join(";")}|${changed}`;
  }

  /** The cells of types that a view hides: what the next write to the key takes away. */
  hiddenCells(view: KeyView): { type: number; name: Buffer }[] {
    const { table, mutations } = this;
    const { records } = table;
    const hidden: { type: number; name: Buffer }[] = [];
    for (let block = records.block(view.ref); block !== 0; block = table.blockNext(block)) {
      if (block === view.block) continue;
      for (const ref of mutations.elementsOf(block)) {
        const at = records.keyAt(ref);
        const name = Buffer.from(records.bytes(ref).subarray(at, at + records.keyLength(ref)));
        hidden.push({ type: table.blockType(block), name });
      }
    }
    return hidden;
  }
}
