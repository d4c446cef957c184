/**
 * Random commands on strings and keys of every type, against a real redis-server. Both must reply
 * the same, but for a named table of intended differences.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../actors/command-table.ts";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import { assertSameReplies, type CommandLine, type Difference } from "../support/differential.ts";
import { redisServerMissing, startRedisServer } from "../support/redis-server.ts";
import type { Reply } from "../support/resp.ts";
import { plain } from "../support/resp.ts";
import { TestPartitions } from "../support/test-partitions.ts";

const skip = redisServerMissing() ?? false;
const SEED = Number(process.env.SEED ?? 1);
const ROUNDS = 4;
const COMMANDS = 2500;
/** Both sides know relative times only to within the duration of the test. */
const TIME_SLACK_MS = 30_000;

const is = (args: CommandLine, ...names: string[]) => names.includes(String(args[0]).toUpperCase());

const DIFFERENCES: readonly Difference[] = [
  {
    name: "time passes while the test runs",
    source: "the test's own clock stands still",
    applies(args, ours, theirs) {
      if (!is(args, "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME")) return false;
      if (ours.kind !== "integer" || theirs.kind !== "integer") return false;
      const slack = is(args, "TTL", "EXPIRETIME") ? TIME_SLACK_MS / 1000 : TIME_SLACK_MS;
      return ours.value > 0 && Math.abs(Number(ours.value - theirs.value)) <= slack;
    },
  },
  {
    name: "no expiry after the year 287396",
    source: "ops hold times below 2^53: EXPIRY_AT_MAX",
    applies(args, ours, theirs) {
      if (!is(args, "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME")) return false;
      if (ours.kind !== "integer" || theirs.kind !== "integer") return false;
      const unit = is(args, "TTL", "EXPIRETIME") ? 1000n : 1n;
      return ours.value * unit > 9_000_000_000_000_000n / 2n && theirs.value > ours.value;
    },
  },
  {
    name: "floats of 64 bits, not 80",
    source: "design 4.5: the same bits on every replica; sums print as the nearest double does",
    applies(args, ours, theirs) {
      if (!is(args, "INCRBYFLOAT")) return false;
      const [a, b] = [Number(plain(ours)), Number(plain(theirs))];
      if (ours.kind === "error") return !Number.isFinite(b);
      return Math.abs(a - b) <= 1e-12 * Math.max(1, Math.abs(b));
    },
  },
  {
    name: "an encoding follows from the value, not from its history",
    source: "nothing is kept in Redis's encodings here: APPEND leaves no trace",
    applies: (args, ours, theirs) =>
      is(args, "OBJECT") &&
      ["int", "embstr", "raw"].includes(String(plain(ours))) &&
      ["embstr", "raw"].includes(String(plain(theirs))),
  },
  {
    name: "small lists are listpacks",
    source: "Redis 7.2 release notes: listpack encoding for small lists",
    applies: (args, ours, theirs) =>
      is(args, "OBJECT") && plain(ours) === "listpack" && plain(theirs) === "quicklist",
  },
  {
    name: "small sets are listpacks",
    source: "Redis 7.2 release notes: listpack encoding for small sets",
    applies: (args, ours, theirs) =>
      is(args, "OBJECT") &&
      ["listpack", "intset"].includes(String(plain(ours))) &&
      plain(theirs) === "hashtable",
  },
  {
    name: "BITCOUNT checks its arguments before the key",
    source: "https://github.com/redis/redis/pull/11734 (7.2)",
    applies: (args, ours, theirs) =>
      is(args, "BITCOUNT") && ours.kind === "error" && ["integer", "error"].includes(theirs.kind),
  },
];

/** After a difference in floats, both hold what Redis says. */
function resync(args: CommandLine, theirs: Reply): CommandLine | undefined {
  if (!is(args, "INCRBYFLOAT") || theirs.kind !== "bulk") return undefined;
  return ["SET", args[1] ?? "", theirs.bytes, "KEEPTTL"];
}

