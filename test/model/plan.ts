/**
 * What every command's plan shares: the coordinator that it runs on, and the rules of design 3
 * about writes to a key (a new key is cleared first, hidden cells go, the last element takes the
 * head with it).
 */
import type { Break } from "./breaks.ts";
import type {
  Bytes,
  CellType,
  ModelReply,
  NeutralCell,
  NeutralMutation,
  Origin,
} from "./harness.ts";
import { wallOf } from "./harness.ts";
import type { Num } from "./numbers.ts";
import { addNums, formatNum, INT_MAX, INT_MIN } from "./numbers.ts";
import type { KeyCells, Version } from "./version.ts";
import type { View } from "./view.ts";

/** What a command sees of the vnode that coordinates it. */
export interface Coordinator {
  /** The op that the command would become: positions of list elements name it. */
  readonly origin: Origin;
  readonly counter: number;
  readonly siblingsMax: number;
  readonly now: number;
  readonly broken: Break | undefined;
  cells(key: Bytes): KeyCells;
  view(key: Bytes): View;
}

/** A command's reply and its op's mutations; without mutations there is no op. */
export interface Plan {
  readonly reply: ModelReply;
  readonly mutations: readonly NeutralMutation[];
}

export const WRONG_TYPE: ModelReply = { error: "WRONGTYPE" };
export const ERROR: ModelReply = { error: "ERR" };

export function answer(reply: ModelReply, mutations: readonly NeutralMutation[] = []): Plan {
  return { reply, mutations };
}

export function headOf(key: Bytes): NeutralCell {
  return { key, type: "head", element: "" };
}

export function elementOf(key: Bytes, type: NeutralCell["type"], element: Bytes): NeutralCell {
  return { key, type, element };
}

export function removal(cell: NeutralCell): NeutralMutation {
  return { kind: "remove", cell };
}

/** What goes before the first element of an absent key: whatever is left of it is cleared. */
export function create(at: Coordinator, key: Bytes, type: CellType): NeutralMutation[] {
  return [...clearLeftovers(at, key), { kind: "set", cell: headOf(key), type, value: "" }];
}

/** A `clear`, if there is anything: expired cells, a head left over, elements past their copy. */
export function clearLeftovers(at: Coordinator, key: Bytes): NeutralMutation[] {
  if (at.broken === "clear-missing" || at.cells(key).size === 0) return [];
  return [{ kind: "clear", key }];
}

/**
 * What goes before a write to the collection `type`, or undefined: the key holds another type.
 * The hidden heads are removed by their dots: a new head in their place would be born too late to
 * rule the elements' copies of the expiry, and hide elements that are shown now.
 */
export function beginWrite(
  at: Coordinator,
  key: Bytes,
  type: CellType,
): NeutralMutation[] | undefined {
  const view = at.view(key);
  if (view.type === null) return create(at, key, type);
  return view.type === type ? removeHidden(at, key, view) : undefined;
}

export function removeHidden(at: Coordinator, key: Bytes, view: View): NeutralMutation[] {
  if (at.broken === "hidden-kept") return [];
  const elements = view.hiddenCells.map(removal);
  if (view.hiddenHeads.length === 0) return elements;
  return [...elements, { kind: "remove", cell: headOf(key), covers: view.hiddenHeads }];
}

/**
 * The element's copy of its key's expiry, as a part of its `set`. None, if it would count although
 * there is a head: one that was born at that time or later, since the clock was set back.
 */
export function copyOf(at: Coordinator, key: Bytes): { readonly copy?: number } {
  const { until, heads, type } = at.view(key);
  if (until === null || at.broken === "no-copy") return {};
  const births = heads.filter((head) => head.type === type).map((head) => wallOf(head.hlc));
  return births.length > 0 && Math.min(...births) >= until ? {} : { copy: until };
}

/** The removal of shown elements; that of the last one takes all that is left of the key. */
export function removeElements(
  at: Coordinator,
  key: Bytes,
  removals: readonly NeutralMutation[],
): NeutralMutation[] {
  if (removals.length === 0) return [];
  const view = at.view(key);
  if (removals.length < view.elements.length) return [...removals, ...removeHidden(at, key, view)];
  if (at.broken === "head-kept") return [...removals];
  const others = [...view.hiddenCells, ...view.deadCells].filter(
    (cell) => !removals.some((removed) => removed.kind === "remove" && removed.cell === cell),
  );
  const heads = view.heads.length > 0 ? [removal(headOf(key))] : [];
  return [...removals, ...others.map(removal), ...heads];
}

/** What an add leads to, or undefined: over 64 bits, in sum or in this origin's part of it. */
export function increased(at: Coordinator, shown: Num, top: Version, delta: Num): Num | undefined {
  const total = addNums(shown, delta);
  const part = addNums(top.adds.get(at.origin)?.sum ?? 0n, delta);
  return isInRange(total) && isInRange(part) ? total : undefined;
}

function isInRange(value: Num): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  return value >= INT_MIN && value <= INT_MAX;
}

/** An integer as an integer reply (as text past 2^53), a float as its text. */
export function numberReply(value: Num): ModelReply {
  return Number.isSafeInteger(Number(value)) && typeof value === "bigint"
    ? Number(value)
    : formatNum(value);
}
