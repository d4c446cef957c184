/**
 * What commands see of a partition: one key at a time, opened by name, read in place, and changed
 * through mutations of the running command's op. Commands know types, values and elements; cells,
 * versions and dots stay below.
 *
 * Invariants: a command's first change opens its op and every change goes both into the op and into
 * the table; an expired key is absent; the write that follows takes away what it hid.
 *
 * References (`find`, `at`, `next`) and ranges hold until the next change.
 */
import { assert } from "../../runtime/base/assert.ts";
import { copyBytes } from "../../runtime/base/bytes.ts";
import { INT64_TEXT_BYTES_MAX, Int64 } from "../../runtime/base/int64.ts";
import { FLOAT_COUNTER, HASH, LIST, SET, STRING, ZSET } from "../../runtime/causality/cell.ts";
import { deltaThatShows } from "../../runtime/causality/counter-add.ts";
import { type CellName, emptyCellName } from "../../runtime/causality/cell-name.ts";
import { UNTIL_NEVER } from "../../runtime/causality/op.ts";
import type { Random } from "../../runtime/base/prng.ts";
import type { PositionPush } from "../../runtime/causality/position.ts";
import { POSITION_LEVEL_BYTES, positionBetween, writePushPosition } from "../../runtime/causality/position.ts";
import type { Request } from "../../runtime/codec/request.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { ABSENT, KeyView } from "../../runtime/table/key-view.ts";
import { keyBytes } from "../../runtime/table/key-memory.ts";
import type { MemoryTable } from "../../runtime/table/memory-table.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import { ADDS, BLOB, KIND_COUNTER_SHIFT, KIND_FLOAT } from "../../runtime/table/record.ts";
import { hiddenCells, markOf, shownDot, shownElement } from "../../runtime/table/shown.ts";
import type { Ref } from "../../runtime/table/slab-pool.ts";

export { ABSENT, HASH, LIST, SET, STRING, ZSET };

/** Which keys have ops that are not yet durable, so that nothing undurable is shown (design 5). */
export interface UnsyncedKeys {
  /** The commit that a reader of this key must wait for; 0: none. */
  gateOf(hash: number): number;
  /** Notes that the op being made touches this key; it will be in this commit. */
  touch(hash: number): number;
  /** As `touch`, for an op that touches every key. */
  touchAll(): number;
}

export const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";

/** What `openAs` found. */
export const MISSING = 0;
export const FOUND = 1;
/** The key holds another type; the error is in the reply. */
export const REFUSED = 2;

const NOTHING = Buffer.alloc(0);
/** Scratch: holds a value within one call. */
const integer = new Int64();

export class KeyAccess {
  readonly partition: Partition;
  readonly view: KeyView;
  /** For commands that pick elements. */
  readonly random: Random;
  /** Wall time of the turn, ms: one value for everything that a command reads and writes. */
  nowMs = 0;
  /** The largest commit that the reply must wait for; 0: none. Reset by who executes. */
  gate = 0;

  /** When a collection that the next `put` or `push` makes expires; 0: never. `open` resets it. */
  expiryOfNew = 0;

  /** The range that `loadString`, `loadName` or `loadValue` found. */
  buffer: Buffer = NOTHING;
  start = 0;
  end = 0;

  readonly #table: MemoryTable;
  readonly #unsynced: UnsyncedKeys | null;
  readonly #position = Buffer.alloc(POSITION_LEVEL_BYTES);
  readonly #push: PositionPush;
  readonly #cellName: CellName = emptyCellName();
  #key: Buffer = NOTHING;
  #keyStart = 0;
  #keyEnd = 0;
  #hash = 0;
  #cursor = 0;
  /** A counter's text; made at the first one. */
  #digits: Buffer | null = null;
  /** Elements made by the running op, to tell list positions apart. */
  #pushes = 0;

  constructor(partition: Partition, unsynced: UnsyncedKeys | null, random: Random) {
    this.partition = partition;
    this.random = random;
    const { high: originHigh, low: originLow } = partition.origin;
    const id = { originHigh, originLow, counter: 0, index: 0 };
    this.#push = { ...id, edge: NOTHING, edgeStart: 0, edgeEnd: 0, before: false };
    this.view = new KeyView(partition);
    this.#table = partition.table;
    this.#unsynced = unsynced;
  }

