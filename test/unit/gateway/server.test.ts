/**
 * Commands about the node: time, saving, stopping, memory, users, and what there is none of.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeNode } from "../../support/fake-worker.ts";
import type { Plain } from "../../support/resp.ts";

const SYNTAX = { error: "ERR syntax error" };

test("TIME is the wall time of the turn in seconds and microseconds", () => {
  const node = new FakeNode();
  node.partitions.clock.advance(1234);
  assert.deepEqual(node.connect().read("TIME"), ["1800000001", "234000"]);
});

test("ROLE is a master's without replicas, and WAIT finds none", () => {
  const client = new FakeNode().connect();
  assert.deepEqual(client.read("ROLE"), ["master", 0, []]);
  assert.equal(client.read("WAIT 1 100"), 0);
  assert.deepEqual(client.read("WAIT x 0"), {
    error: "ERR value is not an integer or out of range",
  });
  assert.deepEqual(client.read("WAIT 0 x"), {
    error: "ERR timeout is not an integer or out of range",
  });
  assert.deepEqual(client.read("WAIT 0 -1"), { error: "ERR timeout is negative" });
});

test("SHUTDOWN stops the node without a reply, once its options are right", () => {
  const node = new FakeNode();
  const client = node.connect();
  assert.deepEqual(client.read("SHUTDOWN x"), SYNTAX);
  assert.deepEqual(client.read("SHUTDOWN SAVE NOSAVE"), SYNTAX);
  assert.deepEqual(client.read("SHUTDOWN ABORT NOW"), SYNTAX);
  assert.deepEqual(client.read("SHUTDOWN ABORT"), { error: "ERR No shutdown in progress." });
  assert.deepEqual(node.workers[0]?.done, []);
  assert.equal(client.send("SHUTDOWN", "nosave", "NOW"), undefined);
  assert.deepEqual(node.workers[0]?.done, ["shutdown"]);
});

test("SAVE, BGSAVE and BGREWRITEAOF start snapshots on every worker", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  assert.equal(client.read("SAVE"), "OK");
  assert.equal(client.read("BGSAVE"), "Background saving started");
  assert.equal(client.read("BGSAVE schedule"), "Background saving started");
  assert.deepEqual(client.read("BGSAVE foo"), SYNTAX);
  assert.equal(client.read("BGREWRITEAOF"), "Background append only file rewriting started");
  for (const { done } of node.workers) assert.deepEqual(done, Array(4).fill("snapshot"));
});

test("LASTSAVE is the oldest of the workers' last snapshots", () => {
  const node = new FakeNode({ workers: 2 });
  const [first] = node.workers;
  if (first !== undefined) first.persistence.lastSnapshotAtMs = 1_600_000_000_999;
  assert.equal(node.connect().read("LASTSAVE"), 1_600_000_000);
});

test("LOLWUT tells the version", () => {
  const text = new FakeNode().connect().text("LOLWUT VERSION 5");
  assert.match(text, /Coterie 0\.1\.0\. Redis ver\. 7\.2\.4\n$/);
});

test("MEMORY STATS adds up the workers' tables", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  for (let i = 0; i < 4; i++) client.read("SET", `k${i}`, "x");
  const flat = client.read("MEMORY STATS") as Plain[];
  const stats = new Map<Plain, Plain>();
  for (let i = 0; i + 1 < flat.length; i += 2) stats.set(flat[i] as Plain, flat[i + 1] as Plain);
  assert.equal(stats.get("total.allocated"), 2000);
  assert.equal(stats.get("keys.count"), 4);
  assert.equal(stats.get("keys.bytes-per-key"), 500);
  assert.equal(stats.get("fragmentation"), "2.5");
  client.read("HELLO 3");
  const reply = client.send("MEMORY", "STATS");
  assert.equal(reply?.kind, "map");
});

test("MEMORY DOCTOR, PURGE and MALLOC-STATS answer, and USAGE is of a key", () => {
  const client = new FakeNode().connect();
  assert.match(client.text("MEMORY DOCTOR"), /^Nothing to report/);
  assert.equal(client.read("MEMORY PURGE"), "OK");
  assert.match(client.text("MEMORY MALLOC-STATS"), /^worker 0: 1000 bytes/);
  assert.equal(client.read("MEMORY USAGE nope"), null);
  client.read("SET k x");
  assert.ok((client.read("MEMORY USAGE k") as number) > 0);
});

test("ACL shows one user with all rights, and never its password", () => {
  const open = new FakeNode().connect();
  assert.equal(open.read("ACL WHOAMI"), "default");
  assert.deepEqual(open.read("ACL USERS"), ["default"]);
  assert.deepEqual(open.read("ACL LIST"), ["user default on nopass ~* &* +@all"]);
  assert.equal(open.read("ACL GETUSER other"), null);
  const user = open.read("ACL GETUSER default") as Plain[];
  assert.deepEqual(user.slice(0, 6), [
    "flags",
    ["on", "nopass"],
    "passwords",
    [],
    "commands",
    "+@all",
  ]);
  const closed = new FakeNode({ password: "secret" }).connect();
  closed.read("AUTH secret");
  assert.deepEqual(closed.read("ACL LIST"), ["user default on ~* &* +@all"]);
});

test("ACL CAT lists categories and what is in them", () => {
  const client = new FakeNode().connect();
  const categories = client.read("ACL CAT") as string[];
  assert.equal(categories.length, 21);
  assert.deepEqual(client.read("ACL CAT transaction"), [
    "multi",
    "exec",
    "discard",
    "watch",
    "unwatch",
  ]);
  assert.ok((client.read("ACL CAT Dangerous") as string[]).includes("config|set"));
  assert.deepEqual(client.read("ACL CAT x"), { error: "ERR Unknown category 'x'" });
});

test("there are no functions and no modules", () => {
  const client = new FakeNode().connect();
  assert.deepEqual(client.read("FUNCTION LIST"), []);
  assert.deepEqual(client.read("FUNCTION STATS"), ["running_script", null, "engines", []]);
  assert.equal(client.read("FUNCTION FLUSH async"), "OK");
  assert.deepEqual(client.read("FUNCTION FLUSH x"), {
    error: "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
  });
  assert.deepEqual(client.read("MODULE LIST"), []);
});

test("DEBUG is for tests only", () => {
  const refused = new FakeNode().connect();
  for (const words of ["DEBUG SLEEP 0", "DEBUG SET-ACTIVE-EXPIRE 0", "DEBUG PANIC k v"]) {
    const reply = refused.read(words) as { error: string };
    assert.match(reply.error, /^ERR DEBUG command not allowed/);
  }
  const node = new FakeNode({ workers: 2, allowsTestCommands: true });
  const client = node.connect();
  assert.equal(client.read("DEBUG SLEEP 0.001"), "OK");
  assert.deepEqual(client.read("DEBUG SLEEP x"), { error: "ERR value is not a valid float" });
  assert.equal(client.read("DEBUG SET-ACTIVE-EXPIRE 0"), "OK");
  assert.deepEqual(client.read("DEBUG SET-ACTIVE-EXPIRE 2"), SYNTAX);
  for (const { done } of node.workers) assert.deepEqual(done, ["sweep false"]);
});
