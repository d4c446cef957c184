/**
 * What a reader of one key sees at a time: its type, value, expiry and live elements; a pure
 * function of the key's cells and the time (design 3). And what the next writer must take away:
 * hidden cells of other types, elements past their own copy of the expiry.
 *
 * `open` answers the common case (one head, one collection of its type) from the record; the rest
 * is worked out from all versions.
 *
 * Invariant: time alone never changes the type shown, and never brings anything back while the wall
 * clock is not set back.
 */
import type { Register, Version } from "../causality/cell.ts";
import { HASH, laterRegister, latestVersion, STRING } from "../causality/cell.ts";
import { shownBytes, shownVersions } from "../causality/counter-value.ts";
import { hlcWallMs } from "../causality/hlc.ts";
import type { MemoryTable } from "./memory-table.ts";
import type { Partition } from "./partition.ts";
import { ADDS, BLOB, COLLECTION, EXPIRY, HEADLESS, KIND_TYPE } from "./record.ts";
import type { Ref } from "./slab-pool.ts";

/** The type of an absent key. */
export const ABSENT = 0;

export class KeyView {
  /** The key's record; 0: the table knows nothing of it. It may stand while the key is absent. */
  ref: Ref = 0;
  /** The shown type, or ABSENT. */
  type = ABSENT;
  /** When the key expires, wall ms; 0: never. */
  expiryAt = 0;
  /** The shown collection's block. */
  block: Ref = 0;
  /** The live elements in order where some in the block are dead, or null: all are. */
  live: Ref[] | null = null;
  /** Cells that the next write to the key must take away. */
  hasHidden = false;
  /** The key is absent because its time has passed. */
  isExpired = false;

  #partition: Partition;
  #table: MemoryTable;
  #string: Buffer | null = null;
  #bornMs = 0;
  #nowMs = 0;

  constructor(partition: Partition) {
    this.#partition = partition;
    this.#table = partition.table;
  }

  /** Goes to another partition; the key there is to be opened. */
  enter(partition: Partition, table: MemoryTable): void {
    this.#partition = partition;
    this.#table = table;
  }

  /** Looks a key up; the fields tell what was found. Returns `type`. */
  open(key: Buffer, start: number, end: number, nowMs: number): number {
    return this.openRecord(this.#table.find(key, start, end), nowMs);
  }

  /** Like `open`, for a record at hand (0: none). */
  openRecord(ref: Ref, nowMs: number): number {
    this.ref = ref;
    this.live = null;
    this.block = 0;
    this.expiryAt = 0;
    this.hasHidden = false;
    this.isExpired = false;
    this.#string = null;
    if (ref === 0) {
      this.type = ABSENT;
      return ABSENT;
    }
    const table = this.#table;
    const flags = table.records.flags(ref);
    if (flags & (BLOB | HEADLESS) || (flags & COLLECTION && !this.#isPlain(ref, nowMs))) {
      return this.#openGeneral(nowMs);
    }
    this.type = table.records.kind(ref) & KIND_TYPE;
    if (flags & COLLECTION) this.block = table.records.block(ref);
    else if (this.type !== STRING) return this.#absent();
    if (flags & EXPIRY) {
      this.expiryAt = table.records.expiryAt(ref);
      if (this.expiryAt !== 0 && this.expiryAt <= nowMs) {
        this.isExpired = true;
        return this.#absent();
      }
    }
    return this.type;
  }

  /** The key was just cleared: there is nothing to see. */
  close(): void {
    this.ref = 0;
    this.block = 0;
    this.live = null;
    this.expiryAt = 0;
    this.hasHidden = false;
    this.type = ABSENT;
  }

  #absent(): number {
    this.type = ABSENT;
    return ABSENT;
  }

  /** Whether a collection's only block is of its head's type, and no element is past its copy. */
  #isPlain(ref: Ref, nowMs: number): boolean {
    const table = this.#table;
    const block = table.records.block(ref);
    if (block === 0 || table.blocks.isCut(block)) return false;
    const type = table.records.kind(ref) & KIND_TYPE;
    if (table.blocks.type(block) !== type || table.blocks.next(block) !== 0) return false;
    const copyMin = table.blocks.copyMin(block);
    return copyMin > nowMs || hlcWallMs(table.records.hlc(ref)) < copyMin;
  }

  /** The versions of the head. */
  heads(): readonly Version[] {
    return this.ref === 0 ? [] : this.#partition.mutations.cells.versions(this.ref);
  }

