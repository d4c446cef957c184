/**
 * HELLO, AUTH, PING, SELECT … over a real connection. Texts are Redis 7.2's.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeNode, type TestClient } from "../../support/fake-worker.ts";

const WRONG = { error: "WRONGPASS invalid username-password pair or user is disabled." };

function hello(version: number, id: number, mode: string) {
  return [
    ["server", "redis"],
    ["version", "7.2.4"],
    ["proto", version],
    ["id", id],
    ["mode", mode],
    ["role", "master"],
    ["modules", []],
  ];
}

test("HELLO answers with the server's facts, in the protocol that it asks for", () => {
  const client = new FakeNode().connect();
  assert.deepEqual(client.read("HELLO"), hello(2, 1, "standalone").flat());
  assert.deepEqual(client.read("hello 3"), { map: hello(3, 1, "standalone") });
  assert.equal(client.client.protocol, 3);
  assert.deepEqual(client.read("HELLO 2"), hello(2, 1, "standalone").flat());
});

test("HELLO on a direct port says cluster mode", () => {
  const client = new FakeNode().connect({ isDirect: true });
  assert.deepEqual(client.read("HELLO 3"), { map: hello(3, 1, "cluster") });
});

test("HELLO refuses other protocols and options, and changes nothing then", () => {
  const client = new FakeNode().connect();
  const error = (text: string) => ({ error: text });
  assert.deepEqual(client.read("HELLO 4"), error("NOPROTO unsupported protocol version"));
  assert.deepEqual(
    client.read("HELLO x"),
    error("ERR Protocol version is not an integer or out of range"),
  );
  assert.deepEqual(client.read("HELLO 3 FOO"), error("ERR Syntax error in HELLO option 'FOO'"));
  assert.deepEqual(
    client.read("HELLO 3 SETNAME"),
    error("ERR Syntax error in HELLO option 'SETNAME'"),
  );
  const named = client.read("HELLO", "3", "SETNAME", "a b");
  assert.deepEqual(
    named,
    error("ERR Client names cannot contain spaces, newlines or special characters."),
  );
  assert.equal(client.client.protocol, 2);
  assert.equal(client.client.name, "");
});

test("HELLO names and authenticates the connection in one step", () => {
  const client = new FakeNode({ password: "secret" }).connect();
  const needsAuth = client.read("HELLO 3") as { error: string };
  assert.match(needsAuth.error, /^NOAUTH HELLO must be called with the client already/);
  assert.deepEqual(client.read("HELLO 3 AUTH default wrong"), WRONG);
  assert.equal(client.client.isAuthenticated, false);
  const reply = client.read("HELLO 3 AUTH default secret SETNAME me");
  assert.deepEqual(reply, { map: hello(3, 1, "standalone") });
  assert.equal(client.client.name, "me");
});

test("AUTH takes the configured password of the default user only", () => {
  const node = new FakeNode({ password: "pässword" });
  const client = node.connect();
  assert.deepEqual(client.read("PING"), { error: "NOAUTH Authentication required." });
  assert.deepEqual(client.read("AUTH", "passwor"), WRONG);
  assert.deepEqual(client.read("AUTH", "other", "pässword"), WRONG);
  assert.deepEqual(client.read("AUTH a b c"), { error: "ERR syntax error" });
  assert.equal(node.workers[0]?.stats.deniedAuths, 2);
  assert.equal(client.read("AUTH", "default", "pässword"), "OK");
  assert.equal(client.read("PING"), "PONG");
});

test("AUTH without a configured password says so, and takes any password of the user", () => {
  const client = new FakeNode().connect();
  assert.deepEqual(client.read("AUTH x"), {
    error:
      "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
  });
  assert.equal(client.read("AUTH default x"), "OK");
  assert.deepEqual(client.read("AUTH other x"), WRONG);
});

test("PING and ECHO give back bytes as they came", () => {
  const client = new FakeNode().connect();
  const bytes = Buffer.from([0, 13, 10, 255]);
  assert.equal(client.read("PING"), "PONG");
  assert.equal(client.read("PING", bytes), bytes.toString("latin1"));
  assert.equal(client.read("ECHO", bytes), bytes.toString("latin1"));
  assert.deepEqual(client.read("PING a b"), {
    error: "ERR wrong number of arguments for 'ping' command",
  });
});

test("SELECT picks one of the keyspaces", () => {
  const client = new FakeNode().connect();
  assert.equal(client.read("SELECT 1"), "OK");
  assert.equal(client.client.keyspace, 1);
  assert.deepEqual(client.read("SELECT 2"), { error: "ERR DB index is out of range" });
  assert.deepEqual(client.read("SELECT -1"), { error: "ERR DB index is out of range" });
  const noInteger = { error: "ERR value is not an integer or out of range" };
  assert.deepEqual(client.read("SELECT 01"), noInteger);
  assert.deepEqual(client.read("SELECT 99999999999"), noInteger);
  assert.equal(client.client.keyspace, 1);
});

test("SELECT on a direct port allows only keyspace 0, as in Redis Cluster", () => {
  const client = new FakeNode().connect({ isDirect: true });
  assert.equal(client.read("SELECT 0"), "OK");
  assert.deepEqual(client.read("SELECT 1"), { error: "ERR SELECT is not allowed in cluster mode" });
});

test("QUIT is answered, then the connection ends", () => {
  const client = new FakeNode().connect();
  assert.equal(client.read("QUIT now"), "OK");
  assert.equal(client.isClosed, true);
});

test("RESET makes the connection as new, in RESP2 and unauthenticated", () => {
  const client = new FakeNode({ password: "secret" }).connect();
  client.read("HELLO 3 AUTH default secret SETNAME me");
  client.read("SELECT 1");
  client.read("READONLY");
  client.read("MULTI");
  assert.equal(client.read("RESET"), "RESET");
  const { keyspace, name, queue, isReadonly, protocol, isAuthenticated } = client.client;
  assert.deepEqual(
    { keyspace, name, queue, isReadonly, protocol, isAuthenticated },
    { keyspace: 0, name: "", queue: null, isReadonly: false, protocol: 2, isAuthenticated: false },
  );
});

test("requests are bounded narrowly until AUTH, and again after RESET", () => {
  const many = Array.from({ length: 20 }, () => "x");
  const tooMany = (client: TestClient) => client.read("MGET", ...many);
  const refused = { error: "ERR Protocol error: unauthenticated multibulk length" };
  assert.deepEqual(tooMany(new FakeNode({ password: "secret" }).connect()), refused);
  const client = new FakeNode({ password: "secret" }).connect();
  client.read("AUTH secret");
  assert.equal((tooMany(client) as unknown[]).length, 20);
  client.read("RESET");
  assert.deepEqual(tooMany(client), refused);
});
