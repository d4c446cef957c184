/**
 * CONFIG: what tools read and set, checked as Redis checks it, on every worker or on none.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryBytes } from "../../../actors/worker/parameter-values.ts";
import { FakeNode, type TestClient } from "../../support/fake-worker.ts";

function get(client: TestClient, ...patterns: string[]): Record<string, string> {
  const flat = client.read("CONFIG", "GET", ...patterns) as string[];
  const found: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) found[flat[i] as string] = flat[i + 1] as string;
  return found;
}

const failed = (name: string, why: string) => ({
  error: `ERR CONFIG SET failed (possibly related to argument '${name}') - ${why}`,
});

test("CONFIG GET finds names and patterns, each once, in any case", () => {
  const client = new FakeNode().connect();
  assert.deepEqual(get(client, "APPENDONLY", "save", "appendonly"), {
    appendonly: "yes",
    save: "",
  });
  assert.deepEqual(Object.keys(get(client, "hash-max-*", "*listpack-entries")).sort(), [
    "hash-max-listpack-entries",
    "hash-max-listpack-value",
    "hash-max-ziplist-entries",
    "hash-max-ziplist-value",
    "set-max-listpack-entries",
    "zset-max-listpack-entries",
  ]);
  assert.deepEqual(get(client, "nope"), {});
  assert.ok(Object.keys(get(client, "*")).length > 90);
});

test("CONFIG GET is a map in RESP3", () => {
  const client = new FakeNode().connect();
  client.read("HELLO 3");
  assert.deepEqual(client.read("CONFIG GET databases"), { map: [["databases", "2"]] });
});

test("CONFIG SET remembers what changes nothing here, on every worker", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  assert.equal(client.read("CONFIG SET list-max-ziplist-size 5 ACTIVEREHASHING No"), "OK");
  const other = node.connect({ worker: 1 });
  assert.deepEqual(get(other, "list-max-listpack-size", "activerehashing"), {
    "list-max-listpack-size": "5",
    activerehashing: "no",
  });
  assert.equal(client.read("CONFIG", "SET", "save", "900 1  300 10"), "OK");
  assert.equal(get(client, "save").save, "900 1 300 10");
  assert.equal(client.read("CONFIG SET auto-aof-rewrite-min-size 1mb"), "OK");
  assert.equal(get(client, "auto-aof-rewrite-min-size")["auto-aof-rewrite-min-size"], "1048576");
});

test("CONFIG SET of several parameters sets all or none", () => {
  const client = new FakeNode().connect();
  const before = get(client, "*");
  assert.deepEqual(
    client.read("CONFIG SET hz 20 appendonly maybe"),
    failed("appendonly", "argument must be 'yes' or 'no'"),
  );
  assert.deepEqual(client.read("CONFIG SET hz 20 HZ 30"), failed("hz", "duplicate parameter"));
  assert.deepEqual(client.read("CONFIG SET hz 20 nope 1"), {
    error: "ERR Unknown option or number of arguments for CONFIG SET - 'nope'",
  });
  assert.deepEqual(client.read("CONFIG SET hz 20 save"), { error: "ERR syntax error" });
  assert.deepEqual(get(client, "*"), before);
});

test("CONFIG SET refuses wrong values in Redis's words", () => {
  const client = new FakeNode().connect();
  const number = "argument couldn't be parsed into an integer";
  assert.deepEqual(client.read("CONFIG SET hz abc"), failed("hz", number));
  assert.deepEqual(client.read("CONFIG SET timeout x"), failed("timeout", number));
  assert.deepEqual(
    client.read("CONFIG SET maxmemory abc"),
    failed("maxmemory", "argument must be a memory value"),
  );
  const most = 24 * 1024 ** 3;
  assert.equal(client.read(`CONFIG SET maxmemory ${most}`), "OK");
  assert.deepEqual(
    client.read(`CONFIG SET maxmemory ${most + 1}`),
    failed("maxmemory", `argument must be at most ${most}: 24 GB a worker`),
  );
  assert.deepEqual(
    client.read("CONFIG SET active-expire-effort 11"),
    failed("active-expire-effort", "argument must be between 1 and 10 inclusive"),
  );
  assert.deepEqual(client.read("CONFIG SET save x"), failed("save", "Invalid save parameters"));
  // A pattern that goes back over it in every way does not end.
  const long = `${"1 ".repeat(90)}x`;
  const refused = failed("save", "Invalid save parameters");
  assert.deepEqual(client.read("CONFIG", "SET", "save", long), refused);
  assert.equal(client.read("CONFIG", "SET", "save", "1 2 ".repeat(45)), "OK");
});

test("what promises something else than the node keeps is refused, and its present value taken", () => {
  const client = new FakeNode({ password: "secret" }).connect();
  client.read("AUTH secret");
  const refused = [
    "maxmemory-policy allkeys-lru",
    "appendfsync no",
    "requirepass other",
    "databases 3",
    "cluster-enabled yes",
    "dir /nope",
    "replicaof x",
  ];
  for (const pair of refused) {
    const reply = client.read(`CONFIG SET ${pair}`) as { error?: string };
    assert.match(reply.error ?? "", /^ERR CONFIG SET failed/, pair);
  }
  for (const pair of ["maxmemory-policy noeviction", "appendfsync always", "databases 2"]) {
    assert.equal(client.read(`CONFIG SET ${pair}`), "OK", pair);
  }
});

test("the password is never shown", () => {
  const client = new FakeNode({ password: "secret" }).connect();
  client.read("AUTH secret");
  assert.deepEqual(get(client, "requirepass"), { requirepass: "(hidden)" });
  assert.deepEqual(get(new FakeNode().connect(), "requirepass"), { requirepass: "" });
});

test("maxmemory reaches every worker; 0 is the configured limit", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  assert.equal(get(client, "maxmemory").maxmemory, String(64 * 1024 * 1024));
  assert.equal(client.read("CONFIG SET maxmemory 100mb"), "OK");
  assert.equal(get(client, "maxmemory").maxmemory, String(100 * 1024 * 1024));
  assert.equal(client.read("CONFIG SET maxmemory 0"), "OK");
  assert.equal(get(client, "maxmemory").maxmemory, String(64 * 1024 * 1024));
  for (const { done } of node.workers)
    assert.deepEqual(done, ["memory 104857600", "memory 67108864"]);
});

test("bounds on clients are set in Redis's units", () => {
  const node = new FakeNode();
  const client = node.connect();
  assert.equal(client.read("CONFIG SET maxclients 77 timeout 30 proto-max-bulk-len 2mb"), "OK");
  const { max, idleTimeoutMs, argumentBytesMax } = node.workers[0]?.limits ?? {};
  assert.deepEqual(
    { max, idleTimeoutMs, argumentBytesMax },
    {
      max: 77,
      idleTimeoutMs: 30_000,
      argumentBytesMax: 2 * 1024 * 1024,
    },
  );
  assert.equal(get(client, "timeout").timeout, "30");
});

test("CONFIG REWRITE names the file to edit", () => {
  const reply = new FakeNode().connect().read("CONFIG REWRITE") as { error: string };
  assert.match(reply.error, /^ERR CONFIG REWRITE is not supported: .*cluster\.config\.json/);
});

test("sizes are read as Redis reads them", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["0", 0],
    ["10", 10],
    ["1k", 1000],
    ["1kb", 1024],
    ["2MB", 2 * 1024 * 1024],
    ["1g", 1e9],
    ["1gb", 2 ** 30],
    ["", -1],
    ["-1", -1],
    ["1x", -1],
    ["1.5gb", -1],
    ["constructor", -1],
    ["999999999999999gb", -1],
  ];
  for (const [text, bytes] of cases) assert.equal(memoryBytes(text), bytes, text);
});
