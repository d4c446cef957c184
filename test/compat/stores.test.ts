/**
 * What applications put on a client: sessions (connect-redis), caches (keyv, cache-manager), storage
 * (unstorage) and limits (rate-limiter-flexible without Lua), each alone and on a cluster client
 * where it takes one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import KeyvRedis from "@keyv/redis";
import { createCache } from "cache-manager";
import { RedisStore } from "connect-redis";
import { Keyv } from "keyv";
import { RateLimiterRedisNonAtomic, RateLimiterRes } from "rate-limiter-flexible";
import { createStorage } from "unstorage";
import redisDriver from "unstorage/drivers/redis";
import { atEnd, seedPort, TEST_TIMEOUT_MS, type Way, ways } from "./fleet.ts";
import * as ioredis from "./ioredis.ts";
import * as nodeRedis from "./node-redis.ts";

const limit = { timeout: TEST_TIMEOUT_MS };
const HOST = "127.0.0.1";

/** A session as express-session hands it to its store. */
function sessionOf(user: string) {
  return { cookie: { originalMaxAge: 60_000 }, user } as never;
}

for (const setup of nodeRedis.setups) {
  test(`connect-redis keeps sessions: ${setup.name}`, limit, async () => {
    const client = await nodeRedis.sharedClient(setup);
    const prefix = `sess ${setup.name}:`;
    const store = new RedisStore({ client, prefix, ttl: 100, scanCount: 10 });
    const ids = Array.from({ length: 40 }, (_, i) => `id${i}`);
    await Promise.all(ids.map((id) => store.set(id, sessionOf(id))));
    assert.equal((await store.get("id7")).user, "id7");
    assert.ok((await client.ttl(`${prefix}id7`)) > 90);
    await store.touch("id7", sessionOf("id7"));
    assert.equal(await store.length(), ids.length);
    assert.deepEqual((await store.ids()).sort(), ids.toSorted());
    await store.destroy("id7");
    assert.equal(await store.get("id7"), null);
    // Over a cluster, all and clear send keys of many slots: version 6 splits them itself.
    if (nodeRedis.isCluster(client) && setup.version.name.includes("redis 5")) return;
    assert.equal((await store.all()).length, ids.length - 1);
    await store.clear();
    assert.equal(await store.length(), 0);
  });

  test(`rate-limiter-flexible counts without Lua: ${setup.name}`, limit, async () => {
    const storeClient = await nodeRedis.sharedClient(setup);
    await limits(storeClient, { prefix: `limit ${setup.name}`, useRedisPackage: true });
  });
}

for (const setup of ioredis.setups) {
  test(`rate-limiter-flexible counts without Lua: ${setup.name}`, limit, async () => {
    const storeClient = await ioredis.sharedClient(setup);
    await limits(storeClient, { prefix: `limit ${setup.name}`, useRedisPackage: false });
  });
}

interface LimitOptions {
  readonly prefix: string;
  readonly useRedisPackage: boolean;
}

async function limits(storeClient: unknown, { prefix, useRedisPackage }: LimitOptions) {
  const limiter = new RateLimiterRedisNonAtomic({
    storeClient,
    keyPrefix: prefix,
    points: 3,
    duration: 60,
    useRedisPackage,
  });
  for (const left of [2, 1, 0]) assert.equal((await limiter.consume("user")).remainingPoints, left);
  await assert.rejects(limiter.consume("user"), (refusal) => {
    assert.ok(refusal instanceof RateLimiterRes);
    return refusal.consumedPoints === 4 && refusal.msBeforeNext > 50_000;
  });
  assert.equal((await limiter.get("user"))?.consumedPoints, 4);
  await limiter.block("user", 100);
  assert.ok(((await limiter.get("user"))?.msBeforeNext ?? 0) > 90_000);
  assert.equal(await limiter.delete("user"), true);
  assert.equal(await limiter.get("user"), null);
}

