/** A node inside this process: startNode, its typed clients, and how it ends. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CoterieError, type EmbeddedNode, startNode } from "../../client/embedded.ts";
import { emptyFolder, ROOT } from "../support/command-line.ts";
import { TestClient } from "../support/test-client.ts";
import { until } from "../support/until.ts";

/** A node of W workers on free ports, in a folder that goes with it. */
async function started(workers: number) {
  const folder = emptyFolder();
  const data = join(folder.path, "data");
  try {
    const node = await startNode({ data, port: 0, workers, durability: "os" });
    return {
      node,
      data,
      async [Symbol.asyncDispose]() {
        await node.stop();
        folder[Symbol.dispose]();
      },
    };
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
}

const WORKERS = [1, 3];

for (const workers of WORKERS) {
  test(`a client and a socket see the same data with ${workers} workers`, async () => {
    await using place = await started(workers);
    const client = place.node.client();
    const socket = await TestClient.connect(place.node.ports.gateway);
    for (let i = 0; i < 20; i++) {
      assert.equal(await client.set(`k${i}`, `é${i}`), true);
      assert.equal(await socket.call("GET", `k${i}`), Buffer.from(`é${i}`).toString("latin1"));
      await socket.call("SET", `s${i}`, "v");
      assert.equal(await client.get(`s${i}`), "v");
    }
    socket.destroy();
  });

  test(`replies have their types with ${workers} workers`, async () => {
    await using place = await started(workers);
    const client = place.node.client();
    assert.equal(await client.get("none"), null);
    assert.equal(await client.set("a", "1", { if: "absent", expireSeconds: 100 }), true);
    assert.equal(await client.set("a", "2", { if: "absent" }), false);
    assert.ok(((await client.ttlMs("a")) ?? 0) > 90_000);
    assert.equal(await client.persist("a"), true);
    assert.equal(await client.ttlMs("a"), null);
    assert.equal(await client.ttlMs("none"), undefined);
    assert.equal(await client.incrBy("n", 9_007_199_254_740_992n), 9_007_199_254_740_992n);
    assert.equal(await client.incrBy("n"), 9_007_199_254_740_993n);
    await client.mset([
      ["x", 1],
      ["y", 2],
    ]);
    assert.deepEqual(await client.mget(["x", "none", "y"]), ["1", null, "2"]);
    assert.equal(await client.del("x", "y", "none"), 2);
    assert.equal(await client.exists("x"), 0);
    await client.hset("h", [["__proto__", "v"]]);
    assert.deepEqual(await client.hgetAll("h"), new Map([["__proto__", "v"]]));
    assert.equal(await client.hincrBy("h", "count", 2), 2);
    assert.equal(await client.sadd("s", "m", "n"), 2);
    assert.equal(await client.sismember("s", "m"), true);
    assert.deepEqual((await client.smembers("s")).sort(), ["m", "n"]);
    assert.equal(await client.rpush("l", 1, 2, 3), 3);
    assert.deepEqual(await client.lrange("l", 0, -1), ["1", "2", "3"]);
    assert.deepEqual([await client.lpop("l"), await client.rpop("l")], ["1", "3"]);
    await client.zadd("z", [
      [2, "b"],
      [1.5, "a"],
    ]);
    assert.deepEqual(await client.zrange("z", 0, -1), ["a", "b"]);
    assert.deepEqual([await client.zscore("z", "a"), await client.zscore("z", "c")], [1.5, null]);
    assert.equal(await client.type("z"), "zset");
  });
}

test("bytes come back as they were given, in the client's keyspace only", async () => {
  await using place = await started(1);
  const bytes = place.node.client({ replies: "bytes", keyspace: 3 });
  const value = Buffer.from([0, 255, 13, 10, 0xc3, 0x28]);
  await bytes.set(value, value);
  assert.deepEqual(await bytes.get(value), value);
  assert.equal(await place.node.client().get(value), null);
  assert.throws(() => place.node.client({ keyspace: 16 }), /there is no keyspace 16/);
});

test("a pipeline has errors in their places, a call rejects with its error", async () => {
  await using place = await started(1);
  const client = place.node.client();
  const commands = [
    ["SET", "k", "v"],
    ["LPUSH", "k", "x"],
    ["GET", "k"],
    ["NOSUCH", "x"],
  ] as const;
  const [set, push, get, unknown] = await client.pipeline(commands);
  assert.deepEqual([set, get], ["OK", "v"]);
  assert.ok(push instanceof CoterieError && unknown instanceof CoterieError);
  assert.deepEqual([push.code, push.detail.word], ["COMMAND_FAILED", "WRONGTYPE"]);
  await assert.rejects(client.call("LPUSH", "k", "x"), /^CoterieError: WRONGTYPE/);
});

test("a transaction is all its replies, or one error", async () => {
  await using place = await started(1);
  const client = place.node.client();
  assert.deepEqual(
    await client.transaction([
      ["SET", "t", 1],
      ["INCR", "t"],
    ]),
    ["OK", 2],
  );
  await assert.rejects(client.transaction([["NOSUCH"]]), /unknown command/);
  assert.equal(await client.get("t"), "2");
  await client.call("WATCH", "t");
  await place.node.client().set("t", 3);
  const stale = client.transaction([["SET", "t", 4]]);
  await assert.rejects(stale, /a watched key has changed: nothing was executed/);
  assert.equal(await client.get("t"), "3");
  await client.call("MULTI");
  await client.call("SET", "o", "1");
  assert.deepEqual(await client.transaction([["GET", "o"]]), ["1"], "it ends that one");
});

test("a command in a transaction that would end or nest it is refused before anything is sent", async () => {
  await using place = await started(1);
  const client = place.node.client();
  for (const name of ["EXEC", "multi", "DISCARD"]) {
    const parts = client.transaction([["SET", "a", 5], [name], ["SET", "b", 1]]);
    await assert.rejects(parts, {
      code: "COMMAND_FAILED",
      message:
        /^[A-Z]+ cannot be a part of a transaction: MULTI and EXEC are put around it for you/,
    });
  }
  assert.equal(await client.exists("a", "b"), 0);
  assert.deepEqual(await client.transaction([["SET", "a", 5]]), ["OK"]);
});

test("as many keys, fields and members as a command may have go in one call", async () => {
  await using place = await started(3);
  const client = place.node.client();
  const many = Array.from({ length: 150_000 }, (_, i) => i);
  const pairs = many.map((i) => [i, `v${i}`] as const);
  await client.mset(pairs);
  const values = await client.mget(many);
  assert.deepEqual([values.length, values.at(-1)], [150_000, "v149999"]);
  assert.equal(await client.hset("h", pairs), 150_000);
  assert.equal(await client.zadd("z", pairs), 150_000);
});

test("bad input rejects, and says which argument it is", async () => {
  await using place = await started(1);
  const client = place.node.client();
  const nothing = undefined as unknown as string;
  const wrong = [
    [client.set("u", nothing), /^SET: argument 2 is undefined: give a string, a number, a bigint/],
    [client.hset("u", [["f", nothing]]), /^HSET: argument 3 is undefined: /],
    [client.pipeline([["GET", nothing]]), /^GET: argument 1 is undefined: /],
    [client.pipeline([[] as unknown as ["GET"]]), /^a command has a name$/],
    [client.transaction([[] as unknown as ["GET"]]), /^a command has a name$/],
  ] as const;
  for (const [call, message] of wrong) {
    await assert.rejects(call, { name: "CoterieError", code: "COMMAND_FAILED", message });
  }
  assert.equal(await client.exists("u"), 0);
});

test("an application that is a text of the command line starts a node", () => {
  using folder = emptyFolder();
  const script = `
    import { startNode } from "./client/embedded.ts";
    await using node = await startNode({ port: 0, data: ${JSON.stringify(folder.path)} });
    console.log(await node.client().call("PING"));
  `;
  for (const flags of [[], ["--max-old-space-size=256"]]) {
    const words = [...flags, "--input-type=module", "-e", script];
    const { stdout, stderr } = spawnSync(process.execPath, words, { cwd: ROOT });
    assert.equal(String(stdout), "PONG\n", String(stderr));
  }
});

test("calls that were made before a stop are answered", async () => {
  await using place = await started(2);
  const client = place.node.client();
  await client.set("first", "v");
  const calls = Array.from({ length: 50 }, (_, i) => client.set(`k${i}`, "v"));
  await place.node.stop();
  assert.deepEqual(
    await Promise.all(calls),
    calls.map(() => true),
  );
});

test("commands and times that a client cannot keep are refused", async () => {
  await using place = await started(1);
  const client = place.node.client();
  const silence = client.call("CLIENT", Buffer.from("reply"), "SKIP");
  await assert.rejects(silence, /CLIENT REPLY: a handle always replies/);
  await assert.rejects(client.call("hello", 2), /HELLO 2: a handle always speaks RESP3/);
  await assert.rejects(client.transaction([["HELLO", "2"]]), { code: "COMMAND_FAILED" });
  assert.equal(await client.call("PING"), "PONG");
  for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => place.node.client({ timeoutMs }), /timeoutMs: \S+ is no time; give 1 to/);
  }
});

