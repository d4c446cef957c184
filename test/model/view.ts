/**
 * What a reader of one key sees: a pure function of its cells and the time (design 3), and what a
 * writer must know beside it: which cells are hidden, which are dead.
 *
 * Invariant: time alone never changes the type shown, and never brings anything back.
 */
import type { Break } from "./breaks.ts";
import type { Bytes, CellType, Dot, NeutralCell } from "./harness.ts";
import { CELL_TYPES, wallOf } from "./harness.ts";
import type { KeyCells, Register, Version } from "./version.ts";
import { bytesOf, later, newest, shownBytes, shownVersions } from "./version.ts";

export interface ShownElement {
  readonly cell: NeutralCell;
  readonly value: Bytes;
  /** The version that an add goes to. */
  readonly top: Version;
}

export interface View {
  /** null: the key is absent. */
  readonly type: CellType | null;
  readonly value: Bytes | null;
  /** In byte order of the elements: list positions are in list order. */
  readonly elements: readonly ShownElement[];
  readonly until: number | null;
  /** The newest head; an add to a string goes to it. */
  readonly top: Version | undefined;
  /** All heads, whatever their type. */
  readonly heads: readonly Version[];
  /** Element cells of types that are not shown. */
  readonly hiddenCells: readonly NeutralCell[];
  /** Heads of types that are not shown. */
  readonly hiddenHeads: readonly Dot[];
  /** Cells of the shown type that are past their own copy of the expiry. */
  readonly deadCells: readonly NeutralCell[];
}

export function viewKey(cells: KeyCells, now: number, broken?: Break): View {
  const heads = headsOf(cells);
  const candidates =
    broken === "expired-head"
      ? heads.filter(({ expiry }) => expiry === null || expiry.at === null || expiry.at > now)
      : heads;
  const top = newest(candidates);
  const type = top?.type ?? lowestType(cells);
  const absent = { ...ABSENT, heads, top };
  if (type === null) return absent;

  const register = registerOf(heads, top, type, broken);
  if (register !== null && register.at !== null && register.at <= now) return absent;

  const hiddenCells = [...cells.values()]
    .filter(({ cell }) => cell.type !== "head" && cell.type !== type)
    .map(({ cell }) => cell);
  const hiddenHeads = heads.filter((head) => head.type !== type).map((head) => head.dot);
  const base = { heads, top, hiddenCells, hiddenHeads };
  if (type === "string") {
    const strings = heads.filter((head) => head.type === "string");
    const value = shownBytes(strings);
    return { ...base, type, value, elements: [], until: register?.at ?? null, deadCells: [] };
  }
  const { elements, dead, until } = liveElements(cells, type, heads, now, broken);
  if (elements.length === 0) return { ...absent, deadCells: dead };
  const shownUntil = top === undefined ? until : (register?.at ?? null);
  return { ...base, type, value: null, elements, until: shownUntil, deadCells: dead };
}

const ABSENT: View = {
  type: null,
  value: null,
  elements: [],
  until: null,
  top: undefined,
  heads: [],
  hiddenCells: [],
  hiddenHeads: [],
  deadCells: [],
};

export function headsOf(cells: KeyCells): readonly Version[] {
  for (const { cell, versions } of cells.values()) {
    if (cell.type === "head") return [...versions.values()];
  }
  return [];
}

/** Every string head's value, oldest dot first: what the resolver `siblings` hands out. */
export function siblingsOf(view: View): readonly Bytes[] {
  if (view.type !== "string") return [];
  return view.heads
    .filter((head) => head.type === "string")
    .sort((a, b) => a.hlc - b.hlc || (a.dot < b.dot ? -1 : 1))
    .map(bytesOf);
}

/** Without a head the lowest type number among the elements is shown. */
function lowestType(cells: KeyCells): CellType | null {
  let lowest: number = CELL_TYPES.length;
  for (const { cell } of cells.values()) {
    if (cell.type !== "head") lowest = Math.min(lowest, CELL_TYPES.indexOf(cell.type));
  }
  return CELL_TYPES.find((_type, number) => number === lowest) ?? null;
}

/**
 * A collection's expiry is the latest register on any of its heads, since its heads are one key; a
 * string's is that of the versions which make up its value.
 */
function registerOf(
  heads: readonly Version[],
  top: Version | undefined,
  type: CellType,
  broken?: Break,
): Register | null {
  if (top === undefined) return null;
  if (broken === "latest") return top.expiry;
  const same = heads.filter((head) => head.type === type);
  const shown = type === "string" ? shownVersions(same) : same;
  return shown.reduce<Register | null>((latest, { expiry }) => later(latest, expiry), null);
}

/**
 * An element's copy of the expiry counts only if no head of its type was born before that time:
 * a head is there to say it better; without it (its removal met a concurrent write) nobody would.
 */
function liveElements(
  cells: KeyCells,
  type: CellType,
  heads: readonly Version[],
  now: number,
  broken?: Break,
) {
  const elements: ShownElement[] = [];
  const dead: NeutralCell[] = [];
  const births = heads.filter((head) => head.type === type).map((head) => wallOf(head.hlc));
  const born = broken === "birth" && births.length > 0 ? 0 : Math.min(...births);
  let last = 0;
  let mortal = true;
  for (const { cell, versions } of cells.values()) {
    if (cell.type !== type) continue;
    const live = [...versions.values()].filter(
      ({ copy }) => broken === "own-copy" || copy === null || copy > now || born < copy,
    );
    if (live.length < versions.size) dead.push(cell);
    const top = newest(live);
    if (top === undefined) continue;
    elements.push({ cell, value: shownBytes(live), top });
    if (top.copy === null) mortal = false;
    else last = Math.max(last, top.copy);
  }
  elements.sort((a, b) => (a.cell.element < b.cell.element ? -1 : 1));
  return { elements, dead, until: mortal && elements.length > 0 ? last : null };
}
