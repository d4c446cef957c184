/**
 * The algebra of one cell: the versions that coexist under a (key, element), and what each mutation
 * and a join do to them. Pure: takes versions, returns versions.
 *
 * This is the general case. The memory table runs the common one (a single covered version) in
 * place and comes here for siblings, concurrent writers, contexts, undos and joins.
 *
 * Invariant: versions have distinct dots; the order of the list says nothing.
 */
import type { Hlc } from "./hlc.ts";
import type { OriginSlot, Origins } from "./origins.ts";

/** What a cell's bytes are. Lower numbers win where no head says more. */
export const STRING = 1;
export const LIST = 2;
export const SET = 3;
export const ZSET = 4;
export const HASH = 5;
export type CellType = number;

/** Whether a version is a counter, and of what its first value is the text. */
export const PLAIN = 0;
export const INTEGER_COUNTER = 1;
export const FLOAT_COUNTER = 2;
export type CounterKind = number;

/** The name of one write: the op `counter` of an origin. */
export interface Dot {
  readonly slot: OriginSlot;
  readonly counter: number;
}

/** An expiry as a last-writer-wins register. `at` is wall ms since 1970; 0 means never. */
export interface Register {
  readonly at: number;
  readonly hlc: Hlc;
  readonly slot: OriginSlot;
}

/** What one origin added to a version: its last op that did, and the sums so far. */
export interface AddEntry {
  readonly slot: OriginSlot;
  readonly counter: number;
  /** The sum while it is one of integers; 0 once it is a float. */
  readonly integer: bigint;
  readonly real: number;
  /** Whether a float was ever added: the sum is `real` then, and the value prints as a float. */
  readonly float: boolean;
}

/** A try that was executed more than once, taken back: a set by the try's dot. */
export interface Undo {
  readonly slot: OriginSlot;
  readonly counter: number;
  readonly integer: bigint;
  readonly real: number;
  readonly float: boolean;
}

/** One write's value, with what has accumulated on it since. */
export interface Version extends Dot {
  readonly hlc: Hlc;
  readonly type: CellType;
  /** Made by an increment of an absent cell (not PLAIN): shown siblings of this kind sum. */
  readonly counterKind: CounterKind;
  readonly value: Buffer;
  /** An element's copy of its key's expiry when it was written, wall ms; 0 = none. */
  readonly copyAt: number;
  readonly expiry: Register | null;
  readonly adds: readonly AddEntry[];
  readonly undos: readonly Undo[];
}

/** A version with what most versions lack filled in. */
export function newVersion(
  fields: Pick<Version, "slot" | "counter" | "hlc" | "type" | "value"> & Partial<Version>,
): Version {
  return { counterKind: PLAIN, copyAt: 0, expiry: null, adds: [], undos: [], ...fields };
}

/** Says whether a dot is covered by an op (design 4.4): replaced by its set, taken by its remove. */
export type Covers = (slot: OriginSlot, counter: number) => boolean;

const sameDot = (a: Dot, b: Dot): boolean => a.slot === b.slot && a.counter === b.counter;

/** What survives a `remove` or `clear`. */
export function removeCovered(versions: readonly Version[], covers: Covers): Version[] {
  return versions.filter((version) => !covers(version.slot, version.counter));
}

/** A `set`: the new version and the siblings that it does not cover. */
export function setVersion(versions: readonly Version[], made: Version, covers: Covers): Version[] {
  const kept = versions.filter((v) => !sameDot(v, made) && !covers(v.slot, v.counter));
  kept.push(made);
  return kept;
}

/** An `add` to the version with that dot, if it still exists and has not had this op's add. */
export function addToVersion(
  versions: readonly Version[],
  dot: Dot,
  add: AddEntry,
): readonly Version[] {
  return updated(versions, dot, (version) => {
    const entry = version.adds.find((e) => e.slot === add.slot);
    if (entry === undefined) return { ...version, adds: [...version.adds, add] };
    if (add.counter <= entry.counter) return version;
    const sum = sumOfAdds(entry, add);
    return { ...version, adds: version.adds.map((e) => (e === entry ? sum : e)) };
  });
}

