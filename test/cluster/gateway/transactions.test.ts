/** MULTI, WATCH and commands over several keys, wherever the keys and the client are. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { clientOn, keyOn, keysOnAll } from "../../support/placement.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import type { TestClient } from "../../support/test-client.ts";

const servers = new Map<number, TestServer>();
let run = 0;

before(async () => {
  for (const workers of [1, 3]) {
    servers.set(workers, await startServer({ workers, durability: "always" }));
  }
});

after(async () => {
  for (const server of servers.values()) {
    assert.equal(server.stderr, "");
    await server[Symbol.asyncDispose]();
  }
});

interface Scene {
  readonly server: TestServer;
  readonly client: TestClient;
  readonly other: TestClient;
  /** Three keys: of one worker each, or all of this client's, or all of another's. */
  readonly keys: readonly [string, string, string];
}

/** The same test with one worker and three; with three: keys here, elsewhere, and everywhere. */
function everywhere(name: string, body: (scene: Scene) => Promise<void>): void {
  for (const place of ["alone", "here", "elsewhere", "across"]) {
    test(`${name} (${place})`, async () => {
      const workers = place === "alone" ? 1 : 3;
      const server = servers.get(workers) as TestServer;
      using client = await clientOn(server, 0, workers);
      using other = await server.connect();
      const prefix = `t${run++}:`;
      const owner = place === "elsewhere" ? 2 : 0;
      const keys =
        place === "across"
          ? keysOnAll(3, prefix)
          : [0, 1, 2].map((n) => keyOn(owner, workers, prefix, n));
      await body({ server, client, other, keys: keys as [string, string, string] });
    });
  }
}

everywhere("MULTI runs its commands as one", async ({ client, keys: [a, b, c] }) => {
  const replies = await client.pipeline(
    ["MULTI"],
    ["SET", a, "1"],
    ["INCR", b],
    ["PING"],
    ["LPUSH", a, "x"],
    ["RPUSH", c, "1", "2"],
    ["MSET", a, "2", b, "5"],
    ["MGET", a, b, c],
    ["DEL", a, b],
    ["EXEC"],
  );
  const wrong = { error: "WRONGTYPE Operation against a key holding the wrong kind of value" };
  assert.deepEqual(replies.at(-1), ["OK", 1, "PONG", wrong, 2, "OK", ["2", "5", null], 2]);
  assert.deepEqual(await client.call("LRANGE", c, "0", "-1"), ["1", "2"]);
});

everywhere(
  "a transaction that could not be queued is not run",
  async ({ client, keys: [a, b] }) => {
    const replies = await client.pipeline(
      ["MULTI"],
      ["SET", a, "1"],
      ["NOSUCH"],
      ["SET", b, "1"],
      ["EXEC"],
      ["EXISTS", a, b],
    );
    assert.deepEqual(replies.slice(-2), [
      { error: "EXECABORT Transaction discarded because of previous errors." },
      0,
    ]);
  },
);

everywhere("WATCH refuses EXEC after a change, and only then", async (scene) => {
  const { client, other, keys } = scene;
  const [a, b, c] = keys;
  await client.call("MSET", a, "1", b, "1");
  assert.equal(await client.call("WATCH", a, b, c), "OK");
  const done = await client.pipeline(["MULTI"], ["INCR", a], ["INCR", b], ["EXEC"]);
  assert.deepEqual(done.at(-1), [2, 2]);
  for (const change of [
    ["SET", a, "9"],
    ["SET", c, "new"],
    ["EXPIRE", b, "100"],
    ["DEL", a],
  ]) {
    assert.equal(await client.call("WATCH", a, b, c), "OK");
    await other.call(...(change as string[]));
    const refused = await client.pipeline(["MULTI"], ["SET", a, "lost"], ["EXEC"]);
    assert.equal(refused.at(-1), null, change.join(" "));
  }
  assert.equal(await client.call("EXISTS", a), 0);
  assert.equal(await client.call("WATCH", a, b, c), "OK");
  await other.call("SET", b, "again");
  assert.equal(await client.call("UNWATCH"), "OK");
  assert.deepEqual((await client.pipeline(["MULTI"], ["GET", b], ["EXEC"])).at(-1), ["again"]);
});

