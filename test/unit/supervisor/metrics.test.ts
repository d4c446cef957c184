/** The metrics page: a page that Prometheus reads, with names that promtool accepts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Exposition, type Family } from "../../../actors/supervisor/exposition.ts";
import {
  metricsText,
  type NodeFacts,
  type WorkerState,
} from "../../../actors/supervisor/metrics.ts";
import type { WorkerFacts } from "../../../actors/worker/worker-facts.ts";
import { TIME_UNITS_A_US } from "../../../actors/worker/worker-stats.ts";
import { Histogram } from "../../../runtime/base/histogram.ts";
import { lint, parseExposition, valueOfSeries } from "../../support/prometheus.ts";

const NODE: NodeFacts = {
  name: 'n"1\\\n',
  cluster: "main",
  nodeId: "0123456789abcdef",
  version: "0.1.0",
  runtime: "24.0.0",
  isReady: true,
  startedAtMs: 1_795_000_000_500,
  recovery: { durationMs: 1500, keys: 10, ops: 5, tornBytes: 7 },
  scrub: { files: 6, bytes: 700, damaged: 1, waiting: 2 },
  memoryBytesMax: 2 ** 31,
  clientsMax: 10_000,
  cpuSeconds: { user: 1.5, system: 0.25 },
  rssBytes: 2 ** 27,
  heapBytes: 2 ** 24,
  busyMs: 250,
  idleMs: 750,
};

function histogramOf(...microseconds: number[]): Histogram {
  const histogram = new Histogram();
  for (const value of microseconds) histogram.note(value);
  return histogram;
}

const FACTS: WorkerFacts = {
  info: {
    sums: {
      clients: 3,
      memoryBytes: 4096,
      memoryPeakBytes: 8192,
      memoryMaxBytes: 1_000_000,
      commands: 12,
      connections: 5,
      rejectedConnections: 1,
      bytesIn: 100,
      bytesOut: 200,
      expiredKeys: 2,
      keyspaceHits: 7,
      keyspaceMisses: 1,
      deniedAuths: 0,
      lockouts: 2,
      errorReplies: 3,
      turns: 30,
      turnMs: 45,
      opsPerSecond: 1,
      inputKb: 1,
      outputKb: 1,
      opsSinceSnapshot: 9,
      snapshotsRunning: 0,
      snapshotsTaken: 4,
      journalBytes: 8192,
    },
    maxInput: 0,
    maxOutput: 0,
    longestTurnMs: 12,
    lastSnapshotAtMs: 1_795_000_000_000,
    isRefusing: true,
    isMemoryFull: true,
    errors: [
      ["WRONGTYPE", 2],
      ['bad"word', 1],
      ["__proto__", 4],
    ],
    keys: [
      [10, 2],
      [0, 0],
      [5, 0],
    ],
  },
  families: [
    {
      group: "string",
      calls: 9,
      rejected: 1,
      failed: 2,
      times: histogramOf(3.5 * TIME_UNITS_A_US, 70 * TIME_UNITS_A_US).pairs(),
      microseconds: 73.5,
    },
    { group: "server", calls: 0, rejected: 0, failed: 0, times: [], microseconds: 0 },
  ],
  journal: {
    commits: 40,
    undurableCommits: 1,
    pendingBytes: 0,
    syncs: histogramOf(100, 300, 5_000_000).pairs(),
    syncTotalMs: 5000.4,
  },
  vnodes: 3,
  exchangesOpen: 1,
  overloads: 2,
  heapBytes: 2 ** 23,
  busyMs: 10,
  idleMs: 990,
};

const WORKERS: readonly WorkerState[] = [
  { index: 0, state: "ready", restarts: 0, facts: FACTS },
  { index: 1, state: "ready", restarts: 2, facts: FACTS },
  { index: 2, state: "down", restarts: 1, facts: undefined },
];

test("the metrics page is of the text format and follows the naming rules", () => {
  const families = parseExposition(metricsText(NODE, WORKERS));
  assert.deepEqual(lint(families, "coterie_"), []);
  assert.ok(families.length > 35, `${families.length} families`);
});

test("metrics are in base units, with the worker, the family and the code as labels", () => {
  const families = parseExposition(metricsText(NODE, WORKERS));
  const value = (name: string, labels: Record<string, string> = {}) => {
    return valueOfSeries(families, `coterie_${name}`, labels);
  };
  assert.equal(value("ready"), 1);
  assert.equal(value("start_time_seconds"), 1_795_000_000.5);
  assert.equal(value("recovery_seconds"), 1.5);
  assert.equal(value("keys", { worker: "0", keyspace: "2" }), 5);
  assert.equal(value("keys", { worker: "0", keyspace: "1" }), undefined);
  assert.equal(value("commands_total", { worker: "1", family: "string" }), 9);
  assert.equal(value("error_replies_total", { worker: "0", code: "WRONGTYPE" }), 2);
  assert.equal(value("error_replies_total", { worker: "0", code: "other" }), 5);
  assert.equal(value("writes_refused", { worker: "0" }), 1);
  assert.equal(value("authentication_lockouts_total", { worker: "0" }), 2);
  assert.equal(value("event_loop_busy_seconds_total", { thread: "worker-0" }), 0.01);
  const info = families.find(({ name }) => name === "coterie_node_info")?.samples[0];
  assert.equal(info?.labels.get("node"), NODE.name);
});

test("syncs are a histogram of seconds whose buckets count exactly", () => {
  const families = parseExposition(metricsText(NODE, WORKERS));
  const bucket = (le: string) => {
    const name = "coterie_journal_sync_duration_seconds_bucket";
    return valueOfSeries(families, name, { worker: "0", le });
  };
  assert.deepEqual([bucket("0.000128"), bucket("0.000256"), bucket("0.000512")], [1, 1, 2]);
  assert.deepEqual([bucket("4.194304"), bucket("8.388608"), bucket("+Inf")], [2, 3, 3]);
  const sum = "coterie_journal_sync_duration_seconds_sum";
  assert.equal(valueOfSeries(families, sum, { worker: "0" }), 5.0004);
});

test("commands are a histogram of seconds, and turns are counted and summed", () => {
  const families = parseExposition(metricsText(NODE, WORKERS));
  const of = (name: string, labels: Record<string, string>) => {
    return valueOfSeries(families, `coterie_${name}`, { worker: "0", ...labels });
  };
  const string = { family: "string" };
  const bucket = (le: string) => of("command_duration_seconds_bucket", { ...string, le });
  assert.deepEqual([bucket("0.000001"), bucket("0.000004"), bucket("0.000256")], [0, 1, 2]);
  assert.equal(of("command_duration_seconds_sum", string), 0.0000735);
  assert.equal(of("turns_total", {}), 30);
  assert.equal(of("turn_seconds_total", {}), 0.045);
  assert.equal(of("longest_turn_seconds", {}), 0.012);
});

test("what a worker did not say is left out, and that it did not answer is shown", () => {
  const families = parseExposition(metricsText(NODE, WORKERS));
  const value = (name: string) => valueOfSeries(families, `coterie_${name}`, { worker: "2" });
  assert.equal(value("worker_up"), 0);
  assert.equal(value("worker_answered"), 0);
  assert.equal(value("worker_restarts_total"), 1);
  assert.equal(value("memory_used_bytes"), undefined);
});

test("a series is not written twice", () => {
  const page = new Exposition();
  const family: Family = { name: "coterie_x", type: "gauge", help: "X." };
  page.sample(family, { a: 1 }, 1);
  page.sample(family, { a: 2 }, 1);
  assert.throws(() => page.sample(family, { a: 1 }, 2), /a series is written once/);
});

test("the lint finds what promtool would", () => {
  const page = (name: string, type: string, rest = "") => {
    return parseExposition(`# HELP ${name} X.\n# TYPE ${name} ${type}\n${rest}${name} 1\n`);
  };
  assert.equal(lint(page("coterie_size_kilobytes", "gauge"), "coterie_").length, 1);
  assert.equal(lint(page("coterie_commands", "counter"), "coterie_").length, 1);
  assert.equal(lint(page("coterie_clients_total", "gauge"), "coterie_").length, 1);
  assert.equal(lint(page("other_clients", "gauge"), "coterie_").length, 1);
  assert.throws(() => page("a", "gauge", "a 1\n"), /there twice/);
  assert.throws(() => parseExposition("a 1\n"), /not under its own TYPE/);
});
