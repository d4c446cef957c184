/**
 * What clients may read of one vnode after what they sent: a model that knows commands and times, no
 * cells, ops or files. A key that has expired by it must never be read again, one that has not must
 * be there, with the time at which it ends.
 */
import type { Vnode } from "../../actors/vnode/vnode.ts";
import { below, type Random } from "../../runtime/base/prng.ts";
import { canonicalValue } from "../model/vnode-state.ts";

/** A command; FLUSH is what FLUSHDB does to a vnode. */
export type Line = readonly [name: string, ...args: string[]];

interface ToldKey {
  /** A string is the field "". */
  readonly fields: Readonly<Record<string, string>>;
  /** Wall ms; 0: never. */
  readonly until: number;
}

export type Told = ReadonlyMap<string, ToldKey>;

const KEYS = 8;
const NAMES = Array.from({ length: KEYS }, (_, i) => [`k${i}`, `hk${i}`]).flat();
const FIELDS = 3;
/** About what passes between two commands on a key, and between two starts. */
const TTL_MS = 4000;

/** A command on a key of a vnode that has made so many ops. */
export function randomLine(random: Random, sequence: number, valueBytesMax: number): Line {
  const key = `k${below(random, KEYS)}`;
  const hash = `h${key}`;
  const field = `f${below(random, FIELDS)}`;
  const value = `${sequence}:`.padEnd(below(random, 200), "x");
  const ms = String(1 + below(random, TTL_MS));
  switch (below(random, 16)) {
    case 0:
      return deleteOf(key);
    case 1:
      return deleteOf(hash);
    case 2:
    case 3:
      return ["HSET", hash, field, value];
    case 4:
      return ["HDEL", hash, field];
    case 5:
      return ["SET", key, value.padEnd(below(random, valueBytesMax), "y")];
    case 6:
    case 7:
    case 8:
      return ["SET", key, value, "PX", ms];
    case 9:
      return ["SET", key, value, "KEEPTTL"];
    case 10:
      return ["PEXPIRE", key, ms];
    case 11:
      return ["PEXPIRE", hash, ms];
    case 12:
      return ["PERSIST", below(random, 2) === 0 ? key : hash];
    default:
      return ["SET", key, value];
  }
}

/** A delete, which is never refused. */
export function randomDelete(random: Random): Line {
  return deleteOf(NAMES[below(random, NAMES.length)] as string);
}

/** By commands of one key: DEL may have keys of several vnodes. */
function deleteOf(key: string): Line {
  return key.startsWith("h") ? ["PEXPIRE", key, "-1"] : ["GETDEL", key];
}

/** What is told after a command. */
export function tell(told: Told, [name, key = "", ...args]: Line, nowMs: number): Told {
  const next = new Map(name === "FLUSH" ? [] : told);
  const known = told.get(key);
  const before = known !== undefined && isThere(known, nowMs) ? known : NOTHING;
  // What has expired may be there still, for a clock that is set back.
  if (before === NOTHING && !["SET", "HSET", "FLUSH"].includes(name)) return told;
  const [first = "", second = "", third = ""] = args;
  let { fields, until } = before;
  switch (name) {
    case "SET":
      fields = { "": first };
      if (second !== "KEEPTTL") until = second === "PX" ? nowMs + Number(third) : 0;
      break;
    case "HSET":
      fields = { ...fields, [first]: second };
      break;
    case "HDEL":
      fields = Object.fromEntries(Object.entries(fields).filter(([field]) => field !== first));
      break;
    case "PEXPIRE":
      until = nowMs + Number(first);
      break;
    case "PERSIST":
      until = 0;
      break;
    default:
      fields = {};
  }
  if (Object.keys(fields).length > 0) next.set(key, { fields, until });
  else next.delete(key);
  return next;
}

const NOTHING: ToldKey = { fields: {}, until: 0 };

function isThere({ until }: ToldKey, nowMs: number): boolean {
  return until === 0 || until > nowMs;
}

/**
 * What is told once a vnode was read. Of keys whose time had passed before the clock was set back
 * (`latestMs`: the latest it has been) those stay that the vnode shows: it may have swept the others.
 */
export function resolve(
  told: Told,
  vnode: Vnode | undefined,
  nowMs: number,
  latestMs: number,
): Told {
  const hasPassed = ({ until }: ToldKey) => until > nowMs && until <= latestMs;
  const names = [...told].filter(([, key]) => hasPassed(key)).map(([name]) => name);
  const gone = names.filter((name) => !shows(vnode, name, nowMs));
  if (gone.length === 0) return told;
  return new Map([...told].filter(([name]) => !gone.includes(name)));
}

function shows(vnode: Vnode | undefined, name: string, nowMs: number): boolean {
  if (vnode === undefined) return false;
  vnode.key.nowMs = nowMs;
  return canonicalValue(vnode.key, name).type !== null;
}

/** The keys that are there now, as text. */
export function shown(told: Told, nowMs: number): string {
  return text(
    NAMES.map((name) => [name, told.get(name)]),
    nowMs,
  );
}

/** How many keys are there now. */
export function countOf(told: Told, nowMs: number): number {
  return [...told.values()].filter((key) => isThere(key, nowMs)).length;
}

/** What a vnode shows of the same keys. */
export function readOf(vnode: Vnode | undefined, nowMs: number): string {
  if (vnode === undefined) return text([], nowMs);
  vnode.key.nowMs = nowMs;
  return text(
    NAMES.map((name) => {
      const { type, value, elements, until } = canonicalValue(vnode.key, name);
      if (type === null) return [name, undefined];
      const fields = type === "string" ? { "": value ?? "" } : Object.fromEntries(elements);
      return [name, { fields, until: until ?? 0 }];
    }),
    nowMs,
  );
}

function text(keys: readonly (readonly [string, ToldKey | undefined])[], nowMs: number): string {
  const there = keys.flatMap(([name, key]) => {
    if (key === undefined || !isThere(key, nowMs)) return [];
    return [`${name} until ${key.until}: ${JSON.stringify(Object.entries(key.fields).sort())}`];
  });
  return there.join("\n");
}
