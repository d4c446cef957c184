/**
 * The view of Redis Cluster: workers as nodes, their slots, and MOVED.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import { redirects } from "../../../actors/gateway/admission.ts";
import type { DispatchHost } from "../../../actors/gateway/dispatch-host.ts";
import { hostOf, SlotMap, type SlotOwner } from "../../../actors/gateway/slot-map.ts";
import { requestOf } from "../../../actors/gateway/steps.ts";
import { slotOf } from "../../../runtime/ring/slots.ts";
import { FakeNode } from "../../support/fake-worker.ts";
import type { Plain } from "../../support/resp.ts";

/** [first slot, last slot, [host, port, id, metadata]] */
type Range = readonly [number, number, readonly [string, number, string, readonly Plain[]]];

function slotsOf(node: FakeNode, localAddress = "127.0.0.1:7379"): readonly Range[] {
  return node.connect({ localAddress }).read("CLUSTER SLOTS") as unknown as readonly Range[];
}

test("CLUSTER SLOTS tiles all slots with one range a worker", () => {
  for (const workers of [1, 2, 3, 5, 16]) {
    const ranges = slotsOf(new FakeNode({ workers }));
    assert.equal(ranges.length, workers);
    let next = 0;
    ranges.forEach(([first, last, [host, port, id, metadata]], worker) => {
      assert.equal(first, next);
      assert.ok(last >= first);
      assert.deepEqual([host, port, metadata], ["127.0.0.1", 7380 + worker, []]);
      assert.match(id, /^[0-9a-f]{40}$/);
      next = last + 1;
    });
    assert.equal(next, 16_384);
    assert.equal(new Set(ranges.map(([, , [, , id]]) => id)).size, workers);
  }
});

test("a slot's owner in the map is the worker that owns its partition", () => {
  const node = new FakeNode({ workers: 3 });
  const worker = node.workers[0];
  assert.ok(worker);
  const { slots } = worker;
  for (let slot = 0; slot < 16_384; slot += 97) {
    const owner: number = worker.ownerOf(0, slots.partitionOf(slot));
    assert.equal(slots.workerOf(slot), owner);
    const range: SlotOwner | undefined = slots.owners[owner];
    assert.ok(range !== undefined && range.first <= slot && slot <= range.last);
    assert.equal(slots.moved(slot, "127.0.0.1:7380"), `MOVED ${slot} 127.0.0.1:${range.port}`);
  }
});

test("MOVED for several keys, or within MULTI, names the host at which the client came", () => {
  const node = new FakeNode({ workers: 2 });
  const [worker] = node.workers;
  const { client } = node.connect({ isDirect: true, localAddress: "10.1.2.3:7380" });
  const request = requestOf(["MGET", "a"].map((text) => Buffer.from(text)));
  const entry = worker?.table.find(request);
  assert.ok(entry);
  const host = worker as unknown as DispatchHost;
  assert.equal(
    redirects(host, client, request, entry),
    `MOVED ${slotOf(Buffer.from("a"), 0, 1)} 10.1.2.3:7381`,
  );
});

test("workers without partitions serve no slots", () => {
  const { config } = new FakeNode({ workers: 20 });
  const map = new SlotMap({ config, nodeId: "a", directPorts: [] });
  const serving = map.owners.filter(({ first, last }) => first <= last);
  assert.equal(serving.length, 16);
  const node = new FakeNode({ workers: 20 });
  assert.equal(slotsOf(node).length, 16);
  const shards = node.connect().read("CLUSTER SHARDS") as Plain[][];
  assert.equal(shards.length, 20);
  assert.match(
    node.connect().text("CLUSTER INFO"),
    /cluster_known_nodes:20\r\ncluster_size:16\r\n/,
  );
});

test("the announced host is the configured one, or the one that the client reached", () => {
  const host = (node: FakeNode, address: string) => slotsOf(node, address)[0]?.[2][0];
  const local = new FakeNode();
  assert.equal(host(local, "10.1.2.3:7379"), "10.1.2.3");
  assert.equal(host(local, "::ffff:10.1.2.3:7379"), "10.1.2.3");
  assert.equal(host(local, "[::1]:7379"), "::1");
  assert.equal(host(new FakeNode({ host: "db1.example.com" }), "10.1.2.3:7379"), "db1.example.com");
  assert.equal(hostOf(""), "");
});

test("CLUSTER SLOTS is kept encoded, for each protocol and host apart", () => {
  const node = new FakeNode({ workers: 2 });
  const three = node.connect();
  three.read("HELLO 3");
  const metadata = (reply: Plain) => (reply as unknown as Range[])[0]?.[2][3];
  assert.deepEqual(metadata(node.connect().read("CLUSTER SLOTS")), []);
  assert.deepEqual(metadata(three.read("CLUSTER SLOTS")), { map: [] });
  assert.deepEqual(metadata(node.connect().read("CLUSTER SLOTS")), []);
  assert.deepEqual(metadata(three.read("CLUSTER SLOTS")), { map: [] });
});

