/**
 * The specification as a function: which cells the surviving ops leave, computed from the set of
 * ops alone, with no order, no replica and no line shared with replica.ts.
 *
 * Invariant: a version is there iff an op in `applied` made it and no op in `applied` covers it;
 * its adds, undos and register are those of all ops in `applied` that name it.
 */
import type {
  CanonicalState,
  CanonicalVersion,
  Dot,
  NeutralCell,
  NeutralMutation,
  NeutralOp,
  Vector,
} from "./harness.ts";
import { cellName, compareDots, counterOf, dotOf, exactText, originOf } from "./harness.ts";
import type { Num } from "./numbers.ts";
import { addNums, kindOf, parseNum } from "./numbers.ts";

/** The cells that a replica with `applied` must hold, in canonical order. */
export function expectedCells(ops: readonly NeutralOp[], applied: Vector): CanonicalState["cells"] {
  const surviving = ops.filter(({ origin, counter }) => (applied[origin] ?? 0) >= counter);
  const covering = coveringMutations(surviving);
  const changing = changesOfCells(surviving);
  const cells = new Map<string, { cell: NeutralCell; versions: CanonicalVersion[] }>();
  for (const op of surviving) {
    for (const mutation of op.mutations) {
      if (mutation.kind !== "set") continue;
      const { cell } = mutation;
      const name = cellName(cell);
      const dot = dotOf(op.origin, op.counter);
      const coverers = [...(covering.get(name) ?? []), ...(covering.get(cell.key) ?? [])];
      if (coverers.some((other) => covers(other.op, other.dots, dot))) continue;
      const found = cells.get(name) ?? { cell, versions: [] };
      // HSET with a field twice makes two sets of it: the last one counts.
      if (found.versions.at(-1)?.dot === dot) found.versions.pop();
      found.versions.push(expectedVersion(op, mutation, changing.get(name) ?? []));
      cells.set(name, found);
    }
  }
  return [...cells]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, { cell, versions }]) => ({
      cell,
      versions: versions.sort((left, right) => compareDots(left.dot, right.dot)),
    }));
}

interface Covering {
  readonly op: NeutralOp;
  readonly dots: readonly Dot[] | undefined;
}

/** By cell name; clears by their key. */
function coveringMutations(ops: readonly NeutralOp[]): ReadonlyMap<string, Covering[]> {
  const found = new Map<string, Covering[]>();
  for (const op of ops) {
    for (const mutation of op.mutations) {
      if (mutation.kind === "add" || mutation.kind === "expire" || mutation.kind === "undo")
        continue;
      const name = mutation.kind === "clear" ? mutation.key : cellName(mutation.cell);
      const dots = mutation.kind === "clear" ? undefined : mutation.covers;
      found.set(name, [...(found.get(name) ?? []), { op, dots }]);
    }
  }
  return found;
}

type Change = Exclude<NeutralMutation, { kind: "clear" | "set" | "remove" }>;

/** What adds to versions and expires them, by cell name, in the order of the ops' counters. */
function changesOfCells(ops: readonly NeutralOp[]): ReadonlyMap<string, [NeutralOp, Change][]> {
  const found = new Map<string, [NeutralOp, Change][]>();
  for (const op of [...ops].sort((left, right) => left.counter - right.counter)) {
    for (const mutation of op.mutations) {
      const { kind } = mutation;
      if (kind === "clear" || kind === "set" || kind === "remove") continue;
      const name = cellName(mutation.cell);
      const changes = found.get(name) ?? [];
      changes.push([op, mutation]);
      found.set(name, changes);
    }
  }
  return found;
}

function covers(op: NeutralOp, dots: readonly Dot[] | undefined, dot: Dot): boolean {
  if (dots !== undefined) return dots.includes(dot);
  if (originOf(dot) === op.origin) return counterOf(dot) < op.counter;
  return counterOf(dot) <= (op.past[originOf(dot)] ?? 0);
}

function expectedVersion(
  made: NeutralOp,
  set: NeutralMutation & { kind: "set" },
  changes: readonly [NeutralOp, Change][],
): CanonicalVersion {
  const dot = dotOf(made.origin, made.counter);
  const adds = new Map<string, { counter: number; sum: Num }>();
  const undone = new Map<Dot, Num>();
  const first = { at: set.until ?? null, hlc: made.hlc, origin: made.origin };
  const registers = set.until === undefined ? [] : [first];
  for (const [op, mutation] of changes) {
    if (mutation.kind === "add" && mutation.dot === dot) {
      const delta = parseNum(mutation.number, mutation.delta);
      const before = adds.get(op.origin);
      const sum = before === undefined ? delta : addNums(before.sum, delta);
      adds.set(op.origin, { counter: op.counter, sum });
    } else if (mutation.kind === "undo" && mutation.dot === dot) {
      undone.set(mutation.undone, parseNum(mutation.number, mutation.delta));
    } else if (mutation.kind === "expire" && mutation.dots.includes(dot)) {
      registers.push({ at: mutation.at, hlc: op.hlc, origin: op.origin });
    }
  }
  registers.sort((left, right) => right.hlc - left.hlc || (left.origin > right.origin ? -1 : 1));
  return {
    dot,
    hlc: made.hlc,
    type: set.type,
    value: set.value,
    counter: set.counter ?? null,
    adds: [...adds]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([origin, { counter, sum }]) => ({
        origin,
        counter,
        number: kindOf(sum),
        sum: exactText(sum),
      })),
    undone: [...undone]
      .sort(([left], [right]) => compareDots(left, right))
      .map(([undo, delta]) => ({ dot: undo, number: kindOf(delta), delta: exactText(delta) })),
    expiry: registers[0] ?? null,
    copy: set.copy ?? null,
  };
}
