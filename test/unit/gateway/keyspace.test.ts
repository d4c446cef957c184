/**
 * Commands over all keys: SCAN over partitions and workers, KEYS, RANDOMKEY, DBSIZE, FLUSHALL.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { FakeNode, type TestClient } from "../../support/fake-worker.ts";

/** Every key that a whole scan returns, with the number of pages. */
function scanAll(client: TestClient, ...options: string[]): { keys: string[]; pages: number } {
  const keys: string[] = [];
  let cursor = "0";
  let pages = 0;
  do {
    const [next, page] = client.read("SCAN", cursor, ...options) as [string, string[]];
    keys.push(...page);
    cursor = next;
    pages++;
    assert.ok(pages < 10_000, "a scan ends");
  } while (cursor !== "0");
  return { keys, pages };
}

function fill(client: TestClient, count: number): string[] {
  const names = Array.from({ length: count }, (_, i) => `key:${i}`);
  for (const name of names) client.read("SET", name, "x");
  return names.sort();
}

test("a scan returns every key once while nothing changes, over all workers", () => {
  for (const workers of [1, 3]) {
    const client = new FakeNode({ workers }).connect();
    const names = fill(client, 500);
    for (const count of ["1", "7", "100", "100000"]) {
      assert.deepEqual(scanAll(client, "COUNT", count).keys.sort(), names);
    }
  }
});

test("a scan goes on through partitions until it has looked at COUNT keys", () => {
  const client = new FakeNode().connect();
  fill(client, 500);
  const { pages } = scanAll(client, "COUNT", "50");
  assert.ok(pages <= 12, `${pages} pages of about 50 of 500 keys`);
  assert.equal(scanAll(client, "COUNT", "1000").pages, 1);
  assert.equal(scanAll(new FakeNode({ workers: 3 }).connect()).pages, 3);
});

test("keys that stay during a scan are returned, whatever else comes and goes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(300), { maxLength: 60 }),
      fc.integer({ min: 1, max: 40 }),
      (changes, count) => {
        const client = new FakeNode({ workers: 2 }).connect();
        const names = fill(client, 100);
        const seen = new Set<string>();
        let cursor = "0";
        let change = 0;
        do {
          const [next, page] = client.read("SCAN", cursor, "COUNT", String(count)) as [
            string,
            string[],
          ];
          for (const name of page) seen.add(name);
          cursor = next;
          for (const i of changes.slice(change, change + 5)) {
            client.read("SET", `new:${i}`, "x");
            client.read("DEL", `new:${i + 1}`);
          }
          change += 5;
        } while (cursor !== "0");
        for (const name of names) assert.ok(seen.has(name), name);
      },
    ),
    { numRuns: 30 },
  );
});

test("SCAN filters by pattern and type, and leaves out expired keys", () => {
  const node = new FakeNode();
  const client = node.connect();
  fill(client, 20);
  client.read("SADD", "a-set", "x");
  client.read("HSET", "a-hash", "f", "v");
  client.read("SET", "gone", "x", "PX", "10");
  node.partitions.clock.advance(10);
  assert.deepEqual(scanAll(client, "MATCH", "key:1?").keys.length, 10);
  assert.deepEqual(scanAll(client, "TYPE", "set").keys, ["a-set"]);
  assert.deepEqual(scanAll(client, "type", "HASH", "match", "*").keys, ["a-hash"]);
  assert.deepEqual(scanAll(client, "TYPE", "stream").keys, []);
  assert.equal(scanAll(client).keys.includes("gone"), false);
});

test("SCAN refuses what is no cursor and no option; a foreign cursor ends the scan", () => {
  const client = new FakeNode().connect();
  const error = (text: string) => ({ error: `ERR ${text}` });
  for (const cursor of ["abc", "-1", "1.5", "", "18446744073709551616"]) {
    assert.deepEqual(client.read("SCAN", cursor), error("invalid cursor"), cursor);
  }
  assert.deepEqual(client.read("SCAN 18446744073709551615"), ["0", []]);
  assert.deepEqual(client.read("SCAN", String(16 * 2 ** 32)), ["0", []]);
  assert.deepEqual(client.read("SCAN 0 COUNT 0"), error("syntax error"));
  assert.deepEqual(client.read("SCAN 0 COUNT x"), error("value is not an integer or out of range"));
  assert.deepEqual(client.read("SCAN 0 FOO 1"), error("syntax error"));
  assert.deepEqual(client.read("SCAN 0 MATCH"), error("syntax error"));
});

test("SCAN on direct ports is of each worker's keys, as in Redis Cluster", () => {
  const node = new FakeNode({ workers: 3 });
  const names = fill(node.connect(), 200);
  const found = [0, 1, 2].flatMap((worker) => {
    const { keys } = scanAll(node.connect({ worker, isDirect: true }), "COUNT", "9");
    assert.ok(keys.length > 0);
    return keys;
  });
  assert.deepEqual(found.sort(), names);
});

