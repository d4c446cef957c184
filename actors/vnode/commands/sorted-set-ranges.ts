/**
 * ZRANGE in all its forms: by rank, by score, by member. Each form ends as a range of ranks, which
 * one loop replies.
 *
 * By member, all scores are taken to be equal, as Redis asks for; else the result is some range.
 */

import { compareBytes } from "../../../runtime/base/bytes.ts";
import { nextScore, SCORE_BYTES, writeScore } from "../../../runtime/causality/score.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { keyCommand } from "../../command.ts";
import { type KeyAccess, REFUSED, ZSET } from "../key-access.ts";
import { fromStart, readInteger } from "./arguments.ts";
import { SYNTAX_ERROR } from "./errors.ts";
import { replyMember } from "./sorted-sets.ts";

const NOT_A_SCORE_RANGE = "ERR min or max is not a float";
const NOT_A_MEMBER_RANGE = "ERR min or max not valid string range item";
const LIMIT_BY_RANK =
  "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
const SCORES_BY_MEMBER = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";

const ROUND = 40; // (
const SQUARE = 91; // [
const MINUS = 45;
const PLUS = 43;
const SPACE = 32;

type Order = "rank" | "score" | "member";

interface RangeOptions {
  order: Order;
  isReversed: boolean;
  withScores: boolean;
  offset: number;
  /** Elements at most; negative: all. */
  limit: number;
}

/** Ranks [first, end). */
interface RankRange {
  first: number;
  end: number;
}

/** A bound by score: the arguments' number, and whether it is left out. */
interface ScoreBound {
  score: number;
  isExclusive: boolean;
}

/** A bound by member. `edge` -1: before all, 1: after all, 0: the bytes. */
interface MemberBound {
  edge: number;
  start: number;
  end: number;
  isExclusive: boolean;
}

function readOptions(request: Request, first: number, reply: RespWriter): RangeOptions | undefined {
  const options: RangeOptions = {
    order: "rank",
    isReversed: false,
    withScores: false,
    offset: 0,
    limit: -1,
  };
  let hasLimit = false;
  for (let i = first; i < request.count; i++) {
    if (request.equalsIgnoreCase(i, "WITHSCORES")) {
      options.withScores = true;
    } else if (!options.isReversed && request.equalsIgnoreCase(i, "REV")) {
      options.isReversed = true;
    } else if (options.order === "rank" && request.equalsIgnoreCase(i, "BYSCORE")) {
      options.order = "score";
    } else if (options.order === "rank" && request.equalsIgnoreCase(i, "BYLEX")) {
      options.order = "member";
    } else if (request.equalsIgnoreCase(i, "LIMIT") && i + 2 < request.count) {
      if (!readInteger(request, i + 1, reply)) return undefined;
      options.offset = request.integerValue;
      if (!readInteger(request, i + 2, reply)) return undefined;
      options.limit = request.integerValue;
      hasLimit = true;
      i += 2;
    } else {
      reply.error(SYNTAX_ERROR);
      return undefined;
    }
  }
  const isByMember = options.order === "member";
  if (hasLimit && options.order === "rank") reply.error(LIMIT_BY_RANK);
  else if (options.withScores && isByMember) reply.error(SCORES_BY_MEMBER);
  else return options;
  return undefined;
}

/**
 * Reads "1.5", "(1.5", "-inf" as strtod does: spaces before it are skipped, nothing is 0, what is too
 * large is infinite, too small is 0.
 */
function readScoreBound(request: Request, i: number): ScoreBound | undefined {
  const { bytes, starts } = request;
  const start = starts[i] as number;
  const end = request.ends[i] as number;
  const isExclusive = start < end && bytes[start] === ROUND;
  let at = isExclusive ? start + 1 : start;
  if (at === end) return { score: 0, isExclusive };
  while (
    at < end &&
    (bytes[at] === SPACE || ((bytes[at] as number) >= 9 && (bytes[at] as number) <= 13))
  )
    at++;
  starts[i] = at;
  const isFloat = request.float(i, true);
  starts[i] = start;
  return isFloat ? { score: request.floatValue, isExclusive } : undefined;
}

function readMemberBound(request: Request, i: number): MemberBound | undefined {
  const { bytes } = request;
  const start = request.starts[i] as number;
  const end = request.ends[i] as number;
  const sign = start < end ? bytes[start] : 0;
  if (sign === ROUND || sign === SQUARE) {
    return { edge: 0, start: start + 1, end, isExclusive: sign === ROUND };
  }
  if (end - start !== 1 || (sign !== MINUS && sign !== PLUS)) return undefined;
  return { edge: sign === MINUS ? -1 : 1, start, end, isExclusive: false };
}

