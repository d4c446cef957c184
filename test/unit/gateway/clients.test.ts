/**
 * CLIENT: names, the list, and what one client may do to the others, over several workers.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeNode } from "../../support/fake-worker.ts";

const SYNTAX = { error: "ERR syntax error" };

/** The fields of one line of CLIENT LIST. */
function fields(line: string): Map<string, string> {
  return new Map(
    line.split(" ").map((field) => {
      const at = field.indexOf("=");
      return [field.slice(0, at), field.slice(at + 1)];
    }),
  );
}

function ids(list: string): (string | undefined)[] {
  const lines = list.split("\n").filter((line) => line !== "");
  return lines.map((line) => fields(line).get("id"));
}

test("a client has a number and may have a name of visible characters", () => {
  const client = new FakeNode().connect();
  assert.equal(client.read("CLIENT ID"), 1);
  assert.equal(client.read("CLIENT GETNAME"), null);
  assert.equal(client.read("CLIENT SETNAME worker-1"), "OK");
  assert.equal(client.read("client getname"), "worker-1");
  const refused = "ERR Client names cannot contain spaces, newlines or special characters.";
  assert.deepEqual(client.read("CLIENT", "SETNAME", "a b"), { error: refused });
  assert.deepEqual(client.read("CLIENT", "SETNAME", "a\nid=9"), { error: refused });
  assert.equal(client.read("CLIENT", "SETNAME", ""), "OK");
  assert.equal(client.read("CLIENT GETNAME"), null);
});

test("CLIENT SETINFO keeps the library's name and version", () => {
  const client = new FakeNode().connect();
  assert.equal(client.read("CLIENT SETINFO LIB-NAME ioredis"), "OK");
  assert.equal(client.read("CLIENT SETINFO lib-ver 5.4.1"), "OK");
  assert.deepEqual(client.read("CLIENT SETINFO LIB-FOO x"), {
    error: "ERR Unrecognized option 'LIB-FOO'",
  });
  assert.deepEqual(client.read("CLIENT", "SETINFO", "lib-name", "a b"), {
    error: "ERR lib-name cannot contain spaces, newlines or special characters.",
  });
  const line = fields(client.text("CLIENT INFO").trimEnd());
  assert.equal(line.get("lib-name"), "ioredis");
  assert.equal(line.get("lib-ver"), "5.4.1");
});

test("CLIENT INFO is one line with the fields of Redis 7.2", () => {
  const node = new FakeNode();
  const client = node.connect();
  client.read("HELLO 3 SETNAME me");
  client.read("SELECT 1");
  node.partitions.clock.advance(2500);
  const reply = client.send("CLIENT", "INFO");
  assert.equal(reply?.kind, "verbatim");
  const text = reply?.kind === "verbatim" ? reply.text : "";
  assert.ok(text.endsWith("\n"));
  const line = fields(text.trimEnd());
  const shown = ["id", "addr", "laddr", "name", "age", "flags", "db", "multi", "cmd", "resp"];
  assert.deepEqual(
    shown.map((name) => line.get(name)),
    ["1", "127.0.0.1:40001", "127.0.0.1:7379", "me", "2", "N", "1", "-1", "client|info", "3"],
  );
});

test("CLIENT LIST is of every worker's clients, or of those asked for", () => {
  const node = new FakeNode({ workers: 3 });
  const client = node.connect();
  node.connect({ worker: 1 });
  node.connect({ worker: 2 });
  assert.deepEqual(ids(client.text("CLIENT LIST")), ["1", "2", "3"]);
  assert.deepEqual(ids(client.text("CLIENT LIST ID 3 1 99")), ["1", "3"]);
  assert.deepEqual(ids(client.text("CLIENT LIST TYPE normal")), ["1", "2", "3"]);
  assert.equal(client.read("CLIENT LIST TYPE pubsub"), "");
  assert.deepEqual(client.read("CLIENT LIST TYPE x"), { error: "ERR Unknown client type 'x'" });
  assert.deepEqual(client.read("CLIENT LIST ID a"), { error: "ERR Invalid client ID" });
  assert.deepEqual(client.read("CLIENT LIST ID"), SYNTAX);
  assert.deepEqual(client.read("CLIENT LIST FOO"), SYNTAX);
});

