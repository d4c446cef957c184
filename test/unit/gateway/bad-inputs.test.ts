/**
 * What no client should send (shared design: faults.md, "Bad inputs"), through the whole gateway to
 * one worker and to three: each gives one error and changes nothing else. Framing and sizes are in
 * test/cluster/gateway/inputs.test.ts.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import type { Plain } from "../../support/resp.ts";
import type { TestClient } from "../../support/test-client.ts";
import { WorkerNode } from "../../support/worker-node.ts";

const nodes = new Map<number, WorkerNode>();

before(async () => {
  for (const workers of [1, 3]) nodes.set(workers, await WorkerNode.start({ workers }));
});

after(async () => {
  for (const node of nodes.values()) await node[Symbol.asyncDispose]();
});

/** The same test against one worker and three, on empty keyspaces. */
function onNodes(name: string, run: (client: TestClient) => Promise<void>): void {
  for (const workers of [1, 3]) {
    test(`${name} (${workers} workers)`, async () => {
      using client = await (nodes.get(workers) as WorkerNode).connect();
      assert.equal(await client.call("FLUSHALL"), "OK");
      await run(client);
      assert.equal(await client.call("PING"), "PONG");
    });
  }
}

/** Runs lines of words, each with the reply that it must give. */
async function replies(client: TestClient, lines: readonly (readonly [string, Plain])[]) {
  for (const [line, expected] of lines) {
    assert.deepEqual(await client.call(...line.split(" ")), expected, line);
  }
}

const error = (text: string) => ({ error: `ERR ${text}` });
const NOT_INTEGER = error("value is not an integer or out of range");
const SYNTAX = error("syntax error");
const BETWEEN =
  "value is out of range, value must between -9223372036854775807 and 9223372036854775807";
const OVERFLOW = error("increment or decrement would overflow");
const WRONG_TYPE = {
  error: "WRONGTYPE Operation against a key holding the wrong kind of value",
};
const INHERITED = ["__proto__", "constructor", "toString", "hasOwnProperty"];

const DISCARDED = "EXECABORT Transaction discarded because of";

onNodes("every command refuses a wrong number of arguments and does nothing", async (client) => {
  const entries = new CommandTable().entries.flatMap((entry) => [entry, ...entry.subcommands]);
  let refused = 0;
  for (const { fullName, arity } of entries) {
    const words = fullName.split("|");
    const tooFew = Math.abs(arity) > words.length ? words : null;
    const tooMany = arity > 0 ? [...words, ...new Array<string>(arity).fill("x")] : null;
    for (const sent of [tooFew, tooMany]) {
      if (sent === null) continue;
      const text = `wrong number of arguments for '${fullName}' command`;
      const expected = fullName === "exec" ? { error: `${DISCARDED}: ${text}` } : error(text);
      assert.deepEqual(await client.call(...sent), expected, sent.join(" "));
      refused++;
    }
  }
  assert.ok(refused > 200, `${refused} refusals`);
  assert.equal(await client.call("DBSIZE"), 0);
});