test("CLUSTER SHARDS has a shard a worker with one online master", () => {
  const client = new FakeNode({ workers: 2 }).connect();
  client.read("HELLO 3");
  const id = client.read("CLUSTER MYID");
  const [shard] = client.read("CLUSTER SHARDS") as Plain[];
  assert.deepEqual(shard, {
    map: [
      ["slots", [0, 8191]],
      [
        "nodes",
        [
          {
            map: [
              ["id", id],
              ["port", 7380],
              ["ip", "127.0.0.1"],
              ["endpoint", "127.0.0.1"],
              ["role", "master"],
              ["replication-offset", 0],
              ["health", "online"],
            ],
          },
        ],
      ],
    ],
  });
});

test("CLUSTER NODES marks the worker that answers", () => {
  const node = new FakeNode({ workers: 2 });
  const own = (worker: number) => node.connect({ worker }).text("CLUSTER NODES").split("\n");
  const lines = own(1);
  assert.equal(lines.length, 3);
  assert.match(
    lines[0] ?? "",
    /^[0-9a-f]{40} 127\.0\.0\.1:7380@\d+ master - 0 0 1 connected 0-8191$/,
  );
  assert.match(lines[1] ?? "", /127\.0\.0\.1:7381@\d+ myself,master - 0 0 1 connected 8192-16383$/);
  assert.match(own(0)[0] ?? "", / myself,master /);
  const id = node.connect({ worker: 1 }).text("CLUSTER MYID");
  assert.ok(lines[1]?.startsWith(id));
  assert.notEqual(node.connect({ worker: 1 }).text("CLUSTER MYSHARDID"), id);
});

test("CLUSTER INFO says that all slots are served", () => {
  const text = new FakeNode({ workers: 2 }).connect().text("CLUSTER INFO");
  const lines = text.split("\r\n");
  for (const line of ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:2"]) {
    assert.ok(lines.includes(line), line);
  }
});

test("CLUSTER KEYSLOT hashes the tag of a key", () => {
  const client = new FakeNode().connect();
  assert.equal(client.read("CLUSTER KEYSLOT foo"), 12_182);
  assert.equal(client.read("CLUSTER KEYSLOT x{foo}y"), 12_182);
});

test("keys of a slot are counted and listed wherever their worker is", () => {
  const node = new FakeNode({ workers: 3 });
  const client = node.connect();
  for (const tag of ["a", "b", "c"]) {
    for (let i = 0; i < 5; i++) client.read("SET", `{${tag}}${i}`, "x");
    const slot = String(slotOf(Buffer.from(tag), 0, 1));
    assert.equal(client.read("CLUSTER", "COUNTKEYSINSLOT", slot), 5);
    const keys = client.read("CLUSTER", "GETKEYSINSLOT", slot, "10") as string[];
    assert.deepEqual(
      keys.sort(),
      [0, 1, 2, 3, 4].map((i) => `{${tag}}${i}`),
    );
    assert.equal((client.read("CLUSTER", "GETKEYSINSLOT", slot, "2") as string[]).length, 2);
    assert.deepEqual(client.read("CLUSTER", "GETKEYSINSLOT", slot, "0"), []);
  }
  assert.equal(client.read("CLUSTER COUNTKEYSINSLOT 1"), 0);
});

test("on a direct port keys of a slot are shown by its owner alone", () => {
  const node = new FakeNode({ workers: 3 });
  const client = node.connect();
  for (const tag of ["a", "b", "c"]) client.read("SET", `{${tag}}1`, "x");
  for (const tag of ["a", "b", "c"]) {
    const number = slotOf(Buffer.from(tag), 0, 1);
    const slot = String(number);
    const owner = node.workers[0]?.slots.workerOf(number);
    for (let worker = 0; worker < 3; worker++) {
      const direct = node.connect({ worker, isDirect: true });
      const keys = worker === owner ? [`{${tag}}1`] : [];
      assert.equal(direct.read("CLUSTER", "COUNTKEYSINSLOT", slot), keys.length);
      assert.deepEqual(direct.read("CLUSTER", "GETKEYSINSLOT", slot, "10"), keys);
      const stats = direct.read("CLUSTER", "SLOT-STATS", "SLOTSRANGE", slot, slot);
      assert.deepEqual(stats, worker === owner ? [[number, ["key-count", 1]]] : []);
    }
  }
});

test("on a direct port the fullest slots are among those of its worker", () => {
  const node = new FakeNode({ workers: 2 });
  const first = node.connect({ worker: 0, isDirect: true });
  const second = node.connect({ worker: 1, isDirect: true });
  const emptiest = "CLUSTER SLOT-STATS ORDERBY key-count LIMIT 1 ASC";
  assert.deepEqual(first.read(emptiest), [[0, ["key-count", 0]]]);
  assert.deepEqual(second.read(emptiest), [[8192, ["key-count", 0]]]);
  const all = "CLUSTER SLOT-STATS SLOTSRANGE 0 16383";
  assert.equal((first.read(all) as Plain[]).length, 8192);
  assert.equal((second.read(all) as Plain[]).length, 8192);
});

