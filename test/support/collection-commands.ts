/**
 * Random commands on lists, sets, hashes and sorted sets, and which replies to them are equal: for
 * comparisons with a real redis-server.
 */
import { below, type Random } from "../../runtime/base/prng.ts";
import type { Reply } from "./resp.ts";

/** Some of one slot, some of any. */
export const KEYS = ["{t}1", "{t}2", "x", "y", "z"];
const NAMES = ["a", "b", "c", "d", "e", "f", "", "\xff\x00\r\n", "10", "A"];
export const VALUES = [
  "1",
  "2",
  "-3",
  "10",
  "a",
  "b",
  "",
  "01",
  " 1",
  "1.5",
  "9223372036854775807",
  "\xfe",
];
const INDEXES = ["0", "1", "2", "3", "-1", "-2", "-3", "100", "-100", "x", ""];
const COUNTS = ["0", "1", "2", "3", "100", "-1", "x"];
const SCORES = ["0", "1", "2", "2.5", "-1.5", "inf", "-inf", "x", "nan", "1e3", ""];
const STEPS = ["1", "-1", "5", "9223372036854775807", "-9223372036854775808", "x", "0", "1.0"];
const FLOAT_FIELDS = ["float1", "float2"];
const FLOATS = ["0.1", "-0.1", "3.05", "-7.35", "0.5", "2e1", "0x1p1", "x", "inf", "nan"];
const SCORE_BOUNDS = ["-inf", "+inf", "0", "1", "(1", "2", "(2", "x", "(", "", " 1", "2.5"];
const MEMBER_BOUNDS = ["-", "+", "[a", "(a", "[c", "(c", "[", "(", "x", ""];

/** Draws arguments: a list of choices gives one of them; a function, what it returns. */
type Part = string | readonly string[] | ((r: Random) => readonly string[]);

/** One of them. */
export function pick(random: Random, from: readonly string[]): string {
  return from[below(random, from.length)] as string;
}

/** One to three draws, mostly one. */
function some(from: readonly string[]): (r: Random) => readonly string[] {
  return (r) => Array.from({ length: Math.max(1, below(r, 5) - 1) }, () => pick(r, from));
}

function pairs(a: readonly string[], b: readonly string[]): (r: Random) => readonly string[] {
  return (r) => some(a)(r).flatMap((first) => [first, pick(r, b)]);
}

function maybe(...parts: readonly Part[]): (r: Random) => readonly string[] {
  return (r) => (below(r, 3) === 0 ? parts.flatMap((part) => draw(r, part)) : []);
}

function draw(random: Random, part: Part): readonly string[] {
  if (typeof part === "string") return [part];
  return typeof part === "function" ? part(random) : [pick(random, part)];
}

function numKeys(random: Random): readonly string[] {
  const keys = some(KEYS)(random);
  const count = below(random, 8) === 0 ? pick(random, COUNTS) : String(keys.length);
  return [count, ...keys];
}

const ENDS = ["LEFT", "right", "LEFT", "RIGHT", "x"];
const ZADD_OPTIONS = ["NX", "XX", "GT", "LT", "CH", "INCR", "ch"];