const scoreBytes = Buffer.alloc(SCORE_BYTES);

/** Rank of the first member whose score is not below the bound, or (`isAfter`) is above it. */
function rankAtScore(key: KeyAccess, score: number, isAfter: boolean): number {
  writeScore(scoreBytes, 0, score);
  if (isAfter) nextScore(scoreBytes, 0);
  return key.elements.rankOfScore(scoreBytes);
}

/** Rank of the first member that is not below the bound, or (`isAfter`) is above it. */
function rankAtMember(key: KeyAccess, bytes: Buffer, bound: MemberBound, isAfter: boolean): number {
  const { elements } = key;
  if (bound.edge !== 0) return bound.edge < 0 ? 0 : elements.count;
  let low = 0;
  let high = elements.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    elements.loadName(elements.at(middle));
    const order = compareBytes(key.buffer, key.start, key.end, bytes, bound.start, bound.end);
    if (order < 0 || (isAfter && order === 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A range whose bounds have been read; its ranks are found once the key is open. */
type FindRange = (key: KeyAccess) => RankRange;

/** Reads the bounds at arguments 2 and 3; undefined: the error is replied. */
function readRange(
  request: Request,
  { order, isReversed }: RangeOptions,
  reply: RespWriter,
): FindRange | undefined {
  const lowAt = isReversed && order !== "rank" ? 3 : 2;
  const highAt = isReversed && order !== "rank" ? 2 : 3;
  if (order === "rank") return readRankRange(request, isReversed, reply);
  if (order === "score") {
    const low = readScoreBound(request, lowAt);
    const high = readScoreBound(request, highAt);
    if (low !== undefined && high !== undefined) {
      return (key) => ({
        first: rankAtScore(key, low.score, low.isExclusive),
        end: rankAtScore(key, high.score, !high.isExclusive),
      });
    }
    reply.error(NOT_A_SCORE_RANGE);
    return undefined;
  }
  const low = readMemberBound(request, lowAt);
  const high = readMemberBound(request, highAt);
  if (low !== undefined && high !== undefined) {
    return (key) => ({
      first: rankAtMember(key, request.bytes, low, low.isExclusive),
      end: rankAtMember(key, request.bytes, high, !high.isExclusive),
    });
  }
  reply.error(NOT_A_MEMBER_RANGE);
  return undefined;
}

function readRankRange(
  request: Request,
  isReversed: boolean,
  reply: RespWriter,
): FindRange | undefined {
  if (!readInteger(request, 2, reply)) return undefined;
  const start = request.integerValue;
  if (!readInteger(request, 3, reply)) return undefined;
  const stop = request.integerValue;
  return ({ elements: { count } }) => {
    const first = Math.max(0, fromStart(start, count));
    const end = Math.min(count - 1, fromStart(stop, count)) + 1;
    return isReversed ? { first: count - end, end: count - first } : { first, end };
  };
}

/** What a LIMIT leaves of a range. */
function limitRange({ first, end }: RankRange, options: RangeOptions): RankRange {
  const { offset, limit, isReversed } = options;
  const left = end - first - offset;
  if (offset < 0 || left <= 0) return { first, end: first };
  const length = limit < 0 ? left : Math.min(limit, left);
  if (isReversed) return { first: end - offset - length, end: end - offset };
  return { first: first + offset, end: first + offset + length };
}

const zrange = keyCommand({
  name: "ZRANGE",
  arity: -4,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "sorted-set",
  since: "1.2.0",
  summary: "Returns members in a sorted set within a range of indexes.",
  complexity:
    "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
  syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
  execute(key, request, reply) {
    const { elements } = key;
    const options = readOptions(request, 4, reply);
    if (options === undefined) return;
    const find = readRange(request, options, reply);
    if (find === undefined) return;
    if (key.openToReadAs(request, 1, ZSET, reply) === REFUSED) return;
    const { first, end } = limitRange(find(key), options);
    const { withScores, isReversed } = options;
    const nested = withScores && reply.protocol === 3;
    const count = Math.max(0, end - first);
    reply.array(withScores && !nested ? count * 2 : count);
    elements.seek(isReversed ? end : first);
    for (let i = 0; i < count; i++) {
      replyMember(
        key,
        isReversed ? elements.previous() : elements.next(),
        withScores,
        nested,
        reply,
      );
    }
  },
});

export const sortedSetRangeCommands = [zrange];