/** An entry after one more add: integers stay exact, and a float makes the sum one for good. */
export function sumOfAdds(entry: AddEntry, add: AddEntry): AddEntry {
  const { slot, counter } = add;
  if (!entry.float && !add.float) {
    const integer = BigInt.asIntN(64, entry.integer + add.integer);
    return { slot, counter, integer, real: 0, float: false };
  }
  const real = amountOf(entry) + amountOf(add);
  return { slot, counter, integer: 0n, real, float: true };
}

function amountOf(entry: AddEntry): number {
  return entry.float ? entry.real : Number(entry.integer);
}

/** An `undo` of a try on the version with that dot: twice is once. */
export function undoOnVersion(
  versions: readonly Version[],
  dot: Dot,
  undo: Undo,
): readonly Version[] {
  return updated(versions, dot, (version) =>
    version.undos.some((u) => sameDot(u, undo))
      ? version
      : { ...version, undos: [...version.undos, undo] },
  );
}

/** An `expire` on the version with that dot: the later register stays. */
export function expireVersion(
  versions: readonly Version[],
  dot: Dot,
  register: Register,
  origins: Origins,
): readonly Version[] {
  return updated(versions, dot, (version) => ({
    ...version,
    expiry: laterRegister(version.expiry, register, origins),
  }));
}

/** The later of two registers by (HLC, origin). */
export function laterRegister(
  a: Register | null,
  b: Register | null,
  origins: Origins,
): Register | null {
  if (a === null || b === null) return a ?? b;
  if (a.hlc !== b.hlc) return a.hlc > b.hlc ? a : b;
  return origins.compare(a.slot, b.slot) >= 0 ? a : b;
}

/**
 * Merges two replicas' versions of one cell without logs: what both have stays, merged; what one
 * has stays iff the other has not applied its dot.
 */
export function joinVersions(
  mine: readonly Version[],
  theirs: readonly Version[],
  contains: { mine: Covers; theirs: Covers },
  origins: Origins,
): Version[] {
  const joined: Version[] = [];
  for (const version of mine) {
    const other = theirs.find((v) => sameDot(v, version));
    if (other !== undefined) joined.push(mergeVersion(version, other, origins));
    else if (!contains.theirs(version.slot, version.counter)) joined.push(version);
  }
  for (const version of theirs) {
    if (mine.some((v) => sameDot(v, version))) continue;
    if (!contains.mine(version.slot, version.counter)) joined.push(version);
  }
  return joined;
}

function mergeVersion(mine: Version, theirs: Version, origins: Origins): Version {
  const adds = [...mine.adds];
  for (const entry of theirs.adds) {
    const own = adds.findIndex((e) => e.slot === entry.slot);
    if (own < 0) adds.push(entry);
    else if (entry.counter > (adds[own] as AddEntry).counter) adds[own] = entry;
  }
  const undos = [...mine.undos];
  for (const undo of theirs.undos) if (!undos.some((u) => sameDot(u, undo))) undos.push(undo);
  return { ...mine, adds, undos, expiry: laterRegister(mine.expiry, theirs.expiry, origins) };
}

/** The version that the last-writer-wins resolver shows: largest (HLC, origin); or undefined. */
export function latestVersion(versions: readonly Version[], origins: Origins): Version | undefined {
  let latest: Version | undefined;
  for (const version of versions) {
    if (latest === undefined || isLater(version, latest, origins)) latest = version;
  }
  return latest;
}

/** Whether version a is later than b by (HLC, origin, counter). */
export function isLater(a: Version, b: Version, origins: Origins): boolean {
  if (a.hlc !== b.hlc) return a.hlc > b.hlc;
  if (a.slot !== b.slot) return origins.compare(a.slot, b.slot) > 0;
  return a.counter > b.counter;
}

function updated(
  versions: readonly Version[],
  dot: Dot,
  change: (version: Version) => Version,
): readonly Version[] {
  const index = versions.findIndex((version) => sameDot(version, dot));
  if (index < 0) return versions;
  return versions.map((version, i) => (i === index ? change(version) : version));
}
