/** Commands over the strings of many keys (Redis group "string"). */
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type KeyLookup, keysCommand } from "../../command.ts";
import { integerIn } from "../../gateway/replies.ts";
import { ABSENT, STRING } from "../key-access.ts";
import { wrongArguments } from "./errors.ts";
import { words } from "./words.ts";

const mget = keysCommand({
  name: "MGET",
  arity: -2,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: -1, step: 1 },
  group: "string",
  since: "1.0.0",
  summary: "Atomically returns the string values of one or more keys.",
  complexity: "O(N) where N is the number of keys to retrieve.",
  syntax: "key [key ...]",
  split: "array",
  execute(keys, request, reply) {
    reply.array(request.count - 1);
    for (let i = 1; i < request.count; i++) {
      const key = keys.at(request, i);
      if (key.openToRead(request, i) === STRING) key.replyString(reply);
      else reply.nil();
    }
  },
});

const PAIRS = { first: 1, last: -1, step: 2 };

/** Whether every key has its value; else the error is in the reply. */
function hasPairs(request: Request, name: string, reply: RespWriter): boolean {
  if (request.count % 2 === 1) return true;
  reply.error(wrongArguments(name));
  return false;
}

/** Sets every pair; where a key comes twice, the last value stays. */
function setPairs(keys: KeyLookup, request: Request): void {
  for (let i = 1; i < request.count; i += 2) {
    const key = keys.at(request, i);
    key.openToReplace(request, i);
    const start = request.starts[i + 1] as number;
    key.setString(request.bytes, start, request.ends[i + 1] as number, 0);
  }
}

const mset = keysCommand({
  name: "MSET",
  arity: -3,
  flags: ["write", "denyoom"],
  keys: PAIRS,
  group: "string",
  since: "1.0.1",
  summary: "Atomically creates or modifies the string values of one or more keys.",
  complexity: "O(N) where N is the number of keys to set.",
  syntax: "key value [key value ...]",
  split: "ok",
  execute(keys, request, reply) {
    if (!hasPairs(request, "MSET", reply)) return;
    setPairs(keys, request);
    reply.ok();
  },
});

const msetnx = keysCommand({
  name: "MSETNX",
  arity: -3,
  flags: ["write", "denyoom"],
  keys: PAIRS,
  group: "string",
  since: "1.0.1",
  summary: "Atomically sets the string values of keys only when none of the keys exists.",
  complexity: "O(N) where N is the number of keys to set.",
  syntax: "key value [key value ...]",
  *apart(request, reply) {
    const [keys, pairs]: [Buffer[], Buffer[]] = [[], []];
    for (let i = 1; i < request.count; i++) {
      pairs.push(request.bytesAt(i));
      if (i % 2 === 1) keys.push(request.bytesAt(i));
    }
    const [there] = (yield [[...words("EXISTS"), ...keys]]) as [Buffer];
    const isFree = integerIn(there) === 0;
    reply.integer(isFree ? 1 : 0);
    return isFree ? [[...words("MSET"), ...pairs]] : [];
  },
  execute(keys, request, reply) {
    if (!hasPairs(request, "MSETNX", reply)) return;
    for (let i = 1; i < request.count; i += 2) {
      if (keys.at(request, i).open(request, i) !== ABSENT) {
        reply.integer(0);
        return;
      }
    }
    setPairs(keys, request);
    reply.integer(1);
  },
});

export const manyStringCommands = [mget, mset, msetnx];
