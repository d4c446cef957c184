/**
 * Commands on collections of many leaves and segments: they add and take elements by the hundred, and
 * copy, move, combine and flush whole keys.
 *
 * Names are few enough that replicas write the same elements, and of one key many.
 */
import { below, type Random } from "../../runtime/base/prng.ts";
import type { Bytes, CellType } from "./harness.ts";

/** Names of fields and members: with ten elements each, segments and leaves split several times. */
const NAMES = 1200;
/** Elements that one command adds, at most: several leaves, and more than a segment. */
const ELEMENTS_MAX = 300;

export interface LargeKeys {
  readonly key: Bytes;
  /** May be the same. */
  readonly other: Bytes;
  /** A time to come. */
  readonly until: number;
}

/** A command on a key of this type, or on whole keys. */
export function largeCommand(random: Random, type: CellType, keys: LargeKeys): readonly Bytes[] {
  if (below(random, 100) === 0) return ["FLUSHDB"];
  const choices = below(random, 5) === 0 ? wholeKeys(keys) : COMMANDS[type](random, keys);
  return choices[below(random, choices.length)] as readonly Bytes[];
}

function wholeKeys({ key, other, until }: LargeKeys): readonly (readonly Bytes[])[] {
  const time = String(until);
  return [
    ["RENAME", key, other],
    ["RENAMENX", key, other],
    ["COPY", key, other, "REPLACE"],
    ["COPY", other, key, "REPLACE"],
    ["PEXPIREAT", key, time],
    ["PEXPIREAT", key, time, "GT"],
    ["PERSIST", key],
    ["DEL", key],
  ];
}

type Choices = (random: Random, keys: LargeKeys) => readonly (readonly Bytes[])[];

const COMMANDS: Readonly<Record<CellType, Choices>> = {
  string: (random, { key, other, until }) => [
    ["SET", key, String(below(random, 100))],
    ["SET", key, "5", "KEEPTTL"],
    ["SET", key, "7", "PXAT", String(until)],
    ["GETEX", key, "PXAT", String(until)],
    ["GETEX", key, "PERSIST"],
    ["GETDEL", key],
    ["APPEND", key, "1"],
    ["SETRANGE", key, "3", "4"],
    ["INCR", key],
    ["INCRBYFLOAT", key, "0.5"],
    ["MSET", key, "1", other, "2"],
  ],
  hash: (random, { key }) => [
    ["HSET", key, ...many(random, (name) => [name, String(below(random, 10))])],
    ["HSET", key, ...many(random, (name) => [name, name])],
    ["HDEL", key, ...many(random, (name) => [name])],
    ["HINCRBY", key, nameOf(random), "3"],
    ["HINCRBYFLOAT", key, nameOf(random), "0.25"],
  ],
  set: (random, { key, other }) => [
    ["SADD", key, ...many(random, (name) => [name])],
    ["SADD", key, ...many(random, (name) => [name])],
    ["SREM", key, ...many(random, (name) => [name])],
    ["SPOP", key, String(below(random, ELEMENTS_MAX))],
    ["SMOVE", key, other, nameOf(random)],
    ["SINTERSTORE", key, key, other],
    ["SUNIONSTORE", key, key, other],
    ["SDIFFSTORE", key, key, other],
  ],
  zset: (random, { key }) => [
    ["ZADD", key, ...many(random, (name) => [String(below(random, 50)), name])],
    ["ZADD", key, "GT", ...many(random, (name) => [String(below(random, 50)), name])],
    ["ZADD", key, "INCR", "1.5", nameOf(random)],
    ["ZREM", key, ...many(random, (name) => [name])],
    ["ZPOPMIN", key, String(below(random, ELEMENTS_MAX))],
  ],
  list: (random, { key, other }) => [
    ["RPUSH", key, ...many(random, (name) => [name])],
    ["LPUSH", key, ...many(random, (name) => [name])],
    ["LINSERT", key, "BEFORE", nameOf(random), "b"],
    ["LINSERT", key, "AFTER", nameOf(random), "a"],
    ["LTRIM", key, String(below(random, 100)), String(-1 - below(random, 100))],
    ["LPOP", key, String(below(random, ELEMENTS_MAX))],
    ["LMOVE", key, other, "LEFT", "RIGHT"],
    ["LREM", key, "0", nameOf(random)],
  ],
};

function nameOf(random: Random): Bytes {
  return `m${below(random, NAMES)}`;
}

function many(random: Random, words: (name: Bytes) => readonly Bytes[]): readonly Bytes[] {
  const count = 1 + below(random, ELEMENTS_MAX);
  return Array.from({ length: count }, () => words(nameOf(random))).flat();
}
