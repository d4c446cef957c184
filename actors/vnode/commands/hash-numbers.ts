/**
 * HINCRBY and HINCRBYFLOAT: adds to the version of a field that is shown, so that concurrent ones
 * sum (design 4.5); of an absent field, a counter.
 *
 * Invariant: the field then shows what was replied; where no add leads there, the whole number is set.
 */

import { INT64_TEXT_BYTES_MAX } from "../../../runtime/base/int64.ts";
import { FLOAT_COUNTER, INTEGER_COUNTER } from "../../../runtime/causality/cell.ts";
import { fitsInteger, parseInteger } from "../../../runtime/causality/counter-value.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { Ref } from "../../../runtime/table/slab-pool.ts";
import { keyCommand } from "../../command.ts";
import { HASH, type KeyAccess, REFUSED } from "../key-access.ts";
import { namesFit, readInteger } from "./arguments.ts";
import { NOT_A_FLOAT, WOULD_OVERFLOW } from "./errors.ts";
import { StoredFloat, WOULD_BE_INFINITE } from "./stored-float.ts";

const FIELD_NOT_AN_INTEGER = "ERR hash value is not an integer";
const FIELD_NOT_A_FLOAT = "ERR hash value is not a float";
const NOT_FINITE = "ERR value is NaN or Infinity";

const stored = new StoredFloat();

/** The field at argument 2 of the open hash, or 0. */
function findField(key: KeyAccess, request: Request): Ref {
  return key.elements.find(request.bytes, request.starts[2] as number, request.ends[2] as number);
}

/** Adds to the integer that an element shows; false, and nothing changes, where no add shows it. */
function addInteger({ elements }: KeyAccess, ref: Ref, delta: bigint, total: bigint): boolean {
  if (!elements.takesIntegers(ref)) return elements.addTowards(ref, delta, total.toString());
  elements.addToElement(ref, delta);
  return true;
}

function putNumber(key: KeyAccess, request: Request, text: string, counterKind: number): void {
  const value = Buffer.from(text, "latin1");
  const { bytes, starts, ends } = request;
  const start = starts[2] as number;
  key.elements.put(HASH, bytes, start, ends[2] as number, value, 0, value.length, counterKind);
}

/** The integer that an element shows; undefined: none. */
function integerOf(key: KeyAccess, ref: Ref): bigint | undefined {
  key.elements.loadValue(ref);
  if (key.end - key.start > INT64_TEXT_BYTES_MAX) return undefined;
  return parseInteger(key.buffer.toString("latin1", key.start, key.end));
}

const hincrby = keyCommand({
  name: "HINCRBY",
  arity: 4,
  flags: ["write", "denyoom", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary:
    "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
  complexity: "O(1)",
  syntax: "key field increment",
  execute(key, request, reply) {
    if (!readInteger(request, 3, reply) || !namesFit(request, 2, 2, reply)) return;
    if (key.openAs(request, 1, HASH, reply) === REFUSED) return;
    const delta = (BigInt(request.integerHigh) << 32n) | BigInt(request.integerLow);
    const ref = findField(key, request);
    const current = ref === 0 ? 0n : integerOf(key, ref);
    if (current === undefined) {
      reply.error(FIELD_NOT_AN_INTEGER);
      return;
    }
    const total = current + delta;
    if (!fitsInteger(total)) {
      reply.error(WOULD_OVERFLOW);
      return;
    }
    if (ref === 0 || !addInteger(key, ref, delta, total)) {
      putNumber(key, request, total.toString(), ref === 0 ? INTEGER_COUNTER : 0);
    }
    reply.integer64(Number(total >> 32n), Number(BigInt.asUintN(32, total)));
  },
});

const hincrbyfloat = keyCommand({
  name: "HINCRBYFLOAT",
  arity: 4,
  flags: ["write", "denyoom", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.6.0",
  summary:
    "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
  complexity: "O(1)",
  syntax: "key field increment",
  execute(key, request, reply) {
    if (!request.float(3)) {
      reply.error(NOT_A_FLOAT);
      return;
    }
    const delta = request.floatValue;
    if (!Number.isFinite(delta)) {
      reply.error(NOT_FINITE);
      return;
    }
    if (!namesFit(request, 2, 2, reply)) return;
    if (key.openAs(request, 1, HASH, reply) === REFUSED) return;
    const ref = findField(key, request);
    stored.setZero();
    if (ref !== 0) {
      key.elements.loadValue(ref);
      if (!stored.read(key.buffer, key.start, key.end)) {
        reply.error(FIELD_NOT_A_FLOAT);
        return;
      }
    }
    const sum = stored.plus(request, 3);
    if (!Number.isFinite(sum)) {
      reply.error(WOULD_BE_INFINITE);
      return;
    }
    const text = stored.textOf(sum, request, 3, key.partition);
    if (ref === 0 || !key.elements.addTowards(ref, delta, text)) {
      putNumber(key, request, text, ref === 0 ? FLOAT_COUNTER : 0);
    }
    reply.bulkText(text, "latin1");
  },
});

export const hashNumberCommands = [hincrby, hincrbyfloat];
