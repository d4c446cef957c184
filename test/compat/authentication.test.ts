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
    const none = new Redis({ ...where, lazyConnect: true, retryStrategy: () => null });
    none.on("error", () => {});
    await assert.rejects(none.get("a"), { message: /NOAUTH|Connection is closed/ });
    none.disconnect();
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
    const refused = createClient({ RESP, socket, password: "wrong" });
    refused.on("error", () => {});
    await assert.rejects(refused.connect(), { message: /^WRONGPASS / });
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
}
