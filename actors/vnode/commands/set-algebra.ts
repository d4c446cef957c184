/**
 * Intersections, unions and differences of sets (Redis group "set"), replied, counted or stored.
 *
 * Members of one set are read into memory, in an intersection some at a time, and the others looked
 * at one after the other: sets of one partition share its key access. A result is whole before
 * anything is changed.
 */

import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type KeyLookup, type KeysCommand, keysCommand } from "../../command.ts";
import { type KeyAccess, REFUSED, SET } from "../key-access.ts";
import { readAtLeast } from "./arguments.ts";
import { BAD_NUMKEYS, SYNTAX_ERROR } from "./errors.ts";
import { HeldMembers, TOO_MANY_MEMBERS } from "./held-members.ts";
import {
  type CombineApart,
  intersectApart,
  readSetsApart,
  subtractApart,
  uniteApart,
} from "./set-algebra-apart.ts";
import { words } from "./words.ts";

const TOO_MANY_KEYS = "ERR Number of keys can't be greater than number of args";
const NEGATIVE_LIMIT = "ERR LIMIT can't be negative";
const NOTHING = Buffer.alloc(0);

// limits:
/** Members of the smallest set that an intersection reads first, then twice as many each time, */
const PIECE_MEMBERS_FIRST = 256;
const PIECE_MEMBERS_MAX = 65_536;
/** until they take so many bytes. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** The arguments that are keys of sets, and how many members each has. */
interface Sets {
  readonly keys: KeyLookup;
  readonly request: Request;
  readonly first: number;
  readonly counts: readonly number[];
}

/** Null: more members than can be held in memory. */
type Combine = (sets: Sets) => readonly Buffer[] | null;

/** What is made of sets. */
interface Operation {
  readonly combine: Combine;
  readonly combineApart: CombineApart;
}

/** Opens every key once: undefined, and the error replied, if one holds another type. */
function readSets(
  keys: KeyLookup,
  request: Request,
  first: number,
  end: number,
  reply: RespWriter,
): Sets | undefined {
  const counts: number[] = [];
  for (let i = first; i < end; i++) {
    const key = keys.at(request, i);
    if (key.openToReadAs(request, i, SET, reply) === REFUSED) return undefined;
    counts.push(key.elements.count);
  }
  return { keys, request, first, counts };
}

/** Opens the set at an index of `counts`. */
function openSet({ keys, request, first }: Sets, index: number): KeyAccess {
  const key = keys.at(request, first + index);
  key.open(request, first + index);
  return key;
}

/** Copies of the members of a set; null: there are too many. */
function membersOf(sets: Sets, index: number, held = new HeldMembers()): Buffer[] | null {
  const key = openSet(sets, index);
  const members: Buffer[] = [];
  key.elements.seek(0);
  for (let ref = key.elements.next(); ref !== 0; ref = key.elements.next()) {
    key.elements.loadName(ref);
    if (!held.add(key.end - key.start)) return null;
    members.push(Buffer.from(key.buffer.subarray(key.start, key.end)));
  }
  return members;
}

/** Of some members those that a set has (or has not). */
function filterBy(
  sets: Sets,
  index: number,
  members: readonly Buffer[],
  isIn: boolean,
): readonly Buffer[] {
  const { elements } = openSet(sets, index);
  return members.filter((member) => (elements.find(member, 0, member.length) !== 0) === isIn);
}

/** Copies of so many members of a set from a rank on; fewer at its end, and of long ones. */
function pieceOf(sets: Sets, index: number, rank: number, most: number): readonly Buffer[] {
  const key = openSet(sets, index);
  const piece: Buffer[] = [];
  let bytes = 0;
  key.elements.seek(rank);
  while (piece.length < most && bytes < PIECE_BYTES) {
    const ref = key.elements.next();
    if (ref === 0) break;
    key.elements.loadName(ref);
    bytes += key.end - key.start;
    piece.push(Buffer.from(key.buffer.subarray(key.start, key.end)));
  }
  return piece;
}

/**
 * The common members, piece by piece of the smallest set: who needs few of them reads little of it.
 * Pieces grow, since a key is opened again for each.
 */
