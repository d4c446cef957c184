/**
 * Commands on single members of sorted sets (Redis group "sorted-set"). A member is a cell that
 * holds its score as eight sortable bytes (runtime/causality/score.ts).
 *
 * Invariant: every score of a ZADD is read before the first is written.
 */

import { readScore, SCORE_BYTES, writeScore } from "../../../runtime/causality/score.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { Ref } from "../../../runtime/table/slab-pool.ts";
import { keyCommand } from "../../command.ts";
import { FOUND, type KeyAccess, MISSING, REFUSED, ZSET } from "../key-access.ts";
import { namesFit, readCount } from "./arguments.ts";
import { NOT_A_FLOAT, SYNTAX_ERROR } from "./errors.ts";
import { takeNamed } from "./sets.ts";

const NX_AND_XX = "ERR XX and NX options at the same time are not compatible";
const GT_LT_NX = "ERR GT, LT, and/or NX options at the same time are not compatible";
const INCR_OF_MANY = "ERR INCR option supports a single increment-element pair";
const SCORE_NOT_A_NUMBER = "ERR resulting score is not a number (NaN)";

/** ZADD's options, as bits: no object an operation. */
const NX = 1;
const XX = 2;
const GT = 4;
const LT = 8;
const CH = 16;
const INCR = 32;
const OPTIONS: readonly (readonly [string, number])[] = [
  ["NX", NX],
  ["XX", XX],
  ["GT", GT],
  ["LT", LT],
  ["CH", CH],
  ["INCR", INCR],
];

/** What became of a member. */
const SKIPPED = 0;
const ADDED = 1;
const CHANGED = 2;
const KEPT = 3;
const REFUSED_SCORE = 4;

/** The score that is being written: one at a time on a thread. */
const scratch = Buffer.alloc(SCORE_BYTES);

/** The score of a member of the open sorted set. */
export function scoreOf(key: KeyAccess, ref: Ref): number {
  key.elements.loadValue(ref);
  return readScore(key.buffer, key.start);
}

function optionAt(request: Request, i: number): number {
  for (const [word, bit] of OPTIONS) if (request.equalsIgnoreCase(i, word)) return bit;
  return 0;
}

/** Why a ZADD with these options and `pairs` cannot be; undefined: it can. */
function optionsError(options: number, pairs: number): string | undefined {
  if (pairs === 0 || !Number.isInteger(pairs)) return SYNTAX_ERROR;
  if ((options & (NX | XX)) === (NX | XX)) return NX_AND_XX;
  const bounds = (options & GT ? 1 : 0) + (options & LT ? 1 : 0) + (options & NX ? 1 : 0);
  if (bounds > 1) return GT_LT_NX;
  return options & INCR && pairs > 1 ? INCR_OF_MANY : undefined;
}

function scoresAreFloats(request: Request, first: number, reply: RespWriter): boolean {
  for (let i = first; i < request.count; i += 2) {
    if (!request.float(i)) {
      reply.error(NOT_A_FLOAT);
      return false;
    }
  }
  return true;
}

/** Writes the pair at argument i, whose score is `score`, if the options let it. */
function addMember(
  key: KeyAccess,
  request: Request,
  i: number,
  options: number,
  score: number,
): number {
  const { bytes } = request;
  const start = request.starts[i + 1] as number;
  const end = request.ends[i + 1] as number;
  const ref = key.elements.find(bytes, start, end);
  let next = score;
  let outcome = ADDED;
  if (ref === 0) {
    if (options & XX) return SKIPPED;
  } else {
    if (options & NX) return SKIPPED;
    const before = scoreOf(key, ref);
    if (options & INCR) next += before;
    if (Number.isNaN(next)) return REFUSED_SCORE;
    if ((options & GT && next <= before) || (options & LT && next >= before)) return SKIPPED;
    outcome = next === before ? KEPT : CHANGED;
  }
  writeScore(scratch, 0, next);
  // A score that stays is written again: a concurrent removal then leaves the member.
  key.elements.put(ZSET, bytes, start, end, scratch, 0, SCORE_BYTES);
  return outcome;
}

function increment(
  key: KeyAccess,
  request: Request,
  first: number,
  options: number,
  reply: RespWriter,
): void {
  request.float(first);
  const outcome = addMember(key, request, first, options, request.floatValue);
  if (outcome === REFUSED_SCORE) reply.error(SCORE_NOT_A_NUMBER);
  else if (outcome === SKIPPED) reply.nil();
  else reply.double(readScore(scratch, 0));
}

