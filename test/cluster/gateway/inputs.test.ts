/** What no client should send (shared design: faults.md, "Bad inputs"), to real nodes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { startServer, type TestServer } from "../../support/server.ts";
import type { TestClient } from "../../support/test-client.ts";

const MB = 1024 * 1024;
const servers = new Map<number, TestServer>();

before(async () => {
  for (const workers of [1, 3]) servers.set(workers, await startServer({ workers }));
});

after(async () => {
  for (const server of servers.values()) {
    assert.equal(server.isRunning, true);
    assert.equal(server.stderr, "");
    await server[Symbol.asyncDispose]();
  }
});

/** The same test against one worker and three. */
function onNodes(name: string, run: (server: TestServer, client: TestClient) => Promise<void>) {
  for (const workers of [1, 3]) {
    test(`${name} (${workers} workers)`, async () => {
      const server = servers.get(workers) as TestServer;
      using client = await server.connect();
      await run(server, client);
      using other = await server.connect();
      assert.equal(await other.call("PING"), "PONG");
    });
  }
}

/** Resident memory of the server, bytes. */
function residentBytes(server: TestServer): number {
  const status = readFileSync(`/proc/${server.pid}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

const MULTIBULK = "ERR Protocol error: invalid multibulk length";
const BULK = "ERR Protocol error: invalid bulk length";

const BROKEN: readonly (readonly [string, string])[] = [
  ["*3000000000\r\n", MULTIBULK],
  ["*2147483648\r\n", MULTIBULK],
  ["*99999999999999999999\r\n", MULTIBULK],
  ["*blabla\r\n", MULTIBULK],
  ["*1.5\r\n", MULTIBULK],
  ["*+2\r\n", MULTIBULK],
  ["*0x1\r\n", MULTIBULK],
  ["*1\r\n$-10\r\n", BULK],
  ["*1\r\n$-1\r\n", BULK],
  ["*1\r\n$2000000000\r\n", BULK],
  ["*1\r\n$536870913\r\n", BULK],
  ["*1\r\n$blabla\r\n", BULK],
  ["*1\r\n$9223372036854775808\r\n", BULK],
  ["*1\r\n$ 3\r\n", BULK],
  ["*1\r\n$\r\n", BULK],
  ["*1\r\n$3e1\r\n", BULK],
  ["*1\r\nfoo\r\n", "ERR Protocol error: expected '$', got 'f'"],
  ["*1\r\n:5\r\n", "ERR Protocol error: expected '$', got ':'"],
  ["*1\r\n*1\r\n", "ERR Protocol error: expected '$', got '*'"],
  ["*1\r\n+PING\r\n", "ERR Protocol error: expected '$', got '+'"],
  ["*1\r\n".repeat(20_000), "ERR Protocol error: expected '$', got '*'"],
  [`*${"1".repeat(70_000)}`, "ERR Protocol error: too big mbulk count string"],
  [`*1\r\n$${"1".repeat(70_000)}`, "ERR Protocol error: too big bulk count string"],
  ["x".repeat(70_000), "ERR Protocol error: too big inline request"],
  ['SET "a\r\n', "ERR Protocol error: unbalanced quotes in request"],
];

onNodes("broken framing is answered by one error, then the end", async (server) => {
  for (const [bytes, error] of BROKEN) {
    using client = await server.connect();
    client.write(bytes);
    assert.deepEqual(await client.untilClosed(), [{ error }], bytes.slice(0, 40));
  }
});

onNodes("empty lines and empty arrays are passed over", async (_server, client) => {
  client.write("\r\n   \r\n*0\r\n*-1\r\n*-10\r\nPING\r\n");
  assert.deepEqual(await client.take(1), ["PONG"]);
});

onNodes("TLS, NUL bytes and HTTP end the connection, and run nothing", async (server, client) => {
  const hello = Buffer.from("16030100a5010000a10303", "hex");
  const bytes = [
    hello,
    Buffer.alloc(64),
    "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nSET forged 1\r\n",
    "Host: localhost\r\nSET forged 1\r\n",
    "GET / HTTP/1.1\r\n\r\nSET forged 1\r\n",
  ];
  for (const sent of bytes) {
    using victim = await server.connect();
    victim.write(sent);
    const replies = await victim.untilClosed();
    assert.ok(replies.length <= 1, JSON.stringify(replies));
  }
  assert.equal(await client.call("EXISTS", "forged"), 0);
});

onNodes("names and keys of objects are names and keys like any other", async (_server, client) => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const error = `ERR unknown command '${name}', with args beginning with: 'x' `;
    assert.deepEqual(await client.call(name, "x"), { error });
    assert.equal(await client.call("SET", name, "1"), "OK");
    assert.equal(await client.call("GET", name), "1");
    assert.equal(await client.call("HSET", `h:${name}`, name, "1"), 1);
    assert.deepEqual(await client.call("CONFIG", "GET", name), []);
  }
});

onNodes("an unknown name cannot break out of its error", async (_server, client) => {
  const name = Buffer.from("a\r\n+OK\r\n\0b");
  const reply = await client.call(name, "x\r\ny");
  assert.deepEqual(Object.keys(reply as object), ["error"]);
  assert.equal(await client.call("PING"), "PONG");
  const long = (await client.call("n".repeat(200))) as { error: string };
  assert.ok(long.error.length < 200);
  assert.ok("error" in ((await client.call("")) as object));
});

onNodes("announced sizes cost nothing until they arrive", async (server) => {
  const baseline = residentBytes(server);
  const clients: TestClient[] = [];
  for (let i = 0; i < 60; i++) {
    const client = await server.connect();
    client.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${512 * MB}\r\nabc`);
    clients.push(client);
  }
  for (let i = 0; i < 10; i++) {
    const client = await server.connect();
    client.write("*1048576\r\n");
    clients.push(client);
  }
  using last = await server.connect();
  assert.equal(await last.call("PING"), "PONG");
  const grown = residentBytes(server) - baseline;
  assert.ok(grown < 100 * MB, `${Math.round(grown / MB)} MB`);
  for (const client of clients) client.destroy();
});