const KEYS = ["a", "b", "c", "d", "{a}1", "{a}2", "key:5", "\xff\x00\r\n", ""];
const BINARY = Buffer.from([0, 255, 13, 10, 195, 40, 0]);
const VALUES = [
  "",
  "0",
  "1",
  "-1",
  "10",
  "abc",
  "01",
  "+1",
  "-0",
  " 1",
  "1 ",
  "1.0",
  "0x10",
  "10.5",
  "3.0e3",
  "9007199254740993",
  "9223372036854775807",
  "-9223372036854775808",
  "9223372036854775808",
  "9223372036854775806",
  "1e17",
  "inf",
  "nan",
  "foobar",
  "x".repeat(44),
  "y".repeat(45),
  "z".repeat(700),
  BINARY,
]; // prettier-ignore
const INTEGERS = [
  "0",
  "1",
  "-1",
  "2",
  "5",
  "-7",
  "100",
  "9223372036854775807",
  "-9223372036854775808",
  "9223372036854775808",
  "-9223372036854775807",
  "9007199254740993",
  "abc",
  "",
  "1.5",
  "01",
]; // prettier-ignore
const FLOATS = ["0.1", "-0.1", "1", "5e3", "1.5", "-2.25", "1e-3", "abc", "nan", "inf", "", "1e17"];
const OFFSETS = ["0", "1", "3", "7", "8", "20", "-1", "-3", "-100", "100", "4294967295", "x"];
const BITS = ["0", "1", "2", "-1", "x"];
const BAD_SECONDS = ["0", "-1", "x", "9223372036854775807"];
const UNIX = ["4102444800", "4102448400", "1", "0", "-5", "x", "9223372036854775807"];
const MS_OF = (seconds: string) => (/^[0-9]{4,10}$/.test(seconds) ? `${seconds}000` : seconds);

/** Draws commands. */
class Source {
  readonly #random: Random;
  readonly #known: CommandLine[] = [];
  #times = 0;

  constructor(seed: number) {
    this.#random = seeded(seed);
    const table = new CommandTable();
    for (const args of [
      ["RPUSH", "k", "x", "y", "3"],
      ["SADD", "k", "1", "2"],
      ["SADD", "k", "m", "n"],
      ["HSET", "k", "f", "v", "g", "w"],
      ["ZADD", "k", "1", "m", "2.5", "n"],
      ["LRANGE", "k", "0", "-1"],
      ["SMEMBERS", "k"],
      ["HGETALL", "k"],
      ["ZRANGE", "k", "0", "-1", "WITHSCORES"],
    ]) {
      // prettier-ignore
      if (table.findName((args[0] ?? "").toLowerCase()) !== undefined) this.#known.push(args);
    }
  }