test("expired keys are in no slot", () => {
  const node = new FakeNode();
  const client = node.connect();
  client.read("SET {a}1 x PX 10");
  client.read("SET {a}2 x");
  node.partitions.clock.advance(11);
  const slot = String(slotOf(Buffer.from("a"), 0, 1));
  assert.deepEqual(client.read("CLUSTER", "GETKEYSINSLOT", slot, "10"), ["{a}2"]);
  assert.equal(client.read("CLUSTER", "COUNTKEYSINSLOT", slot), 1);
});

test("slots and counts out of range are refused", () => {
  const client = new FakeNode().connect();
  const error = (text: string) => ({ error: `ERR ${text}` });
  const integer = error("value is not an integer or out of range");
  assert.deepEqual(client.read("CLUSTER COUNTKEYSINSLOT x"), integer);
  assert.deepEqual(client.read("CLUSTER COUNTKEYSINSLOT 16384"), error("Invalid slot"));
  assert.deepEqual(client.read("CLUSTER COUNTKEYSINSLOT -1"), error("Invalid slot"));
  const both = error("Invalid slot or number of keys");
  assert.deepEqual(client.read("CLUSTER GETKEYSINSLOT 0 -1"), both);
  assert.deepEqual(client.read("CLUSTER GETKEYSINSLOT 16384 1"), both);
  assert.deepEqual(client.read("CLUSTER GETKEYSINSLOT 0 x"), integer);
});

test("CLUSTER SLOT-STATS gives keys by slot, or the fullest slots", () => {
  const client = new FakeNode({ workers: 2 }).connect();
  for (let i = 0; i < 3; i++) client.read("SET", `{a}${i}`, "x");
  for (let i = 0; i < 2; i++) client.read("SET", `{b}${i}`, "x");
  const a = slotOf(Buffer.from("a"), 0, 1);
  const b = slotOf(Buffer.from("b"), 0, 1);
  const around = client.read("CLUSTER", "SLOT-STATS", "SLOTSRANGE", String(a - 1), String(a));
  assert.deepEqual(around, [
    [a - 1, ["key-count", 0]],
    [a, ["key-count", 3]],
  ]);
  assert.deepEqual(client.read("CLUSTER SLOT-STATS ORDERBY key-count LIMIT 2 DESC"), [
    [a, ["key-count", 3]],
    [b, ["key-count", 2]],
  ]);
  assert.deepEqual(client.read("CLUSTER SLOT-STATS ORDERBY key-count LIMIT 1 ASC"), [
    [0, ["key-count", 0]],
  ]);
  assert.deepEqual(client.read("CLUSTER SLOT-STATS ORDERBY cpu-usec"), {
    error: "ERR Unrecognized sort metric for ORDERBY.",
  });
  assert.deepEqual(client.read("CLUSTER SLOT-STATS SLOTSRANGE 5 16384"), {
    error: "ERR Invalid or out of range slot",
  });
});

test("verbs that would change the cluster are refused and name coterie", () => {
  const client = new FakeNode().connect();
  const all = new CommandTable().findName("cluster")?.subcommands ?? [];
  const changing = all.filter(({ facts }) => facts.summary.startsWith("Refused"));
  assert.equal(changing.length, 14);
  for (const { fullName, facts } of changing) {
    const args = Array.from({ length: Math.abs(facts.arity) - 2 }, () => "1");
    const reply = client.read(...fullName.split("|"), ...args) as { error: string };
    assert.match(reply.error, /^ERR CLUSTER [A-Z-]+ does not change this cluster: .*coterie start/);
  }
});

test("nodes are known by their ids", () => {
  const client = new FakeNode().connect();
  const id = client.text("CLUSTER MYID");
  assert.equal(client.read("CLUSTER", "COUNT-FAILURE-REPORTS", id), 0);
  assert.deepEqual(client.read("CLUSTER", "REPLICAS", id), []);
  assert.deepEqual(client.read("CLUSTER REPLICAS x"), { error: "ERR Unknown node x" });
  assert.deepEqual(client.read("CLUSTER LINKS"), []);
});

test("READONLY, READWRITE and ASKING are accepted on both kinds of port", () => {
  for (const isDirect of [false, true]) {
    const client = new FakeNode().connect({ isDirect });
    assert.equal(client.read("READONLY"), "OK");
    assert.equal(client.client.isReadonly, true);
    assert.equal(client.read("READWRITE"), "OK");
    assert.equal(client.client.isReadonly, false);
    assert.equal(client.read("ASKING"), "OK");
  }
});