onNodes("names that every object has are unknown words like any other", async (client) => {
  for (const name of INHERITED) {
    const replied = async (...words: string[]) => JSON.stringify(await client.call(...words));
    for (const container of ["CLIENT", "CONFIG", "COMMAND", "CLUSTER", "OBJECT", "MEMORY", "ACL"]) {
      const text = `unknown subcommand '${name}'. Try ${container} HELP.`;
      assert.deepEqual(await client.call(container, name), error(text));
    }
    assert.match(await replied("CONFIG", "SET", name, "1"), /^\{"error":"ERR Unknown option/);
    assert.match(await replied("ACL", "CAT", name), /^\{"error":"ERR Unknown category/);
    assert.match(await replied("CLIENT", "LIST", "TYPE", name), /^\{"error":"ERR Unknown client/);
    assert.match(await replied("CLIENT", "KILL", name, "1"), /^\{"error":"ERR syntax error/);
    assert.match(await replied("COMMAND", "GETKEYS", name, "k"), /^\{"error":"ERR Invalid command/);
    assert.deepEqual(await client.call("COMMAND", "INFO", name), [null]);
    assert.deepEqual(await client.call("COMMAND", "DOCS", name), []);
    const [, found] = (await client.call("SCAN", "0", "TYPE", name)) as [string, string[]];
    assert.deepEqual(found, []);
    assert.equal(await client.call("INFO", name), "");
    assert.deepEqual(await client.call("SET", "k", "v", name), SYNTAX);
  }
  for (const [add, key] of [
    ["SADD", "set"],
    ["RPUSH", "list"],
  ] as const) {
    assert.equal(await client.call(add, key, ...INHERITED), INHERITED.length);
  }
  assert.equal(await client.call("ZADD", "z", ...INHERITED.flatMap((name) => ["1", name])), 4);
  assert.deepEqual(await client.call("SMISMEMBER", "set", ...INHERITED), [1, 1, 1, 1]);
  assert.deepEqual(await client.call("LRANGE", "list", "0", "-1"), INHERITED);
  for (const name of INHERITED) assert.equal(await client.call("ZSCORE", "z", name), "1");
});

onNodes("a long name is cut in its error, and what breaks lines is no line", async (client) => {
  const long = "n".repeat(200);
  const text = `unknown command '${"n".repeat(128)}', with args beginning with: `;
  assert.deepEqual(await client.call(long), error(text));
  const lines = Buffer.from("CLIENT\r\n+OK\r\n");
  assert.match(JSON.stringify(await client.call(lines)), /unknown command 'CLIENT {2}\+OK {2}'/);
  assert.match(
    JSON.stringify(await client.call("CLIENT", "x\r\n+OK\r\n\0")),
    /unknown subcommand 'x {2}\+OK {3}'/,
  );
  assert.match(JSON.stringify(await client.call("SET", "k", "v", "\r\n+OK")), /syntax error/);
});

/** Every byte alone, all at once, and sequences that are not UTF-8, or look alike in it. */
const ODD: readonly Buffer[] = [
  ...Array.from({ length: 256 }, (_, byte) => Buffer.from([byte])),
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  ...["", "c328", "eda080", "65cc81", "c3a9", "0d0a", "fffe00", "efbfbd"].map((hex) =>
    Buffer.from(hex, "hex"),
  ),
];
const ODD_TEXTS = ODD.map((bytes) => bytes.toString("latin1"));
const ODD_SORTED = ODD_TEXTS.toSorted();

onNodes("any bytes are a key, and all of them are found again", async (client) => {
  await client.pipeline(...ODD.map((key) => ["SET", key, key]));
  assert.equal(await client.call("DBSIZE"), ODD.length);
  assert.deepEqual(await client.pipeline(...ODD.map((key) => ["GET", key])), ODD_TEXTS);
  assert.deepEqual(((await client.call("KEYS", "*")) as string[]).toSorted(), ODD_SORTED);
  const found: string[] = [];
  let cursor = "0";
  do {
    const [next, names] = (await client.call("SCAN", cursor, "COUNT", "50")) as [string, string[]];
    found.push(...names);
    cursor = next;
  } while (cursor !== "0");
  assert.deepEqual(found.sort(), ODD_SORTED);
  assert.ok(ODD_TEXTS.includes((await client.call("RANDOMKEY")) as string));
  assert.equal(await client.call("DEL", ...ODD), ODD.length);
});

onNodes("any bytes are a field, a member and an element, each by itself", async (client) => {
  const all = (command: (bytes: Buffer) => (string | Buffer)[]) => {
    return client.pipeline(...ODD.map(command));
  };
  const ones = ODD.map(() => 1);
  assert.deepEqual(await all((bytes) => ["HSET", "hash", bytes, bytes]), ones);
  assert.deepEqual(await all((bytes) => ["SADD", "set", bytes]), ones);
  assert.deepEqual(await all((bytes) => ["ZADD", "zset", "1", bytes]), ones);
  await all((bytes) => ["RPUSH", "list", bytes]);
  assert.deepEqual(await all((bytes) => ["HGET", "hash", bytes]), ODD_TEXTS);
  assert.deepEqual(await all((bytes) => ["SISMEMBER", "set", bytes]), ones);
  assert.deepEqual(await all((bytes) => ["ZSCORE", "zset", bytes]), ones.map(String));
  const sorted = async (...words: string[]) => {
    return ((await client.call(...words)) as string[]).toSorted();
  };
  assert.deepEqual(await sorted("HKEYS", "hash"), ODD_SORTED);
  assert.deepEqual(await sorted("HVALS", "hash"), ODD_SORTED);
  assert.deepEqual(await sorted("SMEMBERS", "set"), ODD_SORTED);
  assert.deepEqual(await sorted("ZRANGE", "zset", "0", "-1"), ODD_SORTED);
  assert.deepEqual(await client.call("LRANGE", "list", "0", "-1"), ODD_TEXTS);
});

onNodes("what is no integer is refused, and the ends of 64 bits hold", async (client) => {
  const max = "9223372036854775807";
  const min = "-9223372036854775808";
  await replies(client, [
    ["SET n 9007199254740993", "OK"],
    ["INCR n", 9007199254740994n],
    [`SET n ${max}`, "OK"],
    ["INCR n", OVERFLOW],
    ["INCRBY n 1", OVERFLOW],
    ["GET n", max],
    [`SET n ${min}`, "OK"],
    ["DECR n", OVERFLOW],
    ["DECRBY n 1", OVERFLOW],
    [`DECRBY n ${min}`, error("decrement would overflow")],
    ["GET n", min],
    [`INCRBY n ${max}0`, NOT_INTEGER],
    ["SET f 10.5", "OK"],
    ["INCRBYFLOAT f 0.1", "10.6"],
    ["INCRBYFLOAT f nan", error("value is not a valid float")],
    ["INCRBYFLOAT f inf", error("increment would produce NaN or Infinity")],
    ["GET f", "10.6"],
  ]);
  for (const text of ["01", "+1", "-0", " 1", "1 ", "1.0", "0x10", "", "1e3", "\t1"]) {
    assert.equal(await client.call("SET", "x", text), "OK");
    assert.deepEqual(await client.call("INCR", "x"), NOT_INTEGER, text);
    assert.deepEqual(await client.call("INCRBY", "n", text), NOT_INTEGER, text);
    assert.deepEqual(await client.call("LRANGE", "l", text, "1"), NOT_INTEGER, text);
    assert.equal(await client.call("GET", "x"), text);
  }
});

onNodes("times, offsets, counts and cursors out of range are refused", async (client) => {
  const expiry = (command: string) => error(`invalid expire time in '${command}' command`);
  const cursor = error("invalid cursor");
  await replies(client, [
    ["SET k v", "OK"],
    ["EXPIRE k 9223372036854775807", expiry("expire")],
    ["PEXPIRE k 9223372036854775807", expiry("pexpire")],
    ["EXPIRE k x", NOT_INTEGER],
    ["SET k w EX 0", expiry("set")],
    ["SET k w PX -1", expiry("set")],
    ["SET k w EX 9223372036854775807", expiry("set")],
    ["SETEX k 0 w", expiry("setex")],
    ["GETEX k EX 0", expiry("getex")],
    ["SET k w EX 10 PX 10", SYNTAX],
    ["SET k w NX XX", SYNTAX],
    ["SET k w KEEPTTL EX 10", SYNTAX],
    ["SET k w EX", SYNTAX],
    ["EXPIRE k 10 NX XX", error("NX and XX, GT or LT options at the same time are not compatible")],
    ["GET k", "v"],
    ["TTL k", -1],
    ["SETRANGE k 536870912 x", error("string exceeds maximum allowed size (proto-max-bulk-len)")],
    ["SETRANGE k -1 x", error("offset is out of range")],
    ["SETBIT k 4294967296 1", error("bit offset is not an integer or out of range")],
    ["SCAN abc", cursor],
    ["SCAN -1", cursor],
    ["SCAN 18446744073709551616", cursor],
    ["SCAN 0 COUNT 0", SYNTAX],
    ["SCAN 0 COUNT x", NOT_INTEGER],
    ["SCAN 0 MATCH", SYNTAX],
    ["SSCAN s abc", cursor],
    ["SADD s a", 1],
    ["SPOP s -1", error("value is out of range, must be positive")],
    ["SRANDMEMBER s -9223372036854775808", error(BETWEEN)],
    ["RPUSH l a", 1],
    ["LPOP l -1", error("value is out of range, must be positive")],
    ["LINDEX l x", NOT_INTEGER],
    ["SELECT 99", error("DB index is out of range")],
    ["SELECT -1", error("DB index is out of range")],
    ["SELECT 1x", NOT_INTEGER],
    ["SCARD s", 1],
    ["LLEN l", 1],
    ["EXPIRE k -1", 1],
    ["EXISTS k", 0],
  ]);
});

onNodes("a value without its key, and a key without its value, set nothing", async (client) => {
  for (const line of ["MSET a 1 b", "MSETNX a 1 b", "HSET h f", "HSET h f 1 g", "HMSET h f 1 g"]) {
    const name = line.split(" ")[0]?.toLowerCase();
    const expected = error(`wrong number of arguments for '${name}' command`);
    assert.deepEqual(await client.call(...line.split(" ")), expected, line);
  }
  assert.deepEqual(await client.call("ZADD", "z", "1", "a", "2"), SYNTAX);
  assert.equal(await client.call("DBSIZE"), 0);
});

/** Commands on each type, all of which there are. */
const ON: Readonly<Record<string, readonly string[]>> = {
  string: ["GET", "APPEND x", "INCR", "GETRANGE 0 1", "SETRANGE 0 x", "SETBIT 0 1", "GETDEL"],
  list: ["RPUSH x", "LPOP", "LRANGE 0 -1", "LLEN", "LSET 0 x", "LTRIM 1 0", "LREM 0 a"],
  set: ["SADD x", "SREM a", "SPOP", "SMEMBERS", "SISMEMBER a", "SRANDMEMBER", "SSCAN 0"],
  hash: ["HSET g x", "HGET f", "HDEL f", "HGETALL", "HINCRBY f 1", "HLEN", "HSCAN 0"],
  zset: ["ZADD 2 x", "ZSCORE a", "ZRANGE 0 -1", "ZCARD", "ZPOPMIN"],
};

onNodes("a command on a key of another type says so and leaves the key alone", async (client) => {
  await replies(client, [
    ["SET string v", "OK"],
    ["RPUSH list a", 1],
    ["SADD set a", 1],
    ["HSET hash f v", 1],
    ["ZADD zset 1 a", 1],
  ]);
  for (const [type, commands] of Object.entries(ON)) {
    for (const command of commands) {
      const [name = "", ...rest] = command.split(" ");
      for (const key of Object.keys(ON)) {
        if (key === type) continue;
        assert.deepEqual(await client.call(name, key, ...rest), WRONG_TYPE, `${name} ${key}`);
      }
    }
  }
  await replies(client, [
    ["GET string", "v"],
    ["LRANGE list 0 -1", ["a"]],
    ["SMEMBERS set", ["a"]],
    ["HGET hash f", "v"],
    ["ZSCORE zset a", "1"],
  ]);
});
