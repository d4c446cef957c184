/**
 * Plans of the commands on lists: one cell an element, named by its position.
 *
 * Positions are made next to all cells of the list, dead ones too, as a vnode's tree holds them.
 */
import { positionBetween } from "../../runtime/causality/position.ts";
import type { Bytes, NeutralCell } from "./harness.ts";
import type { Coordinator, Plan } from "./plan.ts";
import {
  answer,
  beginWrite,
  copyOf,
  ERROR,
  elementOf,
  removal,
  removeElements,
  WRONG_TYPE,
} from "./plan.ts";
import type { ShownElement } from "./view.ts";

export function pushElements(
  at: Coordinator,
  key: Bytes,
  values: readonly Bytes[],
  before: boolean,
): Plan {
  const { type, elements } = at.view(key);
  const start = beginWrite(at, key, "list");
  if (start === undefined) return answer(WRONG_TYPE);
  const positions = type === null ? [] : positionsOf(at, key);
  let edge = before ? positions[0] : positions.at(-1);
  const copy = copyOf(at, key);
  const sets = values.map((value, index) => {
    edge = between(at, before ? undefined : edge, before ? edge : undefined, index);
    const cell = elementOf(key, "list", edge);
    return { kind: "set", cell, type: "list", value, ...copy } as const;
  });
  return answer(elements.length + values.length, [...start, ...sets]);
}

export function popElement(at: Coordinator, key: Bytes, first: boolean): Plan {
  const { type, elements } = at.view(key);
  if (type === null) return answer(null);
  if (type !== "list") return answer(WRONG_TYPE);
  const popped = first ? elements[0] : elements.at(-1);
  if (popped === undefined) return answer(null);
  return answer(popped.value, removeElements(at, key, [removal(popped.cell)]));
}

export function setElement(at: Coordinator, key: Bytes, index: number, value: Bytes): Plan {
  const { type, elements } = at.view(key);
  if (type === null) return answer(ERROR);
  if (type !== "list") return answer(WRONG_TYPE);
  const found = elements.at(index);
  if (found === undefined) return answer(ERROR);
  const set = { kind: "set", cell: found.cell, type, value, ...copyOf(at, key) } as const;
  return answer("OK", [...(beginWrite(at, key, "list") ?? []), set]);
}

/** `count` > 0: from the head, < 0: from the tail, 0: all. */
export function removeEqual(at: Coordinator, key: Bytes, count: number, value: Bytes): Plan {
  const { type, elements } = at.view(key);
  if (type === null) return answer(0);
  if (type !== "list") return answer(WRONG_TYPE);
  const equal = elements.filter((element) => element.value === value);
  const removed = count === 0 ? equal : count > 0 ? equal.slice(0, count) : equal.slice(count);
  const removals = removed.map(({ cell }) => removal(cell));
  return answer(removed.length, removeElements(at, key, removals));
}

export function insertElement(
  at: Coordinator,
  key: Bytes,
  before: boolean,
  pivot: Bytes,
  value: Bytes,
): Plan {
  const { type, elements } = at.view(key);
  if (type === null) return answer(0);
  if (type !== "list") return answer(WRONG_TYPE);
  const found = elements.find((element) => element.value === pivot);
  if (found === undefined) return answer(-1);
  const position = between(at, ...neighbours(at, key, found, before), 0);
  const cell: NeutralCell = elementOf(key, "list", position);
  const set = { kind: "set", cell, type, value, ...copyOf(at, key) } as const;
  return answer(elements.length + 1, [...(beginWrite(at, key, "list") ?? []), set]);
}

function neighbours(
  at: Coordinator,
  key: Bytes,
  { cell }: ShownElement,
  before: boolean,
): [Bytes | undefined, Bytes | undefined] {
  const positions = positionsOf(at, key);
  const index = positions.indexOf(cell.element);
  if (before) return [positions[index - 1], cell.element];
  return [cell.element, positions[index + 1]];
}

function positionsOf(at: Coordinator, key: Bytes): readonly Bytes[] {
  const cells = [...at.cells(key).values()].map(({ cell }) => cell);
  return cells
    .filter(({ type }) => type === "list")
    .map(({ element }) => element)
    .sort();
}

function between(
  at: Coordinator,
  left: Bytes | undefined,
  right: Bytes | undefined,
  index: number,
): Bytes {
  const position = positionBetween(bytesOf(left), bytesOf(right), {
    originHigh: Number.parseInt(at.origin.slice(0, 8), 16),
    originLow: Number.parseInt(at.origin.slice(8), 16),
    counter: at.counter,
    index,
  });
  if (position === undefined) throw new Error("a scenario is too short for such a position");
  return position.toString("latin1");
}

function bytesOf(position: Bytes | undefined): Buffer | undefined {
  return position === undefined ? undefined : Buffer.from(position, "latin1");
}