test("CLIENT KILL by address ends one connection, its own after the reply", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  const other = node.connect({ worker: 1 });
  assert.equal(client.read("CLIENT KILL 127.0.0.1:40002"), "OK");
  assert.equal(other.isClosed, true);
  assert.deepEqual(client.read("CLIENT KILL 127.0.0.1:40002"), { error: "ERR No such client" });
  assert.equal(client.isClosed, false);
  assert.equal(client.read("CLIENT KILL 127.0.0.1:40001"), "OK");
  assert.equal(client.isClosed, true);
});

test("CLIENT KILL with filters spares the caller unless told otherwise", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  const others = [node.connect(), node.connect({ worker: 1 }), node.connect({ worker: 1 })];
  assert.equal(client.read("CLIENT KILL ID 3"), 0 + 1);
  assert.deepEqual(
    others.map(({ isClosed }) => isClosed),
    [false, true, false],
  );
  assert.equal(client.read("CLIENT KILL TYPE normal USER default"), 2);
  assert.equal(client.isClosed, false);
  assert.equal(client.read("CLIENT KILL LADDR 127.0.0.1:7379 SKIPME no"), 1);
  assert.equal(client.isClosed, true);
});

test("CLIENT KILL refuses what it does not understand", () => {
  const client = new FakeNode().connect();
  const error = (text: string) => ({ error: text });
  assert.deepEqual(
    client.read("CLIENT KILL ID x"),
    error("ERR client-id should be greater than 0"),
  );
  assert.deepEqual(
    client.read("CLIENT KILL ID 0"),
    error("ERR client-id should be greater than 0"),
  );
  assert.deepEqual(client.read("CLIENT KILL TYPE foo"), error("ERR Unknown client type 'foo'"));
  assert.deepEqual(client.read("CLIENT KILL USER foo"), error("ERR No such user 'foo'"));
  assert.deepEqual(client.read("CLIENT KILL SKIPME x"), SYNTAX);
  assert.deepEqual(client.read("CLIENT KILL ID 1 FOO 1"), SYNTAX);
  assert.deepEqual(client.read("CLIENT KILL ID 1 ADDR"), SYNTAX);
});

test("CLIENT PAUSE and UNPAUSE reach every worker", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  const until = node.partitions.clock.now() + 100;
  assert.equal(client.read("CLIENT PAUSE 100"), "OK");
  assert.equal(client.read("CLIENT PAUSE 100 write"), "OK");
  assert.equal(client.read("CLIENT UNPAUSE"), "OK");
  const done = [`pause ${until} false`, `pause ${until} true`, "pause 0 false"];
  for (const worker of node.workers) assert.deepEqual(worker.done, done);
  assert.deepEqual(client.read("CLIENT PAUSE x"), {
    error: "ERR timeout is not an integer or out of range",
  });
  assert.deepEqual(client.read("CLIENT PAUSE -1"), { error: "ERR timeout is negative" });
  assert.deepEqual(client.read("CLIENT PAUSE 1 x"), {
    error: "ERR CLIENT PAUSE mode must be WRITE or ALL",
  });
});

test("CLIENT REPLY sets which replies are sent, and only ON is answered", () => {
  const client = new FakeNode().connect();
  assert.equal(client.send("CLIENT", "REPLY", "SKIP"), undefined);
  assert.equal(client.client.replyMode, "skip");
  assert.equal(client.send("CLIENT", "REPLY", "OFF"), undefined);
  assert.equal(client.send("CLIENT", "REPLY", "SKIP"), undefined);
  assert.equal(client.client.replyMode, "off");
  assert.equal(client.read("CLIENT REPLY ON"), "OK");
  assert.equal(client.client.replyMode, "on");
  assert.deepEqual(client.read("CLIENT REPLY x"), SYNTAX);
});

test("CLIENT NO-EVICT and NO-TOUCH are flags that CLIENT INFO shows", () => {
  const client = new FakeNode().connect();
  assert.equal(client.read("CLIENT NO-EVICT on"), "OK");
  assert.equal(client.read("CLIENT NO-TOUCH ON"), "OK");
  assert.equal(fields(client.text("CLIENT INFO")).get("flags"), "eT");
  assert.equal(client.read("CLIENT NO-EVICT off"), "OK");
  assert.equal(fields(client.text("CLIENT INFO")).get("flags"), "T");
  assert.deepEqual(client.read("CLIENT NO-EVICT x"), SYNTAX);
});
