/**
 * Times at which keys expire, as commands give them: relative or absolute, in seconds or
 * milliseconds, checked as Redis checks them (64-bit overflow).
 *
 * Invariant: a time that comes out of here is a safe integer, so that ops and records can hold it.
 */
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { NOT_AN_INTEGER } from "./errors.ts";

// limits:
/** Latest expiry, wall ms (year 287396): a later one is cut to it. Ops keep times below 2^53. */
export const EXPIRY_AT_MAX = Number.MAX_SAFE_INTEGER;

/** Numbers of up to this size stay safe integers in any unit. */
const SMALL_MAX = 2 ** 42;
const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** How a time is given. */
export interface TimeUnit {
  readonly milliseconds: 1 | 1000;
  /** Since 1970; else from now. */
  readonly isAbsolute: boolean;
}

export const SECONDS: TimeUnit = { milliseconds: 1000, isAbsolute: false };
export const MILLISECONDS: TimeUnit = { milliseconds: 1, isAbsolute: false };
export const UNIX_SECONDS: TimeUnit = { milliseconds: 1000, isAbsolute: true };
export const UNIX_MILLISECONDS: TimeUnit = { milliseconds: 1, isAbsolute: true };

/** The error for a time out of range. */
export function invalidExpireTime(command: string): string {
  return `ERR invalid expire time in '${command}' command`;
}

/**
 * Argument i as wall ms, which may be past (or negative). NaN if it is no integer or overflows: the
 * error, naming this command, is in the reply.
 */
export function readTime(
  request: Request,
  i: number,
  unit: TimeUnit,
  nowMs: number,
  command: string,
  reply: RespWriter,
): number {
  if (!request.integer(i)) {
    reply.error(NOT_AN_INTEGER);
    return Number.NaN;
  }
  const base = unit.isAbsolute ? 0 : nowMs;
  const value = request.integerValue;
  if (Math.abs(value) <= SMALL_MAX) return value * unit.milliseconds + base;
  const high = BigInt(request.integerHigh) << 32n;
  const exact = (high | BigInt(request.integerLow)) * BigInt(unit.milliseconds);
  const at = exact + BigInt(base);
  if (exact > INT64_MAX || exact < INT64_MIN || at > INT64_MAX) {
    reply.error(invalidExpireTime(command));
    return Number.NaN;
  }
  return Math.max(-EXPIRY_AT_MAX, Math.min(EXPIRY_AT_MAX, Number(at)));
}

/** As `readTime`, for SET and its like: zero and negative arguments are refused as well. */
export function readPositiveTime(
  request: Request,
  i: number,
  unit: TimeUnit,
  nowMs: number,
  command: string,
  reply: RespWriter,
): number {
  const at = readTime(request, i, unit, nowMs, command, reply);
  if (Number.isNaN(at) || request.integerValue > 0) return at;
  reply.error(invalidExpireTime(command));
  return Number.NaN;
}
