/**
 * Versions and the cells that hold them. Versions are immutable: a change makes another one, so a
 * durable copy of a state is a copy of its maps.
 */
import type {
  Bytes,
  CanonicalVersion,
  CellType,
  Dot,
  NeutralCell,
  NumberKind,
  Origin,
} from "./harness.ts";
import { compareDots, exactText, originOf } from "./harness.ts";
import type { Num } from "./numbers.ts";
import {
  addNums,
  formatNum,
  kindOf,
  negate,
  parseDecimal,
  parseInteger,
  parseNum,
} from "./numbers.ts";

export interface Register {
  readonly at: number | null;
  readonly hlc: number;
  readonly origin: Origin;
}

export interface AddEntry {
  readonly counter: number;
  readonly sum: Num;
}

export interface Version {
  readonly dot: Dot;
  readonly hlc: number;
  readonly type: CellType;
  readonly value: Bytes;
  readonly counter: NumberKind | null;
  readonly adds: ReadonlyMap<Origin, AddEntry>;
  readonly undone: ReadonlyMap<Dot, Num>;
  readonly expiry: Register | null;
  readonly copy: number | null;
}

export interface Cell {
  readonly cell: NeutralCell;
  readonly versions: ReadonlyMap<Dot, Version>;
}

/** The cells of one key by `cellName`. */
export type KeyCells = ReadonlyMap<string, Cell>;

export const NO_CELLS: KeyCells = new Map();

/** The later of two expiry registers by (hlc, origin). */
export function later(left: Register | null, right: Register | null): Register | null {
  if (left === null) return right;
  if (right === null) return left;
  const newer = right.hlc > left.hlc || (right.hlc === left.hlc && right.origin > left.origin);
  return newer ? right : left;
}

/** The version that last-writer-wins shows: the largest (hlc, origin). */
export function newest(versions: Iterable<Version>): Version | undefined {
  let top: Version | undefined;
  for (const version of versions) {
    if (
      top === undefined ||
      version.hlc > top.hlc ||
      (version.hlc === top.hlc && originOf(version.dot) > originOf(top.dot))
    ) {
      top = version;
    }
  }
  return top;
}

/** Base + partial sums in origin order - what was undone in dot order; undefined: no number. */
export function numberOf(version: Version): Num | undefined {
  let total =
    version.counter === null
      ? (parseInteger(version.value) ?? parseDecimal(version.value))
      : parseNum(version.counter, version.value);
  if (total === undefined) return undefined;
  for (const origin of [...version.adds.keys()].sort()) {
    total = addNums(total, version.adds.get(origin)?.sum ?? 0n);
  }
  for (const dot of [...version.undone.keys()].sort(compareDots)) {
    total = addNums(total, negate(version.undone.get(dot) ?? 0n));
  }
  return total;
}

/** The versions that make up what is shown of `versions`: all counters sum, else one is shown. */
export function shownVersions(versions: readonly Version[]): readonly Version[] {
  const top = newest(versions);
  if (top === undefined) return [];
  if (top.counter === null) return [top];
  return versions
    .filter((version) => version.counter !== null)
    .sort((a, b) => compareDots(a.dot, b.dot));
}

/** The bytes that a reader gets of `versions` (never empty). */
export function shownBytes(versions: readonly Version[]): Bytes {
  const shown = shownVersions(versions);
  const [only] = shown;
  if (shown.length === 1 && only !== undefined) return bytesOf(only);
  let total: Num = 0n;
  for (const version of shown) total = addNums(total, numberOf(version) ?? 0n);
  return formatNum(total);
}

/** One version's bytes: as written, until something was added to it. */
export function bytesOf(version: Version): Bytes {
  if (version.adds.size === 0 && version.undone.size === 0) return version.value;
  const total = numberOf(version);
  return total === undefined ? version.value : formatNum(total);
}

/** In the form that replicas are compared in. */
export function canonicalVersion(version: Version): CanonicalVersion {
  const { dot, hlc, type, value, counter, expiry, copy } = version;
  const adds = [...version.adds]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([origin, entry]) => ({
      origin,
      counter: entry.counter,
      number: kindOf(entry.sum),
      sum: exactText(entry.sum),
    }));
  const undone = [...version.undone]
    .sort(([a], [b]) => compareDots(a, b))
    .map(([undo, delta]) => ({ dot: undo, number: kindOf(delta), delta: exactText(delta) }));
  return { dot, hlc, type, value, counter, adds, undone, expiry, copy };
}
