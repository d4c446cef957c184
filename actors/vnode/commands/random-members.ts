/** Commands that pick members of a set or fields of a hash at random, by rank. */

import { below } from "../../../runtime/base/prng.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { Ref } from "../../../runtime/table/slab-pool.ts";
import { type KeyCommand, keyCommand } from "../../command.ts";
import { FOUND, HASH, type KeyAccess, MISSING, REFUSED, SET } from "../key-access.ts";
import { readCount, readSigned } from "./arguments.ts";
import { SYNTAX_ERROR, TOO_MANY } from "./errors.ts";
import { distinctRanks, RANDOM_PICKS_MAX } from "./random-ranks.ts";

/** Half of 2^63: HRANDFIELD's counts with values (each is two replies) stay below it. */
const HALF_LONG = 2 ** 62;

function replyName(key: KeyAccess, ref: Ref, reply: RespWriter): void {
  key.elements.loadName(ref);
  reply.bulk(key.buffer, key.start, key.end);
}

function popMember(key: KeyAccess, reply: RespWriter): void {
  const { elements } = key;
  const ref = elements.at(below(key.random, elements.count));
  replyName(key, ref, reply);
  elements.take(ref);
}

const spop = keyCommand({
  name: "SPOP",
  arity: -2,
  flags: ["write", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "1.0.0",
  summary:
    "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped.",
  complexity:
    "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
  syntax: "key [count]",
  execute(key, request, reply) {
    if (request.count > 2) {
      popMembers(key, request, reply);
      return;
    }
    const found = key.openAs(request, 1, SET, reply);
    if (found === FOUND) popMember(key, reply);
    else if (found === MISSING) reply.nil();
  },
});

function popMembers(key: KeyAccess, request: Request, reply: RespWriter): void {
  const { elements } = key;
  if (request.count > 3) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (!readCount(request, 2, reply)) return;
  const wanted = request.integerValue;
  const found = key.openAs(request, 1, SET, reply);
  if (found === REFUSED) return;
  const { count } = elements;
  const popped = Math.min(wanted, count);
  reply.set(popped);
  if (popped < count) {
    for (let i = 0; i < popped; i++) popMember(key, reply);
  } else if (found === FOUND) {
    elements.seek(0);
    for (let i = 0; i < count; i++) replyName(key, elements.next(), reply);
    key.deleteKey();
  }
}

/** Replies an element that was picked: its name, with its value behind or beside it. */
function replyPick(key: KeyAccess, ref: Ref, withValue: boolean, reply: RespWriter): void {
  if (withValue && reply.protocol === 3) reply.array(2);
  replyName(key, ref, reply);
  if (!withValue) return;
  key.elements.loadValue(ref);
  reply.bulk(key.buffer, key.start, key.end);
}

/** Replies `wanted` elements: different ones, or (negative) with repetitions. */
function replyPicks(key: KeyAccess, wanted: number, withValues: boolean, reply: RespWriter): void {
  const { elements } = key;
  const { random } = key;
  const { count } = elements;
  const picks = wanted < 0 && count > 0 ? -wanted : Math.min(Math.abs(wanted), count);
  reply.array(withValues && reply.protocol === 2 ? picks * 2 : picks);
  if (wanted < 0) {
    for (let i = 0; i < picks && !reply.overflowed; i++) {
      replyPick(key, elements.at(below(random, count)), withValues, reply);
    }
  } else if (picks === count) {
    elements.seek(0);
    for (let i = 0; i < count; i++) replyPick(key, elements.next(), withValues, reply);
  } else {
    for (const rank of distinctRanks(random, count, picks)) {
      replyPick(key, elements.at(rank), withValues, reply);
    }
  }
}

/** Without a count: one element's name, or nil. */
function replyOne(key: KeyAccess, request: Request, type: number, reply: RespWriter): void {
  const found = key.openToReadAs(request, 1, type, reply);
  if (found === FOUND)
    replyName(key, key.elements.at(below(key.random, key.elements.count)), reply);
  else if (found === MISSING) reply.nil();
}

/** Reads the count at argument 2, bounded; false: the error is replied. */
function readPicks(request: Request, reply: RespWriter): boolean {
  if (!readSigned(request, 2, reply)) return false;
  if (request.integerValue >= -RANDOM_PICKS_MAX) return true;
  reply.error(TOO_MANY);
  return false;
}

const srandmember = keyCommand({
  name: "SRANDMEMBER",
  arity: -2,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "1.0.0",
  summary: "Get one or multiple random members from a set",
  complexity:
    "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
  syntax: "key [count]",
  execute(key, request, reply) {
    if (request.count === 2) {
      replyOne(key, request, SET, reply);
      return;
    }
    if (request.count > 3) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    if (!readPicks(request, reply)) return;
    const wanted = request.integerValue;
    if (key.openToReadAs(request, 1, SET, reply) !== REFUSED) replyPicks(key, wanted, false, reply);
  },
});

const hrandfield = keyCommand({
  name: "HRANDFIELD",
  arity: -2,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "6.2.0",
  summary: "Returns one or more random fields from a hash.",
  complexity: "O(N) where N is the number of fields returned",
  syntax: "key [count [WITHVALUES]]",
  execute(key, request, reply) {
    if (request.count === 2) {
      replyOne(key, request, HASH, reply);
      return;
    }
    if (!readPicks(request, reply)) return;
    const wanted = request.integerValue;
    const withValues = request.count > 3;
    if (request.count > 4 || (withValues && !request.equalsIgnoreCase(3, "WITHVALUES"))) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    if (withValues && wanted >= HALF_LONG) {
      reply.error(TOO_MANY);
      return;
    }
    if (key.openToReadAs(request, 1, HASH, reply) !== REFUSED) {
      replyPicks(key, wanted, withValues, reply);
    }
  },
});

export const randomCommands: readonly KeyCommand[] = [spop, srandmember, hrandfield];
