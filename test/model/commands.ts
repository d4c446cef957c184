/**
 * The coordinator's half of the model: which mutations a Redis command becomes (design 3 to 5), and
 * what it answers. Keys, strings and numbers are here; collections.ts and lists.ts have the rest.
 *
 * Invariant: a plan depends on the coordinator's cells, its clock and the op's dot, on nothing else.
 */
import { addElement, addScore, incrementField, removeMembers, setField } from "./collections.ts";
import type { Bytes, Dot, ModelCommand, NeutralMark, NeutralMutation } from "./harness.ts";
import { exactText } from "./harness.ts";
import { insertElement, popElement, pushElements, removeEqual, setElement } from "./lists.ts";
import type { Num } from "./numbers.ts";
import { formatNum, kindOf, parseDecimal, parseInteger } from "./numbers.ts";
import type { Coordinator, Plan } from "./plan.ts";
import {
  answer,
  clearLeftovers,
  ERROR,
  headOf,
  increased,
  numberReply,
  removal,
  WRONG_TYPE,
} from "./plan.ts";
import type { Version } from "./version.ts";
import type { View } from "./view.ts";

/** The subset of Redis that the scenarios speak. */
export function plan(at: Coordinator, { argv, context }: ModelCommand): Plan {
  const [name = "", key = "", ...args] = argv;
  const [first = "", second = "", third = ""] = args;
  switch (name) {
    case "GET":
      return get(at.view(key));
    case "SET":
      return set(at, key, first, second === "PXAT" ? Number(third) : undefined, context);
    case "DEL":
      return del(at, key, context);
    case "INCRBY":
      return increment(at, key, parseInteger(first));
    case "INCRBYFLOAT":
      return increment(at, key, parseDecimal(first));
    case "PEXPIREAT":
      return expire(at, key, Number(first));
    case "PERSIST":
      return persist(at, key);
    case "HSET":
      return setField(at, key, first, second);
    case "HINCRBY":
      return incrementField(at, key, first, second);
    case "HDEL":
      return removeMembers(at, key, "hash", args);
    case "SADD":
      return addElement(at, key, args);
    case "SREM":
      return removeMembers(at, key, "set", args);
    case "ZADD":
      return addScore(at, key, first, second);
    case "ZREM":
      return removeMembers(at, key, "zset", args);
    case "LPUSH":
    case "RPUSH":
      return pushElements(at, key, args, name === "LPUSH");
    case "LPOP":
    case "RPOP":
      return popElement(at, key, name === "LPOP");
    case "LSET":
      return setElement(at, key, Number(first), second);
    case "LREM":
      return removeEqual(at, key, Number(first), second);
    case "LINSERT":
      return insertElement(at, key, first === "BEFORE", second, third);
    default:
      return answer(ERROR);
  }
}

/** The dots of a context that a write may cover: still here, and nothing added since the read. */
export function coveredBy(
  at: Coordinator,
  heads: readonly Version[],
  context: readonly NeutralMark[],
): readonly Dot[] {
  return context.flatMap(({ dot, adds }) => {
    const version = heads.find((head) => head.dot === dot);
    if (version === undefined) return at.broken === "context-unapplied" ? [dot] : [];
    const entries = [...version.adds];
    const unchanged =
      entries.length === Object.keys(adds).length &&
      entries.every(([origin, { counter }]) => adds[origin] === counter);
    return unchanged || at.broken === "context-marks" ? [dot] : [];
  });
}

function get(view: View): Plan {
  if (view.type === null) return answer(null);
  return answer(view.type === "string" ? view.value : WRONG_TYPE);
}

function set(
  at: Coordinator,
  key: Bytes,
  value: Bytes,
  until: number | undefined,
  context: readonly NeutralMark[] | undefined,
): Plan {
  const cells = at.cells(key);
  const cell = headOf(key);
  const base = { kind: "set", cell, type: "string", value } as const;
  const written = until === undefined ? base : { ...base, until };
  if (context !== undefined) {
    const { heads } = at.view(key);
    const covers = coveredBy(at, heads, context);
    const left = heads.length - covers.length + 1;
    if (left > at.siblingsMax && at.broken !== "sibling-guard") {
      return answer({ error: "TOOMANYSIBLINGS" });
    }
    return answer("OK", [{ ...written, covers }]);
  }
  const overElements = [...cells.values()].some((found) => found.cell.type !== "head");
  return answer("OK", [...(overElements ? clearLeftovers(at, key) : []), written]);
}

function del(at: Coordinator, key: Bytes, context: readonly NeutralMark[] | undefined): Plan {
  const view = at.view(key);
  if (context !== undefined) {
    const covers = coveredBy(at, view.heads, context);
    if (covers.length === 0) return answer(0);
    return answer(1, [{ kind: "remove", cell: headOf(key), covers }]);
  }
  return view.type === null ? answer(0) : answer(1, [{ kind: "clear", key }]);
}

function increment(at: Coordinator, key: Bytes, delta: Num | undefined): Plan {
  if (delta === undefined) return answer(ERROR);
  const view = at.view(key);
  const cell = headOf(key);
  if (view.type === null) {
    const counter = kindOf(delta);
    const value = formatNum(delta);
    return answer(numberReply(delta), [
      ...clearLeftovers(at, key),
      { kind: "set", cell, type: "string", value, counter },
    ]);
  }
  if (view.type !== "string" || view.value === null || view.top === undefined) {
    return answer(WRONG_TYPE);
  }
  const shown = typeof delta === "bigint" ? parseInteger(view.value) : parseDecimal(view.value);
  if (shown === undefined) return answer(ERROR);
  const total = increased(at, shown, view.top, delta);
  if (total === undefined) return answer(ERROR);
  // the head's own mutation is the add: hidden heads wait for a write that may remove them
  const hidden = at.broken === "hidden-kept" ? [] : view.hiddenCells.map(removal);
  const { dot } = view.top;
  const add = { kind: "add", cell, dot, number: kindOf(delta), delta: exactText(delta) } as const;
  return answer(numberReply(total), [...hidden, add]);
}

function expire(at: Coordinator, key: Bytes, until: number): Plan {
  const view = at.view(key);
  if (view.type === null) return answer(0);
  if (until <= at.now) return answer(1, [{ kind: "clear", key }]);
  return answer(1, [registerOn(key, view, until)]);
}

function persist(at: Coordinator, key: Bytes): Plan {
  const view = at.view(key);
  if (view.type === null || view.until === null) return answer(0);
  return answer(1, [registerOn(key, view, null)]);
}

/** The register goes on every head; a collection without one gets one that carries it. */
function registerOn(key: Bytes, view: View, until: number | null): NeutralMutation {
  const cell = headOf(key);
  const dots = view.heads.map((head) => head.dot);
  if (dots.length > 0) return { kind: "expire", cell, dots, at: until };
  return { kind: "set", cell, type: view.type ?? "string", value: "", until };
}
