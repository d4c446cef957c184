/**
 * Commands on the ends of lists and on elements by index (Redis group "list").
 *
 * An element's id is its position in the counted tree, so an index costs a search and not a walk.
 */

import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type KeyCommand, keyCommand } from "../../command.ts";
import { FOUND, type KeyAccess, LIST, MISSING, REFUSED } from "../key-access.ts";
import { fromStart, readCount, readInteger } from "./arguments.ts";
import { INDEX_OUT_OF_RANGE, NO_SUCH_KEY, wrongArguments } from "./errors.ts";

interface PushFacts {
  readonly name: string;
  readonly atHead: boolean;
  /** Push only to a list that exists. */
  readonly needsList: boolean;
  readonly since: string;
  readonly summary: string;
}

function pushCommand({ name, atHead, needsList, since, summary }: PushFacts): KeyCommand {
  return keyCommand({
    name,
    arity: -3,
    flags: ["write", "denyoom", "fast"],
    keys: { first: 1, last: 1, step: 1 },
    group: "list",
    since,
    summary,
    complexity:
      "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    syntax: "key element [element ...]",
    execute(key, request, reply) {
      const found = key.openAs(request, 1, LIST, reply);
      if (found === REFUSED) return;
      if (found === MISSING && needsList) {
        reply.integer(0);
        return;
      }
      const { bytes, starts, ends, count } = request;
      for (let i = 2; i < count; i++) {
        key.elements.push(atHead, bytes, starts[i] as number, ends[i] as number);
      }
      reply.integer(key.elements.count);
    },
  });
}

const lpush = pushCommand({
  name: "LPUSH",
  atHead: true,
  needsList: false,
  since: "1.0.0",
  summary: "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
});

const rpush = pushCommand({
  name: "RPUSH",
  atHead: false,
  needsList: false,
  since: "1.0.0",
  summary: "Appends one or more elements to a list. Creates the key if it doesn't exist.",
});

const lpushx = pushCommand({
  name: "LPUSHX",
  atHead: true,
  needsList: true,
  since: "2.2.0",
  summary: "Prepends one or more elements to a list only when the list exists.",
});

const rpushx = pushCommand({
  name: "RPUSHX",
  atHead: false,
  needsList: true,
  since: "2.2.0",
  summary: "Appends an element to a list only when the list exists.",
});

/** Pops up to `count` elements off an end of the open list into an array; all of them: its key. */
export function popElements(
  key: KeyAccess,
  atHead: boolean,
  count: number,
  reply: RespWriter,
): void {
  const { elements } = key;
  const length = elements.count;
  const popped = Math.min(count, length);
  reply.array(popped);
  if (popped === length) {
    elements.seek(atHead ? 0 : length);
    for (let i = 0; i < popped; i++) {
      elements.loadValue(atHead ? elements.next() : elements.previous());
      reply.bulk(key.buffer, key.start, key.end);
    }
    key.deleteKey();
    return;
  }
  for (let i = 0; i < popped; i++) popOne(key, atHead, reply);
}

function popOne(key: KeyAccess, atHead: boolean, reply: RespWriter): void {
  const { elements } = key;
  const ref = elements.at(atHead ? 0 : elements.count - 1);
  elements.loadValue(ref);
  reply.bulk(key.buffer, key.start, key.end);
  elements.take(ref);
}

function popSeveral(
  key: KeyAccess,
  request: Request,
  reply: RespWriter,
  name: string,
  atHead: boolean,
): void {
  if (request.count > 3) {
    reply.error(wrongArguments(name));
    return;
  }
  if (!readCount(request, 2, reply)) return;
  const count = request.integerValue;
  const found = key.openAs(request, 1, LIST, reply);
  if (found === MISSING) reply.nilArray();
  else if (found === FOUND) popElements(key, atHead, count, reply);
}

