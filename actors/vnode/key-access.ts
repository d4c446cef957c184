/**
 * What commands see of a partition: one key at a time, opened by name, read in place, and changed
 * through mutations of the running command's op. Commands know types, values and elements; cells,
 * versions and dots stay below. What collections hold is behind `elements`.
 *
 * Invariants: a command's first change opens its op and every change goes both into the op and into
 * the table; an expired key is absent; the write that follows takes away what it hid.
 *
 * The range that was loaded holds until the next change.
 */
import { assert } from "../../runtime/base/assert.ts";
import { INT64_TEXT_BYTES_MAX, Int64 } from "../../runtime/base/int64.ts";
import type { Random } from "../../runtime/base/prng.ts";
import { HASH, LIST, SET, STRING, ZSET } from "../../runtime/causality/cell.ts";
import { deltaThatShows } from "../../runtime/causality/counter-add.ts";
import { UNTIL_NEVER } from "../../runtime/causality/op.ts";
import type { Request } from "../../runtime/codec/request.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { keyBytes } from "../../runtime/table/key-memory.ts";
import { ABSENT, type KeyView } from "../../runtime/table/key-view.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import { ADDS } from "../../runtime/table/record.ts";
import { markOf } from "../../runtime/table/shown.ts";
import { ElementAccess } from "./element-access.ts";
import { type Lookups, OpenKey, type Place } from "./open-key.ts";

export { ABSENT, HASH, LIST, SET, STRING, ZSET };

export const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";

/** What `openAs` found. */
export const MISSING = 0;
export const FOUND = 1;
/** The key holds another type; the error is in the reply. */
export const REFUSED = 2;

/** Scratch: holds a value within one call. */
const integer = new Int64();

export class KeyAccess {
  readonly view: KeyView;
  /** The elements of the open key, if it is a collection. */
  readonly elements: ElementAccess;
  /** For commands that pick elements. */
  readonly random: Random;

  readonly #opened: OpenKey;
  readonly #lookups: Lookups;
  /** A counter's text; made at the first one. */
  #digits: Buffer | null = null;

  constructor(place: Place, random: Random) {
    const opened = new OpenKey(place);
    this.view = opened.view;
    this.elements = new ElementAccess(opened);
    this.random = random;
    this.#opened = opened;
    this.#lookups = place.lookups;
  }

  /** Goes to another partition; the key there is to be opened. */
  enter(place: Place): void {
    this.#opened.enter(place);
  }

  get partition(): Partition {
    return this.#opened.partition;
  }

  /** Wall time of the turn, ms: one value for everything that a command reads and writes. */
  get nowMs(): number {
    return this.#opened.nowMs;
  }

  set nowMs(nowMs: number) {
    this.#opened.nowMs = nowMs;
  }

  /** The largest commit that the reply must wait for; 0: none. Reset by who executes. */
  get gate(): number {
    return this.#opened.gate;
  }

  set gate(gate: number) {
    this.#opened.gate = gate;
  }

  /** The command has made a change. Reset by who executes. */
  get isChanged(): boolean {
    return this.#opened.isChanged;
  }

  set isChanged(isChanged: boolean) {
    this.#opened.isChanged = isChanged;
  }

  /** When a collection that the next change makes expires; 0: never. `open` resets it. */
  set expiryOfNew(at: number) {
    this.#opened.expiryOfNew = at;
  }

  /** The range that `loadString`, `loadName` or `loadValue` found: its buffer. */
  get buffer(): Buffer {
    return this.#opened.buffer;
  }

  get start(): number {
    return this.#opened.start;
  }

  get end(): number {
    return this.#opened.end;
  }

  // ---- opening ----------------------------------------------------------------------------------

  /** Opens the key that is argument `i`. Returns its type, or ABSENT. */
  open(request: Request, i: number): number {
    return this.openKey(request.bytes, request.starts[i] as number, request.ends[i] as number);
  }

  /** Opens a key by its bytes, which must stay in place while the key is open. */
  openKey(key: Buffer, start: number, end: number): number {
    const type = this.#opened.open(key, start, end);
    this.#opened.waitForOthers();
    return type;
  }

  /**
   * As `open`, for a command that writes the key in any case: its reply waits for its own op, so
   * that nobody need look for earlier ones (a miss in the cache).
   */
  openToReplace(request: Request, i: number): void {
    this.#opened.open(request.bytes, request.starts[i] as number, request.ends[i] as number);
  }

