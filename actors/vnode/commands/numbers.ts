/**
 * Commands that count (Redis group "string"). An increment of a present key is an `add` to its
 * version, so that concurrent ones all count; on an absent key it makes a counter (design 4.5).
 *
 * Integers are two halves in a register: the common path makes no object.
 */
import { INT64_TEXT_BYTES_MAX, Int64 } from "../../../runtime/base/int64.ts";
import { FLOAT_COUNTER, INTEGER_COUNTER } from "../../../runtime/causality/cell.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type KeyCommand, keyCommand } from "../../command.ts";
import { type KeyAccess, MISSING, REFUSED, STRING } from "../key-access.ts";
import { NOT_A_FLOAT, NOT_AN_INTEGER, WOULD_OVERFLOW } from "./errors.ts";
import { StoredFloat, WOULD_BE_INFINITE } from "./stored-float.ts";

const KEY = { first: 1, last: 1, step: 1 };

/** Of the running command: the number so far, then the sum. */
const number = new Int64();
const digits = Buffer.allocUnsafeSlow(INT64_TEXT_BYTES_MAX);
const stored = new StoredFloat();

/** Adds an integer, in halves, to the number at argument 1, and replies the sum. */
function addInteger(
  key: KeyAccess,
  request: Request,
  high: number,
  low: number,
  reply: RespWriter,
): void {
  const found = key.openAs(request, 1, STRING, reply);
  if (found === REFUSED) return;
  if (found === MISSING) {
    number.set(high, low);
    key.startCounter(INTEGER_COUNTER, digits, 0, number.write(digits, 0));
    reply.integer64(number.high, number.low);
    return;
  }
  if (!key.readInteger(number)) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  if (!number.add(high, low)) {
    reply.error(WOULD_OVERFLOW);
    return;
  }
  key.addInteger(high, low, number);
  reply.integer64(number.high, number.low);
}

const incr = keyCommand({
  name: "INCR",
  arity: 2,
  flags: ["write", "denyoom", "fast"],
  keys: KEY,
  group: "string",
  since: "1.0.0",
  summary: "Increments the integer value of a key by one. Uses 0 as initial value.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    addInteger(key, request, 0, 1, reply);
  },
});

const decr = keyCommand({
  name: "DECR",
  arity: 2,
  flags: ["write", "denyoom", "fast"],
  keys: KEY,
  group: "string",
  since: "1.0.0",
  summary: "Decrements the integer value of a key by one. Uses 0 as initial value.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    addInteger(key, request, -1, 0xffffffff, reply);
  },
});

const incrby = keyCommand({
  name: "INCRBY",
  arity: 3,
  flags: ["write", "denyoom", "fast"],
  keys: KEY,
  group: "string",
  since: "1.0.0",
  summary: "Increments the integer value of a key by a number. Uses 0 as initial value.",
  complexity: "O(1)",
  syntax: "key increment",
  execute(key, request, reply) {
    if (!request.integer(2)) reply.error(NOT_AN_INTEGER);
    else addInteger(key, request, request.integerHigh, request.integerLow, reply);
  },
});

const decrby = keyCommand({
  name: "DECRBY",
  arity: 3,
  flags: ["write", "denyoom", "fast"],
  keys: KEY,
  group: "string",
  since: "1.0.0",
  summary: "Decrements the integer value of a key by a number. Uses 0 as initial value.",
  complexity: "O(1)",
  syntax: "key decrement",
  execute(key, request, reply) {
    if (!request.integer(2)) {
      reply.error(NOT_AN_INTEGER);
      return;
    }
    const { integerHigh, integerLow } = request;
    if (integerHigh === -0x80000000 && integerLow === 0) {
      reply.error("ERR decrement would overflow");
      return;
    }
    const high = ~integerHigh + (integerLow === 0 ? 1 : 0);
    addInteger(key, request, high, -integerLow >>> 0, reply);
  },
});

const incrbyfloat: KeyCommand = keyCommand({
  name: "INCRBYFLOAT",
  arity: 3,
  flags: ["write", "denyoom", "fast"],
  keys: KEY,
  group: "string",
  since: "2.6.0",
  summary: "Increments the floating point value of a key by a number. Uses 0 as initial value.",
  complexity: "O(1)",
  syntax: "key increment",
  execute(key, request, reply) {
    const found = key.openAs(request, 1, STRING, reply);
    if (found === REFUSED) return;
    stored.setZero();
    if (found !== MISSING) {
      key.loadString();
      if (!stored.read(key.buffer, key.start, key.end)) {
        reply.error(NOT_A_FLOAT);
        return;
      }
    }
    if (!request.float(2)) {
      reply.error(NOT_A_FLOAT);
      return;
    }
    const sum = stored.plus(request, 2);
    if (!Number.isFinite(sum)) {
      reply.error(WOULD_BE_INFINITE);
      return;
    }
    const text = stored.textOf(sum, request, 2, key.partition);
    if (found === MISSING) {
      const value = Buffer.from(text, "latin1");
      key.startCounter(FLOAT_COUNTER, value, 0, value.length);
    } else key.addTowards(request.floatValue, text);
    reply.bulkText(text, "latin1");
  },
});

export const numberCommands = [incr, decr, incrby, decrby, incrbyfloat];