/** keyv's store by a way, on the client that it brings. */
async function keyvStore(way: Way): Promise<KeyvRedis<unknown>> {
  const socket = { host: HOST, port: await seedPort(way) };
  const store = new KeyvRedis<unknown>(
    way.entry === "alone" ? { socket } : { rootNodes: [{ socket }] },
  );
  atEnd(() => store.disconnect(true));
  return store;
}

for (const way of ways) {
  test(`keyv keeps values ${way.name}`, limit, async () => {
    const keyv = new Keyv<unknown>({ store: await keyvStore(way), namespace: `keyv ${way.name}` });
    keyv.on("error", (error) => assert.fail(String(error)));
    assert.equal(await keyv.set("a", { n: 1 }), true);
    assert.deepEqual(await keyv.get("a"), { n: 1 });
    assert.equal(await keyv.set("soon", "gone", 1), true);
    while ((await keyv.get("soon")) !== undefined);
    const entries = Array.from({ length: 50 }, (_, i) => ({ key: `k${i}`, value: i, ttl: 60_000 }));
    await keyv.setMany(entries);
    const names = entries.map(({ key }) => key);
    assert.deepEqual(await keyv.getMany(names), [...names.keys()]);
    assert.deepEqual(await keyv.hasMany(["k1", "none"]), [true, false]);
    assert.equal(await keyv.has("k1"), true);
    assert.equal(await keyv.deleteMany(["k1", "k2"]), true);
    assert.equal(await keyv.delete("k3"), true);
    const found: string[] = [];
    for await (const [key] of keyv.iterator?.({}) ?? []) found.push(key);
    assert.deepEqual(found.sort(), ["a", ...names.filter((name) => !/^k[123]$/.test(name))].sort());
    await keyv.clear();
    assert.equal(await keyv.get("a"), undefined);
  });

  test(`cache-manager wraps and expires ${way.name}`, limit, async () => {
    const keyv = new Keyv({ store: await keyvStore(way), namespace: `cache ${way.name}` });
    const cache = createCache({ stores: [keyv], ttl: 60_000 });
    let made = 0;
    const make = async () => ++made;
    assert.deepEqual([await cache.wrap("a", make), await cache.wrap("a", make)], [1, 1]);
    await cache.mset([
      { key: "b", value: "2" },
      { key: "c", value: "3", ttl: 1 },
    ]);
    while ((await cache.get("c")) !== undefined);
    assert.deepEqual(await cache.mget(["a", "b", "c"]), [1, "2", undefined]);
    assert.ok(((await cache.ttl("b")) ?? 0) > 0);
    await cache.mdel(["a", "b"]);
    assert.equal(await cache.get("a"), undefined);
    await cache.clear();
  });

  test(`unstorage keeps items ${way.name}`, limit, async () => {
    const port = await seedPort(way);
    const where =
      way.entry === "alone" ? { host: HOST, port } : { cluster: [{ host: HOST, port }] };
    const driver = redisDriver({ ...where, base: `un ${way.name}`, scanCount: 50 });
    const storage = createStorage({ driver });
    atEnd(() => storage.dispose());
    await storage.setItem("users:1", { name: "Ada" });
    await storage.setItem("users:2", "plain", { ttl: 100 });
    await storage.setItemRaw("users:3", "raw");
    assert.deepEqual(await storage.getItem("users:1"), { name: "Ada" });
    assert.equal(await storage.hasItem("users:2"), true);
    await storage.removeItem("users:3");
    assert.equal(await storage.getItem("users:3"), null);
    // Over a cluster the driver scans one node only, and reads many keys at once: alone it is whole.
    if (way.entry !== "alone") return;
    assert.equal((await storage.getItems(["users:1", "users:2"])).length, 2);
    assert.deepEqual((await storage.getKeys("users")).sort(), ["users:1", "users:2"]);
    await storage.clear();
    assert.deepEqual(await storage.getKeys(), []);
  });
}
