/**
 * ioredis 5 and 6 and the slot map: discovery, keys of every partition, several slots at once, a
 * stale map; and what a connection carries: database, name, prefix, the facts of INFO.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  keyOfEachPartition,
  movedCount,
  serverOf,
  TEST_TIMEOUT_MS,
  tagged,
  ways,
} from "./fleet.ts";
import { newClient, openClient, setups, sharedClient, versions } from "./ioredis.ts";

const limit = { timeout: TEST_TIMEOUT_MS };
const CROSSSLOT = /^CROSSSLOT Keys in request don't hash to the same slot/;

for (const setup of setups) {
  const { name, way } = setup;
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
    await client.mset(key("a"), 1, key("b"), 2);
    assert.deepEqual(await client.mget(key("b"), key("a")), ["2", "1"]);
    assert.equal(await client.del(key("a"), key("b"), key("c")), 2);
  });

  test(`INFO says what a client looks for: ${name}`, limit, async () => {
    const client = await sharedClient(setup);
    const facts = new Map<string, string>();
    for (const line of (await client.info()).split("\r\n")) {
      const [field, value] = line.split(/:(.*)/);
      if (field !== undefined && value !== undefined) facts.set(field, value);
    }
    assert.equal(facts.get("loading"), "0");
    assert.equal(facts.get("redis_version"), "7.2.4");
    assert.equal(facts.get("role"), "master");
    assert.match(await client.client("INFO"), /^id=\d+ addr=127\.0\.0\.1:\d+ .*lib-name=ioredis/);
  });

  if (way.entry === "alone") continue;

  test(`every worker is found as a node: ${name}`, limit, async () => {
    const client = await sharedClient(setup);
    const server = await serverOf(way.workers);
    assert.ok("nodes" in client);
    const ports = client.nodes("master").map(({ options }) => options.port);
    assert.deepEqual(ports.sort(), [...server.directPorts].sort());
    assert.deepEqual(client.nodes("slave"), []);
    assert.match(await client.cluster("INFO"), /cluster_state:ok\r\n/);
  });

  test(`keys of two slots at once are CROSSSLOT: ${name}`, limit, async () => {
    const client = await sharedClient(setup);
    // Two slots of one worker: ioredis itself refuses to send to two nodes.
    const [first = "", second = ""] = keyOfEachPartition(`cross ${name}`);
    await assert.rejects(client.mset(first, 1, second, 2), { message: CROSSSLOT });
    await assert.rejects(client.rename(first, second), { message: CROSSSLOT });
    assert.equal(await client.exists(first), 0);
  });

  if (way.workers === 1) continue;

  test(`a wrong slot map is repaired by MOVED, unseen: ${name}`, limit, async () => {
    const client = await openClient(setup);
    assert.ok("slots" in client);
    const { slots } = client as unknown as { slots: string[][] };
    const owners = [...new Set(slots.flat())];
    for (const [slot, [owner]] of slots.entries()) {
      const next = owners[(owners.indexOf(owner ?? "") + 1) % owners.length];
      slots[slot] = [next ?? ""];
    }
    const keys = keyOfEachPartition(`moved ${name}`);
    const before = await movedCount(way.workers);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const repaired = await movedCount(way.workers);
    assert.ok(repaired > before, "a wrong node says MOVED");
    assert.deepEqual(await Promise.all(keys.map((key) => client.get(key))), keys);
    assert.equal(await movedCount(way.workers), repaired);
    client.disconnect();
  });
}

for (const version of versions) {
  for (const way of ways.filter(({ entry }) => entry === "alone")) {
    const name = `${version.name} ${way.name}`;
    test(`the gateway takes keys of several slots at once: ${name}`, limit, async () => {
      const client = await openClient({ version, way, name });
      const keys = keyOfEachPartition(`several ${name}`);
      await client.mset(Object.fromEntries(keys.map((key) => [key, key])));
      assert.deepEqual(await client.mget(keys), keys);
      const [first = "", second = "", third = ""] = keys;
      const last = keys.at(-1) ?? "";
      await client.rename(first, last);
      assert.equal(await client.get(last), first);
      assert.equal(await client.exists(keys), keys.length - 1);
      const done = await client.multi().set(second, "1").set(last, "2").get(third).exec();
      assert.deepEqual(done, [
        [null, "OK"],
        [null, "OK"],
        [null, third],
      ]);
      assert.deepEqual(await client.mget(second, last), ["1", "2"]);
      assert.equal(await client.del(keys), keys.length - 1);
    });

    test(`a database, a name and a prefix go with the connection: ${name}`, limit, async () => {
      const { port } = await serverOf(way.workers);
      const first = newClient(version, port, false, { db: 3, connectionName: "third" });
      await first.set(`db ${name}`, "3");
      assert.equal(await first.client("GETNAME"), "third");
      const zero = newClient(version, port, false, { keyPrefix: "db " });
      assert.equal(await zero.get(name), null);
      await zero.select(3);
      assert.equal(await zero.get(name), "3");
    });
  }
}