test("after RESET a client is in its keyspace, trusted and typed as before, for calls behind it, too", async () => {
  using folder = emptyFolder();
  const data = join(folder.path, "data");
  await using node = await startNode({ data, port: 0, workers: 1, password: "p" });
  const client = node.client({ keyspace: 2 });
  await client.hset("h", [["f", "v"]]);
  await client.zadd("z", [[1.5, "m"]]);
  const [reset, ...behind] = await Promise.all([
    client.call("reset"),
    client.hgetAll("h"),
    client.zscore("z", "m"),
  ]);
  assert.equal(reset, "RESET");
  assert.deepEqual(behind, [new Map([["f", "v"]]), 1.5]);
  assert.deepEqual(await client.pipeline([["RESET"], ["DBSIZE"]]), ["RESET", 2]);
  assert.equal(await node.client().call("DBSIZE"), 0);
  await client.call("SELECT", 1);
  assert.equal(await client.call("DBSIZE"), 0);
  await client.call("RESET");
  assert.equal(await client.call("DBSIZE"), 2);
});

test("large values and many calls at once arrive whole and in order", async () => {
  await using place = await started(1);
  const client = place.node.client();
  const large = "x".repeat(9_000_000);
  await client.set("large", large);
  const calls = Array.from({ length: 20_000 }, (_, i) => client.incrBy(`n${i % 7}`));
  const [value, counts] = await Promise.all([client.get("large"), Promise.all(calls)]);
  assert.equal(value, large);
  assert.deepEqual(counts.slice(-7), [2857, 2857, 2857, 2857, 2857, 2857, 2858]);
});