function* commonMembers(sets: Sets): Generator<readonly Buffer[], void> {
  const { counts } = sets;
  const order = [...counts.keys()].sort((a, b) => (counts[a] as number) - (counts[b] as number));
  const [smallest = 0, ...others] = order;
  const count = counts[smallest] as number;
  let most = PIECE_MEMBERS_FIRST;
  for (let rank = 0; rank < count; most = Math.min(2 * most, PIECE_MEMBERS_MAX)) {
    const piece = pieceOf(sets, smallest, rank, most);
    rank += piece.length;
    yield others.reduce((members, index) => filterBy(sets, index, members, true), piece);
  }
}

function intersect(sets: Sets): readonly Buffer[] | null {
  const members: Buffer[] = [];
  const held = new HeldMembers();
  for (const piece of commonMembers(sets)) {
    for (const member of piece) {
      if (!held.add(member.length)) return null;
      members.push(member);
    }
  }
  return members;
}

/** How many members are common; no more than `limit` are counted. */
function countCommon(sets: Sets, limit: number): number {
  let size = 0;
  for (const piece of commonMembers(sets)) {
    size += piece.length;
    if (size >= limit) return limit;
  }
  return size;
}

function unite(sets: Sets): readonly Buffer[] | null {
  if (sets.counts.length === 1) return membersOf(sets, 0);
  const members = new Map<string, Buffer>();
  const held = new HeldMembers();
  for (let index = 0; index < sets.counts.length; index++) {
    const own = membersOf(sets, index, held);
    if (own === null) return null;
    for (const member of own) members.set(member.toString("latin1"), member);
  }
  return [...members.values()];
}

function subtract(sets: Sets): readonly Buffer[] | null {
  let members: readonly Buffer[] | null = membersOf(sets, 0);
  if (members === null) return null;
  for (let index = 1; index < sets.counts.length && members.length > 0; index++) {
    if (sets.counts[index] === 0) continue;
    members = filterBy(sets, index, members, false);
  }
  return members;
}

// ---- commands -----------------------------------------------------------------------------------

interface AlgebraFacts {
  readonly name: string;
  readonly summary: string;
  readonly complexity: string;
  readonly operation: Operation;
}

function replyMembers(members: readonly Buffer[] | null, reply: RespWriter): void {
  if (members === null) {
    reply.error(TOO_MANY_MEMBERS);
    return;
  }
  reply.set(members.length);
  for (const member of members) reply.bulk(member, 0, member.length);
}

function replyCommand(facts: AlgebraFacts): KeysCommand {
  const { name, summary, complexity, operation } = facts;
  return keysCommand({
    name,
    arity: -2,
    flags: ["readonly"],
    keys: { first: 1, last: -1, step: 1 },
    group: "set",
    since: "1.0.0",
    summary,
    complexity,
    syntax: "key [key ...]",
    *apart(request, reply) {
      const sets = yield* readSetsApart(request, 1, request.count, reply);
      if (sets !== undefined) replyMembers(yield* operation.combineApart(sets), reply);
      return [];
    },
    execute(keys, request, reply) {
      const sets = readSets(keys, request, 1, request.count, reply);
      if (sets !== undefined) replyMembers(operation.combine(sets), reply);
    },
  });
}

function storeCommand(facts: AlgebraFacts): KeysCommand {
  const { name, summary, complexity, operation } = facts;
  return keysCommand({
    name,
    arity: -3,
    flags: ["write", "denyoom"],
    keys: { first: 1, last: -1, step: 1 },
    group: "set",
    since: "1.0.0",
    summary,
    complexity,
    syntax: "destination key [key ...]",
    *apart(request, reply) {
      const sets = yield* readSetsApart(request, 2, request.count, reply);
      if (sets === undefined) return [];
      const members = yield* operation.combineApart(sets);
      if (members === null) {
        reply.error(TOO_MANY_MEMBERS);
        return [];
      }
      reply.integer(members.length);
      const target = request.bytesAt(1);
      const removal = words("DEL", target);
      return members.length === 0 ? [removal] : [removal, [...words("SADD", target), ...members]];
    },
    execute(keys, request, reply) {
      const sets = readSets(keys, request, 2, request.count, reply);
      if (sets === undefined) return;
      const members = operation.combine(sets);
      if (members === null) {
        reply.error(TOO_MANY_MEMBERS);
        return;
      }
      const target = keys.at(request, 1);
      target.open(request, 1);
      target.deleteKey();
      target.reopen();
      for (const member of members)
        target.elements.put(SET, member, 0, member.length, NOTHING, 0, 0);
      reply.integer(members.length);
    },
  });
}

