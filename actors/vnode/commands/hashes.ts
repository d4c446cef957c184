/** Commands on hashes, but for numbers and random fields (Redis group "hash"): a cell a field. */

import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type KeyCommand, keyCommand } from "../../command.ts";
import { FOUND, HASH, type KeyAccess, MISSING, REFUSED } from "../key-access.ts";
import { namesFit } from "./arguments.ts";
import { wrongArguments } from "./errors.ts";
import { replyScan, scanComplexity } from "./scan.ts";
import { takeNamed } from "./sets.ts";

/**
 * Sets the fields that the arguments from 2 on pair with values; returns how many are new, or -1
 * and the error replied. Last pairs first: of a field named twice the last value counts, and an op
 * writes a cell once.
 */
function setFields(key: KeyAccess, request: Request, reply: RespWriter, command: string): number {
  const { elements } = key;
  const { bytes, starts, ends, count } = request;
  if (count % 2 !== 0) {
    reply.error(wrongArguments(command));
    return -1;
  }
  if (!namesFit(request, 2, 2, reply)) return -1;
  if (key.openAs(request, 1, HASH, reply) === REFUSED) return -1;
  let added = 0;
  for (let i = count - 2; i >= 2; i -= 2) {
    const start = starts[i] as number;
    const end = ends[i] as number;
    const ref = elements.find(bytes, start, end);
    if (ref === 0) added++;
    else if (elements.isWritten(ref)) continue;
    elements.put(HASH, bytes, start, end, bytes, starts[i + 1] as number, ends[i + 1] as number);
  }
  return added;
}

const hset = keyCommand({
  name: "HSET",
  arity: -4,
  flags: ["write", "denyoom", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary: "Creates or modifies the value of a field in a hash.",
  complexity:
    "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
  syntax: "key field value [field value ...]",
  execute(key, request, reply) {
    const added = setFields(key, request, reply, "hset");
    if (added >= 0) reply.integer(added);
  },
});

const hmset = keyCommand({
  name: "HMSET",
  arity: -4,
  flags: ["write", "denyoom", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary: "Sets the values of multiple fields.",
  complexity: "O(N) where N is the number of fields being set.",
  syntax: "key field value [field value ...]",
  execute(key, request, reply) {
    if (setFields(key, request, reply, "hmset") >= 0) reply.ok();
  },
});

const hsetnx = keyCommand({
  name: "HSETNX",
  arity: 4,
  flags: ["write", "denyoom", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary: "Sets the value of a field in a hash only when the field doesn't exist.",
  complexity: "O(1)",
  syntax: "key field value",
  execute(key, request, reply) {
    if (!namesFit(request, 2, 2, reply)) return;
    if (key.openAs(request, 1, HASH, reply) === REFUSED) return;
    const { bytes, starts, ends } = request;
    const start = starts[2] as number;
    const end = ends[2] as number;
    if (key.elements.find(bytes, start, end) !== 0) {
      reply.integer(0);
      return;
    }
    key.elements.put(HASH, bytes, start, end, bytes, starts[3] as number, ends[3] as number);
    reply.integer(1);
  },
});

/** Replies the value of the field at argument i of the open hash, or nil. */
function replyField(key: KeyAccess, request: Request, i: number, reply: RespWriter): void {
  const ref = key.elements.find(
    request.bytes,
    request.starts[i] as number,
    request.ends[i] as number,
  );
  if (ref === 0) {
    reply.nil();
    return;
  }
  key.elements.loadValue(ref);
  reply.bulk(key.buffer, key.start, key.end);
}

const hget = keyCommand({
  name: "HGET",
  arity: 3,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary: "Returns the value of a field in a hash.",
  complexity: "O(1)",
  syntax: "key field",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, HASH, reply) !== REFUSED) replyField(key, request, 2, reply);
  },
});

const hmget = keyCommand({
  name: "HMGET",
  arity: -3,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary: "Returns the values of all fields in a hash.",
  complexity: "O(N) where N is the number of fields being requested.",
  syntax: "key field [field ...]",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, HASH, reply) === REFUSED) return;
    reply.array(request.count - 2);
    for (let i = 2; i < request.count; i++) replyField(key, request, i, reply);
  },
});

