/**
 * What takes a try of a retry-safe call back (design 5): for each of its adds an `undo` by the
 * try's dot, for each list element that it pushed a `remove` of its dot. Other effects stay: the
 * receipt of a pop says so, and a set again is a set.
 *
 * Invariant: taking a try back twice is taking it back once.
 */
import { type CellName, emptyCellName } from "../causality/cell-name.ts";
import { FLOAT_COUNTER, LIST, PLAIN } from "../causality/cell.ts";
import { type OriginDot, MUTATE_ADD, MUTATE_SET, OpReader, OpWriter } from "../causality/op.ts";
import { POSITION_LEVEL_BYTES } from "../causality/position.ts";
import type { RememberedCall } from "./op-ids.ts";

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

/** The cell that the reader's mutation is about. */
export function nameCell(cell: CellName, op: OpReader): void {
  cell.key = op.source;
  cell.keyStart = op.keyStart;
  cell.keyEnd = op.keyEnd;
  cell.type = op.type;
  cell.name = op.hasName ? op.source : null;
  cell.nameStart = op.nameStart;
  cell.nameEnd = op.nameEnd;
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

/** A dot of the version that a reader's undo or remove is about. */
export function undoneVersion(op: OpReader): OriginDot | undefined {
  return op.hasContext ? op.dots[0] : op.dot;
}

