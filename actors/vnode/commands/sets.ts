/** Commands on one set, and SMOVE (Redis group "set"). A member is a cell with an empty value. */
import { keyCommand, keysCommand } from "../../command.ts";
import { integerIn, isError } from "../../gateway/replies.ts";
import { FOUND, type KeyAccess, MISSING, REFUSED, SET } from "../key-access.ts";
import { namesFit } from "./arguments.ts";
import { replyScan, scanComplexity } from "./scan.ts";
import { words } from "./words.ts";

const NOTHING = Buffer.alloc(0);

/** Adds a member to the open key. */
function putMember(key: KeyAccess, name: Buffer, start: number, end: number): void {
  key.elements.put(SET, name, start, end, NOTHING, 0, 0);
}

const sadd = keyCommand({
  name: "SADD",
  arity: -3,
  flags: ["write", "denyoom", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "1.0.0",
  summary: "Adds one or more members to a set. Creates the key if it doesn't exist.",
  complexity:
    "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
  syntax: "key member [member ...]",
  execute(key, request, reply) {
    if (!namesFit(request, 2, 1, reply)) return;
    if (key.openAs(request, 1, SET, reply) === REFUSED) return;
    const { bytes, starts, ends, count } = request;
    let added = 0;
    for (let i = 2; i < count; i++) {
      const start = starts[i] as number;
      const end = ends[i] as number;
      const ref = key.elements.find(bytes, start, end);
      // A member that is there is written again: a concurrent removal then leaves it.
      if (ref === 0) added++;
      else if (key.elements.isWritten(ref)) continue;
      putMember(key, bytes, start, end);
    }
    reply.integer(added);
  },
});

const srem = keyCommand({
  name: "SREM",
  arity: -3,
  flags: ["write", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "1.0.0",
  summary:
    "Removes one or more members from a set. Deletes the set if the last member was removed.",
  complexity: "O(N) where N is the number of members to be removed.",
  syntax: "key member [member ...]",
  execute(key, request, reply) {
    if (key.openAs(request, 1, SET, reply) !== REFUSED) reply.integer(takeNamed(key, request, 2));
  },
});

/** Takes the elements that the arguments from `first` on name; returns how many there were. */
export function takeNamed(
  key: KeyAccess,
  request: { bytes: Buffer; starts: Int32Array; ends: Int32Array; count: number },
  first: number,
): number {
  let taken = 0;
  for (let i = first; i < request.count; i++) {
    const start = request.starts[i] as number;
    const ref = key.elements.find(request.bytes, start, request.ends[i] as number);
    if (ref === 0) continue;
    key.elements.take(ref);
    taken++;
  }
  return taken;
}

const smembers = keyCommand({
  name: "SMEMBERS",
  arity: 2,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "1.0.0",
  summary: "Returns all members of a set.",
  complexity: "O(N) where N is the set cardinality.",
  syntax: "key",
  execute(key, request, reply) {
    const { elements } = key;
    if (key.openToReadAs(request, 1, SET, reply) === REFUSED) return;
    const { count } = elements;
    reply.set(count);
    elements.seek(0);
    for (let i = 0; i < count; i++) {
      elements.loadName(elements.next());
      reply.bulk(key.buffer, key.start, key.end);
    }
  },
});

const sismember = keyCommand({
  name: "SISMEMBER",
  arity: 3,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "1.0.0",
  summary: "Determines whether a member belongs to a set.",
  complexity: "O(1)",
  syntax: "key member",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, SET, reply) === REFUSED) return;
    const { bytes, starts, ends } = request;
    reply.integer(key.elements.find(bytes, starts[2] as number, ends[2] as number) === 0 ? 0 : 1);
  },
});

const smismember = keyCommand({
  name: "SMISMEMBER",
  arity: -3,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "6.2.0",
  summary: "Determines whether multiple members belong to a set.",
  complexity: "O(N) where N is the number of elements being checked for membership",
  syntax: "key member [member ...]",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, SET, reply) === REFUSED) return;
    const { bytes, starts, ends, count } = request;
    reply.array(count - 2);
    for (let i = 2; i < count; i++) {
      reply.integer(key.elements.find(bytes, starts[i] as number, ends[i] as number) === 0 ? 0 : 1);
    }
  },
});

const scard = keyCommand({
  name: "SCARD",
  arity: 2,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "1.0.0",
  summary: "Returns the number of members in a set.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, SET, reply) !== REFUSED) reply.integer(key.elements.count);
  },
});

const smove = keysCommand({
  name: "SMOVE",
  arity: 4,
  flags: ["write", "fast"],
  keys: { first: 1, last: 2, step: 1 },
  group: "set",
  since: "1.0.0",
  summary: "Moves a member from one set to another.",
  complexity: "O(1)",
  syntax: "source destination member",
  *apart(request, reply) {
    const [source, target, member] = [1, 2, 3].map((i) => request.bytesAt(i)) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    const [from, to, found] = (yield [
      words("SCARD", source),
      words("SCARD", target),
      words("SISMEMBER", source, member),
    ]) as [Buffer, Buffer, Buffer];
    const error = !isError(from) && integerIn(from) > 0 ? to : from;
    if (isError(error)) {
      reply.raw(error, 0, error.length);
      return [];
    }
    const isMoved = integerIn(found) === 1;
    reply.integer(isMoved ? 1 : 0);
    return isMoved ? [words("SREM", source, member), words("SADD", target, member)] : [];
  },
  execute(keys, request, reply) {
    const { bytes, starts, ends } = request;
    const start = starts[3] as number;
    const end = ends[3] as number;
    const source = keys.at(request, 1);
    const found = source.openAs(request, 1, SET, reply);
    if (found === MISSING) reply.integer(0);
    if (found !== FOUND) return;
    const target = keys.at(request, 2);
    if (target.openAs(request, 2, SET, reply) === REFUSED) return;
    source.open(request, 1);
    const ref = source.elements.find(bytes, start, end);
    reply.integer(ref === 0 ? 0 : 1);
    if (ref === 0 || request.bytesAt(1).equals(request.bytesAt(2))) return;
    source.elements.take(ref);
    target.open(request, 2);
    putMember(target, bytes, start, end);
  },
});

const sscan = keyCommand({
  name: "SSCAN",
  arity: -3,
  flags: ["readonly"],
  keys: { first: 1, last: 1, step: 1 },
  group: "set",
  since: "2.8.0",
  summary: "Iterates over members of a set.",
  complexity: scanComplexity,
  syntax: "key cursor [MATCH pattern] [COUNT count]",
  execute(key, request, reply) {
    replyScan(key, request, reply, SET);
  },
});

export const setCommands = [sadd, srem, smembers, sismember, smismember, scard, smove, sscan];
