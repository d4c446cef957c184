/**
 * What takes a try of a retry-safe call back (design 5): for each of its adds an `undo` by the
 * try's dot, for each list element that it pushed a `remove` of its dot. Other effects stay: the
 * receipt of a pop says so, and a set again is a set.
 *
 * Invariant: taking a try back twice is taking it back once.
 */

import { FLOAT_COUNTER, LIST, PLAIN } from "../causality/cell.ts";
import { type CellName, emptyCellName } from "../causality/cell-name.ts";
import { MUTATE_ADD, MUTATE_SET, MUTATE_UNDO, OpWriter } from "../causality/op.ts";
import { OpReader } from "../causality/op-reader.ts";
import { POSITION_LEVEL_BYTES } from "../causality/position.ts";
import { applyMutation } from "./apply-mutation.ts";
import { nameCell } from "./op-cell.ts";
import type { RememberedCall } from "./op-ids.ts";
import type { Partition } from "./partition.ts";

const NOTHING = Buffer.alloc(0);
const WRITER_BYTES = 256;
/** Of the level that a position ends with: where origin and counter begin. */
const LEVEL_ORIGIN = 8;
const LEVEL_COUNTER = 16;

/** The call that an op with an id executed, as the table of op ids keeps it. */
export function rememberedCall(
  source: Buffer,
  start: number,
  end: number,
  slot: number,
): RememberedCall {
  const op = new OpReader();
  op.open(source, start, end);
  const undo = undoOf(op);
  const { idHigh: high, idLow: low, idSequence: sequence, hlc, counter } = op;
  const reply = Buffer.from(source.subarray(op.idReplyStart, op.idReplyEnd));
  return { high, low, sequence, reply, hlc, tries: [{ slot, counter, undo }] };
}

/** The mutations that take an (opened) op back, as an op without an origin; empty: there are none. */
function undoOf(op: OpReader): Buffer {
  const writer = new OpWriter(WRITER_BYTES);
  writer.begin(0, 0, 0, 0);
  const empty = writer.length;
  const made = { high: op.originHigh, low: op.originLow, counter: op.counter };
  const cell = emptyCellName();
  while (op.next()) {
    nameCell(cell, op);
    if (op.kind === MUTATE_ADD) writer.undo(cell, op.dot, made, op.delta);
    else if (op.kind === MUTATE_SET && op.counterKind !== PLAIN) {
      const text = op.source.toString("latin1", op.valueStart, op.valueEnd);
      const delta = op.counterKind === FLOAT_COUNTER ? Number(text) : BigInt(text);
      writer.undo(cell, made, made, delta);
    } else if (op.kind === MUTATE_SET && op.hasName && op.type === LIST && isPush(op)) {
      const mutation = writer.length;
      writer.remove(cell);
      writer.context(mutation, [made]);
    }
  }
  if (writer.length === empty) return NOTHING;
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

/** Whether the op made the position of this list element, and does not only write it again. */
function isPush(op: OpReader): boolean {
  const level = op.nameEnd - POSITION_LEVEL_BYTES;
  if (level < op.nameStart) return false;
  const { source } = op;
  const origin = level + LEVEL_ORIGIN;
  const counter = level + LEVEL_COUNTER;
  return (
    source.readUInt32BE(origin) === op.originHigh &&
    source.readUInt32BE(origin + 4) === op.originLow &&
    source.readUIntBE(counter, 6) === op.counter
  );
}

/**
 * Takes back at most one try of a call that was executed more than once, in the open or a new op:
 * every try but the one with the smallest dot. Returns whether there was one.
 */
export function undoOneTry(partition: Partition): boolean {
  for (const { tries } of partition.opIds.doubles()) {
    for (const { undo } of tries.slice(1)) if (applyUndo(partition, undo)) return true;
  }
  return false;
}

/** Makes what is still to be undone of a try a part of the op. */
function applyUndo(partition: Partition, undo: Buffer): boolean {
  const reader = new OpReader();
  if (undo.length === 0 || !reader.open(undo, 0, undo.length)) return false;
  const cell = emptyCellName();
  let isChanged = false;
  while (reader.next()) {
    nameCell(cell, reader);
    if (!isDue(partition, cell, reader)) continue;
    if (!partition.isOpen) partition.begin();
    isChanged = true;
    const { writer } = partition;
    if (reader.kind === MUTATE_UNDO) writer.undo(cell, reader.dot, reader.tried, reader.delta);
    else {
      const start = writer.length;
      writer.remove(cell);
      writer.context(start, reader.dots);
    }
    applyMutation(partition, reader);
  }
  return isChanged;
}

/** Whether the version is still there, and the try not taken back. */
function isDue(partition: Partition, cell: CellName, reader: OpReader): boolean {
  const isUndo = reader.kind === MUTATE_UNDO;
  const [removed] = reader.dots;
  const named = isUndo ? reader.dot : removed;
  if (named === undefined) return false;
  const dot = partition.localDot(named);
  const versions = partition.mutations.versionsOf(cell);
  const version = versions.find((v) => v.slot === dot.slot && v.counter === dot.counter);
  if (version === undefined || !isUndo) return version !== undefined;
  const tried = partition.localDot(reader.tried);
  return !version.undos.some((u) => u.slot === tried.slot && u.counter === tried.counter);
}