  pick<T>(from: readonly T[]): T {
    return from[below(this.#random, from.length)] as T;
  }

  maybe(...words: (string | Buffer)[]): (string | Buffer)[] {
    return this.pick([true, false]) ? words : [];
  }

  key(): Buffer {
    return Buffer.from(this.pick(KEYS), "latin1");
  }

  command(): CommandLine {
    const args = this.pick(this.#makers)();
    const name = String(args[0]);
    return this.pick([0, 0, 0, 0, 0, 0, 0, 1]) === 1
      ? [name.toLowerCase(), ...args.slice(1)]
      : args;
  }

  /** Mostly a good time, and none twice: only one side's clock moves between two commands. */
  #seconds(): string {
    if (this.pick([0, 0, 1]) === 1) return this.pick(BAD_SECONDS);
    return String(1000 + 100 * ((this.#times++ * 7919) % 100_003));
  }

  #expiry(): (string | Buffer)[] {
    return this.pick([
      () => [],
      () => ["EX", this.#seconds()],
      () => ["PX", MS_OF(this.#seconds())],
      () => ["EXAT", this.pick(UNIX)],
      () => ["PXAT", MS_OF(this.pick(UNIX))],
      () => ["KEEPTTL"],
      () => ["PERSIST"],
      () => ["ex"],
    ])();
  }

  readonly #makers: readonly (() => CommandLine)[] = [
    () => ["SET", this.key(), this.pick(VALUES)],
    () => ["SET", this.key(), this.pick(VALUES)],
    () => [
      "SET",
      this.key(),
      this.pick(VALUES),
      ...this.maybe("GET"),
      ...this.#expiry(),
      ...this.maybe(this.pick(["NX", "XX", "nx", "what"])),
      ...this.maybe(this.pick(["XX", "EX"])),
    ], // prettier-ignore
    () => ["SET", this.key(), this.pick(VALUES), ...this.#expiry()],
    () => ["GET", this.key()],
    () => ["GET", this.key()],
    () => ["GETSET", this.key(), this.pick(VALUES)],
    () => ["GETDEL", this.key()],
    () => ["GETEX", this.key(), ...this.#expiry(), ...this.#expiry()],
    () => ["SETNX", this.key(), this.pick(VALUES)],
    () => ["SETEX", this.key(), this.#seconds(), this.pick(VALUES)],
    () => ["PSETEX", this.key(), MS_OF(this.#seconds()), this.pick(VALUES)],
    () => ["MGET", this.key(), this.key(), this.key()],
    () => ["MSET", this.key(), this.pick(VALUES), this.key(), this.pick(VALUES)],
    () => ["MSET", this.key(), this.pick(VALUES), this.key()],
    () => ["MSETNX", this.key(), this.pick(VALUES), this.key(), this.pick(VALUES)],
    () => ["APPEND", this.key(), this.pick(VALUES)],
    () => ["STRLEN", this.key()],
    () => ["GETRANGE", this.key(), this.pick(OFFSETS), this.pick(OFFSETS)],
    () => ["SUBSTR", this.key(), this.pick(INTEGERS), this.pick(INTEGERS)],
    () => ["SETRANGE", this.key(), this.pick(OFFSETS.slice(0, 10)), this.pick(VALUES)],
    () => ["SETRANGE", this.key(), this.pick(["536870912", "9223372036854775807"]), "v"],
    () => ["INCR", this.key()],
    () => ["INCR", this.key()],
    () => ["DECR", this.key()],
    () => ["INCRBY", this.key(), this.pick(INTEGERS)],
    () => ["INCRBY", this.key(), this.pick(INTEGERS)],
    () => ["DECRBY", this.key(), this.pick(INTEGERS)],
    () => ["INCRBYFLOAT", this.key(), this.pick(FLOATS)],
    () => ["INCRBYFLOAT", this.key(), this.pick(FLOATS)],
    () => ["SETBIT", this.key(), this.pick(OFFSETS.slice(0, 8)), this.pick(BITS)],
    () => ["GETBIT", this.key(), this.pick(OFFSETS)],
    () => ["BITCOUNT", this.key()],
    () => ["BITCOUNT", this.key(), this.pick(OFFSETS), this.pick(OFFSETS)],
    () => [
      "BITCOUNT",
      this.key(),
      this.pick(OFFSETS),
      this.pick(OFFSETS),
      this.pick(["BYTE", "BIT", "bit", "x"]),
    ], // prettier-ignore
    () => ["BITCOUNT", this.key(), "1"],
    () => ["DEL", this.key(), this.key()],
    () => ["UNLINK", this.key()],
    () => ["EXISTS", this.key(), this.key(), this.key()],
    () => ["TOUCH", this.key(), this.key()],
    () => ["TYPE", this.key()],
    () => ["EXPIRE", this.key(), this.#seconds(), ...this.#conditions()],
    () => ["PEXPIRE", this.key(), MS_OF(this.#seconds()), ...this.#conditions()],
    () => ["EXPIREAT", this.key(), this.pick(UNIX), ...this.#conditions()],
    () => ["PEXPIREAT", this.key(), MS_OF(this.pick(UNIX)), ...this.#conditions()],
    () => [this.pick(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]), this.key()],
    () => [this.pick(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]), this.key()],
    () => ["PERSIST", this.key()],
    () => ["RENAME", this.key(), this.key()],
    () => ["RENAMENX", this.key(), this.key()],
    () => ["COPY", this.key(), this.key(), ...this.maybe("REPLACE"), ...this.maybe("DB", "0")],
    () => ["COPY", this.key(), this.key(), this.pick(["what", "DB"])],
    () => ["OBJECT", "ENCODING", this.key()],
    () => ["OBJECT", this.pick(["FREQ", "IDLETIME", "what", "ENCODING"]), "no such key"],
    () => [this.pick(["GET", "SET", "INCRBY", "EXPIRE", "RENAME", "TTL"])],
    () => this.#ofOtherType(),
    () => this.#ofOtherType(),
    () => this.#ofOtherType(),
  ];

  #conditions(): string[] {
    return [
      this.pick([[], [], ["NX"], ["XX"], ["GT"], ["lt"], ["XX", "GT"], ["NX", "LT"], ["?"]]),
    ].flat();
  }

  #ofOtherType(): CommandLine {
    if (this.#known.length === 0) return ["PERSIST", this.key()];
    const [name = "", , ...rest] = this.pick(this.#known);
    return [name, this.key(), ...rest];
  }
}

for (const protocol of [2, 3] as const) {
  test(`strings, numbers, bits and keys reply as redis-server does in RESP${protocol}`, {
    skip,
  }, async (t) => {
    const server = await startRedisServer();
    t.after(() => server.stop());
    await server.run("HELLO", String(protocol));
    for (let round = 0; round < ROUNDS; round++) {
      const seed = SEED * 1000 + round * 10 + protocol;
      const source = new Source(seed);
      const partitions = new TestPartitions(seed);
      partitions.clock.advance(Date.now() - partitions.clock.now());
      partitions.protocol = protocol;
      await server.run("FLUSHALL");
      const commands = Array.from({ length: COMMANDS }, () => source.command());
      const describe = `SEED=${SEED} round ${round}`;
      await assertSameReplies(server, partitions, commands, {
        differences: DIFFERENCES,
        resync,
        describe,
      });
      const reads = KEYS.flatMap((key) => {
        const bytes = Buffer.from(key, "latin1");
        return [
          ["TYPE", bytes],
          ["GET", bytes],
          ["PEXPIRETIME", bytes],
          ["STRLEN", bytes],
        ];
      });
      partitions.assertReplays(...reads);
    }
    assert.ok(true);
  });
}
