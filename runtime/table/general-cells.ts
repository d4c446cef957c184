/**
 * The general case of cells in the table: siblings, concurrent ops, contexts, undos, joins. Reads
 * the versions of a record, lets causality/cell decide, and stores what comes out, as a plain
 * record where one version without peculiarities is left.
 *
 * Slower than the in-place paths of memory-table.ts and allocates; conflicts are rare and end with
 * the next write.
 */
import type { Int64 } from "../base/int64.ts";
import type { AddEntry, Version } from "../causality/cell.ts";
import { latestVersion, ZSET } from "../causality/cell.ts";
import type { Origins } from "../causality/origins.ts";
import { VersionsReader, versionsBytesMax, writeVersions } from "../causality/version-codec.ts";
import type { MemoryTable } from "./memory-table.ts";
import {
  ADDS,
  BLOB,
  COLLECTION,
  COPY,
  EXPIRY,
  HEADLESS,
  KIND_COUNTER,
  KIND_COUNTER_SHIFT,
  KIND_ELEMENT,
  KIND_FLOAT,
  KIND_TYPE,
  MARKED,
} from "./record.ts";
import type { Ref } from "./slab-pool.ts";

/** Bytes of a sorted set element's shown score before its versions. */
const SCORE_BYTES = 8;
const EMPTY = Buffer.alloc(0);

export class GeneralCells {
  readonly #table: MemoryTable;
  readonly #origins: Origins;
  readonly #reader = new VersionsReader();

  constructor(table: MemoryTable, origins: Origins) {
    this.#table = table;
    this.#origins = origins;
  }

  /** All versions in a record, a key's head or an element. */
  versions(ref: Ref): readonly Version[] {
    const records = this.#table.records;
    const flags = records.flags(ref);
    if (flags & HEADLESS) return [];
    if ((flags & BLOB) === 0) return [this.#simpleVersion(ref)];
    const start = records.valueAt(ref) + (isSortedElement(records.kind(ref)) ? SCORE_BYTES : 0);
    const end = records.valueAt(ref) + records.valueLength(ref);
    return this.#reader.read(records.bytes(ref), start, end);
  }

  #simpleVersion(ref: Ref): Version {
    const records = this.#table.records;
    const flags = records.flags(ref);
    const kind = records.kind(ref);
    const valueAt = records.valueAt(ref);
    const doubles = records.doubles(ref);
    const expiry = records.expiryIndex(ref);
    return {
      slot: records.slot(ref),
      counter: records.counter(ref),
      hlc: records.hlc(ref),
      type: kind & KIND_TYPE,
      counterKind: (kind & KIND_COUNTER) >>> KIND_COUNTER_SHIFT,
      value: Buffer.from(records.bytes(ref).subarray(valueAt, valueAt + records.valueLength(ref))),
      copyAt: records.copyAt(ref),
      expiry:
        flags & EXPIRY
          ? {
              at: doubles[expiry] as number,
              hlc: doubles[expiry + 1] as number,
              slot: records.words(ref)[(expiry + 2) * 2] as number,
            }
          : null,
      adds: flags & ADDS ? [this.addEntry(ref)] : [],
      undos: [],
    };
  }

