/**
 * node-redis 5 and 6, RESP2 and RESP3: pipelines, transactions, optimistic locks, scans, binary and
 * large values and errors, by every way.
 *
 * Invariant: each test has a hash tag of its own; what a test counts is under its tag alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RESP_TYPES } from "redis5";
import { slotOf } from "../../runtime/ring/slots.ts";
import { TEST_TIMEOUT_MS, tagged } from "./fleet.ts";
import {
  type Client,
  isCluster,
  openClient,
  type Setup,
  type Single,
  setups,
  sharedClient,
} from "./node-redis.ts";

const LARGE_BYTES = 8 * 2 ** 20;
const MANY = 300;

interface Subject {
  readonly client: Client;
  readonly setup: Setup;
  /** A key of the test, in the one slot of its keys. */
  readonly key: (name: string) => string;
}

/** The connection that serves a key: a cluster client's own, or the client itself. */
async function connectionOf(client: Client, key: string): Promise<Single> {
  if (!isCluster(client)) return client;
  const bytes = Buffer.from(key);
  const node = client.slots[slotOf(bytes, 0, bytes.length)]?.master;
  assert.ok(node !== undefined, "every slot has an owner");
  return client.nodeClient(node);
}

/** The connections to every node, or the one that a client is alone with. */
async function connectionsOf(client: Client): Promise<Single[]> {
  if (!isCluster(client)) return [client];
  return Promise.all(client.masters.map(async (node) => client.nodeClient(node)));
}

async function pipelines({ client, key }: Subject): Promise<void> {
  const names = Array.from({ length: MANY }, (_, i) => key(`p${i}`));
  await Promise.all(names.map((name, i) => client.set(name, i)));
  const values = await Promise.all(names.map((name) => client.get(name)));
  assert.deepEqual(values, Array.from(names.keys(), String));
  const [first = "", second = ""] = names;
  const multi = client.multi().get(first).incr(second).get(second);
  assert.deepEqual(await multi.execAsPipeline(), ["0", 2, "2"]);
}

async function transactions({ client, key }: Subject): Promise<void> {
  const done = await client
    .multi()
    .set(key("a"), "1")
    .incr(key("a"))
    .hSet(key("h"), "f", "v")
    .hGetAll(key("h"))
    .exec();
  assert.deepEqual(done.slice(0, 3), ["OK", 2, 1]);
  assert.deepEqual({ ...(done[3] as unknown as object) }, { f: "v" });
  const half = client.multi().incr(key("h")).incr(key("a")).exec();
  await assert.rejects(half, (error: Error & { replies?: unknown[] }) => {
    assert.equal(error.constructor.name, "MultiErrorReply");
    assert.match(String(error.replies?.[0]), /WRONGTYPE/);
    assert.equal(error.replies?.[1], 3);
    return true;
  });
  assert.equal(await client.get(key("a")), "3");
}

/** Adds one under WATCH until no one came between. */
async function addOne(client: Single, name: string): Promise<void> {
  for (;;) {
    await client.watch(name);
    const value = Number(await client.get(name));
    try {
      await client
        .multi()
        .set(name, value + 1)
        .exec();
      return;
    } catch (error) {
      assert.equal((error as Error).constructor.name, "WatchError");
    }
  }
}

async function optimisticLocks({ setup, key }: Subject): Promise<void> {
  const name = key("watched");
  const clients = await Promise.all([openClient(setup), openClient(setup)]);
  const [one, other] = await Promise.all(clients.map((client) => connectionOf(client, name)));
  assert.ok(one !== undefined && other !== undefined);
  await one.watch(name);
  await other.set(name, "0");
  await assert.rejects(one.multi().set(name, "lost").exec(), { message: /watched keys/ });
  const many = async (client: Single) => {
    for (let i = 0; i < 20; i++) await addOne(client, name);
  };
  await Promise.all([many(one), many(other)]);
  assert.equal(await one.get(name), "40");
  for (const client of clients) client.destroy();
}

async function collectionScans({ client, key }: Subject): Promise<void> {
  const names = Array.from({ length: MANY }, (_, i) => `m${i}`);
  await client.sAdd(key("set"), names);
  await client.hSet(key("hash"), Object.fromEntries(names.map((name) => [name, `${name}!`])));
  const connection = await connectionOf(client, key(""));
  const members = new Set<string>();
  for await (const part of connection.sScanIterator(key("set"), { COUNT: 50 })) {
    for (const member of part) members.add(member);
  }
  assert.deepEqual([...members].sort(), names.toSorted());
  const fields = new Map<string, string>();
  for await (const part of connection.hScanIterator(key("hash"), { MATCH: "m1*" })) {
    for (const { field, value } of part) fields.set(field, value);
  }
  assert.deepEqual([...fields.keys()].sort(), names.filter((name) => /^m1/.test(name)).sort());
  assert.equal(fields.get("m10"), "m10!");
}