const INTERSECTION: Operation = {
  combine: intersect,
  combineApart: (sets) => intersectApart(sets, Number.POSITIVE_INFINITY),
};
const UNION: Operation = { combine: unite, combineApart: uniteApart };
const DIFFERENCE: Operation = {
  combine: subtract,
  combineApart: subtractApart,
};
const intersection =
  "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.";
const total = "O(N) where N is the total number of elements in all given sets.";

const sinter = replyCommand({
  name: "SINTER",
  summary: "Returns the intersect of multiple sets.",
  complexity: intersection,
  operation: INTERSECTION,
});

const sunion = replyCommand({
  name: "SUNION",
  summary: "Returns the union of multiple sets.",
  complexity: total,
  operation: UNION,
});

const sdiff = replyCommand({
  name: "SDIFF",
  summary: "Returns the difference of multiple sets.",
  complexity: total,
  operation: DIFFERENCE,
});

const sinterstore = storeCommand({
  name: "SINTERSTORE",
  summary: "Stores the intersect of multiple sets in a key.",
  complexity: intersection,
  operation: INTERSECTION,
});

const sunionstore = storeCommand({
  name: "SUNIONSTORE",
  summary: "Stores the union of multiple sets in a key.",
  complexity: total,
  operation: UNION,
});

const sdiffstore = storeCommand({
  name: "SDIFFSTORE",
  summary: "Stores the difference of multiple sets in a key.",
  complexity: total,
  operation: DIFFERENCE,
});

const sintercard = keysCommand({
  name: "SINTERCARD",
  arity: -3,
  flags: ["readonly", "movablekeys"],
  keyCountAt: 1,
  group: "set",
  since: "7.0.0",
  summary: "Returns the number of members of the intersect of multiple sets.",
  complexity: intersection,
  syntax: "numkeys key [key ...] [LIMIT limit]",
  *apart(request, reply) {
    const asked = readCard(request, reply);
    if (asked === undefined) return [];
    const sets = yield* readSetsApart(request, 2, asked.keysEnd, reply);
    if (sets === undefined) return [];
    const members = yield* intersectApart(sets, asked.limit);
    if (members === null) reply.error(TOO_MANY_MEMBERS);
    else reply.integer(members.length);
    return [];
  },
  execute(keys, request, reply) {
    const asked = readCard(request, reply);
    if (asked === undefined) return;
    const { keysEnd, limit } = asked;
    const sets = readSets(keys, request, 2, keysEnd, reply);
    if (sets === undefined) return;
    const [only = 0] = sets.counts;
    const isOne = sets.counts.length === 1;
    reply.integer(isOne ? Math.min(limit, only) : countCommon(sets, limit));
  },
});

/** What SINTERCARD's arguments say: keys from argument 2 on. */
interface Card {
  readonly keysEnd: number;
  readonly limit: number;
}

/** Undefined: the error is in the reply. */
function readCard(request: Request, reply: RespWriter): Card | undefined {
  if (!readAtLeast(request, 1, 1, BAD_NUMKEYS, reply)) return undefined;
  const keysEnd = 2 + request.integerValue;
  if (keysEnd > request.count) {
    reply.error(TOO_MANY_KEYS);
    return undefined;
  }
  const limit = readLimit(request, keysEnd, reply);
  return limit < 0 ? undefined : { keysEnd, limit };
}

/** Reads [LIMIT limit] from argument `first` on; Infinity: none; -1: an error is replied. */
function readLimit(request: Request, first: number, reply: RespWriter): number {
  let limit = Number.POSITIVE_INFINITY;
  for (let i = first; i < request.count; i += 2) {
    if (i + 1 >= request.count || !request.equalsIgnoreCase(i, "LIMIT")) {
      reply.error(SYNTAX_ERROR);
      return -1;
    }
    if (!readAtLeast(request, i + 1, 0, NEGATIVE_LIMIT, reply)) return -1;
    limit = request.integerValue === 0 ? Number.POSITIVE_INFINITY : request.integerValue;
  }
  return limit;
}

export const setAlgebraCommands = [
  sinter,
  sunion,
  sdiff,
  sinterstore,
  sunionstore,
  sdiffstore,
  sintercard,
];