function popCommand(name: string, atHead: boolean, summary: string): KeyCommand {
  return keyCommand({
    name,
    arity: -2,
    flags: ["write", "fast"],
    keys: { first: 1, last: 1, step: 1 },
    group: "list",
    since: "1.0.0",
    summary,
    complexity: "O(N) where N is the number of elements returned",
    syntax: "key [count]",
    execute(key, request, reply) {
      if (request.count > 2) {
        popSeveral(key, request, reply, name, atHead);
        return;
      }
      const found = key.openAs(request, 1, LIST, reply);
      if (found === FOUND) popOne(key, atHead, reply);
      else if (found === MISSING) reply.nil();
    },
  });
}

const lpop = popCommand(
  "LPOP",
  true,
  "Returns the first elements in a list after removing it. Deletes the list if the last element was popped.",
);

const rpop = popCommand(
  "RPOP",
  false,
  "Returns and removes the last elements of a list. Deletes the list if the last element was popped.",
);

const llen = keyCommand({
  name: "LLEN",
  arity: 2,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "list",
  since: "1.0.0",
  summary: "Returns the length of a list.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, LIST, reply) !== REFUSED) reply.integer(key.elements.count);
  },
});

const lrange = keyCommand({
  name: "LRANGE",
  arity: 4,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "list",
  since: "1.0.0",
  summary: "Returns a range of elements from a list.",
  complexity:
    "O(log(N)+M) where N is the length of the list and M the number of elements in the range.",
  syntax: "key start stop",
  execute(key, request, reply) {
    const { elements } = key;
    if (!readInteger(request, 2, reply)) return;
    const start = request.integerValue;
    if (!readInteger(request, 3, reply)) return;
    const stop = request.integerValue;
    if (key.openToReadAs(request, 1, LIST, reply) === REFUSED) return;
    const { count } = elements;
    const first = Math.max(0, fromStart(start, count));
    const last = Math.min(count - 1, fromStart(stop, count));
    if (first > last) {
      reply.array(0);
      return;
    }
    reply.array(last - first + 1);
    elements.seek(first);
    for (let rank = first; rank <= last; rank++) {
      elements.loadValue(elements.next());
      reply.bulk(key.buffer, key.start, key.end);
    }
  },
});

const lindex = keyCommand({
  name: "LINDEX",
  arity: 3,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "list",
  since: "1.0.0",
  summary: "Returns an element from a list by its index.",
  complexity: "O(log(N)) where N is the length of the list.",
  syntax: "key index",
  execute(key, request, reply) {
    const { elements } = key;
    const found = key.openToReadAs(request, 1, LIST, reply);
    if (found === MISSING) reply.nil();
    if (found !== FOUND || !readInteger(request, 2, reply)) return;
    const ref = elements.at(fromStart(request.integerValue, elements.count));
    if (ref === 0) {
      reply.nil();
      return;
    }
    elements.loadValue(ref);
    reply.bulk(key.buffer, key.start, key.end);
  },
});

const lset = keyCommand({
  name: "LSET",
  arity: 4,
  flags: ["write", "denyoom"],
  keys: { first: 1, last: 1, step: 1 },
  group: "list",
  since: "1.0.0",
  summary: "Sets the value of an element in a list by its index.",
  complexity: "O(log(N)) where N is the length of the list.",
  syntax: "key index element",
  execute(key, request, reply) {
    const { elements } = key;
    const found = key.openAs(request, 1, LIST, reply);
    if (found === MISSING) reply.error(NO_SUCH_KEY);
    if (found !== FOUND || !readInteger(request, 2, reply)) return;
    const ref = elements.at(fromStart(request.integerValue, elements.count));
    if (ref === 0) {
      reply.error(INDEX_OUT_OF_RANGE);
      return;
    }
    elements.setAt(ref, request.bytes, request.starts[3] as number, request.ends[3] as number);
    reply.ok();
  },
});

export const listCommands = [lpush, rpush, lpushx, rpushx, lpop, rpop, llen, lrange, lindex, lset];