  /** As `open`, for a command that reads: counts the key among those that were there, or not. */
  openToRead(request: Request, i: number): number {
    const type = this.open(request, i);
    if (type === ABSENT) this.#lookups.keyspaceMisses++;
    else this.#lookups.keyspaceHits++;
    return type;
  }

  /** Opens argument `i` as a key of one type: MISSING, FOUND, or REFUSED with the error replied. */
  openAs(request: Request, i: number, type: number, reply: RespWriter): number {
    return this.#judge(this.open(request, i), type, reply);
  }

  /** As `openAs`, for a command that reads. */
  openToReadAs(request: Request, i: number, type: number, reply: RespWriter): number {
    return this.#judge(this.openToRead(request, i), type, reply);
  }

  #judge(found: number, type: number, reply: RespWriter): number {
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

  /** What WATCH compares: as `mark`, but an absent key that comes and goes has another, too. */
  watchMark(): string {
    if (this.view.type !== ABSENT) return this.mark();
    const { table, hash } = this.#opened;
    const leftover = this.view.ref === 0 ? "" : markOf(this.partition, this.view);
    return `${table.births.count(hash)}*${leftover}`;
  }

  /** Removes every key of the partition. */
  flush(): void {
    this.partition.flush();
    // Where there was nothing to remove there is no op, and nothing to wait for.
    const isBusy = this.partition.isBusy;
    if (this.#opened.unsynced !== null && isBusy)
      this.#opened.gate = this.#opened.unsynced.touchAll();
  }

  /** When the open key expires, wall ms; 0: never. */
  get expiryAt(): number {
    return this.view.expiryAt;
  }

  // ---- strings ----------------------------------------------------------------------------------

  /** Points `buffer`, `start`, `end` at the open string's bytes. */
  loadString(): void {
    const opened = this.#opened;
    const view = this.view;
    if (!view.isPlainString) {
      if (this.#opened.sumsIntegers(this.view.ref) && this.#readSum(integer)) {
        this.#digits ??= Buffer.allocUnsafe(INT64_TEXT_BYTES_MAX);
        opened.buffer = this.#digits;
        opened.start = 0;
        opened.end = integer.write(this.#digits, 0);
      } else opened.loadWhole(view.string());
      return;
    }
    const { records } = this.#opened.table;
    opened.buffer = records.bytes(view.ref);
    opened.start = records.valueAt(view.ref);
    opened.end = opened.start + records.valueLength(view.ref);
  }

  /** Replies the open string. */
  replyString(reply: RespWriter): void {
    const opened = this.#opened;
    this.loadString();
    reply.bulk(opened.buffer, opened.start, opened.end);
  }

  /** Makes the open key this string, whatever it was. `until` 0: without expiry. */
  setString(value: Buffer, start: number, end: number, until: number): void {
    const opened = this.#opened;
    const { view } = this;
    const { partition } = this.#opened;
    opened.begin();
    let { ref } = view;
    if (ref !== 0 && (view.block !== 0 || view.hasHidden || this.#hasBlock())) {
      opened.clear();
      ref = 0;
    }
    const key = opened.key;
    const { writer } = partition;
    writer.setHead(key, opened.keyStart, opened.keyEnd, STRING, 0, value, start, end, until);
    // An op made here covers all that is here, and the record is at hand: no second look-up.
    const table = this.#opened.table;
    table.hash = opened.hash;
    view.ref = table.setHead(
      ref,
      key,
      opened.keyStart,
      opened.keyEnd,
      STRING,
      value,
      start,
      end,
      until,
    );
  }

  #hasBlock(): boolean {
    return this.#opened.table.records.block(this.view.ref) !== 0;
  }

  /** Makes the absent open key a counter of this kind that begins with this number. */
  startCounter(counterKind: number, text: Buffer, start: number, end: number): void {
    const opened = this.#opened;
    opened.begin();
    if (this.view.ref !== 0) opened.clear();
    const { key, keyStart, keyEnd, partition, table } = opened;
    const { writer, mutations } = partition;
    const { covers } = table.op;
    writer.setHead(key, keyStart, keyEnd, STRING, counterKind, text, start, end, 0);
    mutations.setHead(key, keyStart, keyEnd, STRING, counterKind, text, start, end, 0, covers);
  }

  /** Makes the open string this number, whatever summed it up; its expiry stays. */
  #setNumber(text: string): void {
    const value = Buffer.from(text, "latin1");
    this.setString(value, 0, value.length, this.view.expiryAt);
  }

  /** Reads the open string as Redis reads integers. False: it is none. */
  readInteger(into: Int64): boolean {
    const opened = this.#opened;
    if (this.#opened.sumsIntegers(this.view.ref) && this.#readSum(into)) return true;
    this.loadString();
    return into.parse(opened.buffer, opened.start, opened.end);
  }

  #readSum(into: Int64): boolean {
    const { records } = this.#opened.table;
    const { ref } = this.view;
    const at = records.valueAt(ref);
    if (!into.parse(records.bytes(ref), at, at + records.valueLength(ref))) return false;
    return (records.flags(ref) & ADDS) === 0 || this.partition.mutations.cells.sumEntry(ref, into);
  }

  /** Adds to the integer that the open string shows; `sum` is what it shows then. */
  addInteger(high: number, low: number, sum: Int64): void {
    const { view } = this;
    const { partition } = this.#opened;
    if (view.hasHidden || !this.#opened.takesIntegers(this.view.ref)) {
      this.addTowards((BigInt(high) << 32n) | BigInt(low >>> 0), String(sum.toBigInt()));
      return;
    }
    this.#opened.begin();
    const { records } = this.#opened.table;
    const { origins, writer, mutations } = partition;
    const slot = records.slot(view.ref);
    const counter = records.counter(view.ref);
    const cell = this.#opened.cell(STRING, null, 0, 0);
    writer.addInteger(cell, origins.high(slot), origins.low(slot), counter, high, low);
    mutations.addInteger(cell, slot, counter, high, low);
  }

  /** Adds to the number that the open string shows, which then is `text`. */
  addTowards(delta: bigint | number, text: string): void {
    const opened = this.#opened;
    const { view } = this;
    const { partition } = this.#opened;
    if (partition.isAlone) {
      this.#setNumber(text);
      return;
    }
    const { op } = this.#opened.table;
    opened.begin();
    if (view.hasHidden) {
      opened.removeHidden();
      opened.reopen();
    }
    const versions = view.heads().filter((head) => head.type === STRING);
    const target = opened.shownDot(view.ref);
    const wanted = { target, adder: op, delta, text };
    const amount = deltaThatShows(versions, partition.origins, wanted);
    if (amount === undefined) {
      // No sum shows it: write it as it is.
      this.#setNumber(text);
      return;
    }
    const cell = opened.cell(STRING, null, 0, 0);
    const { slot, counter } = target;
    partition.writer.add(cell, partition.originDot(slot, counter), amount);
    partition.mutations.add(cell, target, amount);
  }

  // ---- keys -------------------------------------------------------------------------------------

  /** Deletes the open key and all that it hides. False if there was nothing to read. */
  deleteKey(): boolean {
    const existed = this.view.type !== ABSENT;
    if (existed) {
      this.#opened.begin();
      this.#opened.clear();
      this.view.close();
    }
    return existed;
  }

  /** Sets the open key's expiry; 0: never. The key must exist. */
  expire(at: number): void {
    const opened = this.#opened;
    const { view } = this;
    const { partition } = this.#opened;
    assert(view.type !== ABSENT, "only a present key expires");
    opened.begin();
    const heads = view.heads();
    if (heads.length === 0) {
      opened.setHead(view.type, at === 0 ? UNTIL_NEVER : at);
    } else {
      const dots = heads.map((head) => partition.originDot(head.slot, head.counter));
      const cell = opened.cell(view.type, null, 0, 0);
      partition.writer.expire(cell, dots, at);
      partition.mutations.expire(cell, heads, at);
    }
    opened.reopen();
  }

  /** Bytes of memory that the open key takes, about; looks at so many elements (0: all). */
  memoryBytes(samples: number): number {
    return keyBytes(this.#opened.table, this.view, samples);
  }

  /** Looks at the open key again, after changes. */
  reopen(): number {
    return this.#opened.reopen();
  }

  // ---- below ------------------------------------------------------------------------------------

  /** Opens the command's op, if it has none yet, for a change of the open key. */
  begin(): void {
    this.#opened.begin();
  }
}