onNodes("a value in small pieces arrives whole", async (_server, client) => {
  const value = Buffer.alloc(8 * MB, "0123456789abcdef");
  client.write(`*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$${value.length}\r\n`);
  for (let at = 0; at < value.length; at += 4096) client.write(value.subarray(at, at + 4096));
  client.write("\r\n");
  assert.deepEqual(await client.take(1), ["OK"]);
  assert.equal(await client.call("STRLEN", "big"), value.length);
  assert.equal(await client.call("GET", "big"), value.toString("latin1"));
  await client.call("DEL", "big");
});

/** How many bytes the reply to a command has; it is not decoded. */
async function replyBytes(server: TestServer, command: string, bytesMin: number): Promise<number> {
  const socket = connect(server.port, "127.0.0.1");
  socket.write(command);
  let bytes = 0;
  for await (const chunk of socket) {
    bytes += (chunk as Buffer).length;
    if (bytes >= bytesMin) break;
  }
  socket.destroy();
  return bytes;
}

onNodes("a value of 48 MB goes there and back", async (server, client) => {
  const value = Buffer.alloc(48 * MB, "abcdefg");
  for (const key of ["huge1", "huge2", "huge3"]) {
    assert.equal(await client.call("SET", key, value), "OK");
    const found = await client.call("GETRANGE", key, String(48 * MB - 10), "-1");
    assert.equal(found, value.toString("latin1", 48 * MB - 10));
  }
  const reply = `$${value.length}\r\n`.length + value.length + 2;
  assert.equal(await replyBytes(server, "GET huge1\r\n", reply), reply);
  await client.call("DEL", "huge1", "huge2", "huge3");
});

onNodes("one byte a packet is a command like any other", async (_server, client) => {
  for (const byte of "*3\r\n$3\r\nSET\r\n$5\r\nbytes\r\n$2\r\nhi\r\nGET bytes\r\n") {
    client.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(await client.take(2), ["OK", "hi"]);
});

onNodes("every byte survives, and different bytes stay different", async (_server, client) => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const odd = ["ff", "fe", "c328", "eda080", "65cc81", "c3a9", "", "0d0a", "00"];
  const values = [all, ...odd.map((hex) => Buffer.from(hex, "hex"))];
  for (const value of values) {
    const key = Buffer.concat([Buffer.from("odd:"), value]);
    assert.equal(await client.call("SET", key, value), "OK");
  }
  for (const value of values) {
    const key = Buffer.concat([Buffer.from("odd:"), value]);
    assert.equal(await client.call("GET", key), value.toString("latin1"));
  }
});

onNodes(
  "a pipeline of 10,000 and an MSET of 20,000 pairs are answered",
  async (_server, client) => {
    const sets = Array.from({ length: 10_000 }, (_, i) => ["SET", `p:${i}`, `v${i}`]);
    const replies = await client.pipeline(...sets);
    assert.ok(replies.every((reply) => reply === "OK"));
    const gets = await client.pipeline(...sets.map(([, key]) => ["GET", key as string]));
    assert.deepEqual(
      gets,
      sets.map(([, , value]) => value),
    );
    const pairs = Array.from({ length: 20_000 }, (_, i) => [`m:${i}`, `w${i}`]);
    assert.equal(await client.call("MSET", ...pairs.flat()), "OK");
    const values = await client.call("MGET", ...pairs.map(([key]) => key as string));
    assert.deepEqual(
      values,
      pairs.map(([, value]) => value),
    );
  },
);

onNodes("a list of 100,000 comes back whole", async (server, client) => {
  const elements = Array.from({ length: 100_000 }, (_, i) => String(i));
  const bytesOf = (text: string) => `$${text.length}\r\n${text}\r\n`.length;
  const header = `*${elements.length}\r\n`.length;
  const bytes = elements.reduce((sum, text) => sum + bytesOf(text), header);
  for (const key of ["long1", "long2", "long3"]) {
    for (let at = 0; at < elements.length; at += 10_000) {
      await client.call("RPUSH", key, ...elements.slice(at, at + 10_000));
    }
    assert.equal(await replyBytes(server, `LRANGE ${key} 0 -1\r\n`, bytes), bytes);
  }
  await client.call("DEL", "long1", "long2", "long3");
});

onNodes("costly patterns are answered or refused", async (_server, client) => {
  await client.call("SET", "a".repeat(60), "1");
  const patterns = [`${"*a".repeat(20)}*b`, "[aaaa", "*".repeat(1000), `${"a*".repeat(200)}b`];
  for (const pattern of patterns) {
    const reply = await client.call("KEYS", pattern);
    assert.ok(Array.isArray(reply) || "error" in (reply as object));
  }
});

onNodes("a reset in the middle of a bulk leaves nothing behind", async (server, client) => {
  for (let i = 0; i < 20; i++) {
    const victim = await server.connect();
    victim.write("*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1000\r\nabc");
    victim.reset();
    const quick = await server.connect();
    quick.send(["SET", `rst:${i}`, "x".repeat(10_000)], ["GET", `rst:${i}`]);
    quick.reset();
  }
  assert.equal(await client.call("EXISTS", "half"), 0);
});
