/**
 * ioredis 5 and 6: pipelines, transactions, optimistic locks, scans, binary and large values, errors
 * and the client's own options, by every way.
 *
 * Invariant: each test has a hash tag of its own; what a test counts is under its tag alone.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mock, test } from "node:test";
import { TEST_TIMEOUT_MS, tagged } from "./fleet.ts";
import { type Client, openClient, type Setup, setups, sharedClient } from "./ioredis.ts";

const LARGE_BYTES = 8 * 2 ** 20;
const MANY = 300;

interface Subject {
  readonly client: Client;
  readonly setup: Setup;
  /** A key of the test, in the one slot of its keys. */
  readonly key: (name: string) => string;
}

async function pipelines({ client, key }: Subject): Promise<void> {
  const pipeline = client.pipeline();
  for (let i = 0; i < MANY; i++) pipeline.set(key(`p${i}`), i).get(key(`p${i}`));
  const replies = await pipeline.lpush(key("p0"), "wrong").get(key("p1")).exec();
  assert.equal(replies?.length, 2 * MANY + 2);
  assert.deepEqual(replies?.[1], [null, "0"]);
  assert.deepEqual(replies?.[2 * MANY - 1], [null, String(MANY - 1)]);
  assert.match(String(replies?.[2 * MANY]?.[0]), /ReplyError: WRONGTYPE/);
  assert.deepEqual(replies?.[2 * MANY + 1], [null, "1"]);
}

async function transactions({ client, key }: Subject): Promise<void> {
  const done = await client
    .multi()
    .set(key("a"), "1")
    .incr(key("a"))
    .hset(key("h"), "f", "v")
    .exec();
  assert.deepEqual(done, [
    [null, "OK"],
    [null, 2],
    [null, 1],
  ]);
  const half = await client.multi().incr(key("h")).incr(key("a")).exec();
  assert.match(String(half?.[0]?.[0]), /WRONGTYPE/);
  assert.deepEqual(half?.[1], [null, 3]);
  const wrong = client.multi().incr(key("a")).call("SET", key("a")).exec();
  await assert.rejects(wrong, /EXECABORT Transaction discarded because of previous errors/);
  assert.equal(await client.get(key("a")), "3");
}

/** Adds one under WATCH until no one came between. */
async function addOne(client: Client, name: string): Promise<number> {
  for (let tries = 1; ; tries++) {
    await client.watch(name);
    const value = Number(await client.get(name));
    const done = await client
      .multi()
      .set(name, value + 1)
      .exec();
    if (done !== null) return tries;
  }
}

async function optimisticLocks({ client, setup, key }: Subject): Promise<void> {
  const name = key("watched");
  await client.watch(name);
  const other = await openClient(setup);
  await other.set(name, "0");
  assert.equal(await client.multi().set(name, "lost").exec(), null);
  const many = async (one: Client) => {
    for (let i = 0; i < 20; i++) await addOne(one, name);
  };
  await Promise.all([many(client), many(other)]);
  assert.equal(await client.get(name), "40");
  await client.watch(name);
  assert.equal(await client.unwatch(), "OK");
  other.disconnect();
}

async function collectionScans({ client, key }: Subject): Promise<void> {
  const names = Array.from({ length: MANY }, (_, i) => `m${i}`);
  await client.sadd(key("set"), ...names);
  await client.hset(key("hash"), Object.fromEntries(names.map((name) => [name, `${name}!`])));
  const members = new Set<string>();
  for await (const part of client.sscanStream(key("set"), { count: 50 })) {
    for (const member of part) members.add(member);
  }
  assert.deepEqual([...members].sort(), names.toSorted());
  const fields = new Map<string, string>();
  for await (const part of client.hscanStream(key("hash"), { match: "m1*" })) {
    for (let i = 0; i < part.length; i += 2) fields.set(part[i], part[i + 1]);
  }
  assert.deepEqual([...fields.keys()].sort(), names.filter((name) => /^m1/.test(name)).sort());
  assert.equal(fields.get("m10"), "m10!");
}

/** Every node of a cluster, or the one that a client is alone with. */
function nodesOf(client: Client) {
  return "nodes" in client ? client.nodes("master") : [client];
}

