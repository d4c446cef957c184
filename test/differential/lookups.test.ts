/** What counts as a hit and as a miss of the keyspace, by a real redis-server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LOOKUP_COMMANDS, LOOKUP_SETUP } from "../support/lookup-commands.ts";
import { type RedisServer, redisServerMissing, startRedisServer } from "../support/redis-server.ts";
import { plain } from "../support/resp.ts";

const skip = redisServerMissing() ?? false;

async function lookupsOf(server: RedisServer): Promise<[hits: number, misses: number]> {
  const text = String(plain(await server.run("INFO", "stats")));
  const field = (name: string) => Number(new RegExp(`${name}:([0-9]+)`).exec(text)?.[1]);
  return [field("keyspace_hits"), field("keyspace_misses")];
}

test("Redis counts the hits and misses that ours are compared with", { skip }, async () => {
  const server = await startRedisServer();
  try {
    for (const line of LOOKUP_SETUP) await server.run(...line.split(" "));
    for (const [line, hits, misses] of LOOKUP_COMMANDS) {
      const [hitsBefore, missesBefore] = await lookupsOf(server);
      const reply = await server.run(...line.split(" "));
      if (!/^GET .*h$/.test(line)) assert.notEqual(reply.kind, "error", line);
      const [hitsAfter, missesAfter] = await lookupsOf(server);
      assert.deepEqual([hitsAfter - hitsBefore, missesAfter - missesBefore], [hits, misses], line);
    }
  } finally {
    await server.stop();
  }
});
