/**
 * A server with a password: every client gives it as its users do, alone and to each node of the
 * cluster; a wrong one and none are told apart.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { emptyFolder } from "../support/command-line.ts";
import { startServer } from "../support/server.ts";
import { keyOfEachPartition, TEST_TIMEOUT_MS } from "./fleet.ts";
import * as ioredis from "./ioredis.ts";
import * as nodeRedis from "./node-redis.ts";

const limit = { timeout: TEST_TIMEOUT_MS };
const HOST = "127.0.0.1";
const PASSWORD = "open sesame";
/**
 * What is given instead of the password, and how the answer to it begins. Wrong ones are few: a worker
 * that has seen three of them answers the next late.
 */
const REFUSALS = [
  { given: "no password", more: {}, refusal: /^NOAUTH / },
  { given: "a wrong password", more: { password: "open barley" }, refusal: /^WRONGPASS / },
] as const;

const folder = emptyFolder();
const passwordFile = join(folder.path, "password");
writeFileSync(passwordFile, `${PASSWORD}\n`);
const starting = startServer({ workers: 3, words: ["--password-file", passwordFile] });

after(async () => {
  await (await starting)[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

for (const { name, Redis, Cluster, options } of ioredis.versions) {
  test(`${name} authenticates alone`, limit, async () => {
    const { port } = await starting;
    const where = { ...options, host: HOST, port };
    const client = new Redis({ ...where, password: PASSWORD });
    assert.equal(await client.set("a", "1"), "OK");
    assert.equal(await client.acl("WHOAMI"), "default");
    client.disconnect();
    const named = new Redis({ ...where, username: "default", password: PASSWORD });
    assert.equal(await named.get("a"), "1");
    named.disconnect();
  });

  test(`${name} authenticates with every node of the cluster`, limit, async () => {
    const { port } = await starting;
    const redisOptions = { ...options, password: PASSWORD };
    const cluster = new Cluster([{ host: HOST, port }], { redisOptions });
    const keys = keyOfEachPartition(name);
    await Promise.all(keys.map((key) => cluster.set(key, "v")));
    assert.equal(cluster.nodes().length, 3);
    cluster.disconnect();
  });

  for (const { given, more, refusal } of REFUSALS) {
    test(`${name} with ${given} is told so`, limit, async () => {
      const { port } = await starting;
      const once = { lazyConnect: true, retryStrategy: () => null } as const;
      const client = new Redis({ ...options, ...more, ...once, host: HOST, port });
      const messages: string[] = [];
      client.on("error", ({ message }: Error) => messages.push(message));
      await assert.rejects(client.connect());
      assert.equal(messages.length, 1);
      assert.match(messages[0] ?? "", refusal);
      client.disconnect();
    });
  }
}

for (const { name, createClient, createCluster, protocol } of nodeRedis.versions) {
  const RESP = protocol as 2;
  test(`${name} authenticates alone`, limit, async () => {
    const { port } = await starting;
    const socket = { host: HOST, port, reconnectStrategy: false } as const;
    const client = await createClient({ RESP, socket, password: PASSWORD }).connect();
    assert.equal(await client.set("b", "1"), "OK");
    assert.equal(await client.aclWhoAmI(), "default");
    client.destroy();
  });

  test(`${name} authenticates with every node of the cluster`, limit, async () => {
    const { port } = await starting;
    const rootNodes = [{ socket: { host: HOST, port }, password: PASSWORD }];
    const cluster = createCluster({ RESP, rootNodes, defaults: { password: PASSWORD } });
    cluster.on("error", () => {});
    await cluster.connect();
    const keys = keyOfEachPartition(name);
    await Promise.all(keys.map((key) => cluster.set(key, "v")));
    assert.equal(cluster.masters.length, 3);
    cluster.destroy();
  });

  for (const { given, more, refusal } of REFUSALS) {
    test(`${name} with ${given} is told so`, limit, async () => {
      const { port } = await starting;
      const socket = { host: HOST, port, reconnectStrategy: false } as const;
      const client = createClient({ RESP, socket, ...more });
      client.on("error", () => {});
      // Version 6 with RESP2 sends no HELLO: its first command is the first to be refused.
      const use = async () => void (await (await client.connect()).get("a"));
      await assert.rejects(use, { message: refusal });
      if (client.isOpen) client.destroy();
    });
  }
}