everywhere("WATCH of an absent key refuses EXEC once it came and went again", async (scene) => {
  const { client, other, keys } = scene;
  for (const key of keys) {
    for (const visit of [
      [],
      [
        ["SET", key, "seen"],
        ["DEL", key],
      ], // prettier-ignore
      [
        ["SADD", key, "seen"],
        ["SREM", key, "seen"],
      ],
      [
        ["RPUSH", key, "seen"],
        ["EXPIRE", key, "-1"],
      ],
    ]) {
      assert.equal(await client.call("WATCH", ...keys), "OK");
      for (const command of visit) await other.call(...(command as string[]));
      assert.equal(await client.call("EXISTS", ...keys), 0);
      const [, , done] = await client.pipeline(["MULTI"], ["DEL", key], ["EXEC"]);
      assert.deepEqual(done, visit.length === 0 ? [0] : null, JSON.stringify(visit));
    }
  }
});

everywhere("SELECT in a transaction counts for the commands after it", async (scene) => {
  const { client, keys } = scene;
  const [a, b, c] = keys;
  const replies = await client.pipeline(
    ["MULTI"],
    ["SET", a, "0"],
    ["SELECT", "1"],
    ["SET", b, "1"],
    ["SET", c, "1"],
    ["EXEC"],
    ["MGET", a, b, c],
    ["SELECT", "0"],
    ["MGET", a, b, c],
  );
  assert.deepEqual(replies.slice(-4), [
    ["OK", "OK", "OK", "OK"],
    [null, "1", "1"],
    "OK",
    ["0", null, null],
  ]);
});

everywhere("RENAME and COPY carry any type with its expiry", async ({ client, keys }) => {
  const [a, b, c] = keys;
  await client.call("HSET", a, "f", "1", "g", "2");
  await client.call("PEXPIREAT", a, "4102444800000");
  assert.equal(await client.call("RENAME", a, b), "OK");
  const fields = (await client.call("HGETALL", b)) as string[];
  assert.deepEqual(fields.sort(), ["1", "2", "f", "g"]);
  assert.equal(await client.call("PEXPIRETIME", b), 4102444800000);
  assert.equal(await client.call("COPY", b, c), 1);
  assert.equal(await client.call("COPY", b, c), 0);
  assert.equal(await client.call("HINCRBY", c, "f", "4"), 5);
  assert.deepEqual(await client.call("HMGET", b, "f"), ["1"]);
  assert.equal(await client.call("RENAMENX", b, c), 0);
  assert.deepEqual(await client.call("RENAME", a, b), { error: "ERR no such key" });
  assert.equal(await client.call("RENAMENX", b, a), 1);
  assert.deepEqual(await client.call("EXISTS", a, b, c), 2);
});

everywhere("lists and sets move elements between keys", async ({ client, keys: [a, b, c] }) => {
  await client.call("RPUSH", a, "1", "2", "3");
  assert.equal(await client.call("LMOVE", a, b, "LEFT", "RIGHT"), "1");
  assert.equal(await client.call("RPOPLPUSH", a, b), "3");
  assert.deepEqual(await client.call("LRANGE", b, "0", "-1"), ["3", "1"]);
  assert.deepEqual(await client.call("LMPOP", "3", c, a, b, "LEFT"), [a, ["2"]]);
  assert.deepEqual(await client.call("LMPOP", "3", c, a, b, "RIGHT", "COUNT", "9"), [
    b,
    ["1", "3"],
  ]);
  assert.equal(await client.call("LMPOP", "3", c, a, b, "LEFT"), null);
  await client.call("SADD", a, "x", "y", "z");
  await client.call("SADD", b, "y", "z", "w");
  assert.equal(await client.call("SMOVE", a, b, "x"), 1);
  assert.equal(await client.call("SMOVE", a, b, "nothing"), 0);
  assert.deepEqual(((await client.call("SINTER", a, b)) as string[]).sort(), ["y", "z"]);
  assert.equal(await client.call("SUNIONSTORE", c, a, b), 4);
  assert.equal(await client.call("SINTERCARD", "3", a, b, c), 2);
  assert.equal(await client.call("SDIFFSTORE", c, a, b), 0);
  assert.equal(await client.call("EXISTS", c), 0);
});

everywhere("MSETNX sets all or none", async ({ client, keys: [a, b, c] }) => {
  assert.equal(await client.call("MSETNX", a, "1", b, "2"), 1);
  assert.equal(await client.call("MSETNX", c, "3", b, "4"), 0);
  assert.deepEqual(await client.call("MGET", a, b, c), ["1", "2", null]);
});