const zadd = keyCommand({
  name: "ZADD",
  arity: -4,
  flags: ["write", "denyoom", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "sorted-set",
  since: "1.2.0",
  summary:
    "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
  complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
  syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
  execute(key, request, reply) {
    let options = 0;
    let first = 2;
    for (; first < request.count; first++) {
      const option = optionAt(request, first);
      if (option === 0) break;
      options |= option;
    }
    const error = optionsError(options, (request.count - first) / 2);
    if (error !== undefined) {
      reply.error(error);
      return;
    }
    if (!scoresAreFloats(request, first, reply) || !namesFit(request, first + 1, 2, reply)) return;
    if (key.openAs(request, 1, ZSET, reply) === REFUSED) return;
    if (options & INCR) {
      increment(key, request, first, options, reply);
      return;
    }
    let added = 0;
    let changed = 0;
    for (let i = first; i < request.count; i += 2) {
      request.float(i);
      const outcome = addMember(key, request, i, options, request.floatValue);
      if (outcome === ADDED) added++;
      else if (outcome === CHANGED) changed++;
    }
    reply.integer(options & CH ? added + changed : added);
  },
});

const zrem = keyCommand({
  name: "ZREM",
  arity: -3,
  flags: ["write", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "sorted-set",
  since: "1.2.0",
  summary:
    "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
  complexity:
    "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
  syntax: "key member [member ...]",
  execute(key, request, reply) {
    if (key.openAs(request, 1, ZSET, reply) !== REFUSED) reply.integer(takeNamed(key, request, 2));
  },
});

const zscore = keyCommand({
  name: "ZSCORE",
  arity: 3,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "sorted-set",
  since: "1.2.0",
  summary: "Returns the score of a member in a sorted set.",
  complexity: "O(1)",
  syntax: "key member",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, ZSET, reply) === REFUSED) return;
    const ref = key.elements.find(
      request.bytes,
      request.starts[2] as number,
      request.ends[2] as number,
    );
    if (ref === 0) reply.nil();
    else reply.double(scoreOf(key, ref));
  },
});

const zcard = keyCommand({
  name: "ZCARD",
  arity: 2,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "sorted-set",
  since: "1.2.0",
  summary: "Returns the number of members in a sorted set.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, ZSET, reply) !== REFUSED) reply.integer(key.elements.count);
  },
});

/** Replies a member and its score: beside each other, or (nested, RESP3) as a pair. */
export function replyMember(
  key: KeyAccess,
  ref: Ref,
  withScore: boolean,
  nested: boolean,
  reply: RespWriter,
): void {
  if (nested) reply.array(2);
  key.elements.loadName(ref);
  reply.bulk(key.buffer, key.start, key.end);
  if (withScore) reply.double(scoreOf(key, ref));
}

/** Pops so many members off the low end into an array; all of them: their key, as one change. */
function popLowest(key: KeyAccess, popped: number, nested: boolean, reply: RespWriter): void {
  const { elements } = key;
  reply.array(nested ? popped : popped * 2);
  if (popped === elements.count) {
    elements.seek(0);
    for (let i = 0; i < popped; i++) replyMember(key, elements.next(), true, nested, reply);
    key.deleteKey();
    return;
  }
  for (let i = 0; i < popped; i++) {
    const ref = elements.at(0);
    replyMember(key, ref, true, nested, reply);
    elements.take(ref);
  }
}

const zpopmin = keyCommand({
  name: "ZPOPMIN",
  arity: -2,
  flags: ["write", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "sorted-set",
  since: "5.0.0",
  summary:
    "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
  complexity:
    "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
  syntax: "key [count]",
  execute(key, request, reply) {
    const { elements } = key;
    const hasCount = request.count > 2;
    if (request.count > 3) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    if (hasCount && !readCount(request, 2, reply)) return;
    const wanted = hasCount ? request.integerValue : 1;
    const found = key.openAs(request, 1, ZSET, reply);
    if (found === MISSING) reply.array(0);
    if (found !== FOUND) return;
    const nested = hasCount && reply.protocol === 3;
    popLowest(key, Math.min(wanted, elements.count), nested, reply);
  },
});

export const sortedSetCommands = [zadd, zrem, zscore, zcard, zpopmin];
