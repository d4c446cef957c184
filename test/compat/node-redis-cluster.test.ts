/**
 * node-redis 5 and 6 and the slot map: discovery, keys of every partition, several slots at once, a
 * stale map; and what a connection carries: database, name, the facts of INFO and CLIENT INFO, pools.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClientPool } from "redis5";
import { keyOfEachPartition, movedCount, serverOf, TEST_TIMEOUT_MS, tagged } from "./fleet.ts";
import { isCluster, openClient, openSingle, setups, sharedClient } from "./node-redis.ts";

const limit = { timeout: TEST_TIMEOUT_MS };
const CROSSSLOT = /^CROSSSLOT Keys in request don't hash to the same slot/;

for (const setup of setups) {
  const { name, way, version } = setup;
  test(`keys of every partition are written and read: ${name}`, limit, async () => {
    const client = await sharedClient(setup);
    const keys = keyOfEachPartition(`every ${name}`);
    await Promise.all(keys.map((key, i) => client.set(key, i)));
    const values = await Promise.all(keys.map((key) => client.get(key)));
    assert.deepEqual(values, Array.from(keys.keys(), String));
  });

  test(`a hash tag keeps keys together: ${name}`, limit, async () => {
    const client = await sharedClient(setup);
    const key = tagged(`together ${name}`);
    await client.mSet([key("a"), "1", key("b"), "2"]);
    assert.deepEqual(await client.mGet([key("b"), key("a")]), ["2", "1"]);
    assert.equal(await client.del([key("a"), key("b"), key("c")]), 2);
  });

  if (way.entry !== "alone") {
    test(`every worker is found as a node: ${name}`, limit, async () => {
      const client = await sharedClient(setup);
      const server = await serverOf(way.workers);
      assert.ok(isCluster(client));
      const ports = client.masters.map(({ port }) => port);
      assert.deepEqual(ports.sort(), [...server.directPorts].sort());
      assert.deepEqual(client.replicas, []);
      assert.ok(Array.from({ length: 16384 }).every((_, slot) => client.slots[slot] !== undefined));
    });

    test(`keys of two slots at once are CROSSSLOT: ${name}`, limit, async () => {
      const client = await sharedClient(setup);
      const [first = "", second = ""] = keyOfEachPartition(`cross ${name}`);
      await client.set(first, "1");
      // Version 6 itself splits MSET, MGET and DEL over slots.
      await assert.rejects(client.rename(first, second), { message: CROSSSLOT });
      await assert.rejects(client.sInter([first, second]), { message: CROSSSLOT });
      const multi = client.multi().set(first, "2").set(second, "2");
      await assert.rejects(multi.exec(), { message: CROSSSLOT });
      assert.equal(await client.get(first), "1");
    });
  }

  if (way.entry !== "alone" && way.workers > 1) {
    test(`a wrong slot map is repaired by MOVED, unseen: ${name}`, limit, async () => {
      const client = await openClient(setup);
      assert.ok(isCluster(client));
      const { slots } = client;
      const shards = [...new Set(slots)];
      for (const [slot, shard] of slots.entries()) {
        slots[slot] = shards[(shards.indexOf(shard) + 1) % shards.length] ?? shard;
      }
      const keys = keyOfEachPartition(`moved ${name}`);
      const before = await movedCount(way.workers);
      await Promise.all(keys.map((key) => client.set(key, key)));
      const repaired = await movedCount(way.workers);
      assert.ok(repaired > before, "a wrong node says MOVED");
      assert.deepEqual(await Promise.all(keys.map((key) => client.get(key))), keys);
      assert.equal(await movedCount(way.workers), repaired);
      client.destroy();
    });
  }

  if (way.entry !== "alone") continue;

  test(`the gateway takes keys of several slots at once: ${name}`, limit, async () => {
    const client = await sharedClient(setup);
    const keys = keyOfEachPartition(`several ${name}`);
    await client.mSet(Object.fromEntries(keys.map((key) => [key, key])));
    assert.deepEqual(await client.mGet(keys), keys);
    const [first = "", second = "", third = ""] = keys;
    const last = keys.at(-1) ?? "";
    await client.rename(first, last);
    assert.equal(await client.get(last), first);
    assert.equal(await client.exists(keys), keys.length - 1);
    const done = await client.multi().set(second, "1").set(last, "2").get(third).exec();
    assert.deepEqual(done, ["OK", "OK", third]);
    assert.deepEqual(await client.mGet([second, last]), ["1", "2"]);
    assert.equal(await client.del(keys), keys.length - 1);
  });

  test(`a database and a name go with the connection: ${name}`, limit, async () => {
    const { port } = await serverOf(way.workers);
    const third = await openSingle(version, port, { database: 3, name: "third" });
    await third.set(`db ${name}`, "3");
    assert.equal(await third.clientGetName(), "third");
    const info = await third.clientInfo();
    assert.deepEqual([info.name, info.db, info.libName], ["third", 3, "node-redis"]);
    assert.equal(info.id, await third.clientId());
    const zero = await openSingle(version, port);
    assert.equal(await zero.get(`db ${name}`), null);
    await zero.select(3);
    assert.equal(await zero.get(`db ${name}`), "3");
    const clients = await zero.clientList();
    assert.ok(clients.some(({ id }) => id === info.id));
    await zero.clientKill({ filter: "ID", id: info.id });
    assert.ok((await zero.clientList()).every(({ id }) => id !== info.id));
    third.destroy();
    zero.destroy();
  });

  test(`INFO says what a client looks for: ${name}`, limit, async () => {
    const client = await openSingle(version, (await serverOf(way.workers)).port);
    const info = await client.info();
    assert.match(info, /^loading:0\r$/m);
    assert.match(info, /^redis_version:7\.2\.4\r$/m);
    assert.match(info, /^role:master\r$/m);
    assert.deepEqual((await client.role())?.role, "master");
    assert.ok((await client.commandCount()) > 100);
    const [get] = await client.commandInfo(["get"]);
    assert.deepEqual([get?.name, get?.arity, get?.firstKeyIndex], ["get", 2, 1]);
    assert.deepEqual({ ...(await client.configGet("appendonly")) }, { appendonly: "yes" });
    client.destroy();
  });

  test(`a pool spreads commands over its connections: ${name}`, limit, async () => {
    const { port } = await serverOf(way.workers);
    const socket = { host: "127.0.0.1", port };
    const pool = createClientPool({ RESP: version.protocol, socket }, { minimum: 2, maximum: 4 });
    await pool.connect();
    const key = tagged(`pool ${name}`);
    await Promise.all(Array.from({ length: 100 }, () => pool.incr(key("count"))));
    const lock = await pool.execute(async (client) => {
      await client.watch(key("count"));
      return client.multi().incr(key("count")).exec();
    });
    assert.deepEqual(lock, [101]);
    await pool.close();
  });
}
