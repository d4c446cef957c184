/** Replies in order, to the last one: pipelines over several threads, half-closes, redirections. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { clientOn, keyOn, keysOnAll } from "../../support/placement.ts";
import { startServer, type TestServer } from "../../support/server.ts";

const WORKERS = 3;
let server: TestServer;

before(async () => {
  server = await startServer({ workers: WORKERS, durability: "always" });
});

after(() => server[Symbol.asyncDispose]());

test("a pipeline over all threads, gated and not, is answered in order", async () => {
  using client = await clientOn(server, 0, WORKERS);
  const keys = keysOnAll(WORKERS, "order:");
  const commands: string[][] = [];
  const expected: unknown[] = [];
  for (let i = 0; i < 600; i++) {
    const key = keys[i % WORKERS] as string;
    commands.push(["SET", key, String(i)], ["ECHO", `e${i}`], ["GET", key], ["INCR", key]);
    expected.push("OK", `e${i}`, String(i), i + 1);
    if (i % 50 === 0) {
      commands.push(["MGET", ...keys], ["NOSUCH"], ["DBSIZE"]);
      const values = keys.map((_, worker) => {
        const last = i - ((i - worker + WORKERS) % WORKERS);
        return last < 0 ? null : String(last + 1);
      });
      const error = "ERR unknown command 'NOSUCH', with args beginning with: ";
      expected.push(values, { error }, Math.min(i + 1, WORKERS));
    }
  }
  assert.deepEqual(await client.pipeline(...commands), expected);
});

test("after a half-close all replies of the pipeline arrive, then the server closes", async () => {
  const keys = keysOnAll(WORKERS, "half:");
  using client = await server.connect();
  const commands = Array.from({ length: 6_000 }, (_, i) => {
    return ["APPEND", keys[i % WORKERS] as string, "x"];
  });
  client.send(...commands);
  client.end();
  const replies = await client.untilClosed();
  assert.equal(replies.length, commands.length);
  assert.equal(replies.at(-1), 2_000);
});

test("CLIENT REPLY OFF and SKIP hold for forwarded commands as well", async () => {
  using client = await clientOn(server, 0, WORKERS);
  const [here = "", there = ""] = keysOnAll(WORKERS, "mute:");
  client.send(
    ["CLIENT", "REPLY", "OFF"],
    ["SET", here, "1"],
    ["SET", there, "2"],
    ["MGET", here, there],
    ["DBSIZE"],
    ["CLIENT", "REPLY", "ON"],
    ["CLIENT", "REPLY", "SKIP"],
    ["GET", there],
    ["GET", there],
  );
  assert.deepEqual(await client.take(2), ["OK", "2"]);
});

test("RESP3 clients get RESP3 from every thread", async () => {
  using client = await clientOn(server, 0, WORKERS);
  await client.call("HELLO", "3");
  for (const key of keysOnAll(WORKERS, "resp3:")) {
    client.send(["GET", `${key}:none`], ["HSET", key, "f", "v"], ["HGETALL", key]);
    assert.deepEqual((await client.next()).kind, "null");
    assert.deepEqual((await client.next()).kind, "integer");
    assert.deepEqual((await client.next()).kind, "map");
  }
  client.send(["MGET", ...keysOnAll(WORKERS, "absent:")]);
  const reply = await client.next();
  assert.ok(reply.kind === "array" && reply.items.every((item) => item.kind === "null"));
});

test("a direct port answers its own keys and redirects the others", async () => {
  const keys = keysOnAll(WORKERS, "direct:");
  using client = await server.connect(server.directPorts[1]);
  assert.equal(await client.call("SET", keys[1] as string, "1"), "OK");
  for (const worker of [0, 2]) {
    const { error } = (await client.call("GET", keys[worker] as string)) as { error: string };
    assert.match(error, new RegExp(`^MOVED \\d+ 127\\.0\\.0\\.1:${server.directPorts[worker]}$`));
  }
  const { error } = (await client.call("MGET", keys[0] as string, keys[1] as string)) as {
    error: string;
  };
  assert.match(error, /^CROSSSLOT Keys in request don't hash to the same slot/);
  const tagged = keyOn(1, WORKERS, "{direct:1}");
  assert.deepEqual(await client.call("MGET", tagged, tagged), [null, null]);
});

test("MULTI on a direct port keeps to one slot", async () => {
  const keys = keysOnAll(WORKERS, "multi:");
  using client = await server.connect(server.directPorts[1]);
  const own = keys[1] as string;
  const moved = await client.pipeline(["MULTI"], ["SET", keys[0] as string, "1"], ["EXEC"]);
  assert.equal(moved[0], "OK");
  assert.match((moved[1] as { error: string }).error, /^MOVED /);
  assert.match((moved[2] as { error: string }).error, /^EXECABORT /);
  const other = keyOn(1, WORKERS, "multi:", 1);
  const crossed = await client.pipeline(
    ["MULTI"],
    ["SET", own, "1"],
    ["SET", other, "1"],
    ["EXEC"],
    ["EXISTS", own],
  );
  assert.match((crossed[3] as { error: string }).error, /^CROSSSLOT /);
  assert.equal(crossed[4], 0);
  const watch = (await client.call("WATCH", keys[2] as string)) as { error: string };
  assert.match(watch.error, /^MOVED /);
});

test("commands over keys of all threads work on the gateway", async () => {
  using client = await clientOn(server, 2, WORKERS);
  const keys = [...keysOnAll(WORKERS, "all:"), ...keysOnAll(WORKERS, "all:", 1)];
  const pairs = keys.flatMap((key, i) => [key, `v${i}`]);
  assert.equal(await client.call("MSET", ...pairs), "OK");
  assert.deepEqual(await client.call("MGET", ...keys, "nothing"), [
    ...keys.map((_, i) => `v${i}`),
    null,
  ]);
  assert.equal(await client.call("EXISTS", ...keys, keys[0] as string), keys.length + 1);
  assert.equal(await client.call("TOUCH", ...keys), keys.length);
  assert.equal(await client.call("DEL", ...keys.slice(1)), keys.length - 1);
  assert.equal(await client.call("UNLINK", ...keys), 1);
  const odd = await client.call("MSET", keys[0] as string, "1", keys[1] as string);
  assert.deepEqual(odd, { error: "ERR wrong number of arguments for 'mset' command" });
});

test("commands of one client on one key stay in order across threads", async () => {
  const key = keyOn(1, WORKERS, "seq:");
  const clients = await Promise.all([0, 2].map((worker) => clientOn(server, worker, WORKERS)));
  await Promise.all(
    clients.map(async (client, n) => {
      const own = `${key}:${n}`;
      const commands = Array.from({ length: 2_000 }, (_, i) => ["RPUSH", own, String(i)]);
      const replies = await client.pipeline(...commands, ["LRANGE", own, "0", "-1"]);
      const list = replies.at(-1) as string[];
      assert.deepEqual(
        list,
        Array.from({ length: 2_000 }, (_, i) => String(i)),
      );
    }),
  );
});
