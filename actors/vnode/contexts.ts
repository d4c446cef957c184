/**
 * Writes of native clients that carry what they read (design 4.4): they cover exactly the marked
 * versions whose adds are still the ones read, and leave the others as siblings.
 *
 * Invariant: nothing that the client has not seen is lost.
 */
import { SIBLINGS_MAX } from "../../runtime/base/limits.ts";
import type { Version } from "../../runtime/causality/cell.ts";
import { STRING } from "../../runtime/causality/cell.ts";
import { emptyCellName } from "../../runtime/causality/cell-name.ts";
import type { OriginDot } from "../../runtime/causality/op.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import type { KeyAccess } from "./key-access.ts";

/** What a client read of one version: its dot, and each adding origin's last counter. */
export interface Mark {
  readonly dot: OriginDot;
  readonly adds: readonly OriginDot[];
}

/** What a write with a context did. */
export type ContextOutcome = "written" | "nothing" | "too many siblings";

/** The marks of the open key's heads. */
export function readContext({ partition, view }: KeyAccess): Mark[] {
  return view.heads().map(({ slot, counter, adds }) => ({
    dot: partition.originDot(slot, counter),
    adds: adds.map((add) => partition.originDot(add.slot, add.counter)),
  }));
}

/** Makes the open key this string where its client has seen what was there. */
export function setInContext(
  key: KeyAccess,
  name: Buffer,
  value: Buffer,
  until: number,
  context: readonly Mark[],
  siblingsMax = SIBLINGS_MAX,
): ContextOutcome {
  const { partition, view } = key;
  const heads = view.heads();
  const dots = coveredDots(partition, heads, context);
  if (heads.length - dots.length + 1 > siblingsMax) return "too many siblings";
  key.begin();
  const { writer, mutations } = partition;
  const start = writer.length;
  writer.setHead(name, 0, name.length, STRING, 0, value, 0, value.length, until);
  writer.context(start, dots);
  const covers = partition.coversDots(dots);
  mutations.setHead(name, 0, name.length, STRING, 0, value, 0, value.length, until, covers);
  return "written";
}

/** Removes the versions of the open string that its client has seen. */
export function removeInContext(
  key: KeyAccess,
  name: Buffer,
  context: readonly Mark[],
): ContextOutcome {
  const { partition, view } = key;
  const dots = coveredDots(partition, view.heads(), context);
  if (dots.length === 0) return "nothing";
  key.begin();
  const { writer, mutations } = partition;
  const cell = { ...emptyCellName(), key: name, keyEnd: name.length, type: STRING };
  const start = writer.length;
  writer.remove(cell);
  writer.context(start, dots);
  mutations.remove(cell, partition.coversDots(dots));
  return "written";
}

/** The marked dots that are still here, with the adds that were read. */
function coveredDots(
  partition: Partition,
  heads: readonly Version[],
  context: readonly Mark[],
): OriginDot[] {
  const covered: OriginDot[] = [];
  for (const { dot, adds } of context) {
    const local = partition.localDot(dot);
    const head = heads.find((h) => h.slot === local.slot && h.counter === local.counter);
    if (head === undefined || head.adds.length !== adds.length) continue;
    const read = adds.map((add) => partition.localDot(add));
    const isUnchanged = head.adds.every((entry) =>
      read.some((add) => add.slot === entry.slot && add.counter === entry.counter),
    );
    if (isUnchanged) covered.push(dot);
  }
  return covered;
}
