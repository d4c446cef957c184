/**
 * Commands on the bits of strings (Redis group "bitmap"). Bit 0 is the highest of byte 0.
 *
 * A changed bitmap is logged whole: a string is one cell.
 */

import { VALUE_BYTES_MAX } from "../../../runtime/base/limits.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { keyCommand } from "../../command.ts";
import { REFUSED, STRING } from "../key-access.ts";
import { SYNTAX_ERROR } from "./errors.ts";
import { copyPadded, loadLength, setKeepingExpiry } from "./scratch.ts";
import { StringRange } from "./string-range.ts";

const KEY = { first: 1, last: 1, step: 1 };

/** The bit offset that is argument 2; -1 if it is none: the error is in the reply. */
function readOffset(request: Request, reply: RespWriter): number {
  if (request.integer(2)) {
    const offset = request.integerValue;
    if (offset >= 0 && offset < VALUE_BYTES_MAX * 8) return offset;
  }
  reply.error("ERR bit offset is not an integer or out of range");
  return -1;
}

const setbit = keyCommand({
  name: "SETBIT",
  arity: 4,
  flags: ["write", "denyoom"],
  keys: KEY,
  group: "bitmap",
  since: "2.2.0",
  summary: "Sets or clears the bit at offset of the string value. Creates the key.",
  complexity: "O(N) where N is the length of the whole string: it is logged as one value.",
  syntax: "key offset value",
  execute(key, request, reply) {
    const offset = readOffset(request, reply);
    if (offset < 0) return;
    const bit = request.integer(3) ? request.integerValue : -1;
    if (bit !== 0 && bit !== 1) {
      reply.error("ERR bit is not an integer or out of range");
      return;
    }
    if (key.openAs(request, 1, STRING, reply) === REFUSED) return;
    const at = Math.floor(offset / 8);
    const mask = 128 >>> (offset & 7);
    const before = loadLength(key);
    const byte = at < before ? (key.buffer[key.start + at] as number) : 0;
    const old = byte & mask ? 1 : 0;
    if (at >= before || old !== bit) {
      const length = Math.max(before, at + 1);
      const room = copyPadded(key, before, length);
      room[at] = bit === 1 ? byte | mask : byte & ~mask;
      setKeepingExpiry(key, room, length);
    }
    reply.integer(old);
  },
});

const getbit = keyCommand({
  name: "GETBIT",
  arity: 3,
  flags: ["readonly", "fast"],
  keys: KEY,
  group: "bitmap",
  since: "2.2.0",
  summary: "Returns a bit value by offset.",
  complexity: "O(1)",
  syntax: "key offset",
  execute(key, request, reply) {
    const offset = readOffset(request, reply);
    if (offset < 0 || key.openToReadAs(request, 1, STRING, reply) === REFUSED) return;
    const at = Math.floor(offset / 8);
    const byte = at < loadLength(key) ? (key.buffer[key.start + at] as number) : 0;
    reply.integer(byte & (128 >>> (offset & 7)) ? 1 : 0);
  },
});

const BITS = new Uint8Array(256);
for (let i = 1; i < 256; i++) BITS[i] = (BITS[i >>> 1] as number) + (i & 1);

/** Bits that are set in the bits [first, last] of a buffer, counted from byte `base`. */
function countBits(buffer: Buffer, base: number, first: number, last: number): number {
  const head = Math.floor(first / 8);
  const tail = Math.floor(last / 8);
  const headMask = 255 >>> (first & 7);
  const tailMask = 0xff00 >>> ((last & 7) + 1);
  if (head === tail) return BITS[(buffer[base + head] as number) & headMask & tailMask] as number;
  let count = BITS[(buffer[base + head] as number) & headMask] as number;
  for (let at = base + head + 1; at < base + tail; at++) {
    count += BITS[buffer[at] as number] as number;
  }
  return count + (BITS[(buffer[base + tail] as number) & tailMask] as number);
}

/** Of the running command. */
const range = new StringRange();

/** Whether BITCOUNT's range counts bits, not bytes. */
function isBit(request: Request): boolean {
  return request.count === 5 && request.equalsIgnoreCase(4, "BIT");
}

const bitcount = keyCommand({
  name: "BITCOUNT",
  arity: -2,
  flags: ["readonly"],
  keys: KEY,
  group: "bitmap",
  since: "2.6.0",
  summary: "Counts the number of set bits (population counting) in a string.",
  complexity: "O(N)",
  syntax: "key [start end [BYTE | BIT]]",
  execute(key, request, reply) {
    const { count } = request;
    range.reset();
    if (count > 2) {
      if (count !== 4 && count !== 5) {
        reply.error(SYNTAX_ERROR);
        return;
      }
      if (!range.read(request, 2, reply)) return;
      if (count === 5 && !isBit(request) && !request.equalsIgnoreCase(4, "BYTE")) {
        reply.error(SYNTAX_ERROR);
        return;
      }
    }
    if (key.openToReadAs(request, 1, STRING, reply) === REFUSED) return;
    const unit = isBit(request) ? 1 : 8;
    if (!range.resolve(loadLength(key) * (8 / unit))) {
      reply.integer(0);
      return;
    }
    const last = range.to * unit + unit - 1;
    reply.integer(countBits(key.buffer, key.start, range.from * unit, last));
  },
});

export const bitCommands = [setbit, getbit, bitcount];
