/** What counts as a hit and as a miss of the keyspace. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LOOKUP_COMMANDS, LOOKUP_SETUP } from "../../support/lookup-commands.ts";
import { keyOn } from "../../support/placement.ts";
import { TestPartitions } from "../../support/test-partitions.ts";
import { NODE_PARTITIONS, WorkerNode } from "../../support/worker-node.ts";

test("reads count a hit or a miss for each key, once; what only writes counts none", () => {
  const t = new TestPartitions();
  for (const line of LOOKUP_SETUP) t.run(...line.split(" "));
  for (const [line, hits, misses] of LOOKUP_COMMANDS) {
    const { keyspaceHits, keyspaceMisses } = t.lookups;
    t.run(...line.split(" "));
    const counted = [
      t.lookups.keyspaceHits - keyspaceHits,
      t.lookups.keyspaceMisses - keyspaceMisses,
    ];
    assert.deepEqual(counted, [hits, misses], line);
  }
});

test("a key that has expired is a miss", () => {
  const t = new TestPartitions();
  t.run("SET", "k", "v", "PX", "10");
  t.run("GET", "k");
  t.clock.advance(10);
  t.run("GET", "k");
  assert.deepEqual(t.lookups, { keyspaceHits: 1, keyspaceMisses: 1 });
});

test("INFO says what clients have read, on any worker, in EXEC and on copies of the keys", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect();
  const here = keyOn(0, 2, "k", 0, NODE_PARTITIONS);
  const there = keyOn(1, 2, "k", 0, NODE_PARTITIONS);
  const free = keyOn(1, 2, "free", 0, NODE_PARTITIONS);
  const counted = async () => {
    const info = String(await client.call("INFO", "stats"));
    return [/keyspace_hits:([0-9]+)/, /keyspace_misses:([0-9]+)/].map((field) =>
      Number(field.exec(info)?.[1]),
    );
  };
  await client.call("MSET", here, "1", there, "2");
  await client.call("GET", here);
  await client.call("GET", free);
  await client.call("MGET", here, there, free);
  assert.deepEqual(await counted(), [3, 2]);
  await client.pipeline(["MULTI"], ["GET", here], ["GET", there], ["GET", free], ["EXEC"]);
  assert.deepEqual(await counted(), [5, 3]);
  await client.call("COPY", here, free);
  assert.deepEqual(await counted(), [6, 3]);
  await client.call("CONFIG", "RESETSTAT");
  assert.deepEqual(await counted(), [0, 0]);
});