  /** The add entry of a plain record with ADDS. */
  addEntry(ref: Ref): AddEntry {
    const records = this.#table.records;
    const index = records.addsIndex(ref);
    const words = records.words(ref);
    const low = words[(index + 2) * 2] as number;
    const high = words[(index + 2) * 2 + 1] as number;
    return {
      counter: records.doubles(ref)[index] as number,
      slot: words[(index + 1) * 2] as number,
      integer: BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low)),
      real: records.doubles(ref)[index + 3] as number,
      float: (records.kind(ref) & KIND_FLOAT) !== 0,
    };
  }

  /** Writes the add entry of a plain record with ADDS. */
  setAddEntry(ref: Ref, entry: AddEntry): void {
    const records = this.#table.records;
    const index = records.addsIndex(ref);
    const words = records.words(ref);
    records.doubles(ref)[index] = entry.counter;
    words[(index + 1) * 2] = entry.slot;
    words[(index + 2) * 2] = Number(BigInt.asUintN(32, entry.integer));
    words[(index + 2) * 2 + 1] = Number(BigInt.asUintN(32, entry.integer >> 32n));
    records.doubles(ref)[index + 3] = entry.real;
    if (entry.float) records.bytes(ref)[records.at(ref)] = records.kind(ref) | KIND_FLOAT;
  }

  /** Makes the add entry of a plain record with ADDS this integer's. */
  setIntegerEntry(ref: Ref, slot: number, counter: number, high: number, low: number): void {
    const records = this.#table.records;
    const index = records.addsIndex(ref);
    const words = records.words(ref);
    records.doubles(ref)[index] = counter;
    words[(index + 1) * 2] = slot;
    words[(index + 2) * 2] = low;
    words[(index + 2) * 2 + 1] = high;
    records.doubles(ref)[index + 3] = 0;
  }

  /** Adds an integer to the add entry of a plain record, if that is this slot's and no float. */
  addToEntry(ref: Ref, slot: number, counter: number, high: number, low: number): boolean {
    const table = this.#table;
    const records = table.records;
    const index = records.addsIndex(ref);
    const words = records.words(ref);
    if (this.entrySlot(ref) !== slot || records.kind(ref) & KIND_FLOAT) return false;
    if (counter <= (records.doubles(ref)[index] as number)) return true;
    table.touch(ref);
    records.setFlags(ref, (records.flags(ref) & ~MARKED) | table.mark);
    records.doubles(ref)[index] = counter;
    const at = (index + 2) * 2;
    const sum = (words[at] as number) + low;
    words[at] = sum;
    words[at + 1] = (words[at + 1] as number) + high + (sum >= 4294967296 ? 1 : 0);
    return true;
  }

  /** The origin whose sum the add entry of a plain record with ADDS is. */
  entrySlot(ref: Ref): number {
    const records = this.#table.records;
    return records.words(ref)[(records.addsIndex(ref) + 1) * 2] as number;
  }

  /** Adds the add entry of a plain record with ADDS to an integer. False: the entry is a float. */
  sumEntry(ref: Ref, into: Int64): boolean {
    const records = this.#table.records;
    if (records.kind(ref) & KIND_FLOAT) return false;
    const at = (records.addsIndex(ref) + 2) * 2;
    const words = records.words(ref);
    into.addWrapping((words[at + 1] as number) | 0, words[at] as number);
    return true;
  }

  /**
   * Stores the head versions of a key. `ref` is its record, or 0; the key's bytes must not lie in
   * that record. Returns the record, or 0 if nothing is left of the key.
   */
  storeHead(ref: Ref, key: Buffer, start: number, end: number, versions: readonly Version[]): Ref {
    const table = this.#table;
    const records = table.records;
    const block = ref === 0 ? 0 : records.block(ref);
    if (versions.length === 0 && block === 0) {
      if (ref !== 0) table.removeKey(ref);
      return 0;
    }
    if (ref !== 0) table.touch(ref);
    const link = block === 0 ? 0 : COLLECTION;
    const { kind, flags, value } = shapeOf(versions);
    let made: Ref;
    if (ref === 0) {
      made = table.insertKey(key, start, end, kind, flags | link, value.length);
    } else {
      made = table.newKey(key, start, end, kind, flags | link, value.length);
      if (link !== 0) records.setBlock(made, block);
    }
    this.fill(made, versions, value);
    if (ref !== 0) table.replaceKey(ref, made);
    return made;
  }

  /** Stores an element's versions; `ref` is its record or 0. Returns the record, 0 if none is left. */
  storeElement(
    block: Ref,
    ref: Ref,
    hash: number,
    name: Buffer,
    start: number,
    end: number,
    versions: readonly Version[],
  ): Ref {
    const table = this.#table;
    if (versions.length === 0) {
      if (ref !== 0) table.elements.free(block, ref);
      return 0;
    }
    const shape = shapeOf(versions);
    const value =
      shape.flags & BLOB && table.blocks.type(block) === ZSET
        ? Buffer.concat([this.#shownScore(versions), shape.value])
        : shape.value;
    for (const version of versions) table.noteCopy(block, version.copyAt);
    const made = table.elements.make(
      block,
      hash,
      name,
      start,
      end,
      shape.kind | KIND_ELEMENT,
      shape.flags,
      value.length,
    );
    this.fill(made, versions, value);
    if (ref !== 0) table.elements.free(block, ref);
    table.elements.link(block, made);
    return made;
  }

  /** Stores other versions of an element that is in its collection. */
  rewriteElement(block: Ref, ref: Ref, versions: readonly Version[]): void {
    const { records } = this.#table;
    const at = records.keyAt(ref);
    const length = records.keyLength(ref);
    const name = Buffer.from(records.bytes(ref).subarray(at, at + length));
    this.storeElement(block, ref, records.nameHash(ref), name, 0, length, versions);
  }

  #shownScore(versions: readonly Version[]): Buffer {
    return latestVersion(versions, this.#origins)?.value ?? EMPTY;
  }

  /** Writes versions into a fresh record of their shape. */
  fill(ref: Ref, versions: readonly Version[], value: Buffer): void {
    const records = this.#table.records;
    value.copy(records.bytes(ref), records.valueAt(ref));
    const version = versions[0];
    if (version === undefined || records.flags(ref) & BLOB) {
      records.setDot(ref, 0, 0, 0);
      return;
    }
    records.setDot(ref, version.slot, version.counter, version.hlc);
    if (version.expiry !== null) {
      records.setExpiry(ref, version.expiry.at, version.expiry.hlc, version.expiry.slot);
    }
    const add = version.adds[0];
    if (add !== undefined) this.setAddEntry(ref, add);
    if (version.copyAt !== 0) records.setCopyAt(ref, version.copyAt);
  }
}

/** Whether records of this kind keep a score before their versions. */
function isSortedElement(kind: number): boolean {
  return (kind & KIND_ELEMENT) !== 0 && (kind & KIND_TYPE) === ZSET;
}

/** Kind, flags and value bytes of the record for these versions. */
export function shapeOf(versions: readonly Version[]): {
  kind: number;
  flags: number;
  value: Buffer;
} {
  const version = versions[0];
  if (version === undefined) return { kind: 0, flags: HEADLESS, value: EMPTY };
  const plain = versions.length === 1 && version.adds.length <= 1 && version.undos.length === 0;
  if (!plain) {
    const blob = Buffer.allocUnsafe(versionsBytesMax(versions));
    const value = blob.subarray(0, writeVersions(blob, 0, versions));
    return { kind: version.type, flags: BLOB, value };
  }
  const flags =
    (version.expiry === null ? 0 : EXPIRY) |
    (version.adds.length === 0 ? 0 : ADDS) |
    (version.copyAt === 0 ? 0 : COPY);
  const kind =
    version.type |
    (version.counterKind << KIND_COUNTER_SHIFT) |
    (version.adds[0]?.float ? KIND_FLOAT : 0);
  return { kind, flags, value: version.value };
}
