/**
 * The cell that an op's mutation is about.
 */
import type { CellName } from "../causality/cell-name.ts";
import type { OpReader } from "../causality/op-reader.ts";

/** Names in `cell` what the reader's mutation is about, where it lies. */
export function nameCell(cell: CellName, op: OpReader): void {
  cell.key = op.source;
  cell.keyStart = op.keyStart;
  cell.keyEnd = op.keyEnd;
  cell.type = op.type;
  cell.name = op.hasName ? op.source : null;
  cell.nameStart = op.nameStart;
  cell.nameEnd = op.nameEnd;
}
