/**
 * Commands over several lists (Redis group "list"). Everything is checked before the first change;
 * two keys may be in one partition, so a key is opened again after another one was.
 */

import { equalBytes } from "../../../runtime/base/bytes.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type Apart, type KeyLookup, keysCommand } from "../../command.ts";
import { bulkIn, integerIn, isError } from "../../gateway/replies.ts";
import { FOUND, LIST, MISSING, REFUSED } from "../key-access.ts";
import { readAtLeast } from "./arguments.ts";
import { BAD_NUMKEYS, SYNTAX_ERROR } from "./errors.ts";
import { popElements } from "./lists.ts";
import { words } from "./words.ts";

const BAD_COUNT = "ERR count should be greater than 0";

/** An argument that names an end of a list. */
const HEAD = 0;
const TAIL = 1;
const NEITHER = 2;

function endOf(request: Request, i: number): number {
  if (request.equalsIgnoreCase(i, "LEFT")) return HEAD;
  return request.equalsIgnoreCase(i, "RIGHT") ? TAIL : NEITHER;
}

/** Whether two arguments are the same bytes. */
function sameArguments(request: Request, i: number, j: number): boolean {
  const { bytes, starts } = request;
  const length = request.length(i);
  if (length !== request.length(j)) return false;
  return equalBytes(bytes, starts[i] as number, bytes, starts[j] as number, length);
}

/** Moves an element of the list at argument 1 to the list at argument 2. */
function moveElement(
  keys: KeyLookup,
  request: Request,
  reply: RespWriter,
  from: number,
  to: number,
): void {
  const source = keys.at(request, 1);
  const found = source.openAs(request, 1, LIST, reply);
  if (found === MISSING) reply.nil();
  if (found !== FOUND) return;
  const target = keys.at(request, 2);
  if (target.openAs(request, 2, LIST, reply) === REFUSED) return;
  source.open(request, 1);
  const { count } = source.elements;
  const ref = source.elements.at(from === HEAD ? 0 : count - 1);
  source.elements.loadValue(ref);
  reply.bulk(source.buffer, source.start, source.end);
  if (count === 1 && sameArguments(request, 1, 2)) return;
  const value = Buffer.from(source.buffer.subarray(source.start, source.end));
  source.elements.take(ref);
  target.open(request, 2);
  target.elements.push(to === HEAD, value, 0, value.length);
}

/** As `moveElement`, of lists on two threads: the element is popped here and pushed there. */
function* moveApart(
  request: Request,
  reply: RespWriter,
  from: number,
  to: number,
): ReturnType<Apart> {
  const [source, target] = [request.bytesAt(1), request.bytesAt(2)];
  const [element, length] = (yield [
    words("LINDEX", source, from === HEAD ? "0" : "-1"),
    words("LLEN", target),
  ]) as [Buffer, Buffer];
  const value = isError(element) ? null : bulkIn(element);
  const error = [element, length].find(isError);
  if (value === null && !isError(element)) reply.nil();
  else if (error !== undefined) reply.raw(error, 0, error.length);
  if (value === null || error !== undefined) return [];
  reply.bulk(value, 0, value.length);
  return [
    words(from === HEAD ? "LPOP" : "RPOP", source),
    words(to === HEAD ? "LPUSH" : "RPUSH", target, value),
  ];
}

/** Where LMOVE takes and puts the element; undefined: the error is in the reply. */
function readEnds(request: Request, reply: RespWriter): [from: number, to: number] | undefined {
  const [from, to] = [endOf(request, 3), endOf(request, 4)];
  if (from !== NEITHER && to !== NEITHER) return [from, to];
  reply.error(SYNTAX_ERROR);
  return undefined;
}