  // ---- opening ----------------------------------------------------------------------------------

  /** Opens the key that is argument `i`. Returns its type, or ABSENT. */
  open(request: Request, i: number): number {
    return this.openKey(request.bytes, request.starts[i] as number, request.ends[i] as number);
  }

  /** Opens a key by its bytes, which must stay in place while the key is open. */
  openKey(key: Buffer, start: number, end: number): number {
    this.#key = key;
    this.#keyStart = start;
    this.#keyEnd = end;
    this.expiryOfNew = 0;
    const type = this.view.open(key, start, end, this.nowMs);
    this.#hash = this.#table.hash;
    if (this.#unsynced !== null) {
      const gate = this.#unsynced.gateOf(this.#hash);
      if (gate > this.gate) this.gate = gate;
    }
    return type;
  }

  /** Opens argument `i` as a key of one type: MISSING, FOUND, or REFUSED with the error replied. */
  openAs(request: Request, i: number, type: number, reply: RespWriter): number {
    const found = this.open(request, i);
    if (found === ABSENT) return MISSING;
    if (found === type) return FOUND;
    reply.error(WRONG_TYPE);
    return REFUSED;
  }

  /** The type of the open key. */
  get type(): number {
    return this.view.type;
  }

  /** What the open key's cells are marked with: changes with every change of what is shown. */
  mark(): string {
    if (this.view.type === ABSENT) return "";
    return markOf(this.partition, this.view);
  }

