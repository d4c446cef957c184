/** Commands that set, get and delete whole strings (Redis group "string"). */
import { equalBytes } from "../../../runtime/base/bytes.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type KeyCommand, keyCommand } from "../../command.ts";
import {
  ABSENT,
  FOUND,
  type KeyAccess,
  MISSING,
  REFUSED,
  STRING,
  WRONG_TYPE,
} from "../key-access.ts";
import { SYNTAX_ERROR, wrongArguments } from "./errors.ts";
import { expireAt } from "./expiry.ts";
import { MILLISECONDS, readPositiveTime, SECONDS, type TimeUnit } from "./expiry-time.ts";
import {
  GETEX_WORDS,
  IFEQ,
  IFNE,
  KEEPTTL,
  NX,
  PERSIST,
  RETURN_OLD,
  SET_WORDS,
  SetOptions,
  XX,
} from "./set-options.ts";

const KEY = { first: 1, last: 1, step: 1 };

/** Of the running command. */
const options = new SetOptions();

const get = keyCommand({
  name: "GET",
  arity: 2,
  flags: ["readonly", "fast"],
  keys: KEY,
  group: "string",
  since: "1.0.0",
  summary: "Returns the string value of a key.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    replyOld(key, request, reply);
  },
});

/** Opens argument 1 and replies its string, nil, or WRONGTYPE: what `openToReadAs` says. */
function replyOld(key: KeyAccess, request: Request, reply: RespWriter): number {
  const found = key.openToReadAs(request, 1, STRING, reply);
  if (found === FOUND) key.replyString(reply);
  else if (found === MISSING) reply.nil();
  return found;
}

/** Makes the open key the string that is argument i. */
function setTo(key: KeyAccess, request: Request, i: number, until: number): void {
  key.setString(request.bytes, request.starts[i] as number, request.ends[i] as number, until);
}

/** Whether the open string is argument i. */
function equalsArgument(key: KeyAccess, request: Request, i: number): boolean {
  key.loadString();
  const length = request.length(i);
  const start = request.starts[i] as number;
  return (
    key.end - key.start === length &&
    equalBytes(key.buffer, key.start, request.bytes, start, length)
  );
}

const set = keyCommand({
  name: "SET",
  arity: -3,
  flags: ["write", "denyoom"],
  keys: KEY,
  group: "string",
  since: "1.0.0",
  summary: "Sets the string value of a key, whatever it was. The key is created if it is absent.",
  complexity: "O(1)",
  syntax:
    "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value] [GET] [EX seconds | " +
    "PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
  execute(key, request, reply) {
    if (request.count > 3) {
      setWithOptions(key, request, reply);
      return;
    }
    key.openToReplace(request, 1);
    setTo(key, request, 2, 0);
    reply.ok();
  },
});

function setWithOptions(key: KeyAccess, request: Request, reply: RespWriter): void {
  if (!options.parse(request, 3, SET_WORDS)) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const { flags, timeIndex, unit } = options;
  let until = 0;
  if (timeIndex !== 0) {
    until = readPositiveTime(request, timeIndex, unit, key.nowMs, "set", reply);
    if (Number.isNaN(until)) return;
  }
  const type = flags & RETURN_OLD ? key.openToRead(request, 1) : key.open(request, 1);
  if (flags & (RETURN_OLD | IFEQ | IFNE) && type !== ABSENT && type !== STRING) {
    reply.error(WRONG_TYPE);
    return;
  }
  const isMet = isConditionMet(key, request, flags);
  if (flags & RETURN_OLD) {
    if (type === STRING) key.replyString(reply);
    else reply.nil();
  } else if (isMet) reply.ok();
  else reply.nil();
  if (!isMet) return;
  if (flags & KEEPTTL && type !== ABSENT) until = key.expiryAt;
  if (until !== 0 && until <= key.nowMs) key.deleteKey();
  else setTo(key, request, 2, until);
}

/** Whether the open key (a string or absent, if values are compared) may be set. */
function isConditionMet(key: KeyAccess, request: Request, flags: number): boolean {
  const isAbsent = key.type === ABSENT;
  if (flags & NX) return isAbsent;
  if (flags & XX) return !isAbsent;
  if (flags & IFEQ) return !isAbsent && equalsArgument(key, request, options.operandIndex);
  if (flags & IFNE) return isAbsent || !equalsArgument(key, request, options.operandIndex);
  return true;
}

