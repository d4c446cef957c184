/**
 * Plans of the commands on hashes, sets and sorted sets: one cell an element.
 *
 * An element that is there already is written again: its new dot survives a concurrent removal,
 * which the client that was told "it is there" expects.
 */

import { formatDouble } from "../../runtime/base/number-text.ts";
import type { Bytes, CellType } from "./harness.ts";
import { exactText } from "./harness.ts";
import { formatNum, parseDecimal, parseInteger } from "./numbers.ts";
import type { Coordinator, Plan } from "./plan.ts";
import {
  answer,
  beginWrite,
  copyOf,
  ERROR,
  elementOf,
  increased,
  numberReply,
  removal,
  removeElements,
  WRONG_TYPE,
} from "./plan.ts";
import type { ShownElement } from "./view.ts";

type MemberType = Exclude<CellType, "string" | "list">;

export function setField(at: Coordinator, key: Bytes, field: Bytes, value: Bytes): Plan {
  return writeMembers(at, key, "hash", [[field, value]]);
}

export function addElement(at: Coordinator, key: Bytes, members: readonly Bytes[]): Plan {
  return writeMembers(
    at,
    key,
    "set",
    [...new Set(members)].map((member) => [member, ""] as const),
  );
}

export function addScore(at: Coordinator, key: Bytes, score: Bytes, member: Bytes): Plan {
  const value = parseDecimal(score);
  if (value === undefined) return answer(ERROR);
  return writeMembers(at, key, "zset", [[member, formatDouble(value)]]);
}

export function incrementField(at: Coordinator, key: Bytes, field: Bytes, by: Bytes): Plan {
  const delta = parseInteger(by);
  if (delta === undefined) return answer(ERROR);
  const before = beginWrite(at, key, "hash");
  if (before === undefined) return answer(WRONG_TYPE);
  const cell = elementOf(key, "hash", field);
  const found = shown(at, key, "hash", field);
  if (found === undefined) {
    const copy = copyOf(at, key);
    const value = formatNum(delta);
    const set = { kind: "set", cell, type: "hash", value, counter: "int", ...copy } as const;
    return answer(numberReply(delta), [...before, set]);
  }
  const current = parseInteger(found.value);
  if (current === undefined) return answer(ERROR);
  const total = increased(at, current, found.top, delta);
  if (total === undefined) return answer(ERROR);
  const { dot } = found.top;
  const add = { kind: "add", cell, dot, number: "int", delta: exactText(delta) } as const;
  return answer(numberReply(total), [...before, add]);
}

export function removeMembers(
  at: Coordinator,
  key: Bytes,
  type: MemberType,
  members: readonly Bytes[],
): Plan {
  const view = at.view(key);
  if (view.type === null) return answer(0);
  if (view.type !== type) return answer(WRONG_TYPE);
  const removed = view.elements.filter(({ cell }) => members.includes(cell.element));
  const removals = removed.map(({ cell }) => removal(cell));
  return answer(removed.length, removeElements(at, key, removals));
}

/** Answers how many were not there before. */
function writeMembers(
  at: Coordinator,
  key: Bytes,
  type: MemberType,
  members: readonly (readonly [Bytes, Bytes])[],
): Plan {
  const before = beginWrite(at, key, type);
  if (before === undefined) return answer(WRONG_TYPE);
  const copy = copyOf(at, key);
  const added = members.filter(([element]) => shown(at, key, type, element) === undefined);
  const sets = members.map(([element, value]) => {
    const cell = elementOf(key, type, element);
    return { kind: "set", cell, type, value, ...copy } as const;
  });
  return answer(added.length, [...before, ...sets]);
}

function shown(
  at: Coordinator,
  key: Bytes,
  type: MemberType,
  element: Bytes,
): ShownElement | undefined {
  const view = at.view(key);
  if (view.type !== type) return undefined;
  return view.elements.find(({ cell }) => cell.element === element);
}
