/**
 * INFO: sections, sums over workers, and what monitoring tools read.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { human } from "../../../actors/gateway/commands/info-sections.ts";
import { FakeNode } from "../../support/fake-worker.ts";
import { WorkerNode } from "../../support/worker-node.ts";

function fields(text: string): Map<string, string> {
  const lines = text.split("\r\n").filter((line) => line.includes(":"));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
}

function titles(text: string): string[] {
  const lines = text.split("\r\n").filter((line) => line.startsWith("# "));
  return lines.map((line) => line.slice(2));
}

const DEFAULT =
  "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace";
const ALL =
  "Server Clients Memory Persistence Stats Replication CPU Modules Commandstats Errorstats Latencystats Cluster Keyspace";

test("INFO shows the default sections, or those asked for, in Redis's order", () => {
  const client = new FakeNode().connect();
  assert.deepEqual(titles(client.text("INFO")), DEFAULT.split(" "));
  assert.deepEqual(titles(client.text("INFO default")), DEFAULT.split(" "));
  assert.deepEqual(titles(client.text("INFO ALL")), ALL.split(" "));
  assert.deepEqual(titles(client.text("INFO everything")), ALL.split(" "));
  assert.deepEqual(titles(client.text("INFO keyspace SERVER nope")), ["Server", "Keyspace"]);
  assert.equal(client.text("INFO nope"), "");
});

test("INFO is verbatim text in RESP3, lines end with CRLF, sections are parted by an empty one", () => {
  const client = new FakeNode().connect();
  client.read("HELLO 3");
  const reply = client.send("INFO", "cluster", "keyspace");
  assert.deepEqual(reply, {
    kind: "verbatim",
    format: "txt",
    text: "# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n",
  });
});

test("INFO tells Redis's version and our own beside it", () => {
  const info = fields(new FakeNode().connect().text("INFO server"));
  assert.equal(info.get("redis_version"), "7.2.4");
  assert.equal(info.get("server_name"), "coterie");
  assert.equal(info.get("coterie_version"), "0.1.0");
  assert.equal(info.get("redis_mode"), "standalone");
  assert.equal(info.get("process_id"), "4242");
});

test("INFO has what monitoring tools read", () => {
  const info = fields(new FakeNode().connect().text("INFO"));
  const names =
    "loading connected_clients blocked_clients expired_keys rdb_changes_since_last_save used_memory maxmemory maxmemory_policy keyspace_hits keyspace_misses instantaneous_ops_per_sec uptime_in_seconds tcp_port role total_commands_processed used_cpu_user mem_fragmentation_ratio evicted_keys rdb_last_save_time aof_enabled";
  for (const name of names.split(" ")) assert.ok(info.has(name), name);
});

test("INFO adds up what the workers say", () => {
  const node = new FakeNode({ workers: 3 });
  const client = node.connect();
  node.connect({ worker: 1 });
  node.workers.forEach(({ stats }, i) => {
    stats.keyspaceHits = 10 ** i;
    stats.noteError("WRONGTYPE no");
  });
  for (let i = 0; i < 40; i++) client.read("SET", `key:${i}`, "x");
  client.read("EXPIRE key:1 100");
  client.read("EXPIRE key:2 100");
  const info = fields(client.text("INFO everything"));
  assert.equal(info.get("connected_clients"), "2");
  assert.equal(info.get("keyspace_hits"), "111");
  assert.equal(info.get("errorstat_WRONGTYPE"), "count=3");
  assert.equal(info.get("total_error_replies"), "3");
  assert.equal(info.get("used_memory"), "3000");
  assert.equal(info.get("rdb_changes_since_last_save"), "15");
  assert.equal(info.get("db0"), "keys=40,expires=2,avg_ttl=0");
  assert.equal(info.has("db1"), false);
  assert.match(info.get("cmdstat_set") ?? "", /^calls=40,usec=0,usec_per_call=0\.00,/);
});

test("INFO and MEMORY STATS tell the most memory that was in use, also when it is free again", async () => {
  await using node = await WorkerNode.start();
  using client = await node.connect();
  const told = async () => {
    const info = fields(String(await client.call("INFO", "memory")));
    return [Number(info.get("used_memory")), Number(info.get("used_memory_peak"))] as const;
  };
  await client.call("SET", "large", "x".repeat(5_000_000));
  const [full, peak] = await told();
  assert.ok(full >= 5_000_000 && peak >= full, `${full} of ${peak}`);
  await client.call("DEL", "large");
  const [left, most] = await told();
  assert.ok(left < 1_000_000, `${left} left`);
  assert.equal(most, peak);
  const stats = (await client.call("MEMORY", "STATS")) as unknown[];
  assert.equal(stats[stats.indexOf("peak.allocated") + 1], peak);
  const info = String(await client.call("INFO", "memory"));
  assert.match(info, new RegExp(`used_memory_peak_perc:${((100 * left) / peak).toFixed(2)}%`));
});

test("INFO on a direct port is of that port's worker, as of one node of a cluster", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect({ worker: 1, isDirect: true });
  node.connect();
  const info = fields(client.text("INFO"));
  assert.equal(info.get("connected_clients"), "1");
  assert.equal(info.get("cluster_enabled"), "1");
  assert.equal(info.get("redis_mode"), "cluster");
  assert.equal(info.get("tcp_port"), "7381");
});

test("INFO latencystats has percentiles over all workers' calls, subcommands by their full name", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  node.workers.forEach(({ table, stats }, i) => {
    const entry = table.findName("config|get");
    assert.ok(entry);
    entry.stats.calls = 50;
    for (let call = 0; call < 50; call++) {
      entry.stats.untimed = 1;
      stats.noteRun(entry.stats, i === 0 ? 0.00075 : 1);
    }
  });
  const info = fields(client.text("INFO latencystats commandstats"));
  const latency = info.get("latency_percentiles_usec_config|get") ?? "";
  assert.match(latency, /^p50=0\.750,p99=10[0-9]{2}\.\d+,p99\.9=10[0-9]{2}\.\d+$/);
  assert.equal(
    info.get("cmdstat_config|get"),
    "calls=100,usec=50038,usec_per_call=500.38,rejected_calls=0,failed_calls=0",
  );
});

test("CONFIG RESETSTAT forgets every worker's counters", () => {
  const node = new FakeNode({ workers: 2 });
  const client = node.connect();
  client.read("NOPE");
  const other = node.workers[1];
  if (other !== undefined) other.stats.commands = 99;
  assert.equal(client.read("CONFIG RESETSTAT"), "OK");
  assert.equal(other?.stats.commands, 0);
  const info = fields(client.text("INFO all"));
  assert.equal(info.get("total_error_replies"), "0");
  assert.equal(info.has("errorstat_ERR"), false);
  assert.equal(info.get("total_commands_processed"), "1");
});

test("bytes are shown to people as Redis shows them", () => {
  assert.deepEqual([0, 1023, 1024, 990_416, 25_276_502_016].map(human), [
    "0B",
    "1023B",
    "1.00K",
    "967.20K",
    "23.54G",
  ]);
});
