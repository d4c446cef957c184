/**
 * One replica's state of one partition: its cells, how far each origin's ops were applied, and the
 * ops that wait for their past. Ops come in as they were made here (`begin` … `finish`), or as
 * bytes (`deliver` from other replicas, `replay` from the log).
 *
 * Invariants (design 4): exactly the ops 1..applied of each origin are in the cells, each once and
 * in causal order; two partitions with equal `applied` hold equal cells.
 */
import { assert } from "../base/assert.ts";
import type { HashKey } from "../base/hash.ts";
import { PARKED_OPS_MAX } from "../base/limits.ts";
import type { Covers, Dot } from "../causality/cell.ts";
import type { HybridClock } from "../causality/hlc.ts";
import type { OriginDot } from "../causality/op.ts";
import { OP_CONTINUES, OP_ID, type OpWriter, type OpWriters } from "../causality/op.ts";
import { OpReader } from "../causality/op-reader.ts";
import { Origins } from "../causality/origins.ts";
import { applyMutation } from "./apply-mutation.ts";
import { joinStates } from "./join.ts";
import { MemoryTable } from "./memory-table.ts";
import { Mutations } from "./mutations.ts";
import { type OpId, OpIds } from "./op-ids.ts";
import { Parking } from "./parking.ts";
import { Past } from "./past.ts";
import type { SlabPool } from "./slab-pool.ts";
import type { SnapshotScan } from "./snapshot-scan.ts";
import { loadState } from "./state-loader.ts";
import { rememberedCall } from "./undo.ts";

/** What became of a delivered op. */
export type Delivered = "applied" | "known" | "parked" | "refused";

/** Where the ops go that are made or applied: the log. */
export interface OpSink {
  /** Takes an op in the turn in which it is applied; the bytes are good until it returns. */
  take(buffer: Buffer, start: number, end: number): void;
}

export interface PartitionOptions {
  readonly pool: SlabPool;
  /** Key of the hash that orders keys in scans; one a data folder. */
  readonly hashKey: HashKey;
  /** The id under which this incarnation makes ops: random, never used before (design 4.9). */
  readonly origin: { readonly high: number; readonly low: number };
  /**
   * Whether it has one replica, this one: whatever other origins did is here, and they do nothing
   * more. Default: there may be others.
   */
  readonly isAlone?: boolean;
  /** Stamps, shared by the vnodes of a thread. */
  readonly clock: HybridClock;
  /** Scratch for building ops, shared by the vnodes of a thread. */
  readonly writers: OpWriters;
  readonly sink: OpSink;
}

export class Partition {
  // What every op looks at comes first, as in MemoryTable.
  readonly table: MemoryTable;
  /** The op being built; idle between commands. */
  writer: OpWriter;
  /** In a transaction: an op that is built but not yet handed to the log. */
  #pending = false;
  /** Number of the last op in this vnode's own log, whoever made it; a join counts as one. */
  sequence = 0;
  readonly #sink: OpSink;
  readonly #writers: OpWriters;
  #own = -1;
  readonly origins = new Origins();
  /** The id of the own origin. */
  readonly originHigh: number;
  readonly originLow: number;
  /** See PartitionOptions. */
  readonly isAlone: boolean;
  /** Stamps, shared by the vnodes of a thread. */
  readonly clock: HybridClock;
  /** Remote ops were applied since our last own op: the next one says so in its past. */
  #pastChanged = true;
  /** Says that the next own op begins a log file: it must carry its whole past. */
  needsFullPast = true;

  readonly past: Past;
  readonly mutations: Mutations;
  readonly opIds = new OpIds(this.origins);
  /** The running scan of its state, if any. */
  scan: SnapshotScan | null = null;
  readonly #reader = new OpReader();
  readonly #parking = new Parking();
  readonly #options: PartitionOptions;

  constructor(options: PartitionOptions) {
    this.#options = options;
    this.table = new MemoryTable(options.pool, options.hashKey, this.origins);
    this.past = new Past(this.origins);
    this.mutations = new Mutations(this.table, this.origins);
    this.#writers = options.writers;
    this.writer = options.writers.idle;
    this.clock = options.clock;
    this.#sink = options.sink;
    this.originHigh = options.origin.high;
    this.originLow = options.origin.low;
    this.isAlone = options.isAlone ?? false;
  }