const delex = keyCommand({
  name: "DELEX",
  arity: -2,
  flags: ["write", "fast"],
  keys: KEY,
  group: "string",
  since: "8.4.0",
  summary: "Deletes a key, if its value is equal or not equal to the given one.",
  complexity: "O(1)",
  syntax: "key [IFEQ ifeq-value | IFNE ifne-value]",
  execute(key, request, reply) {
    if (request.count !== 2 && request.count !== 4) {
      reply.error(wrongArguments("DELEX"));
      return;
    }
    const type = key.open(request, 1);
    if (type !== ABSENT && request.count === 4) {
      if (type !== STRING) {
        reply.error("ERR Key should be of string type if conditions are specified");
        return;
      }
      const isEqualWanted = request.equalsIgnoreCase(2, "IFEQ");
      if (!isEqualWanted && !request.equalsIgnoreCase(2, "IFNE")) {
        reply.error("ERR Invalid condition. Use IFEQ or IFNE");
        return;
      }
      if (equalsArgument(key, request, 3) !== isEqualWanted) {
        reply.integer(0);
        return;
      }
    }
    reply.integer(key.deleteKey() ? 1 : 0);
  },
});

const getset = keyCommand({
  name: "GETSET",
  arity: 3,
  flags: ["write", "denyoom", "fast"],
  keys: KEY,
  group: "string",
  since: "1.0.0",
  summary: "Returns the previous string value of a key after setting it to a new value.",
  complexity: "O(1)",
  syntax: "key value",
  execute(key, request, reply) {
    if (replyOld(key, request, reply) !== REFUSED) setTo(key, request, 2, 0);
  },
});

const getdel = keyCommand({
  name: "GETDEL",
  arity: 2,
  flags: ["write", "fast"],
  keys: KEY,
  group: "string",
  since: "6.2.0",
  summary: "Returns the string value of a key after deleting the key.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    if (replyOld(key, request, reply) === FOUND) key.deleteKey();
  },
});

const getex = keyCommand({
  name: "GETEX",
  arity: -2,
  flags: ["write", "fast"],
  keys: KEY,
  group: "string",
  since: "6.2.0",
  summary: "Returns the string value of a key after setting its expiration time.",
  complexity: "O(1)",
  syntax:
    "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | " +
    "PXAT unix-time-milliseconds | PERSIST]",
  execute(key, request, reply) {
    if (!options.parse(request, 2, GETEX_WORDS)) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    const { flags, timeIndex, unit } = options;
    const found = key.openToReadAs(request, 1, STRING, reply);
    if (found !== FOUND) {
      if (found === MISSING) reply.nil();
      return;
    }
    let at = 0;
    if (timeIndex !== 0) {
      at = readPositiveTime(request, timeIndex, unit, key.nowMs, "getex", reply);
      if (Number.isNaN(at)) return;
    }
    key.replyString(reply);
    if (timeIndex !== 0) expireAt(key, at);
    else if (flags & PERSIST && key.expiryAt !== 0) key.expire(0);
  },
});

const setnx = keyCommand({
  name: "SETNX",
  arity: 3,
  flags: ["write", "denyoom", "fast"],
  keys: KEY,
  group: "string",
  since: "1.0.0",
  summary: "Sets the string value of a key only when the key doesn't exist.",
  complexity: "O(1)",
  syntax: "key value",
  execute(key, request, reply) {
    const isAbsent = key.open(request, 1) === ABSENT;
    if (isAbsent) setTo(key, request, 2, 0);
    reply.integer(isAbsent ? 1 : 0);
  },
});

interface SetForFacts {
  readonly name: string;
  readonly unit: TimeUnit;
  readonly since: string;
  readonly summary: string;
  readonly time: string;
}

function setForCommand({ name, unit, since, summary, time }: SetForFacts): KeyCommand {
  const lowerName = name.toLowerCase();
  return keyCommand({
    name,
    arity: 4,
    flags: ["write", "denyoom"],
    keys: KEY,
    group: "string",
    since,
    summary,
    complexity: "O(1)",
    syntax: `key ${time} value`,
    execute(key, request, reply) {
      const until = readPositiveTime(request, 2, unit, key.nowMs, lowerName, reply);
      if (Number.isNaN(until)) return;
      key.openToReplace(request, 1);
      setTo(key, request, 3, until);
      reply.ok();
    },
  });
}

const setex = setForCommand({
  name: "SETEX",
  unit: SECONDS,
  since: "2.0.0",
  summary: "Sets the string value and expiration time of a key.",
  time: "seconds",
});

const psetex = setForCommand({
  name: "PSETEX",
  unit: MILLISECONDS,
  since: "2.6.0",
  summary: "Sets both string value and expiration time in milliseconds of a key.",
  time: "milliseconds",
});

export const stringCommands = [get, set, delex, getset, getdel, getex, setnx, setex, psetex];
