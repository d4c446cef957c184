/** Encoded replies as bytes: where one ends. Only for replies of our own writers: well formed. */
import { assert } from "../../runtime/base/assert.ts";

const LF = 10;

/** The end of the reply that begins at `start`. */
export function endOfReply(bytes: Buffer, start: number): number {
  const lineEnd = bytes.indexOf(LF, start) + 1;
  assert(lineEnd > 0, "a reply is complete");
  const type = String.fromCharCode(bytes[start] as number);
  switch (type) {
    case "$":
    case "=":
    case "!": {
      const length = lengthAt(bytes, start, lineEnd);
      return length < 0 ? lineEnd : lineEnd + length + 2;
    }
    case "*":
    case "~":
    case ">":
      return endOfItems(bytes, lineEnd, lengthAt(bytes, start, lineEnd));
    case "%":
      return endOfItems(bytes, lineEnd, 2 * lengthAt(bytes, start, lineEnd));
    default:
      return lineEnd;
  }
}

function lengthAt(bytes: Buffer, start: number, lineEnd: number): number {
  return Number(bytes.toString("latin1", start + 1, lineEnd - 2));
}

function endOfItems(bytes: Buffer, start: number, count: number): number {
  let at = start;
  for (let left = count; left > 0; left--) at = endOfReply(bytes, at);
  return at;
}