  /** The slot of the own origin, made at its first op. */
  get ownSlot(): number {
    if (this.#own < 0) this.#own = this.origins.intern(this.originHigh, this.originLow);
    return this.#own;
  }

  /** Brings what an op needs of it into the cache. Use the result, or nothing is read. */
  touch(): number {
    return this.sequence ^ (this.origins.applied[0] as number) ^ this.table.op.slot;
  }

  get parkedCount(): number {
    return this.#parking.count;
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
    writer.begin(this.originHigh, this.originLow, counter, hlc);
    if (this.#pastChanged || this.needsFullPast) this.#writePast(slot);
  }

  /** Gives the open op the id of the call that it executes, with the reply to repeat. */
  nameOp({ high, low, sequence }: OpId, reply: Buffer): void {
    const { writer } = this;
    writer.opId(high, low, sequence, reply);
    this.opIds.add(rememberedCall(writer.buffer, 0, writer.length, this.ownSlot));
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
    this.#sink.take(writer.buffer, 0, writer.length);
    this.writer = this.#writers.idle;
    this.#writers.give(writer);
  }

  /** Writes what has been applied of the others: all of it, or what changed since the last op. */
  #writePast(own: number): void {
    const { origins, writer } = this;
    const vector = Float64Array.from(origins.applied);
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
    // Of origins that do nothing more no past is asked for: with each start there is one more.
    if (this.isAlone) this.past.clear();
    this.past.set(own, vector);
    this.#pastChanged = false;
    this.needsFullPast = false;
  }

  // ---- ops from elsewhere -----------------------------------------------------------------------

  /** Takes an op of another replica: applied once, after everything that it depends on. */
  deliver(bytes: Buffer): Delivered {
    const reader = this.#reader;
    if (!reader.open(bytes, 0, bytes.length)) return "refused";
    const { origins } = this;
    const { counter } = reader;
    const slot = origins.intern(reader.originHigh, reader.originLow);
    if (counter <= (origins.applied[slot] as number)) return "known";
    if (this.#isReady(slot) && (reader.flags & OP_CONTINUES) === 0) {
      this.#parking.drop(slot, counter);
      this.#apply(bytes, 0, bytes.length);
      this.unpark();
      return "applied";
    }
    if (this.#parking.count >= PARKED_OPS_MAX) return "refused";
    this.#parking.put(slot, counter, Buffer.from(bytes));
    this.unpark();
    return counter <= (origins.applied[slot] as number) ? "applied" : "parked";
  }

  /** Applies every parked op whose past has been reached; drops those already known. */
  unpark(): void {
    if (this.#parking.count === 0) return;
    for (let moved = true; moved; ) {
      moved = false;
      for (const slot of this.#parking.slots()) {
        while (this.#applyParked(slot)) moved = true;
      }
    }
    this.#parking.dropKnown(this.origins.applied);
  }

  /** Whether the opened op is its origin's next, and what it knew of has been applied here. */
  #isReady(slot: number): boolean {
    const { origins, past } = this;
    if (this.#reader.counter !== (origins.applied[slot] as number) + 1) return false;
    return past.isReached(past.read(this.#reader, slot), slot);
  }

  /** Applies an origin's next op, with the rest of its transaction, if that is all here. */
  #applyParked(slot: number): boolean {
    const reader = this.#reader;
    const first = (this.origins.applied[slot] as number) + 1;
    const group: Buffer[] = [];
    for (let counter = first; ; counter++) {
      const op = this.#parking.get(slot, counter);
      if (op === undefined) return false;
      reader.open(op, 0, op.length);
      if (counter === first && !this.#isReady(slot)) return false;
      group.push(op);
      if ((reader.flags & OP_CONTINUES) === 0) break;
    }
    for (const [i, op] of group.entries()) {
      this.#parking.drop(slot, first + i);
      this.#apply(op, 0, op.length);
    }
    return true;
  }

  #apply(buffer: Buffer, start: number, end: number): void {
    this.replay(buffer, start, end);
    this.#pastChanged = true;
    this.#sink.take(buffer, start, end);
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
    op.past = past;
    op.sequence = this.sequence + 1;
    while (reader.next()) applyMutation(this, reader);
    assert(!reader.isBroken, "an op's mutations end inside it");
    if (reader.flags & OP_ID) this.opIds.add(rememberedCall(buffer, start, end, slot));
    this.origins.applied[slot] = counter;
    this.sequence++;
  }

  /**
   * Merges another replica's state without its log (design 4, "Join"); see join.ts. It takes a number
   * in the own log without being there: a snapshot that holds it must be durable before anything is
   * made, logged or acknowledged after it (`unpark` included). Until then the log would have a gap,
   * which no recovery accepts.
   */
  join(chunks: Iterable<Buffer>): void {
    assert(!this.isBusy, "a join is between two commands");
    const other = new Partition({ ...this.#options, sink: nowhere });
    loadState(other, chunks);
    this.sequence++;
    joinStates(this, other);
    other.release();
    this.#pastChanged = true;
  }

  // ---- everything at once -----------------------------------------------------------------------

  /** Removes every key, in the running command's op, which is opened if it is not. */
  flush(): void {
    if (this.table.keyCount === 0) return;
    if (!this.isOpen) this.begin();
    this.writer.flush();
    this.applyFlush(this.table.op.covers);
  }

  /** A flush's effect: where it covers all there is, the memory goes back as a whole. */
  applyFlush(covers: Covers | null): void {
    if (covers !== null) {
      this.mutations.flush(covers);
      return;
    }
    this.scan?.abandon();
    this.table.reset();
  }

  /** Gives all memory back; the partition is not used any more. */
  release(): void {
    this.scan?.abandon();
    this.table.reset();
  }

  // ---- dots -------------------------------------------------------------------------------------

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
}

const nowhere: OpSink = { take: () => undefined };
