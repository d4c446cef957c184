/**
 * ioredis 5 and 6: the commands of every type, by every way, as ioredis shows their replies.
 *
 * Invariant: each test has a hash tag of its own, so that its keys share a slot and tests share servers.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_TIMEOUT_MS, tagged } from "./fleet.ts";
import { type Client, setups, sharedClient } from "./ioredis.ts";

type Key = (name: string) => string;

async function strings(client: Client, key: Key): Promise<void> {
  const name = key("text");
  assert.equal(await client.set(name, "hello"), "OK");
  assert.equal(await client.get(name), "hello");
  assert.equal(await client.get(key("none")), null);
  assert.equal(await client.set(name, "other", "NX"), null);
  assert.equal(await client.set(name, "hallo", "XX", "GET"), "hello");
  assert.equal(await client.append(name, " welt"), 10);
  assert.equal(await client.strlen(name), 10);
  assert.equal(await client.getrange(name, 0, 4), "hallo");
  assert.equal(await client.setrange(name, 6, "WELT"), 10);
  assert.equal(await client.getset(name, "new"), "hallo WELT");
  assert.equal(await client.getdel(name), "new");
  assert.equal(await client.mset(key("a"), "1", key("b"), "2"), "OK");
  assert.deepEqual(await client.mget(key("a"), key("none"), key("b")), ["1", null, "2"]);
  assert.equal(await client.mset({ [key("c")]: "3" }), "OK");
  assert.equal(await client.msetnx(key("c"), "4", key("d"), "5"), 0);
  assert.equal(await client.setnx(key("d"), "5"), 1);
  assert.equal(await client.setbit(key("bits"), 7, 1), 0);
  assert.equal(await client.getbit(key("bits"), 7), 1);
  assert.equal(await client.bitcount(key("bits")), 1);
}

async function numbers(client: Client, key: Key): Promise<void> {
  const name = key("count");
  assert.equal(await client.incr(name), 1);
  assert.equal(await client.incrby(name, 41), 42);
  assert.equal(await client.decr(name), 41);
  assert.equal(await client.decrby(name, 40), 1);
  assert.equal(await client.incrbyfloat(name, 1.5), "2.5");
  await client.set(name, "9223372036854775807");
  await assert.rejects(client.incr(name), { message: /ERR increment or decrement would overflow/ });
  await client.set(name, "word");
  await assert.rejects(client.incr(name), {
    name: "ReplyError",
    message: "ERR value is not an integer or out of range",
  });
}

async function keys(client: Client, key: Key): Promise<void> {
  const [name, other] = [key("name"), key("other")];
  await client.set(name, "value", "EX", 100);
  assert.ok((await client.ttl(name)) > 90);
  assert.ok((await client.pttl(name)) > 90_000);
  assert.equal(await client.persist(name), 1);
  assert.equal(await client.ttl(name), -1);
  assert.equal(await client.expire(name, 1000), 1);
  assert.equal(await client.expire(name, 10, "GT"), 0);
  assert.equal(await client.pexpireat(name, 4_102_444_800_000), 1);
  assert.equal(await client.expiretime(name), 4_102_444_800);
  assert.equal(await client.pexpiretime(name), 4_102_444_800_000);
  assert.equal(await client.getex(name, "PERSIST"), "value");
  assert.equal(await client.type(name), "string");
  assert.equal(await client.exists(name, name, other), 2);
  assert.equal(await client.rename(name, other), "OK");
  assert.equal(await client.copy(other, name), 1);
  assert.equal(await client.renamenx(other, name), 0);
  assert.equal(await client.touch(name, other), 2);
  assert.equal(await client.object("ENCODING", name), "embstr");
  assert.equal(await client.unlink(name), 1);
  assert.equal(await client.del(other, name), 1);
  await client.psetex(name, 1, "gone soon");
  await until(async () => (await client.get(name)) === null);
  assert.equal(await client.ttl(name), -2);
}

/** Asks again until it is so; each question is a round trip. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}

async function lists(client: Client, key: Key): Promise<void> {
  const [name, other] = [key("list"), key("other")];
  assert.equal(await client.rpush(name, "b", "c", "d"), 3);
  assert.equal(await client.lpush(name, "a"), 4);
  assert.equal(await client.lpushx(other, "x"), 0);
  assert.deepEqual(await client.lrange(name, 0, -1), ["a", "b", "c", "d"]);
  assert.equal(await client.llen(name), 4);
  assert.equal(await client.lindex(name, -1), "d");
  assert.equal(await client.lset(name, 1, "B"), "OK");
  assert.equal(await client.linsert(name, "BEFORE", "B", "ab"), 5);
  assert.equal(await client.lpos(name, "B"), 2);
  assert.equal(await client.lrem(name, 0, "ab"), 1);
  assert.equal(await client.lpop(name), "a");
  assert.deepEqual(await client.rpop(name, 2), ["d", "c"]);
  assert.equal(await client.lmove(name, other, "LEFT", "RIGHT"), "B");
  assert.equal(await client.rpoplpush(other, name), "B");
  await client.rpush(name, "C", "D");
  assert.equal(await client.ltrim(name, 0, 1), "OK");
  assert.deepEqual(await client.lmpop(2, other, name, "LEFT", "COUNT", 5), [name, ["B", "C"]]);
  assert.equal(await client.lpop(name), null);
}

async function sets(client: Client, key: Key): Promise<void> {
  const [name, other] = [key("set"), key("other")];
  assert.equal(await client.sadd(name, "a", "b", "c", "a"), 3);
  assert.equal(await client.scard(name), 3);
  assert.equal(await client.sismember(name, "a"), 1);
  assert.deepEqual(await client.smismember(name, "a", "x"), [1, 0]);
  assert.deepEqual((await client.smembers(name)).sort(), ["a", "b", "c"]);
  assert.equal(await client.sadd(other, "c", "d"), 2);
  assert.deepEqual(await client.sinter(name, other), ["c"]);
  assert.equal(await client.sintercard(2, name, other), 1);
  assert.equal((await client.sunion(name, other)).length, 4);
  assert.deepEqual((await client.sdiff(name, other)).sort(), ["a", "b"]);
  assert.equal(await client.sdiffstore(key("kept"), name, other), 2);
  assert.equal(await client.sinterstore(key("kept"), name, other), 1);
  assert.equal(await client.sunionstore(key("kept"), name, other), 4);
  assert.equal(await client.smove(name, other, "a"), 1);
  assert.equal(await client.srem(name, "b"), 1);
  assert.equal(await client.srandmember(name), "c");
  assert.deepEqual(await client.srandmember(name, -2), ["c", "c"]);
  assert.equal(await client.spop(name), "c");
  assert.equal(await client.spop(name), null);
  assert.equal((await client.spop(other, 5)).length, 3);
}

async function hashes(client: Client, key: Key): Promise<void> {
  const name = key("hash");
  assert.equal(await client.hset(name, { a: "1", b: "2" }), 2);
  assert.equal(await client.hset(name, "c", 3), 1);
  assert.equal(await client.hmset(name, { d: "4" }), "OK");
  assert.equal(await client.hget(name, "a"), "1");
  assert.deepEqual(await client.hmget(name, "a", "x"), ["1", null]);
  assert.deepEqual({ ...(await client.hgetall(name)) }, { a: "1", b: "2", c: "3", d: "4" });
  assert.deepEqual({ ...(await client.hgetall(key("none"))) }, {});
  assert.equal(await client.hexists(name, "a"), 1);
  assert.equal(await client.hlen(name), 4);
  assert.equal(await client.hstrlen(name, "a"), 1);
  assert.deepEqual((await client.hkeys(name)).sort(), ["a", "b", "c", "d"]);
  assert.deepEqual((await client.hvals(name)).sort(), ["1", "2", "3", "4"]);
  assert.equal(await client.hincrby(name, "a", 9), 10);
  assert.equal(await client.hincrbyfloat(name, "a", 0.5), "10.5");
  assert.equal(await client.hsetnx(name, "a", "no"), 0);
  assert.equal(await client.hdel(name, "a", "b", "x"), 2);
  assert.equal(((await client.hrandfield(name, 5)) as string[]).length, 2);
  assert.equal(((await client.hrandfield(name, 5, "WITHVALUES")) as string[]).flat().length, 4);
}

async function sortedSets(client: Client, key: Key): Promise<void> {
  const name = key("sorted");
  assert.equal(await client.zadd(name, 1, "a", 2.5, "b", 3, "c"), 3);
  assert.equal(await client.zadd(name, "XX", "CH", 2, "b"), 1);
  assert.equal(await client.zcard(name), 3);
  assert.equal(await client.zscore(name, "b"), "2");
  assert.deepEqual(await client.zrange(name, 0, -1), ["a", "b", "c"]);
  assert.deepEqual(await client.zrange(name, 0, 0, "REV"), ["c"]);
  const scored = await client.zrange(name, 0, 1, "WITHSCORES");
  assert.deepEqual(scored.flat(), ["a", "1", "b", "2"]);
  assert.deepEqual((await client.zpopmin(name)).flat(), ["a", "1"]);
  assert.equal(await client.zrem(name, "b", "x"), 1);
}

const TYPES = { strings, numbers, keys, lists, sets, hashes, sortedSets };

for (const setup of setups) {
  for (const [type, run] of Object.entries(TYPES)) {
    test(`${type} answer ${setup.name}`, { timeout: TEST_TIMEOUT_MS }, async () => {
      await run(await sharedClient(setup), tagged(`${type} ${setup.name}`));
    });
  }
}