test("a scan stops before a partition that restarts, and goes on there later", () => {
  const node = new FakeNode();
  const client = node.connect();
  const names = fill(client, 100);
  const worker = node.workers[0];
  worker?.restarting.add(vnodeId(0, 5));
  const [cursor, first] = client.read("SCAN 0 COUNT 1000") as [string, string[]];
  assert.equal(cursor, String(5 * 2 ** 32));
  assert.match((client.read("SCAN", cursor) as { error: string }).error, /^TRYAGAIN/);
  worker?.restarting.clear();
  const [end, rest] = client.read("SCAN", cursor, "COUNT", "1000") as [string, string[]];
  assert.equal(end, "0");
  assert.deepEqual([...first, ...rest].sort(), names);
});

test("KEYS returns the names that match, byte for byte, from every worker", () => {
  const node = new FakeNode({ workers: 3 });
  const client = node.connect();
  const odd = Buffer.from([0, 255, 13, 10, 0xc3, 0x28]);
  fill(client, 30);
  client.read("SET", odd, "x");
  client.read("SET", "", "x");
  client.read("SET gone x PX 10");
  node.partitions.clock.advance(10);
  assert.equal((client.read("KEYS *") as string[]).length, 32);
  assert.deepEqual((client.read("KEYS key:2*") as string[]).length, 11);
  assert.deepEqual(client.read("KEYS", Buffer.from([0, 42])), [odd.toString("latin1")]);
  assert.deepEqual(client.read("KEYS nope"), []);
  client.read("SELECT 1");
  assert.deepEqual(client.read("KEYS *"), []);
});

test("KEYS and FLUSHALL do not pass over a partition that restarts", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  node.workers[1]?.restarting.add(vnodeId(1, 15));
  assert.match((client.read("FLUSHALL") as { error: string }).error, /^TRYAGAIN/);
  assert.deepEqual(client.read("KEYS *"), []);
  client.read("SELECT 1");
  assert.match((client.read("KEYS *") as { error: string }).error, /^TRYAGAIN/);
  assert.deepEqual(node.workers[1]?.done, []);
});

test("DBSIZE counts the keys of the selected keyspace on every worker", () => {
  const node = new FakeNode({ workers: 3 });
  const client = node.connect();
  fill(client, 50);
  assert.equal(client.read("DBSIZE"), 50);
  client.read("SELECT 1");
  assert.equal(client.read("DBSIZE"), 0);
  const direct = [0, 1, 2].map((worker) => node.connect({ worker, isDirect: true }).read("DBSIZE"));
  assert.equal(
    direct.reduce((sum: number, count) => sum + (count as number), 0),
    50,
  );
});

test("RANDOMKEY gives any live key, and nil if there is none", () => {
  const node = new FakeNode({ workers: 3 });
  const client = node.connect();
  assert.equal(client.read("RANDOMKEY"), null);
  const names = fill(client, 8);
  client.read("SET gone x PX 10");
  node.partitions.clock.advance(10);
  const seen = new Set<unknown>();
  for (let i = 0; i < 300; i++) seen.add(client.read("RANDOMKEY"));
  assert.deepEqual([...seen].sort(), names);
});

test("FLUSHDB flushes one keyspace on every worker, FLUSHALL all", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  client.read("SELECT 1");
  assert.equal(client.read("FLUSHDB"), "OK");
  assert.equal(client.read("FLUSHDB ASYNC"), "OK");
  assert.equal(client.read("FLUSHALL sync"), "OK");
  for (const { done } of node.workers) {
    assert.deepEqual(done, ["flush 1", "flush 1", "flush all"]);
  }
  assert.deepEqual(client.read("FLUSHALL x"), { error: "ERR syntax error" });
  assert.deepEqual(client.read("FLUSHDB ASYNC x"), { error: "ERR syntax error" });
});

test("FLUSHALL on a direct port flushes that worker, as one node of a cluster", () => {
  const node = new FakeNode({ workers: 2 });
  assert.equal(node.connect({ worker: 1, isDirect: true }).read("FLUSHALL"), "OK");
  assert.deepEqual(
    node.workers.map(({ done }) => done),
    [[], ["flush all"]],
  );
});

test("SWAPDB is refused, for its own reason on a direct port", () => {
  const node = new FakeNode();
  const reply = node.connect().read("SWAPDB 0 1") as { error: string };
  assert.match(reply.error, /^ERR SWAPDB is not supported/);
  assert.deepEqual(node.connect({ isDirect: true }).read("SWAPDB 0 1"), {
    error: "ERR SWAPDB is not allowed in cluster mode",
  });
});
