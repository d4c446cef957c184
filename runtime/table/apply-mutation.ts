/**
 * One mutation of an op, as a reader has just read it, on a partition: what replay, delivery and the
 * undo of a try share.
 */
import { assert } from "../base/assert.ts";
import type { Covers } from "../causality/cell.ts";
import { emptyCellName } from "../causality/cell-name.ts";
import {
  MUTATE_ADD,
  MUTATE_CLEAR,
  MUTATE_EXPIRE,
  MUTATE_FLUSH,
  MUTATE_REMOVE,
  MUTATE_SET,
  MUTATE_UNDO,
} from "../causality/op.ts";
import type { OpReader } from "../causality/op-reader.ts";
import { nameCell } from "./op-cell.ts";
import type { Partition } from "./partition.ts";
import { KIND_COUNTER_SHIFT } from "./record.ts";

/** Scratch: the cell of the mutation at hand. */
const cell = emptyCellName();

/** Applies the reader's mutation; `table.op` names its op. */
export function applyMutation(partition: Partition, op: OpReader): void {
  const { mutations, table } = partition;
  const covers = op.hasContext ? partition.coversDots(op.dots) : table.op.covers;
  switch (op.kind) {
    case MUTATE_SET:
      applySet(partition, op, covers);
      return;
    case MUTATE_CLEAR:
      mutations.clear(op.source, op.keyStart, op.keyEnd, covers);
      return;
    case MUTATE_FLUSH:
      partition.applyFlush(covers);
      return;
    case MUTATE_REMOVE:
      nameCell(cell, op);
      mutations.remove(cell, covers);
      return;
    case MUTATE_ADD:
      nameCell(cell, op);
      mutations.add(cell, partition.localDot(op.dot), op.delta);
      return;
    case MUTATE_EXPIRE: {
      nameCell(cell, op);
      const dots = op.dots.map((dot) => partition.localDot(dot));
      mutations.expire(cell, dots, op.at);
      return;
    }
    case MUTATE_UNDO: {
      nameCell(cell, op);
      const tried = partition.localDot(op.tried);
      mutations.undo(cell, partition.localDot(op.dot), tried, op.delta);
      return;
    }
    default:
      assert(false, "an op has known mutations");
  }
}

function applySet({ mutations }: Partition, op: OpReader, covers: Covers | null): void {
  const { source, keyStart, keyEnd, type, counterKind, valueStart, valueEnd, at } = op;
  if (!op.hasName) {
    mutations.setHead(
      source,
      keyStart,
      keyEnd,
      type,
      counterKind,
      source,
      valueStart,
      valueEnd,
      at,
      covers,
    );
    return;
  }
  mutations.setElement(
    source,
    keyStart,
    keyEnd,
    type | (counterKind << KIND_COUNTER_SHIFT),
    source,
    op.nameStart,
    op.nameEnd,
    source,
    valueStart,
    valueEnd,
    at,
    covers,
  );
}