const hdel = keyCommand({
  name: "HDEL",
  arity: -3,
  flags: ["write", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary:
    "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
  complexity: "O(N) where N is the number of fields to be removed.",
  syntax: "key field [field ...]",
  execute(key, request, reply) {
    if (key.openAs(request, 1, HASH, reply) !== REFUSED) reply.integer(takeNamed(key, request, 2));
  },
});

const hexists = keyCommand({
  name: "HEXISTS",
  arity: 3,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary: "Determines whether a field exists in a hash.",
  complexity: "O(1)",
  syntax: "key field",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, HASH, reply) === REFUSED) return;
    const { bytes, starts, ends } = request;
    reply.integer(key.elements.find(bytes, starts[2] as number, ends[2] as number) === 0 ? 0 : 1);
  },
});

const hlen = keyCommand({
  name: "HLEN",
  arity: 2,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.0.0",
  summary: "Returns the number of fields in a hash.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, HASH, reply) !== REFUSED) reply.integer(key.elements.count);
  },
});

const hstrlen = keyCommand({
  name: "HSTRLEN",
  arity: 3,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "3.2.0",
  summary: "Returns the length of the value of a field.",
  complexity: "O(1)",
  syntax: "key field",
  execute(key, request, reply) {
    const found = key.openToReadAs(request, 1, HASH, reply);
    if (found === MISSING) reply.integer(0);
    if (found !== FOUND) return;
    const ref = key.elements.find(
      request.bytes,
      request.starts[2] as number,
      request.ends[2] as number,
    );
    if (ref !== 0) key.elements.loadValue(ref);
    reply.integer(ref === 0 ? 0 : key.end - key.start);
  },
});

interface ListingFacts {
  readonly name: string;
  readonly summary: string;
  readonly names: boolean;
  readonly values: boolean;
}

/** HKEYS, HVALS, HGETALL: the whole hash, in one order. */
function listingCommand({ name, summary, names, values }: ListingFacts): KeyCommand {
  return keyCommand({
    name,
    arity: 2,
    flags: ["readonly"],
    keys: { first: 1, last: 1, step: 1 },
    group: "hash",
    since: "2.0.0",
    summary,
    complexity: "O(N) where N is the size of the hash.",
    syntax: "key",
    execute(key, request, reply) {
      const { elements } = key;
      if (key.openToReadAs(request, 1, HASH, reply) === REFUSED) return;
      const { count } = elements;
      if (names && values) reply.map(count);
      else reply.array(count);
      elements.seek(0);
      for (let i = 0; i < count; i++) {
        const ref = elements.next();
        if (names) {
          elements.loadName(ref);
          reply.bulk(key.buffer, key.start, key.end);
        }
        if (values) {
          elements.loadValue(ref);
          reply.bulk(key.buffer, key.start, key.end);
        }
      }
    },
  });
}

const hkeys = listingCommand({
  name: "HKEYS",
  summary: "Returns all fields in a hash.",
  names: true,
  values: false,
});

const hvals = listingCommand({
  name: "HVALS",
  summary: "Returns all values in a hash.",
  names: false,
  values: true,
});

const hgetall = listingCommand({
  name: "HGETALL",
  summary: "Returns all fields and values in a hash.",
  names: true,
  values: true,
});

const hscan = keyCommand({
  name: "HSCAN",
  arity: -3,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "hash",
  since: "2.8.0",
  summary: "Iterates over fields and values of a hash.",
  complexity: scanComplexity,
  syntax: "key cursor [MATCH pattern] [COUNT count]",
  execute(key, request, reply) {
    replyScan(key, request, reply, HASH);
  },
});

export const hashCommands = [
  hset,
  hmset,
  hsetnx,
  hget,
  hmget,
  hdel,
  hexists,
  hlen,
  hstrlen,
  hkeys,
  hvals,
  hgetall,
  hscan,
];
