/** Commands as words, and what they reply: for commands that are made of others (`Apart`). */
import { endOfReply } from "../../gateway/replies.ts";

const MINUS = 0x2d;
const LF = 10;
const CRLF_BYTES = 2;

/** The words of a command: not all of a million elements, which are too many arguments. */
export function words(...parts: readonly (string | Buffer)[]): Buffer[] {
  return parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part));
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
