/**
 * Encoded replies as bytes: where one ends, and how those of a command's parts make one. Only for
 * replies of our own writers: well formed.
 */
import { assert } from "../../runtime/base/assert.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";

const LF = 10;
const MINUS = 0x2d;

/** What becomes of the replies of a command that was split key by key (see KeysCommand). */
export type SplitKind = "sum" | "array" | "ok";

/** A part's reply, and which of the command's keys it is about. */
export interface PartReply {
  readonly reply: Buffer;
  readonly keys: readonly number[];
}

/** One reply out of the parts' replies: the first error, if there is one. */
export function mergeReplies(
  split: SplitKind,
  parts: readonly PartReply[],
  keyCount: number,
): Buffer {
  for (const { reply } of parts) if (reply[0] === MINUS) return reply;
  if (split === "ok") return parts[0]?.reply as Buffer;
  if (split === "sum") {
    let sum = 0;
    for (const { reply } of parts) sum += Number(reply.toString("latin1", 1));
    return Buffer.from(`:${sum}\r\n`);
  }
  const items: Buffer[] = new Array(keyCount);
  for (const { reply, keys } of parts) {
    let at = reply.indexOf(LF) + 1;
    for (const key of keys) {
      const end = endOfReply(reply, at);
      items[key] = reply.subarray(at, end);
      at = end;
    }
  }
  return arrayOf(items);
}

/** An array of encoded replies. */
export function arrayOf(items: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(`*${items.length}\r\n`), ...items]);
}

/** Packed bytes come back as a Uint8Array. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The absence of an array. */
export function nilArray(protocol: 2 | 3): Buffer {
  return Buffer.from(protocol === 3 ? "_\r\n" : "*-1\r\n");
}

/** An error reply as bytes. */
export function encodeError(text: string): Buffer {
  const writer = new RespWriter({ bytesMax: 65_536, bytesStart: 256 });
  writer.error(text);
  return writer.take();
}

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