const GRAMMAR: readonly (readonly Part[])[] = [
  ["LPUSH", KEYS, some(VALUES)],
  ["RPUSH", KEYS, some(VALUES)],
  ["RPUSH", KEYS, some(NAMES)],
  ["LPUSHX", KEYS, some(VALUES)],
  ["RPUSHX", KEYS, some(VALUES)],
  ["LPOP", KEYS, maybe(COUNTS)],
  ["RPOP", KEYS, maybe(COUNTS)],
  ["LLEN", KEYS],
  ["LRANGE", KEYS, INDEXES, INDEXES],
  ["LINDEX", KEYS, INDEXES],
  ["LSET", KEYS, INDEXES, VALUES],
  ["LREM", KEYS, ["0", "1", "-1", "2", "-2", "x"], VALUES],
  ["LTRIM", KEYS, INDEXES, INDEXES],
  ["LINSERT", KEYS, ["BEFORE", "after", "x"], VALUES, VALUES],
  [
    "LPOS",
    KEYS,
    VALUES,
    maybe("RANK", ["1", "2", "-1", "-2", "0", "x"]),
    maybe("COUNT", COUNTS),
    maybe("MAXLEN", COUNTS),
  ],
  ["LPOS", KEYS, VALUES, maybe(["RANK", "COUNT", "x"])],
  ["LMOVE", KEYS, KEYS, ENDS, ENDS],
  ["RPOPLPUSH", KEYS, KEYS],
  ["LMPOP", numKeys, ENDS, maybe("COUNT", COUNTS)],
  ["SADD", KEYS, some(NAMES)],
  ["SADD", KEYS, some(NAMES)],
  ["SREM", KEYS, some(NAMES)],
  ["SMEMBERS", KEYS],
  ["SISMEMBER", KEYS, NAMES],
  ["SMISMEMBER", KEYS, some(NAMES)],
  ["SCARD", KEYS],
  ["SPOP", KEYS, maybe(COUNTS)],
  ["SRANDMEMBER", KEYS, maybe(["0", "1", "2", "-3", "100", "x", "-9223372036854775808"])],
  ["SMOVE", KEYS, KEYS, NAMES],
  [
    "SSCAN",
    KEYS,
    ["0", "0", "x", "18446744073709551616"],
    "COUNT",
    ["1000", "1000", "0", "x"],
    maybe("MATCH", ["*", "[a-c]", "?", "x"]),
  ],
  ["SINTER", some(KEYS)],
  ["SUNION", some(KEYS)],
  ["SDIFF", some(KEYS)],
  ["SINTERSTORE", KEYS, some(KEYS)],
  ["SUNIONSTORE", KEYS, some(KEYS)],
  ["SDIFFSTORE", KEYS, some(KEYS)],
  ["SINTERCARD", numKeys, maybe("LIMIT", COUNTS)],
  ["HSET", KEYS, pairs(NAMES, VALUES)],
  ["HSET", KEYS, some(NAMES), some(VALUES)],
  ["HMSET", KEYS, pairs(NAMES, VALUES)],
  ["HGET", KEYS, NAMES],
  ["HMGET", KEYS, some(NAMES)],
  ["HGETALL", KEYS],
  ["HDEL", KEYS, some(NAMES)],
  ["HEXISTS", KEYS, NAMES],
  ["HLEN", KEYS],
  ["HKEYS", KEYS],
  ["HVALS", KEYS],
  ["HSTRLEN", KEYS, NAMES],
  ["HINCRBY", KEYS, NAMES, STEPS],
  // Its own fields: where a number is large Redis shows 17 decimals of its 80 bits, we of our 64.
  ["HINCRBYFLOAT", KEYS, FLOAT_FIELDS, FLOATS],
  ["HINCRBY", KEYS, FLOAT_FIELDS, ["1", "-7"]],
  ["HSET", KEYS, FLOAT_FIELDS, ["1", "19.99", "-3", "0x10", "x", "inf"]],
  ["HSETNX", KEYS, NAMES, VALUES],
  ["HSCAN", KEYS, ["0", "0", "x"], "COUNT", ["1000", "0"], maybe("MATCH", ["*", "[a-c]", "x"])],
  ["HRANDFIELD", KEYS, maybe(["0", "1", "2", "-3", "100", "x"], maybe(["WITHVALUES", "x"]))],
  ["ZADD", KEYS, maybe(ZADD_OPTIONS), maybe(ZADD_OPTIONS), pairs(SCORES, NAMES)],
  ["ZADD", KEYS, some(ZADD_OPTIONS), SCORES, NAMES],
  ["ZADD", KEYS, some(SCORES), some(NAMES)],
  ["ZADD", KEYS, ["1", "2", "3"], NAMES],
  ["ZPOPMIN", KEYS, maybe(COUNTS)],
  ["ZSCORE", KEYS, NAMES],
  ["ZCARD", KEYS],
  ["ZREM", KEYS, some(NAMES)],
  ["ZRANGE", KEYS, INDEXES, INDEXES, maybe("WITHSCORES"), maybe("REV")],
  [
    "ZRANGE",
    KEYS,
    SCORE_BOUNDS,
    SCORE_BOUNDS,
    "BYSCORE",
    maybe("REV"),
    maybe("WITHSCORES"),
    maybe("LIMIT", INDEXES, INDEXES),
  ],
  [
    "ZRANGE",
    "z",
    MEMBER_BOUNDS,
    MEMBER_BOUNDS,
    "BYLEX",
    maybe("REV"),
    maybe("LIMIT", INDEXES, INDEXES),
    maybe("WITHSCORES"),
  ],
  ["ZRANGE", KEYS, "0", "-1", maybe(["LIMIT", "BYSCORE", "BYLEX", "x"])],
  ["DEL", KEYS],
  ["PEXPIREAT", KEYS, ["1", "99999999999999"]],
  ["PERSIST", KEYS],
  ["SET", KEYS, VALUES],
  ["TYPE", KEYS],
  ["EXISTS", KEYS],
  ["PEXPIRETIME", KEYS],
];

/** A random command, none of those named. */
export function commandOf(random: Random, without: ReadonlySet<string> = NONE): Buffer[] {
  let rule: readonly Part[];
  do rule = GRAMMAR[below(random, GRAMMAR.length)] as readonly Part[];
  while (without.has(String(rule[0])));
  return rule.flatMap((part) => draw(random, part)).map((arg) => Buffer.from(arg, "latin1"));
}

const NONE: ReadonlySet<string> = new Set();
const UNORDERED = new Set(["SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS"]);

/** A text that is equal for replies that Redis holds for equal. */
export function shape(name: string, reply: Reply): string {
  if (reply.kind === "array" || reply.kind === "set") {
    const items = reply.items.map((item) => shape("", item));
    if (name === "SSCAN") return `${items[0]} ${shape("SMEMBERS", reply.items[1] as Reply)}`;
    if (name === "HSCAN") return `${items[0]} ${shape("HGETALL", reply.items[1] as Reply)}`;
    if (name === "HGETALL") {
      const fields = items.flatMap((field, i) => (i % 2 === 0 ? [`${field} ${items[i + 1]}`] : []));
      return `${reply.kind} ${fields.sort().join()}`;
    }
    return `${reply.kind}[${(UNORDERED.has(name) ? items.sort() : items).join()}]`;
  }
  if (reply.kind === "map") {
    const entries = reply.entries.map(([k, v]) => `${shape("", k)} ${shape("", v)}`);
    return `map ${entries.sort().join()}`;
  }
  if (reply.kind === "bulk") return JSON.stringify(reply.bytes.toString("latin1"));
  return JSON.stringify(reply, (_, value) => (typeof value === "bigint" ? String(value) : value));
}
