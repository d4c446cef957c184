/**
 * Random commands of several clients, in pipelines and transactions, against a real redis-server: a
 * server of one worker thread and of three replies what Redis replies.
 *
 *   SEED=7 node --test test/differential/wire.test.ts
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import { commandOf, KEYS, pick, shape, VALUES } from "../support/collection-commands.ts";
import { redisServerMissing, startRedisServer } from "../support/redis-server.ts";
import { plain, type Reply } from "../support/resp.ts";
import { startServer } from "../support/server.ts";
import type { TestClient } from "../support/test-client.ts";

const skip = redisServerMissing() ?? false;
const SEED = Number(process.env.SEED ?? 1);
const STEPS = 500;
const CLIENTS = 3;
/** Commands of one write. */
const PIPELINE_MAX = 5;
/** Their replies are drawn by chance. */
const RANDOM = new Set(["SPOP", "SRANDMEMBER", "HRANDFIELD"]);

type Line = readonly (string | Buffer)[];

/** One client of both servers, and what is open on its connections. */
interface Pair {
  readonly ours: TestClient;
  readonly theirs: TestClient;
  /** Names of the commands in the open transaction; null: none is open. */
  queued: string[] | null;
}

/** Commands of sessions and of many keys. */
const MAKERS: readonly ((random: Random) => Line)[] = [
  () => ["MULTI"],
  () => ["MULTI"],
  () => ["EXEC"],
  () => ["EXEC"],
  () => ["EXEC"],
  () => ["EXEC", "now"],
  () => ["DISCARD"],
  (r) => ["WATCH", pick(r, KEYS), pick(r, KEYS)],
  () => ["UNWATCH"],
  (r) => ["SELECT", pick(r, ["0", "0", "0", "1", "x", "99"])],
  (r) => ["PING", pick(r, VALUES)],
  (r) => ["CLIENT", "SETNAME", pick(r, ["a", "b", "with space"])],
  () => ["CLIENT", "GETNAME"],
  () => ["CLIENT", "NOSUCH"],
  () => ["NOSUCH"],
  () => ["GET"],
  (r) => ["GET", pick(r, KEYS)],
  (r) => ["SET", pick(r, KEYS), pick(r, VALUES), pick(r, ["NX", "XX", "KEEPTTL", "GET", "EX"])],
  (r) => ["INCR", pick(r, KEYS)],
  (r) => ["MGET", ...KEYS, pick(r, KEYS)],
  (r) => ["MSET", pick(r, KEYS), pick(r, VALUES), pick(r, KEYS), pick(r, VALUES)],
  (r) => ["MSET", pick(r, KEYS), pick(r, VALUES), pick(r, KEYS)],
  (r) => ["MSETNX", pick(r, KEYS), pick(r, VALUES), pick(r, KEYS), pick(r, VALUES)],
  (r) => ["DEL", pick(r, KEYS), pick(r, KEYS), pick(r, KEYS)],
  (r) => ["EXISTS", pick(r, KEYS), pick(r, KEYS), pick(r, KEYS)],
  (r) => ["RENAME", pick(r, KEYS), pick(r, KEYS)],
  (r) => ["RENAMENX", pick(r, KEYS), pick(r, KEYS)],
  (r) => ["COPY", pick(r, KEYS), pick(r, KEYS), ...(below(r, 2) === 0 ? ["REPLACE"] : [])],
];

/** Commands about all keys: over several workers EXEC refuses them before some others. */
const ABOUT_ALL: readonly Line[] = [["DBSIZE"], ["KEYS", "*"], ["FLUSHDB"], ["FLUSHALL"]];

function lineOf(random: Random, mayLook: boolean): Line {
  const choice = below(random, 10);
  if (choice < 6) return commandOf(random, RANDOM);
  const isLook = mayLook && below(random, 12) === 0;
  if (isLook) return ABOUT_ALL[below(random, ABOUT_ALL.length)] as Line;
  return (MAKERS[below(random, MAKERS.length)] as (r: Random) => Line)(random);
}

/** A text that is equal where Redis holds replies for equal. */
function shapeOf(pair: Pair, line: Line, reply: Reply): string {
  const name = String(line[0]).toUpperCase();
  if (name === "KEYS") return shape("SMEMBERS", reply);
  if (name !== "EXEC" || reply.kind !== "array" || pair.queued === null) return shape(name, reply);
  const { queued } = pair;
  const items = reply.items.map((item, i) => {
    return shapeOf({ ...pair, queued: null }, [queued[i] ?? ""], item);
  });
  return `EXEC[${items.join()}]`;
}

/** What is open after a command was replied to. */
function follow(pair: Pair, line: Line, reply: Reply): void {
  const name = String(line[0]).toUpperCase();
  if (name === "MULTI") pair.queued ??= [];
  else if (name === "EXEC" || name === "DISCARD") pair.queued = null;
  else if (plain(reply) === "QUEUED") pair.queued?.push(name);
}

async function compare(pair: Pair, lines: readonly Line[], history: string[]): Promise<void> {
  pair.ours.send(...lines);
  pair.theirs.send(...lines);
  for (const line of lines) {
    const [mine, theirs] = [await pair.ours.next(), await pair.theirs.next()];
    history.push(line.map((word) => JSON.stringify(word.toString("latin1" as never))).join(" "));
    const message = history.slice(-40).join("\n");
    assert.equal(shapeOf(pair, line, mine), shapeOf(pair, line, theirs), message);
    follow(pair, line, theirs);
  }
}

for (const workers of [1, 3]) {
  for (const protocol of ["2", "3"]) {
    test(`clients of ${workers} workers are replied to as Redis does, RESP${protocol}, seed ${SEED}`, {
      skip,
    }, async () => {
      const redis = await startRedisServer();
      try {
        await using server = await startServer({ workers });
        const pairs: Pair[] = [];
        for (let i = 0; i < CLIENTS; i++) {
          const pair = {
            ours: await server.connect(),
            theirs: await redis.connect(),
            queued: null,
          };
          for (const client of [pair.ours, pair.theirs]) await client.call("HELLO", protocol);
          pairs.push(pair);
        }
        const random = seeded(SEED);
        const history: string[] = [];
        for (let step = 0; step < STEPS; step++) {
          const at = below(random, CLIENTS);
          const pair = pairs[at] as Pair;
          const mayLook = workers === 1 || pair.queued === null;
          const count = 1 + below(random, PIPELINE_MAX);
          const lines = Array.from({ length: count }, () => lineOf(random, mayLook && count === 1));
          history.push(`-- client ${at}`);
          await compare(pair, lines, history);
        }
        for (const { theirs } of pairs) theirs.destroy();
      } finally {
        await redis.stop();
      }
    });
  }
}
