/**
 * node-redis 5 and 6, RESP2 and RESP3: the commands of every type, by every way, as node-redis shows
 * their replies.
 *
 * Invariant: each test has a hash tag of its own, so that its keys share a slot and tests share servers.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_TIMEOUT_MS, tagged } from "./fleet.ts";
import { type Client, setups, sharedClient } from "./node-redis.ts";

type Key = (name: string) => string;

async function strings(client: Client, key: Key): Promise<void> {
  const name = key("text");
  assert.equal(await client.set(name, "hello"), "OK");
  assert.equal(await client.get(name), "hello");
  assert.equal(await client.get(key("none")), null);
  assert.equal(await client.set(name, "other", { condition: "NX" }), null);
  assert.equal(await client.set(name, "hallo", { condition: "XX", GET: true }), "hello");
  assert.equal(await client.append(name, " welt"), 10);
  assert.equal(await client.strLen(name), 10);
  assert.equal(await client.getRange(name, 0, 4), "hallo");
  assert.equal(await client.setRange(name, 6, "WELT"), 10);
  assert.equal(await client.getSet(name, "new"), "hallo WELT");
  assert.equal(await client.getDel(name), "new");
  assert.equal(await client.mSet({ [key("a")]: "1", [key("b")]: "2" }), "OK");
  assert.deepEqual(await client.mGet([key("a"), key("none"), key("b")]), ["1", null, "2"]);
  assert.equal(await client.mSetNX({ [key("a")]: "4", [key("d")]: "5" }), 0);
  assert.equal(await client.setNX(key("d"), "5"), 1);
  assert.equal(await client.setEx(key("d"), 100, "6"), "OK");
  assert.equal(await client.setBit(key("bits"), 7, 1), 0);
  assert.equal(await client.getBit(key("bits"), 7), 1);
  assert.equal(await client.bitCount(key("bits")), 1);
}

async function numbers(client: Client, key: Key): Promise<void> {
  const name = key("count");
  assert.equal(await client.incr(name), 1);
  assert.equal(await client.incrBy(name, 41), 42);
  assert.equal(await client.decr(name), 41);
  assert.equal(await client.decrBy(name, 40), 1);
  assert.equal(await client.incrByFloat(name, 1.5), "2.5");
  await client.set(name, "9223372036854775807");
  await assert.rejects(client.incr(name), { message: /ERR increment or decrement would overflow/ });
  await client.set(name, "word");
  await assert.rejects(client.incr(name), {
    message: "ERR value is not an integer or out of range",
  });
}

async function keys(client: Client, key: Key): Promise<void> {
  const [name, other] = [key("name"), key("other")];
  await client.set(name, "value", { expiration: { type: "EX", value: 100 } });
  assert.ok((await client.ttl(name)) > 90);
  assert.ok((await client.pTTL(name)) > 90_000);
  assert.equal(await client.persist(name), 1);
  assert.equal(await client.ttl(name), -1);
  assert.equal(await client.expire(name, 1000), 1);
  assert.equal(await client.expire(name, 10, "GT"), 0);
  assert.equal(await client.pExpireAt(name, 4_102_444_800_000), 1);
  assert.equal(await client.expireTime(name), 4_102_444_800);
  assert.equal(await client.pExpireTime(name), 4_102_444_800_000);
  assert.equal(await client.getEx(name, { type: "PERSIST" }), "value");
  assert.equal(await client.type(name), "string");
  assert.equal(await client.exists([name, name, other]), 2);
  assert.equal(await client.rename(name, other), "OK");
  assert.equal(await client.copy(other, name), 1);
  assert.equal(await client.renameNX(other, name), 0);
  assert.equal(await client.touch([name, other]), 2);
  assert.equal(await client.objectEncoding(name), "embstr");
  assert.equal(await client.unlink(name), 1);
  assert.equal(await client.del([other, name]), 1);
  await client.pSetEx(name, 1, "gone soon");
  await until(async () => (await client.get(name)) === null);
  assert.equal(await client.ttl(name), -2);
}

/** Asks again until it is so; each question is a round trip. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}

async function lists(client: Client, key: Key): Promise<void> {
  const [name, other] = [key("list"), key("other")];
  assert.equal(await client.rPush(name, ["b", "c", "d"]), 3);
  assert.equal(await client.lPush(name, "a"), 4);
  assert.equal(await client.lPushX(other, "x"), 0);
  assert.deepEqual(await client.lRange(name, 0, -1), ["a", "b", "c", "d"]);
  assert.equal(await client.lLen(name), 4);
  assert.equal(await client.lIndex(name, -1), "d");
  assert.equal(await client.lSet(name, 1, "B"), "OK");
  assert.equal(await client.lInsert(name, "BEFORE", "B", "ab"), 5);
  assert.equal(await client.lPos(name, "B"), 2);
  assert.equal(await client.lRem(name, 0, "ab"), 1);
  assert.equal(await client.lPop(name), "a");
  assert.deepEqual(await client.rPopCount(name, 2), ["d", "c"]);
  assert.equal(await client.lMove(name, other, "LEFT", "RIGHT"), "B");
  assert.equal(await client.rPopLPush(other, name), "B");
  await client.rPush(name, ["C", "D"]);
  assert.equal(await client.lTrim(name, 0, 1), "OK");
  const popped = await client.lmPop([other, name], "LEFT", { COUNT: 5 });
  assert.deepEqual(popped, [name, ["B", "C"]]);
  assert.equal(await client.lPop(name), null);
}

async function sets(client: Client, key: Key): Promise<void> {
  const [name, other] = [key("set"), key("other")];
  assert.equal(await client.sAdd(name, ["a", "b", "c", "a"]), 3);
  assert.equal(await client.sCard(name), 3);
  assert.equal(await client.sIsMember(name, "a"), 1);
  assert.deepEqual(await client.smIsMember(name, ["a", "x"]), [1, 0]);
  assert.deepEqual([...(await client.sMembers(name))].sort(), ["a", "b", "c"]);
  assert.equal(await client.sAdd(other, ["c", "d"]), 2);
  assert.deepEqual([...(await client.sInter([name, other]))], ["c"]);
  assert.equal(await client.sInterCard([name, other]), 1);
  assert.equal([...(await client.sUnion([name, other]))].length, 4);
  assert.deepEqual([...(await client.sDiff([name, other]))].sort(), ["a", "b"]);
  assert.equal(await client.sDiffStore(key("kept"), [name, other]), 2);
  assert.equal(await client.sInterStore(key("kept"), [name, other]), 1);
  assert.equal(await client.sUnionStore(key("kept"), [name, other]), 4);
  assert.equal(await client.sMove(name, other, "a"), 1);
  assert.equal(await client.sRem(name, "b"), 1);
  assert.equal(await client.sRandMember(name), "c");
  assert.deepEqual(await client.sRandMemberCount(name, -2), ["c", "c"]);
  assert.equal(await client.sPop(name), "c");
  assert.equal(await client.sPop(name), null);
  assert.equal([...(await client.sPopCount(other, 5))].length, 3);
}

async function hashes(client: Client, key: Key): Promise<void> {
  const name = key("hash");
  assert.equal(await client.hSet(name, { a: "1", b: "2" }), 2);
  assert.equal(await client.hSet(name, "c", 3), 1);
  assert.equal(await client.hSet(name, new Map([["d", "4"]])), 1);
  assert.equal(await client.hGet(name, "a"), "1");
  assert.equal(await client.hGet(name, "x"), null);
  assert.deepEqual(await client.hmGet(name, ["a", "x"]), ["1", null]);
  assert.deepEqual({ ...(await client.hGetAll(name)) }, { a: "1", b: "2", c: "3", d: "4" });
  assert.deepEqual({ ...(await client.hGetAll(key("none"))) }, {});
  assert.equal(await client.hExists(name, "a"), 1);
  assert.equal(await client.hLen(name), 4);
  assert.equal(await client.hStrLen(name, "a"), 1);
  assert.deepEqual((await client.hKeys(name)).sort(), ["a", "b", "c", "d"]);
  assert.deepEqual((await client.hVals(name)).sort(), ["1", "2", "3", "4"]);
  assert.equal(await client.hIncrBy(name, "a", 9), 10);
  assert.equal(await client.hIncrByFloat(name, "a", 0.5), "10.5");
  assert.equal(await client.hSetNX(name, "a", "no"), 0);
  assert.equal(await client.hDel(name, ["a", "b", "x"]), 2);
  assert.equal((await client.hRandFieldCount(name, 5)).length, 2);
  const pairs = await client.hRandFieldCountWithValues(name, 5);
  assert.deepEqual(pairs.map(({ field, value }) => `${field}${value}`).sort(), ["c3", "d4"]);
}

async function sortedSets(client: Client, key: Key): Promise<void> {
  const name = key("sorted");
  const members = [
    { score: 1, value: "a" },
    { score: 2.5, value: "b" },
    { score: Number.POSITIVE_INFINITY, value: "c" },
  ];
  assert.equal(await client.zAdd(name, members), 3);
  const changed = await client.zAdd(name, { score: 2, value: "b" }, { condition: "XX", CH: true });
  assert.equal(changed, 1);
  assert.equal(await client.zCard(name), 3);
  assert.equal(await client.zScore(name, "b"), 2);
  assert.equal(await client.zScore(name, "x"), null);
  assert.deepEqual(await client.zRange(name, 0, -1), ["a", "b", "c"]);
  assert.deepEqual(await client.zRange(name, 0, 0, { REV: true }), ["c"]);
  const scored = await client.zRangeWithScores(name, 1, 2);
  assert.deepEqual(
    scored.map(({ value, score }) => [value, score]),
    [
      ["b", 2],
      ["c", Number.POSITIVE_INFINITY],
    ],
  );
  const popped = await client.zPopMin(name);
  assert.deepEqual([popped?.value, popped?.score], ["a", 1]);
  assert.deepEqual((await client.zPopMinCount(name, 9)).length, 2);
  assert.equal(await client.zPopMin(name), null);
  assert.equal(await client.zRem(name, ["b", "x"]), 0);
}

const TYPES = { strings, numbers, keys, lists, sets, hashes, sortedSets };

for (const setup of setups) {
  for (const [type, run] of Object.entries(TYPES)) {
    test(`${type} answer ${setup.name}`, { timeout: TEST_TIMEOUT_MS }, async () => {
      await run(await sharedClient(setup), tagged(`${type} ${setup.name}`));
    });
  }
}
