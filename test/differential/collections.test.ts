/**
 * Random commands on lists, sets, hashes and sorted sets, against a real redis-server: the same
 * replies, type and all, but for the order where Redis promises none.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { below, seeded } from "../../runtime/base/prng.ts";
import { commandOf, KEYS, shape } from "../support/collection-commands.ts";
import { type RedisServer, redisServerMissing, startRedisServer } from "../support/redis-server.ts";
import type { Reply } from "../support/resp.ts";
import { TestPartitions } from "../support/test-partitions.ts";

type Args = readonly (string | Buffer)[];

const skip = redisServerMissing() ?? false;
const COMMANDS = 1500;
const SEEDS = process.env.SEED === undefined ? [1, 2, 3] : [Number(process.env.SEED)];

let server: RedisServer;

before(async () => {
  if (skip === false) server = await startRedisServer();
});
after(async () => {
  if (skip === false) await server.stop();
});

/** Where Redis 7.2 differs from the 7.0 that may be installed, and we from both; with the source. */
const INTENDED: readonly {
  readonly command: Args;
  readonly reply: Reply;
  readonly source: string;
}[] = [
  {
    command: ["LPOS", "l", "a", "RANK", "-9223372036854775808"],
    reply: {
      kind: "error",
      text: "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    },
    source: "redis 7.2 t_list.c lposCommand: getRangeLongFromObjectOrReply",
  },
  {
    command: ["SSCAN", "s", "-1"],
    reply: { kind: "error", text: "ERR invalid cursor" },
    source: 'redis 7.2 db.c parseScanCursorOrReply; strtoul\'s signs and "" are no cursors here',
  },
  {
    command: ["ZADD", "z", "INCR", "-0", "m"],
    reply: { kind: "bulk", bytes: Buffer.from("0") },
    source: "ours: -0 and 0 are one score (runtime/causality/score.ts)",
  },
  {
    command: ["SRANDMEMBER", "s", "-4000000"],
    reply: { kind: "error", text: "ERR value is out of range" },
    source: "ours: RANDOM_PICKS_MAX; Redis answers until its memory is full",
  },
];

/** How many, and of which kind: what two random picks have in common. */
function outline(reply: Reply): string {
  if (reply.kind !== "array" && reply.kind !== "set") {
    return reply.kind === "error" ? reply.text : reply.kind;
  }
  return `${reply.kind}[${reply.items.map(outline).join()}]`;
}

function membersOf(reply: Reply): Buffer[] {
  if (reply.kind === "bulk") return [reply.bytes];
  return reply.kind === "array" || reply.kind === "set" ? reply.items.flatMap(membersOf) : [];
}

/** Runs one command on both; what ours popped at random is removed from the other. */
async function compare(ours: TestPartitions, args: Buffer[]): Promise<void> {
  const name = String(args[0]);
  const said = args.map((arg) => JSON.stringify(arg.toString("latin1"))).join(" ");
  const mine = ours.run(...args);
  if (name === "SPOP" && mine.kind !== "error" && membersOf(mine).length > 0) {
    const removed = await server.run("SREM", args[1] as Buffer, ...membersOf(mine));
    assert.deepEqual(removed, { kind: "integer", value: BigInt(membersOf(mine).length) }, said);
    return;
  }
  const theirs = await server.run(...args);
  if (name === "SRANDMEMBER" || name === "HRANDFIELD") {
    assert.equal(outline(mine), outline(theirs), said);
    return;
  }
  assert.equal(shape(name, mine), shape(name, theirs), said);
}

for (const protocol of [2, 3] as const) {
  for (const seed of SEEDS) {
    test(`random commands reply as Redis does, RESP${protocol}, seed ${seed}`, {
      skip,
    }, async () => {
      await server.run("HELLO", String(protocol));
      await server.run("FLUSHALL");
      const random = seeded(seed);
      const ours = new TestPartitions(seed);
      ours.protocol = protocol;
      for (let i = 0; i < COMMANDS; i++) await compare(ours, commandOf(random));
      ours.assertReplays(
        ...KEYS.flatMap((key): Args[] => {
          const type = ours.read("TYPE", key);
          if (type === "list") return [["LRANGE", key, "0", "-1"]];
          if (type === "set") return [["SMEMBERS", key]];
          if (type === "hash") return [["HGETALL", key]];
          return type === "zset" ? [["ZRANGE", key, "0", "-1", "WITHSCORES"]] : [["GET", key]];
        }),
      );
    });
  }
}

test("a field that is counted up and down in cents shows what Redis shows", { skip }, async () => {
  await server.run("HELLO", "2");
  await server.run("FLUSHALL");
  const random = seeded(SEEDS[0] as number);
  const ours = new TestPartitions();
  let cents = 0;
  for (let i = 0; i < 1000; i++) {
    // Towards zero: from 128 on Redis's 80 bits have no 17 decimals to show.
    const step = (below(random, 2000) + 1) * (cents > 0 ? -1 : 1);
    cents += step;
    const command = ["HINCRBYFLOAT", "h", "f", String(step / 100)];
    const said = command.join(" ");
    assert.deepEqual(ours.run(...command), await server.run(...command), said);
    assert.deepEqual(ours.run("HGET", "h", "f"), await server.run("HGET", "h", "f"), said);
  }
  ours.assertReplays(["HGET", "h", "f"]);
});

for (const { command, reply, source } of INTENDED) {
  test(`an intended difference stays: ${command.join(" ")} (${source})`, { skip }, () => {
    const ours = new TestPartitions();
    ours.run("RPUSH", "l", "a");
    ours.run("SADD", "s", "a");
    assert.deepEqual(ours.run(...command), reply);
  });
}
