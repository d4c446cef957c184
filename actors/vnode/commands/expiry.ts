/** Commands on keys' expiry (part of Redis's group "generic"). */

import type { Request } from "../../../runtime/codec/request.ts";
import { NameTable } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type KeyCommand, keyCommand } from "../../command.ts";
import { ABSENT, type KeyAccess } from "../key-access.ts";
import {
  MILLISECONDS,
  readTime,
  SECONDS,
  type TimeUnit,
  UNIX_MILLISECONDS,
  UNIX_SECONDS,
} from "./expiry-time.ts";

const KEY = { first: 1, last: 1, step: 1 };

const NX = 1;
const XX = 2;
const GT = 4;
const LT = 8;
const CONDITIONS = new NameTable<number>();
CONDITIONS.add("NX", NX);
CONDITIONS.add("XX", XX);
CONDITIONS.add("GT", GT);
CONDITIONS.add("LT", LT);

/** The conditions from argument 3 on; -1 if they are wrong: the error is in the reply. */
function readConditions(request: Request, reply: RespWriter): number {
  let found = 0;
  for (let i = 3; i < request.count; i++) {
    const condition = CONDITIONS.find(request, i);
    if (condition === undefined) {
      reply.error(`ERR Unsupported option ${request.text(i).slice(0, 128)}`);
      return -1;
    }
    found |= condition;
  }
  if (found & NX && found & (XX | GT | LT)) {
    reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return -1;
  }
  if (found & GT && found & LT) {
    reply.error("ERR GT and LT options at the same time are not compatible");
    return -1;
  }
  return found;
}

/** Whether a key whose expiry is `current` (0: never, which is later than any) may expire `at`. */
function isMet(conditions: number, current: number, at: number): boolean {
  if (conditions & NX) return current === 0;
  if (conditions & XX && current === 0) return false;
  if (conditions & GT) return current !== 0 && at > current;
  if (conditions & LT) return current === 0 || at < current;
  return true;
}

interface ExpireFacts {
  readonly name: string;
  readonly unit: TimeUnit;
  readonly since: string;
  readonly summary: string;
  readonly time: string;
}

function expireCommand({ name, unit, since, summary, time }: ExpireFacts): KeyCommand {
  const lowerName = name.toLowerCase();
  return keyCommand({
    name,
    arity: -3,
    flags: ["write", "fast"],
    keys: KEY,
    group: "generic",
    since,
    summary,
    complexity: "O(1)",
    syntax: `key ${time} [NX | XX | GT | LT]`,
    execute(key, request, reply) {
      const conditions = readConditions(request, reply);
      if (conditions < 0) return;
      const at = readTime(request, 2, unit, key.nowMs, lowerName, reply);
      if (Number.isNaN(at)) return;
      if (key.open(request, 1) === ABSENT || !isMet(conditions, key.expiryAt, at)) {
        reply.integer(0);
        return;
      }
      expireAt(key, at);
      reply.integer(1);
    },
  });
}

/** Sets the open key's expiry, or deletes it if that time has come. */
export function expireAt(key: KeyAccess, at: number): void {
  if (at <= key.nowMs) key.deleteKey();
  else key.expire(at);
}

const expire = expireCommand({
  name: "EXPIRE",
  unit: SECONDS,
  since: "1.0.0",
  summary: "Sets the expiration time of a key in seconds.",
  time: "seconds",
});

const pexpire = expireCommand({
  name: "PEXPIRE",
  unit: MILLISECONDS,
  since: "2.6.0",
  summary: "Sets the expiration time of a key in milliseconds.",
  time: "milliseconds",
});

const expireat = expireCommand({
  name: "EXPIREAT",
  unit: UNIX_SECONDS,
  since: "1.2.0",
  summary: "Sets the expiration time of a key to a Unix timestamp.",
  time: "unix-time-seconds",
});

const pexpireat = expireCommand({
  name: "PEXPIREAT",
  unit: UNIX_MILLISECONDS,
  since: "2.6.0",
  summary: "Sets the expiration time of a key to a Unix milliseconds timestamp.",
  time: "unix-time-milliseconds",
});

interface TimeFacts {
  readonly name: string;
  readonly unit: TimeUnit;
  readonly since: string;
  readonly summary: string;
}

/** A command that answers a key's expiry: -2 without the key, -1 without an expiry. */
function timeCommand({ name, unit, since, summary }: TimeFacts): KeyCommand {
  return keyCommand({
    name,
    arity: 2,
    flags: ["readonly", "fast"],
    keys: KEY,
    group: "generic",
    since,
    summary,
    complexity: "O(1)",
    syntax: "key",
    execute(key, request, reply) {
      if (key.openToRead(request, 1) === ABSENT) {
        reply.integer(-2);
        return;
      }
      const at = key.expiryAt;
      if (at === 0) {
        reply.integer(-1);
        return;
      }
      const milliseconds = unit.isAbsolute ? at : at - key.nowMs;
      if (unit.milliseconds === 1) reply.integer(milliseconds);
      else reply.integer(Math.floor((milliseconds + 500) / 1000));
    },
  });
}

const ttl = timeCommand({
  name: "TTL",
  unit: SECONDS,
  since: "1.0.0",
  summary: "Returns the expiration time in seconds of a key.",
});

const pttl = timeCommand({
  name: "PTTL",
  unit: MILLISECONDS,
  since: "2.6.0",
  summary: "Returns the expiration time in milliseconds of a key.",
});

const expiretime = timeCommand({
  name: "EXPIRETIME",
  unit: UNIX_SECONDS,
  since: "7.0.0",
  summary: "Returns the expiration time of a key as a Unix timestamp.",
});

const pexpiretime = timeCommand({
  name: "PEXPIRETIME",
  unit: UNIX_MILLISECONDS,
  since: "7.0.0",
  summary: "Returns the expiration time of a key as a Unix milliseconds timestamp.",
});

const persist = keyCommand({
  name: "PERSIST",
  arity: 2,
  flags: ["write", "fast"],
  keys: KEY,
  group: "generic",
  since: "2.2.0",
  summary: "Removes the expiration time of a key.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    if (key.open(request, 1) === ABSENT || key.expiryAt === 0) {
      reply.integer(0);
      return;
    }
    key.expire(0);
    reply.integer(1);
  },
});

export const expiryCommands = [
  expire,
  pexpire,
  expireat,
  pexpireat,
  ttl,
  pttl,
  expiretime,
  pexpiretime,
  persist,
];