  /** When the oldest head of the shown type was born (HLC), wall ms; 0: there is none. */
  get headBornMs(): number {
    const flags = this.#flags();
    if (flags & HEADLESS) return 0;
    if ((flags & BLOB) === 0) return hlcWallMs(this.#table.records.hlc(this.ref));
    const births = this.heads().filter(({ type }) => type === this.type);
    return births.length === 0 ? 0 : Math.min(...births.map(({ hlc }) => hlcWallMs(hlc)));
  }

  #openGeneral(nowMs: number): number {
    const { origins } = this.#partition;
    const table = this.#table;
    if (!table.settle(this.ref)) {
      this.ref = 0;
      return this.#absent();
    }
    const heads = this.heads();
    const top = latestVersion(heads, origins);
    const type = top?.type ?? this.#lowestType();
    const same = heads.filter((head) => head.type === type);
    const shown = type === STRING ? shownVersions(same, origins) : same;
    let register: Register | null = null;
    for (const head of shown) register = laterRegister(register, head.expiry, origins);
    this.expiryAt = register?.at ?? 0;
    this.type = type;
    this.block = type === STRING ? 0 : table.blocks.of(this.ref, type);
    this.hasHidden = same.length < heads.length || this.#hasOtherBlock();
    if (this.expiryAt !== 0 && this.expiryAt <= nowMs) {
      this.isExpired = true;
      return this.#absent();
    }
    if (type === STRING) {
      this.#string = shownBytes(same, origins);
      return type;
    }
    if (this.block === 0) return this.#absent();
    this.#findLive(same, nowMs, top === undefined);
    return this.type;
  }

  #lowestType(): number {
    const table = this.#table;
    let lowest = HASH + 1;
    for (let b = table.records.block(this.ref); b !== 0; b = table.blocks.next(b)) {
      lowest = Math.min(lowest, table.blocks.type(b));
    }
    return lowest > HASH ? ABSENT : lowest;
  }

  #hasOtherBlock(): boolean {
    const table = this.#table;
    for (let b = table.records.block(this.ref); b !== 0; b = table.blocks.next(b)) {
      if (b !== this.block) return true;
    }
    return false;
  }

  /** Sorts out elements whose own copy of the expiry has passed and that no older head rules. */
  #findLive(heads: readonly Version[], nowMs: number, isHeadless: boolean): void {
    const { mutations } = this.#partition;
    const table = this.#table;
    const born = Math.min(...heads.map((head) => hlcWallMs(head.hlc)));
    const copyMin = table.blocks.copyMin(this.block);
    if (copyMin === Number.POSITIVE_INFINITY || born < copyMin) return;
    this.#bornMs = born;
    this.#nowMs = nowMs;
    const all = mutations.elementsOf(this.block);
    const live: Ref[] = [];
    let latest = 0;
    let isMortal = true;
    for (const ref of all) {
      const versions = this.liveVersions(mutations.cells.versions(ref));
      const top = latestVersion(versions, this.#partition.origins);
      if (top === undefined) continue;
      live.push(ref);
      if (top.copyAt === 0) isMortal = false;
      else latest = Math.max(latest, top.copyAt);
    }
    if (live.length === 0) this.type = ABSENT;
    this.live = live;
    if (isHeadless && isMortal) this.expiryAt = latest;
  }

  /** Whether a string's bytes lie in its record as they are shown. */
  get isPlainString(): boolean {
    return this.#string === null && (this.#flags() & ADDS) === 0;
  }

  #flags(): number {
    return this.#table.records.flags(this.ref);
  }

  /** The shown string, for versions that are not simply stored. */
  string(): Buffer {
    if (this.#string === null) {
      this.#string = shownBytes(this.heads(), this.#partition.origins);
    }
    return this.#string;
  }

  /** Elements that a reader sees. */
  get count(): number {
    if (this.live !== null) return this.live.length;
    return this.#table.elements.countOf(this.block);
  }

  /** The elements of the block that a reader does not see. */
  dead(): Ref[] {
    if (this.live === null) return [];
    const live = new Set(this.live);
    return this.#partition.mutations.elementsOf(this.block).filter((ref) => !live.has(ref));
  }

  /** Versions of an element that their own copy of the expiry does not rule out. */
  liveVersions(versions: readonly Version[]): readonly Version[] {
    return versions.filter(
      ({ copyAt }) => copyAt === 0 || copyAt > this.#nowMs || this.#bornMs < copyAt,
    );
  }
}
