/**
 * Encoded replies as bytes: what one says, where it ends, and how those of a command's parts make
 * one. Only for replies of our own writers: well formed.
 */
import { assert } from "../../runtime/base/assert.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";

const LF = 10;
const MINUS = 0x2d;
const CRLF_BYTES = 2;

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
  for (const { reply } of parts) if (isError(reply)) return reply;
  if (split === "ok") return parts[0]?.reply as Buffer;
  if (split === "sum") {
    let sum = 0;
    for (const { reply } of parts) sum += integerIn(reply);
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

/** Whether a reply is an error. */
export function isError(reply: Buffer): boolean {
  return reply[0] === MINUS;
}

/** The value of an integer reply. */
export function integerIn(reply: Buffer): number {
  return Number(reply.toString("latin1", 1));
}

/** The bytes of a bulk reply (RESP2); null: there are none. */
export function bulkIn(reply: Buffer): Buffer | null {
  const start = reply.indexOf(LF) + 1;
  return start === reply.length ? null : reply.subarray(start, reply.length - CRLF_BYTES);
}

/** The items of an array reply, encoded. */
export function itemsIn(reply: Buffer): Buffer[] {
  const items: Buffer[] = [];
  for (let at = reply.indexOf(LF) + 1; at < reply.length; ) {
    const end = endOfReply(reply, at);
    items.push(reply.subarray(at, end));
    at = end;
  }
  return items;
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
