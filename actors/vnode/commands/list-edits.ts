/**
 * Commands that look for elements of a list by value, or cut it (Redis group "list").
 *
 * Invariant: what is to go is counted or collected before the first change, and taken from the
 * highest rank down, so that the ranks below stay right.
 */

import { equalBytes } from "../../../runtime/base/bytes.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { Ref } from "../../../runtime/table/slab-pool.ts";
import { keyCommand } from "../../command.ts";
import { FOUND, type KeyAccess, LIST, MISSING, REFUSED } from "../key-access.ts";
import { fromStart, readAtLeast, readInteger, readSigned } from "./arguments.ts";
import { SYNTAX_ERROR } from "./errors.ts";

const ZERO_RANK =
  "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... " +
  "or use negative to start from the end of the list";
const NEGATIVE_COUNT = "ERR COUNT can't be negative";
const NEGATIVE_MAXLEN = "ERR MAXLEN can't be negative";
/** Ours: tens of thousands of inserts went between the same two elements. */
const NO_POSITION = "ERR no position is left between these elements of the list; write it anew";

/** Whether an element's value is argument i. */
function holds(key: KeyAccess, ref: Ref, request: Request, i: number): boolean {
  key.elements.loadValue(ref);
  const length = key.end - key.start;
  if (length !== request.length(i)) return false;
  return equalBytes(key.buffer, key.start, request.bytes, request.starts[i] as number, length);
}

const lrem = keyCommand({
  name: "LREM",
  arity: 4,
  flags: ["write"],
  keys: { first: 1, last: 1, step: 1 },
  group: "list",
  since: "1.0.0",
  summary: "Removes elements from a list. Deletes the list if the last element was removed.",
  complexity: "O(N+M) where N is the length of the list and M is the number of elements removed.",
  syntax: "key count element",
  execute(key, request, reply) {
    if (!readSigned(request, 2, reply)) return;
    const limit = request.integerValue;
    if (key.openAs(request, 1, LIST, reply) === REFUSED) return;
    const ranks = ranksOf(key, request, 3, limit);
    ranks.sort((a, b) => b - a);
    for (const rank of ranks) key.elements.take(key.elements.at(rank));
    reply.integer(ranks.length);
  },
});

/** Ranks of the elements that are argument i: from the head, or from the tail if `limit` < 0. */
function ranksOf(key: KeyAccess, request: Request, i: number, limit: number): number[] {
  const { elements } = key;
  const { count } = elements;
  const most = limit === 0 ? count : Math.abs(limit);
  const ranks: number[] = [];
  elements.seek(limit < 0 ? count : 0);
  for (let seen = 0; seen < count && ranks.length < most; seen++) {
    const ref = limit < 0 ? elements.previous() : elements.next();
    if (holds(key, ref, request, i)) ranks.push(limit < 0 ? count - 1 - seen : seen);
  }
  return ranks;
}

const ltrim = keyCommand({
  name: "LTRIM",
  arity: 4,
  flags: ["write"],
  keys: { first: 1, last: 1, step: 1 },
  group: "list",
  since: "1.0.0",
  summary: "Removes elements from both ends a list. Deletes the list if all elements were trimmed.",
  complexity: "O(N) where N is the number of elements to be removed by the operation.",
  syntax: "key start stop",
  execute(key, request, reply) {
    if (!readInteger(request, 2, reply)) return;
    const start = request.integerValue;
    if (!readInteger(request, 3, reply)) return;
    const stop = request.integerValue;
    const found = key.openAs(request, 1, LIST, reply);
    if (found === REFUSED) return;
    if (found === FOUND) trim(key, start, stop);
    reply.ok();
  },
});

function trim(key: KeyAccess, start: number, stop: number): void {
  const { elements } = key;
  const { count } = elements;
  const first = Math.max(0, fromStart(start, count));
  const last = Math.min(count - 1, fromStart(stop, count));
  if (first > last) {
    key.deleteKey();
    return;
  }
  for (let rank = count - 1; rank > last; rank--) elements.take(elements.at(rank));
  for (let left = first; left > 0; left--) elements.take(elements.at(0));
}