everywhere("a transaction may hold commands that need several keys at once", async (scene) => {
  const { client, keys } = scene;
  const [a, b, c] = keys;
  const replies = await client.pipeline(
    ["MULTI"],
    ["SET", a, "1"],
    ["RENAME", a, b],
    ["INCR", b],
    ["COPY", b, c],
    ["GET", c],
    ["SELECT", "0"],
    ["EXEC"],
  );
  assert.deepEqual(replies.at(-1), ["OK", "OK", 2, 1, "2", "OK"]);
  assert.deepEqual(await client.call("MGET", a, b, c), [null, "2", "2"]);
});

everywhere("transactions of many clients on the same keys lose nothing", async (scene) => {
  const { server, keys } = scene;
  const [a, b, c] = keys;
  const clients = await Promise.all(Array.from({ length: 6 }, () => server.connect()));
  await Promise.all(
    clients.map(async (client, n) => {
      for (let i = 0; i < 20; i++) {
        const order = [a, b, c].sort(() => (n % 2 === 0 ? 1 : -1));
        const incr = order.map((key) => ["INCR", key]);
        const replies = await client.pipeline(["MULTI"], ...incr, ["EXEC"]);
        assert.ok(Array.isArray(replies.at(-1)), JSON.stringify(replies.at(-1)));
        await client.call("INCR", a);
      }
    }),
  );
  assert.deepEqual(await scene.client.call("MGET", a, b, c), ["240", "120", "120"]);
});

everywhere(
  "money that is moved under WATCH stays the same in sum",
  async ({ server, client, keys }) => {
    const [a, b, c] = keys;
    await client.call("MSET", a, "100", b, "100", c, "100");
    const movers = await Promise.all(Array.from({ length: 4 }, () => server.connect()));
    let moved = 0;
    await Promise.all(
      movers.map(async (mover, n) => {
        for (let i = 0; i < 12; i++) {
          const from = keys[(n + i) % 3] as string;
          const to = keys[(n + i + 1) % 3] as string;
          await mover.call("WATCH", from, to);
          const balance = Number(await mover.call("GET", from));
          const replies = await mover.pipeline(
            ["MULTI"],
            ["SET", from, String(balance - 1)],
            ["INCRBY", to, "1"],
            ["EXEC"],
          );
          if (replies.at(-1) !== null) moved++;
        }
      }),
    );
    const balances = ((await client.call("MGET", a, b, c)) as string[]).map(Number);
    assert.equal(
      balances.reduce((sum, balance) => sum + balance, 0),
      300,
    );
    assert.ok(moved > 0);
  },
);

everywhere("elements that move between keys while others push are never lost", async (scene) => {
  const { server, client, keys } = scene;
  const [a, b, c] = keys;
  const pushers = await Promise.all(Array.from({ length: 4 }, () => server.connect()));
  const movers = await Promise.all(Array.from({ length: 3 }, () => server.connect()));
  let pushed = 0;
  await Promise.all([
    ...pushers.map(async (pusher, n) => {
      for (let i = 0; i < 60; i++) {
        const key = keys[(n + i) % 3] as string;
        if (typeof (await pusher.call("RPUSH", key, `${n}:${i}`)) === "number") pushed++;
      }
    }),
    ...movers.map(async (mover, n) => {
      for (let i = 0; i < 25; i++) {
        await mover.call(
          "LMOVE",
          keys[(n + i) % 3] ?? "",
          keys[(n + i + 1) % 3] ?? "",
          "LEFT",
          "RIGHT",
        );
      }
    }),
  ]);
  const lists = await client.pipeline(...[a, b, c].map((key) => ["LRANGE", key, "0", "-1"]));
  const found = (lists as string[][]).flat();
  assert.equal(new Set(found).size, pushed);
  assert.equal(found.length, pushed);
});

test("node-wide commands in a transaction see every worker, in their place", async () => {
  const server = servers.get(3) as TestServer;
  using client = await clientOn(server, 1, 3);
  const [a = "", b = "", c = ""] = keysOnAll(3, "nodewide:");
  const replies = await client.pipeline(
    ["SELECT", "7"],
    ["MSET", a, "1", b, "2", c, "3"],
    ["MULTI"],
    ["DBSIZE"],
    ["FLUSHDB"],
    ["SET", b, "4"],
    ["DBSIZE"],
    ["EXEC"],
    ["MGET", a, b, c],
    ["FLUSHDB"],
  );
  assert.deepEqual(replies.slice(-3), [[3, "OK", "OK", 1], [null, "4", null], "OK"]);
});