async function keyScans({ client, setup }: Subject): Promise<void> {
  const prefix = `scan ${setup.name} `;
  const names = Array.from({ length: MANY }, (_, i) => `${prefix}${i}`);
  await Promise.all(names.map((name) => client.set(name, "1")));
  await client.sAdd(`${prefix}set`, "1");
  const found: string[] = [];
  for (const connection of await connectionsOf(client)) {
    const options = { MATCH: `${prefix}*`, TYPE: "string", COUNT: 100 } as const;
    for await (const part of connection.scanIterator(options)) found.push(...part);
  }
  assert.deepEqual(found.sort(), names.toSorted());
}

async function binaryValues({ client, key }: Subject): Promise<void> {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const name = Buffer.concat([Buffer.from(key("\0\r\n")), bytes]);
  const single = await connectionOf(client, key(""));
  const binary = single.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  await client.set(name, bytes);
  assert.deepEqual(await binary.get(name), bytes);
  await client.hSet(key("hash"), bytes, bytes);
  assert.deepEqual(await binary.hGet(key("hash"), bytes), bytes);
  await client.rPush(key("list"), [bytes, ""]);
  assert.deepEqual(await binary.lRange(key("list"), 0, -1), [bytes, Buffer.alloc(0)]);
  assert.equal(await client.set(key("text"), "żółw 🐢"), "OK");
  assert.equal(await client.get(key("text")), "żółw 🐢");
}

async function largeValues({ client, key }: Subject): Promise<void> {
  const value = Buffer.alloc(LARGE_BYTES, "0123456789abcdef");
  value.write("the end", LARGE_BYTES - 7);
  await client.set(key("large"), value);
  assert.equal(await client.strLen(key("large")), LARGE_BYTES);
  assert.ok((await client.get(key("large"))) === value.toString());
  assert.equal(await client.del(key("large")), 1);
}

async function errors({ client, key }: Subject): Promise<void> {
  await client.set(key("text"), "1");
  await assert.rejects(client.lPush(key("text"), "1"), (error: Error) => {
    assert.equal(error.constructor.name, "SimpleError");
    const text = "WRONGTYPE Operation against a key holding the wrong kind of value";
    assert.equal(error.message, text);
    return true;
  });
  const connection = await connectionOf(client, key("a"));
  await assert.rejects(connection.sendCommand(["NOSUCH", "a", "b"]), {
    message: "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ",
  });
  await assert.rejects(connection.sendCommand(["GET", "a", "b"]), {
    message: "ERR wrong number of arguments for 'get' command",
  });
  const wrong = client.set(key("a"), "b", { expiration: { type: "EX", value: 0 } });
  await assert.rejects(wrong, { message: "ERR invalid expire time in 'set' command" });
}

async function duplicates({ client, key }: Subject): Promise<void> {
  // Each kind by itself: to relate the two kinds' types takes the compiler ten seconds.
  const copy = isCluster(client) ? client.duplicate() : client.duplicate();
  copy.on("error", () => {});
  await copy.connect();
  await copy.set(key("copied"), "1");
  assert.equal(await client.get(key("copied")), "1");
  await copy.close();
  await assert.rejects(copy.get(key("copied")));
}

const FEATURES: Readonly<Record<string, (subject: Subject) => Promise<void>>> = {
  "commands of one tick are pipelined and answered in order": pipelines,
  "MULTI applies its commands together": transactions,
  "two clients that add under WATCH lose nothing": optimisticLocks,
  "sScanIterator and hScanIterator see every member": collectionScans,
  "scanIterator sees every key once": keyScans,
  "bytes of every value come back": binaryValues,
  "a value of 8 MB comes back": largeValues,
  "errors are the client's SimpleError with Redis's text": errors,
  "a duplicate is a client of its own": duplicates,
};

for (const setup of setups) {
  for (const [feature, run] of Object.entries(FEATURES)) {
    test(`${feature}: ${setup.name}`, { timeout: TEST_TIMEOUT_MS }, async () => {
      const client = await sharedClient(setup);
      await run({ client, setup, key: tagged(`${feature} ${setup.name}`) });
    });
  }
}