async function keyScans({ client, setup }: Subject): Promise<void> {
  const prefix = `scan ${setup.name} `;
  const names = Array.from({ length: MANY }, (_, i) => `${prefix}${i}`);
  await Promise.all(names.map((name) => client.set(name, "1")));
  await client.sadd(`${prefix}set`, "1");
  const found: string[] = [];
  for (const node of nodesOf(client)) {
    for await (const part of node.scanStream({ match: `${prefix}*`, type: "string", count: 100 })) {
      found.push(...part);
    }
  }
  assert.deepEqual(found.sort(), names.toSorted());
}

async function binaryValues({ client, key }: Subject): Promise<void> {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const name = Buffer.concat([Buffer.from(key("\0\r\n")), bytes]);
  await client.set(name, bytes);
  assert.deepEqual(await client.getBuffer(name), bytes);
  await client.hset(key("hash"), bytes, bytes);
  assert.deepEqual(await client.hgetBuffer(key("hash"), bytes), bytes);
  await client.rpush(key("list"), bytes, "");
  assert.deepEqual(await client.lrangeBuffer(key("list"), 0, -1), [bytes, Buffer.alloc(0)]);
  assert.equal(await client.set(key("text"), "żółw 🐢"), "OK");
  assert.equal(await client.get(key("text")), "żółw 🐢");
}

async function largeValues({ client, key }: Subject): Promise<void> {
  const value = Buffer.alloc(LARGE_BYTES, "0123456789abcdef");
  value.write("the end", LARGE_BYTES - 7);
  await client.set(key("large"), value);
  assert.equal(await client.strlen(key("large")), LARGE_BYTES);
  assert.ok((await client.getBuffer(key("large")))?.equals(value));
  assert.equal(await client.del(key("large")), 1);
}

async function errors({ client, key }: Subject): Promise<void> {
  await client.set(key("text"), "1");
  await assert.rejects(client.lpush(key("text"), "1"), {
    name: "ReplyError",
    message: "WRONGTYPE Operation against a key holding the wrong kind of value",
  });
  await assert.rejects(client.call("NOSUCH", key("a"), "b"), {
    name: "ReplyError",
    message: /^ERR unknown command 'NOSUCH', with args beginning with: '\{/,
  });
  await assert.rejects(client.call("GET", key("a"), "b"), {
    message: "ERR wrong number of arguments for 'get' command",
  });
  await assert.rejects(client.set(key("a"), "b", "EX", 0), {
    message: "ERR invalid expire time in 'set' command",
  });
}

async function autoPipelining({ setup, key }: Subject): Promise<void> {
  const client = await openClient(setup, { enableAutoPipelining: true });
  const values = Array.from({ length: MANY }, (_, i) => `v${i}`);
  const names = values.map((value, i) => (i % 2 === 0 ? key(value) : `${value} ${setup.name}`));
  await Promise.all(names.map((name, i) => client.set(name, values[i] ?? "")));
  const writes = nodesOf(client).map(({ stream }) => mock.method(stream, "write").mock);
  assert.deepEqual(await Promise.all(names.map((name) => client.get(name))), values);
  // One pipeline a node, each of which owns some of the names.
  for (const write of writes) assert.equal(write.callCount(), 1);
  client.disconnect();
}

async function duplicates({ client, key }: Subject): Promise<void> {
  const copy: Client = client.duplicate();
  await copy.connect();
  await copy.set(key("copied"), "1");
  assert.equal(await client.get(key("copied")), "1");
  assert.equal(await copy.quit(), "OK");
  if (copy.status !== "end") await once(copy, "end");
  await assert.rejects(copy.get(key("copied")), /Connection is closed/);
}

const FEATURES: Readonly<Record<string, (subject: Subject) => Promise<void>>> = {
  "a pipeline is answered in order, errors in their places": pipelines,
  "MULTI applies its commands together": transactions,
  "two clients that add under WATCH lose nothing": optimisticLocks,
  "sscanStream and hscanStream see every member": collectionScans,
  "scanStream sees every key once": keyScans,
  "bytes of every value come back": binaryValues,
  "a value of 8 MB comes back": largeValues,
  "errors are the client's ReplyError with Redis's text": errors,
  "commands of one tick are pipelined by the client": autoPipelining,
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