const linsert = keyCommand({
  name: "LINSERT",
  arity: 5,
  flags: ["write", "denyoom"],
  keys: { first: 1, last: 1, step: 1 },
  group: "list",
  since: "2.2.0",
  summary: "Inserts an element before or after another element in a list.",
  complexity:
    "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
  syntax: "key <BEFORE | AFTER> pivot element",
  execute(key, request, reply) {
    const { elements } = key;
    const isAfter = request.equalsIgnoreCase(2, "AFTER");
    if (!isAfter && !request.equalsIgnoreCase(2, "BEFORE")) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    const found = key.openAs(request, 1, LIST, reply);
    if (found === MISSING) reply.integer(0);
    if (found !== FOUND) return;
    const [pivot] = ranksOf(key, request, 3, 1);
    if (pivot === undefined) {
      reply.integer(-1);
      return;
    }
    const right = isAfter ? pivot + 1 : pivot;
    const { bytes, starts, ends } = request;
    const isIn = elements.insert(
      elements.at(right - 1),
      elements.at(right),
      bytes,
      starts[4] as number,
      ends[4] as number,
    );
    if (isIn) reply.integer(elements.count);
    else reply.error(NO_POSITION);
  },
});

interface PositionQuery {
  /** Which match is the first to count; negative: from the tail. */
  rank: number;
  /** How many matches; 0: all. */
  count: number;
  /** Elements to look at; 0: all. */
  maxLength: number;
  /** The reply is an array, even of nothing. */
  hasCount: boolean;
}

const lpos = keyCommand({
  name: "LPOS",
  arity: -3,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "list",
  since: "6.0.6",
  summary: "Returns the index of matching elements in a list.",
  complexity:
    "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.",
  syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
  execute(key, request, reply) {
    const query: PositionQuery = { rank: 1, count: 1, maxLength: 0, hasCount: false };
    if (!readQuery(request, query, reply)) return;
    const found = key.openToReadAs(request, 1, LIST, reply);
    if (found === REFUSED) return;
    const mark = reply.mark();
    const list = query.hasCount ? reply.openArray() : mark;
    const matches = found === FOUND ? replyPositions(key, request, query, reply) : 0;
    if (query.hasCount) reply.closeArray(list, matches);
    else if (matches === 0) reply.nil();
  },
});

function readQuery(request: Request, query: PositionQuery, reply: RespWriter): boolean {
  for (let i = 3; i < request.count; i += 2) {
    const hasValue = i + 1 < request.count;
    if (hasValue && request.equalsIgnoreCase(i, "RANK")) {
      if (!readSigned(request, i + 1, reply)) return false;
      query.rank = request.integerValue;
      if (query.rank === 0) {
        reply.error(ZERO_RANK);
        return false;
      }
    } else if (hasValue && request.equalsIgnoreCase(i, "COUNT")) {
      if (!readAtLeast(request, i + 1, 0, NEGATIVE_COUNT, reply)) return false;
      query.count = request.integerValue;
      query.hasCount = true;
    } else if (hasValue && request.equalsIgnoreCase(i, "MAXLEN")) {
      if (!readAtLeast(request, i + 1, 0, NEGATIVE_MAXLEN, reply)) return false;
      query.maxLength = request.integerValue;
    } else {
      reply.error(SYNTAX_ERROR);
      return false;
    }
  }
  return true;
}

/** Replies the indexes that a query finds; returns how many. */
function replyPositions(
  key: KeyAccess,
  request: Request,
  { rank, count, maxLength }: PositionQuery,
  reply: RespWriter,
): number {
  const { elements } = key;
  const length = elements.count;
  const isBackward = rank < 0;
  const looks = maxLength === 0 ? length : Math.min(maxLength, length);
  const most = count === 0 ? length : count;
  let skips = Math.abs(rank) - 1;
  let matches = 0;
  elements.seek(isBackward ? length : 0);
  for (let seen = 0; seen < looks && matches < most; seen++) {
    const ref = isBackward ? elements.previous() : elements.next();
    if (!holds(key, ref, request, 2) || skips-- > 0) continue;
    reply.integer(isBackward ? length - 1 - seen : seen);
    matches++;
  }
  return matches;
}

export const listEditCommands = [lrem, ltrim, linsert, lpos];
