/**
 * COMMAND and its subcommands: the shapes that redis-cli, ioredis and node-redis parse.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import { FakeNode, type TestClient } from "../../support/fake-worker.ts";
import type { Plain } from "../../support/resp.ts";

function connect(protocol: 2 | 3): TestClient {
  const client = new FakeNode().connect();
  client.read(`HELLO ${protocol}`);
  return client;
}

/** The one entry of COMMAND INFO about a command. */
function infoOf(client: TestClient, name: string): readonly Plain[] {
  const [entry] = client.read("COMMAND", "INFO", name) as Plain[];
  return entry as readonly Plain[];
}

test("COMMAND INFO has the ten fields of Redis 7", () => {
  const get = infoOf(connect(2), "GET");
  const spec = [
    "flags",
    ["RO", "access"],
    "begin_search",
    ["type", "index", "spec", ["index", 1]],
    "find_keys",
    ["type", "range", "spec", ["lastkey", 0, "keystep", 1, "limit", 0]],
  ];
  assert.deepEqual(get, [
    "get",
    2,
    ["readonly", "fast"],
    1,
    1,
    1,
    ["@read", "@string", "@fast"],
    [],
    [spec],
    [],
  ]);
});

test("COMMAND INFO in RESP3 has sets of flags and maps of key specs", () => {
  const reply = connect(3).send("COMMAND", "INFO", "mset", "nope");
  assert.ok(reply?.kind === "array");
  const [mset, nope] = reply.items;
  assert.equal(nope?.kind, "null");
  assert.ok(mset?.kind === "array");
  const kinds = mset.items.map(({ kind }) => kind);
  assert.deepEqual(kinds.slice(0, 3), ["bulk", "integer", "set"]);
  assert.deepEqual(kinds.slice(6), ["set", "set", "set", "set"]);
  const specs = mset.items[8];
  assert.ok(specs?.kind === "set");
  assert.equal(specs.items[0]?.kind, "map");
});

test("COMMAND INFO finds subcommands by their full name and shows them in their container", () => {
  const client = connect(2);
  assert.deepEqual(infoOf(client, "client|id").slice(0, 3), [
    "client|id",
    2,
    ["noscript", "loading", "stale"],
  ]);
  const client7 = infoOf(client, "CLIENT");
  assert.deepEqual(client7.slice(0, 3), ["client", -2, []]);
  const inner = (client7[9] as Plain[][]).map(([name]) => name);
  assert.ok(inner.includes("client|kill") && inner.includes("client|help"));
  assert.deepEqual(infoOf(client, "object|encoding").slice(3, 6), [2, 2, 1]);
});

test("ACL categories follow from flags and group", () => {
  const client = connect(2);
  const categories = (name: string) => infoOf(client, name)[6];
  assert.deepEqual(categories("client|kill"), ["@admin", "@slow", "@dangerous", "@connection"]);
  assert.deepEqual(categories("flushall"), ["@keyspace", "@write", "@slow", "@dangerous"]);
  assert.deepEqual(categories("multi"), ["@fast", "@transaction"]);
  assert.deepEqual(categories("info"), ["@slow", "@dangerous"]);
});

test("COMMAND alone and COMMAND COUNT are of all commands", () => {
  const client = connect(2);
  const count = client.read("COMMAND COUNT");
  assert.equal(count, new CommandTable().entries.length);
  assert.equal((client.read("COMMAND") as Plain[]).length, count);
  assert.equal((client.read("COMMAND INFO") as Plain[]).length, count);
});

test("COMMAND LIST names commands and subcommands, and filters them", () => {
  const client = connect(2);
  const all = client.read("COMMAND LIST") as string[];
  assert.ok(all.includes("get") && all.includes("config|get"));
  assert.deepEqual(client.read("COMMAND LIST FILTERBY PATTERN CONFIG|R*"), [
    "config|resetstat",
    "config|rewrite",
  ]);
  const transaction = client.read("COMMAND LIST FILTERBY ACLCAT transaction");
  assert.deepEqual(transaction, ["multi", "exec", "discard", "watch", "unwatch"]);
  assert.deepEqual(client.read("COMMAND LIST FILTERBY ACLCAT nope"), []);
  assert.deepEqual(client.read("COMMAND LIST FILTERBY MODULE json"), []);
  const syntax = { error: "ERR syntax error" };
  assert.deepEqual(client.read("COMMAND LIST FILTERBY FOO bar"), syntax);
  assert.deepEqual(client.read("COMMAND LIST FOO"), syntax);
});

test("COMMAND GETKEYS finds the keys of a command, subcommands' too", () => {
  const client = connect(2);
  const error = (text: string) => ({ error: `ERR ${text}` });
  assert.deepEqual(client.read("COMMAND GETKEYS mset a 1 b 2"), ["a", "b"]);
  assert.deepEqual(client.read("COMMAND GETKEYS OBJECT ENCODING k"), ["k"]);
  assert.deepEqual(client.read("COMMAND GETKEYS foo k"), error("Invalid command specified"));
  assert.deepEqual(
    client.read("COMMAND GETKEYS ping k"),
    error("The command has no key arguments"),
  );
  assert.deepEqual(
    client.read("COMMAND GETKEYS get a b"),
    error("Invalid number of arguments specified for command"),
  );
  assert.deepEqual(client.read("COMMAND GETKEYSANDFLAGS get k"), [["k", ["RO", "access"]]]);
  assert.deepEqual(client.read("COMMAND GETKEYSANDFLAGS copy k l"), [
    ["k", ["RO", "access"]],
    ["l", ["OW", "update"]],
  ]);
  assert.deepEqual(client.read("COMMAND GETKEYSANDFLAGS del k"), [["k", ["RM", "delete"]]]);
});

test("COMMAND DOCS tells what redis-cli's hints are made of", () => {
  const docs = connect(3).read("COMMAND", "DOCS", "echo", "nope");
  assert.deepEqual(docs, {
    map: [
      [
        "echo",
        {
          map: [
            ["summary", "Returns the given string."],
            ["since", "1.0.0"],
            ["group", "connection"],
            ["complexity", "O(1)"],
            [
              "arguments",
              [
                {
                  map: [
                    ["name", "message"],
                    ["type", "string"],
                    ["display_text", "message"],
                  ],
                },
              ],
            ],
          ],
        },
      ],
    ],
  });
});

test("COMMAND DOCS of everything is well formed in both protocols", () => {
  for (const protocol of [2, 3] as const) {
    const client = connect(protocol);
    const count = client.read("COMMAND COUNT") as number;
    const docs = client.send("COMMAND", "DOCS");
    assert.ok(docs?.kind === "map" || docs?.kind === "array");
    assert.equal(docs.kind === "map" ? docs.entries.length : docs.items.length / 2, count);
  }
});