const lmove = keysCommand({
  name: "LMOVE",
  arity: 5,
  flags: ["write", "denyoom"],
  keys: { first: 1, last: 2, step: 1 },
  group: "list",
  since: "6.2.0",
  summary:
    "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved.",
  complexity: "O(1)",
  syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
  *apart(request, reply) {
    const ends = readEnds(request, reply);
    return ends === undefined ? [] : yield* moveApart(request, reply, ...ends);
  },
  execute(keys, request, reply) {
    const ends = readEnds(request, reply);
    if (ends !== undefined) moveElement(keys, request, reply, ...ends);
  },
});

const rpoplpush = keysCommand({
  name: "RPOPLPUSH",
  arity: 3,
  flags: ["write", "denyoom"],
  keys: { first: 1, last: 2, step: 1 },
  group: "list",
  since: "1.2.0",
  summary:
    "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped.",
  complexity: "O(1)",
  syntax: "source destination",
  apart: (request, reply) => moveApart(request, reply, TAIL, HEAD),
  execute(keys, request, reply) {
    moveElement(keys, request, reply, TAIL, HEAD);
  },
});

const lmpop = keysCommand({
  name: "LMPOP",
  arity: -4,
  flags: ["write", "movablekeys"],
  keyCountAt: 1,
  group: "list",
  since: "7.0.0",
  summary:
    "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
  complexity:
    "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
  syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
  *apart(request, reply) {
    const pop = readPop(request, reply);
    if (pop === undefined) return [];
    const keys: Buffer[] = [];
    for (let i = 2; i < pop.keysEnd; i++) keys.push(request.bytesAt(i));
    const lengths = yield keys.map((key) => words("LLEN", key));
    const first = lengths.findIndex((length) => isError(length) || integerIn(length) > 0);
    const [key, length] = [keys[first], lengths[first]];
    if (key === undefined || length === undefined) reply.nilArray();
    else if (isError(length)) reply.raw(length, 0, length.length);
    else {
      const end = pop.atHead ? "LEFT" : "RIGHT";
      return [words("LMPOP", "1", key, end, "COUNT", String(pop.count))];
    }
    return [];
  },
  execute(keys, request, reply) {
    const pop = readPop(request, reply);
    if (pop !== undefined) popFirst(keys, request, pop, reply);
  },
});

/** What LMPOP's arguments say. */
interface Pop {
  /** Where the keys end, which begin at argument 2. */
  readonly keysEnd: number;
  readonly atHead: boolean;
  readonly count: number;
}

/** Undefined: the error is in the reply. */
function readPop(request: Request, reply: RespWriter): Pop | undefined {
  if (!readAtLeast(request, 1, 1, BAD_NUMKEYS, reply)) return undefined;
  const keysEnd = 2 + request.integerValue;
  const end = keysEnd < request.count ? endOf(request, keysEnd) : NEITHER;
  const options = request.count - keysEnd - 1;
  const isCounted = options === 2 && request.equalsIgnoreCase(keysEnd + 1, "COUNT");
  if (end === NEITHER || (options !== 0 && !isCounted)) {
    reply.error(SYNTAX_ERROR);
    return undefined;
  }
  if (isCounted && !readAtLeast(request, keysEnd + 2, 1, BAD_COUNT, reply)) return undefined;
  return { keysEnd, atHead: end === HEAD, count: isCounted ? request.integerValue : 1 };
}

/** Pops off the first list that is there. */
function popFirst(
  keys: KeyLookup,
  request: Request,
  { keysEnd, atHead, count }: Pop,
  reply: RespWriter,
): void {
  for (let i = 2; i < keysEnd; i++) {
    const key = keys.at(request, i);
    const found = key.openAs(request, i, LIST, reply);
    if (found === REFUSED) return;
    if (found === MISSING) continue;
    reply.array(2);
    reply.bulk(request.bytes, request.starts[i] as number, request.ends[i] as number);
    popElements(key, atHead, count, reply);
    return;
  }
  reply.nilArray();
}

export const listMoveCommands = [lmove, rpoplpush, lmpop];
