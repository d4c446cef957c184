/**
 * A cell's name as ops and tables take it: ranges of bytes in place, never copies.
 */

/** A key, and for an element its type and name. Reused from call to call. */
export interface CellName {
  key: Buffer;
  keyStart: number;
  keyEnd: number;
  type: number;
  /** The buffer of the element's name; null: the head. */
  name: Buffer | null;
  nameStart: number;
  nameEnd: number;
}

/** One to fill. */
export function emptyCellName(): CellName {
  const key = Buffer.alloc(0);
  return { key, keyStart: 0, keyEnd: 0, type: 0, name: null, nameStart: 0, nameEnd: 0 };
}