  /** Removes every key of the partition. */
  flush(): void {
    this.partition.flush();
    // Where there was nothing to remove there is no op, and nothing to wait for.
    const isBusy = this.partition.isBusy;
    if (this.#unsynced !== null && isBusy) this.gate = this.#unsynced.touchAll();
  }

  /** When the open key expires, wall ms; 0: never. */
  get expiryAt(): number {
    return this.view.expiryAt;
  }

  // ---- strings ----------------------------------------------------------------------------------

  /** Points `buffer`, `start`, `end` at the open string's bytes. */
  loadString(): void {
    const view = this.view;
    if (!view.isPlainString) {
      if (this.#sumsIntegers() && this.#readSum(integer)) {
        this.#digits ??= Buffer.allocUnsafe(INT64_TEXT_BYTES_MAX);
        this.buffer = this.#digits;
        this.start = 0;
        this.end = integer.write(this.#digits, 0);
      } else this.#loadWhole(view.string());
      return;
    }
    const { records } = this.#table;
    this.buffer = records.bytes(view.ref);
    this.start = records.valueAt(view.ref);
    this.end = this.start + records.valueLength(view.ref);
  }

  #loadWhole(bytes: Buffer): void {
    this.buffer = bytes;
    this.start = 0;
    this.end = bytes.length;
  }

  /** Replies the open string. */
  replyString(reply: RespWriter): void {
    this.loadString();
    reply.bulk(this.buffer, this.start, this.end);
  }

  /** Makes the open key this string, whatever it was. `until` 0: without expiry. */
  setString(value: Buffer, start: number, end: number, until: number): void {
    const { partition, view } = this;
    this.begin();
    let { ref } = view;
    if (ref !== 0 && (view.block !== 0 || view.hasHidden || this.#hasBlock())) {
      this.#clear();
      ref = 0;
    }
    const key = this.#key;
    const { writer } = partition;
    writer.setHead(key, this.#keyStart, this.#keyEnd, STRING, 0, value, start, end, until);
    // An op made here covers all that is here, and the record is at hand: no second look-up.
    const table = this.#table;
    table.hash = this.#hash;
    view.ref = table.setHead(
      ref,
      key,
      this.#keyStart,
      this.#keyEnd,
      STRING,
      value,
      start,
      end,
      until,
    );
  }

  #hasBlock(): boolean {
    return this.#table.records.block(this.view.ref) !== 0;
  }

  /** Makes the absent open key a counter of this kind that begins with this number. */
  startCounter(counterKind: number, text: Buffer, start: number, end: number): void {
    const { partition, view } = this;
    this.begin();
    if (view.ref !== 0) this.#clear();
    const { writer, mutations } = partition;
    const key = this.#key;
    const { covers } = this.#table.op;
    writer.setHead(key, this.#keyStart, this.#keyEnd, STRING, counterKind, text, start, end, 0);
    mutations.setHead(
      key,
      this.#keyStart,
      this.#keyEnd,
      STRING,
      counterKind,
      text,
      start,
      end,
      0,
      covers,
    );
  }

  /** Reads the open string as Redis reads integers. False: it is none. */
  readInteger(into: Int64): boolean {
    if (this.#sumsIntegers() && this.#readSum(into)) return true;
    this.loadString();
    return into.parse(this.buffer, this.start, this.end);
  }

  /** Whether the open string is one version, summed of integers only. */
  #sumsIntegers(): boolean {
    const { records } = this.#table;
    const { ref } = this.view;
    const kind = records.kind(ref);
    return (
      (records.flags(ref) & BLOB) === 0 &&
      (kind & (KIND_FLOAT | (FLOAT_COUNTER << KIND_COUNTER_SHIFT))) === 0
    );
  }

  #readSum(into: Int64): boolean {
    const { records } = this.#table;
    const { ref } = this.view;
    const at = records.valueAt(ref);
    if (!into.parse(records.bytes(ref), at, at + records.valueLength(ref))) return false;
    return (records.flags(ref) & ADDS) === 0 || this.partition.mutations.cells.sumEntry(ref, into);
  }

  /** Adds to the integer that the open string shows; `sum` is what it shows then. */
  addInteger(high: number, low: number, sum: Int64): void {
    const { partition, view } = this;
    if (view.hasHidden || !this.#sumsIntegers()) {
      this.addTowards((BigInt(high) << 32n) | BigInt(low >>> 0), String(sum.toBigInt()));
      return;
    }
    this.begin();
    const { records } = this.#table;
    const { origins, writer, mutations } = partition;
    const slot = records.slot(view.ref);
    const counter = records.counter(view.ref);
    const cell = this.#cell(STRING, null, 0, 0);
    writer.addInteger(cell, origins.high(slot), origins.low(slot), counter, high, low);
    mutations.addInteger(cell, slot, counter, high, low);
  }

  /** Adds to the number that the open string shows, which then is `text`. */
  addTowards(delta: bigint | number, text: string): void {
    const { partition, view } = this;
    const { op } = this.#table;
    this.begin();
    if (view.hasHidden) {
      this.#removeHidden();
      this.reopen();
    }
    const versions = view.heads().filter((head) => head.type === STRING);
    const target = this.#shownDot(view.ref);
    const wanted = { target, adder: op, delta, text };
    const amount = deltaThatShows(versions, partition.origins, wanted);
    if (amount === undefined) {
      // No sum shows it: write it as it is.
      const value = Buffer.from(text, "latin1");
      this.setString(value, 0, value.length, view.expiryAt);
      return;
    }
    const cell = this.#cell(STRING, null, 0, 0);
    const { slot, counter } = target;
    partition.writer.add(cell, partition.originDot(slot, counter), amount);
    partition.mutations.add(cell, target, amount);
  }

  /** The dot of the version that the resolver shows. */
  #shownDot(ref: Ref): { slot: number; counter: number } {
    const { records } = this.#table;
    if ((records.flags(ref) & BLOB) === 0) {
      return { slot: records.slot(ref), counter: records.counter(ref) };
    }
    return shownDot(this.partition, ref, this.view);
  }

  // ---- keys -------------------------------------------------------------------------------------

  /** Deletes the open key and all that it hides. False if there was nothing to read. */
  deleteKey(): boolean {
    const existed = this.view.type !== ABSENT;
    if (existed) {
      this.begin();
      this.#clear();
      this.view.close();
    }
    return existed;
  }

  #clear(): void {
    const key = this.#key;
    this.partition.writer.clear(key, this.#keyStart, this.#keyEnd);
    this.partition.mutations.clear(key, this.#keyStart, this.#keyEnd, this.#table.op.covers);
  }

  /** Sets the open key's expiry; 0: never. The key must exist. */
  expire(at: number): void {
    const { partition, view } = this;
    assert(view.type !== ABSENT, "only a present key expires");
    this.begin();
    const heads = view.heads();
    if (heads.length === 0) {
      this.#setHead(view.type, at === 0 ? UNTIL_NEVER : at);
    } else {
      const dots = heads.map((head) => partition.originDot(head.slot, head.counter));
      const cell = this.#cell(view.type, null, 0, 0);
      partition.writer.expire(cell, dots, at);
      partition.mutations.expire(cell, heads, at);
    }
    this.reopen();
  }

  /** Bytes of memory that the open key takes, about; looks at so many elements (0: all). */
  memoryBytes(samples: number): number {
    return keyBytes(this.#table, this.view, samples);
  }

  /** Looks at the open key again, after changes. */
  reopen(): number {
    return this.view.open(this.#key, this.#keyStart, this.#keyEnd, this.nowMs);
  }

  #setHead(type: number, until: number): void {
    const { writer, mutations } = this.partition;
    const key = this.#key;
    writer.setHead(key, this.#keyStart, this.#keyEnd, type, 0, NOTHING, 0, 0, until);
    mutations.setHead(
      key,
      this.#keyStart,
      this.#keyEnd,
      type,
      0,
      NOTHING,
      0,
      0,
      until,
      this.#table.op.covers,
    );
  }

  // ---- collections ------------------------------------------------------------------------------

  /** Elements of the open collection. */
  get count(): number {
    return this.view.type === ABSENT ? 0 : this.view.count;
  }

  /** The element with this name, or 0. */
  find(name: Buffer, start: number, end: number): Ref {
    const { view } = this;
    if (view.type === ABSENT || view.block === 0) return 0;
    const ref = this.#table.elements.find(view.block, name, start, end);
    if (ref !== 0 && view.live !== null && !view.live.includes(ref)) return 0;
    return ref;
  }

  /** The element of this rank in the collection's order; 0 past the end. */
  at(rank: number): Ref {
    const { view } = this;
    if (rank < 0 || rank >= this.count) return 0;
    if (view.live !== null) return view.live[rank] as Ref;
    return this.#table.elements.orderOf(view.type).at(this.#table.blocks.root(view.block), rank);
  }

  /** Starts an iteration at a rank; `next` gives refs and 0 at the end. No changes meanwhile. */
  seek(rank: number): void {
    const { view } = this;
    this.#cursor = rank;
    if (view.live === null && view.type !== ABSENT) {
      this.#table.elements.orderOf(view.type).seek(this.#table.blocks.root(view.block), rank);
    }
  }

  next(): Ref {
    const { view } = this;
    if (view.type === ABSENT) return 0;
    if (view.live !== null) return view.live[this.#cursor++] ?? 0;
    return this.#table.elements.orderOf(view.type).next();
  }

  /** As `next`, the other way: the element before the cursor. */
  previous(): Ref {
    const { view } = this;
    if (view.type === ABSENT) return 0;
    if (view.live !== null) return this.#cursor > 0 ? (view.live[--this.#cursor] as Ref) : 0;
    return this.#table.elements.orderOf(view.type).previous();
  }

  /** The place of a hash's or set's element in its order, which scans go by: 32 bits. */
  nameHash(ref: Ref): number {
    return this.#table.records.nameHash(ref);
  }

  /** Rank of the first element of a hash or set whose place is not before this one. */
  rankOfHash(hash: number): number {
    const { view } = this;
    const table = this.#table;
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
    const table = this.#table;
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
    const { op, records } = this.#table;
    if (!this.partition.isOpen || records.flags(ref) & BLOB) return false;
    return records.slot(ref) === op.slot && records.counter(ref) === op.counter;
  }

  /** Points `buffer`, `start`, `end` at an element's name. */
  loadName(ref: Ref): void {
    const { records } = this.#table;
    this.buffer = records.bytes(ref);
    this.start = records.keyAt(ref);
    this.end = this.start + records.keyLength(ref);
  }

  /** Points `buffer`, `start`, `end` at an element's shown value. */
  loadValue(ref: Ref): void {
    const { records } = this.#table;
    if (records.flags(ref) & (BLOB | ADDS)) {
      this.#loadWhole(shownElement(this.partition, ref, this.view));
      return;
    }
    this.buffer = records.bytes(ref);
    this.start = records.valueAt(ref);
    this.end = this.start + records.valueLength(ref);
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
    const { view, partition } = this;
    const typeKind = type | (counterKind << KIND_COUNTER_SHIFT);
    this.begin();
    if (view.type === ABSENT || view.hasHidden) this.#makeRoom(type);
    const copyAt = view.expiryAt;
    const key = this.#key;
    partition.writer.setElement(
      key,
      this.#keyStart,
      this.#keyEnd,
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
      this.#keyStart,
      this.#keyEnd,
      typeKind,
      name,
      nameStart,
      nameEnd,
      value,
      start,
      end,
      copyAt,
      this.#table.op.covers,
    );
    if (view.type === ABSENT || view.live !== null) this.reopen();
  }

  /** Before the first element of a collection, and over what another type left hidden. */
  #makeRoom(type: number): void {
    const { view } = this;
    if (view.type === ABSENT) {
      if (view.ref !== 0) this.#clear();
      view.expiryAt = this.expiryOfNew;
      this.#setHead(type, this.expiryOfNew);
      return;
    }
    this.#removeHidden();
    this.#removeHiddenHeads();
    this.reopen();
  }

  /**
   * Removes an element; the last one takes all that is left of the key with it, so that nothing
   * hidden comes to light. Returns whether any are left.
   */
  take(ref: Ref): boolean {
    const { view } = this;
    this.begin();
    const isLast = this.count === 1;
    if (view.hasHidden) {
      this.#removeHidden();
      if (!isLast) this.#removeHiddenHeads();
    }
    if (isLast && view.live !== null) {
      for (const name of view.dead().map((dead) => this.#nameCopy(dead) as Buffer)) {
        this.#remove(view.type, name, 0, name.length);
      }
    }
    this.loadName(ref);
    // The name is read where it lies: the record goes only after the last look at it.
    this.#remove(view.type, this.buffer, this.start, this.end);
    if (isLast) {
      this.#remove(view.type, null, 0, 0);
      this.reopen();
    } else if (view.live !== null || view.hasHidden) this.reopen();
    return !isLast;
  }

  /** Takes away the elements of other types that the shown one hides. */
  #removeHidden(): void {
    for (const { type, name } of hiddenCells(this.partition, this.view)) {
      this.#remove(type, name, 0, name.length);
    }
  }

  /**
   * Takes away the heads of other types, by their dots: a new head in their place would be born too
   * late to rule the elements' copies of the expiry.
   */
  #removeHiddenHeads(): void {
    const { partition, view } = this;
    const hidden = view.heads().filter((head) => head.type !== view.type);
    if (hidden.length === 0) return;
    const dots = hidden.map((head) => partition.originDot(head.slot, head.counter));
    const { writer, mutations } = partition;
    const cell = this.#cell(view.type, null, 0, 0);
    const start = writer.length;
    writer.remove(cell);
    writer.context(start, dots);
    mutations.remove(cell, partition.coversDots(dots));
  }

  #remove(type: number, name: Buffer | null, start: number, end: number): void {
    const { writer, mutations } = this.partition;
    const cell = this.#cell(type, name, start, end);
    writer.remove(cell);
    mutations.remove(cell, this.#table.op.covers);
  }

  /** Adds to the number that an element holds. */
  addToElement(ref: Ref, delta: bigint | number): void {
    const { view, partition } = this;
    this.loadName(ref);
    const name = Buffer.from(this.buffer.subarray(this.start, this.end));
    this.begin();
    if (view.hasHidden) {
      this.#removeHidden();
      this.#removeHiddenHeads();
    }
    const dot = this.#shownDot(ref);
    const cell = this.#cell(view.type, name, 0, name.length);
    partition.writer.add(cell, partition.originDot(dot.slot, dot.counter), delta);
    partition.mutations.add(cell, dot, delta);
    if (view.live !== null || view.hasHidden) this.reopen();
  }

  /**
   * Whether an add to this element keeps its number exact: an origin's part of it stays finite, and
   * a part that is a float takes integers without rounding. (Integers wrap, and the sum wraps back.)
   * Where not, the whole number must be written instead.
   */
  addFits(ref: Ref, delta: bigint | number): boolean {
    const { partition } = this;
    if ((this.#table.records.flags(ref) & (BLOB | ADDS)) === 0) return true;
    const { slot, counter } = this.#shownDot(ref);
    const versions = partition.mutations.cells.versions(ref);
    const shown = versions.find((v) => v.slot === slot && v.counter === counter);
    const part = shown?.adds.find((add) => add.slot === partition.ownSlot);
    if (part === undefined) return true;
    if (typeof delta === "number") return Number.isFinite(part.real + delta);
    if (!part.float) return true;
    return Number.isSafeInteger(Number(delta)) && Math.abs(part.real) <= Number.MAX_SAFE_INTEGER;
  }

  // ---- lists ------------------------------------------------------------------------------------

  /** Pushes a value at an end of the open list, which is made if the key is absent. */
  push(atHead: boolean, value: Buffer, start: number, end: number): void {
    const position = this.#position;
    this.begin();
    const { op } = this.#table;
    const edge = this.#edge(atHead);
    if (edge === 0) this.#loadWhole(NOTHING);
    else this.loadName(edge);
    const push = this.#push;
    push.edge = this.buffer;
    push.edgeStart = this.start;
    push.edgeEnd = this.end;
    push.before = atHead;
    push.counter = op.counter;
    push.index = this.#pushes++;
    const length = writePushPosition(position, 0, push);
    this.put(LIST, position, 0, length, value, start, end);
  }

  /** The first or last element of the list, one past its copy of the expiry included; or 0. */
  #edge(atHead: boolean): Ref {
    const { view } = this;
    if (view.type === ABSENT) return 0;
    const root = this.#table.blocks.root(view.block);
    const order = this.#table.elements.orderOf(LIST);
    return order.at(root, atHead ? 0 : order.count(root) - 1);
  }

  /**
   * Inserts a value between two neighbours of the open list (0: its end). False, and nothing
   * happens, where so many were inserted at this spot that a position would be too long.
   */
  insert(left: Ref, right: Ref, value: Buffer, start: number, end: number): boolean {
    this.begin();
    const { high, low } = this.partition.origin;
    const position = positionBetween(this.#nameCopy(left), this.#nameCopy(right), {
      originHigh: high,
      originLow: low,
      counter: this.#table.op.counter,
      index: this.#pushes++,
    });
    if (position === undefined) return false;
    this.put(LIST, position, 0, position.length, value, start, end);
    return true;
  }

  #nameCopy(ref: Ref): Buffer | undefined {
    if (ref === 0) return undefined;
    this.loadName(ref);
    return Buffer.from(this.buffer.subarray(this.start, this.end));
  }

  /** Replaces the value of a list's element. */
  setAt(ref: Ref, value: Buffer, start: number, end: number): void {
    const name = this.#nameCopy(ref) as Buffer;
    this.put(this.view.type, name, 0, name.length, value, start, end);
  }

  // ---- below ------------------------------------------------------------------------------------

  /** Opens the command's op, if it has none yet, for a change of the open key. */
  begin(): void {
    if (!this.partition.isOpen) {
      this.partition.begin();
      this.#pushes = 0;
    }
    if (this.#unsynced !== null) this.gate = this.#unsynced.touch(this.#hash);
  }

  #cell(type: number, name: Buffer | null, start: number, end: number): CellName {
    const cell = this.#cellName;
    cell.key = this.#key;
    cell.keyStart = this.#keyStart;
    cell.keyEnd = this.#keyEnd;
    cell.type = type;
    cell.name = name;
    cell.nameStart = start;
    cell.nameEnd = end;
    return cell;
  }
}