test("a stop answers what is under way, and then every call says so", async () => {
  await using place = await started(1);
  const { node, data } = place;
  const client = node.client();
  const calls = Promise.allSettled(Array.from({ length: 500 }, (_, i) => client.set(`k${i}`, "v")));
  await client.call("PING");
  await node.stop();
  assert.ok((await calls).every(({ status }) => status === "fulfilled"));
  await assert.rejects(client.get("k0"), /the node has stopped/);
  assert.equal(existsSync(join(data, "ports.json")), false);
  const again = await startNode({ data, port: 0, workers: 1 });
  assert.equal(await again.client().get("k499"), "v");
  await again.stop();
});

test("a client that was killed goes on with its next call", async () => {
  await using place = await started(1);
  const client = place.node.client({ keyspace: 2 });
  await client.set("k", "v");
  const socket = await TestClient.connect(place.node.ports.gateway);
  const list = String(await socket.call("CLIENT", "LIST"));
  const id = /id=(\d+) addr=embedded:/.exec(list)?.[1] ?? "";
  assert.equal(await socket.call("CLIENT", "KILL", "ID", id), 1);
  const value = await until(() => client.get("k"));
  assert.equal(value, "v");
  socket.destroy();
});

test("a wrong option is named, and two nodes do not share a folder or a port", async () => {
  await using place = await started(1);
  const options = { data: place.data, port: 0, workers: 1 };
  await assert.rejects(startNode({ wrokers: 1 } as never), /wrokers: .*did you mean workers\?/);
  const inUse = { code: "DATA_FOLDER_IN_USE" };
  await assert.rejects(startNode(options), inUse);
  const { ports }: EmbeddedNode = place.node;
  const second = startNode({ ...options, adminPort: ports.admin });
  await assert
    .rejects(second, { code: "PORT_IN_USE", detail: { pid: process.pid } } as never)
    .catch(() => assert.rejects(second, { code: "PORT_IN_USE" }));
});
