/**
 * The metrics of a node, from what it knows itself and what its workers have said. Pure.
 * Names begin with coterie_, units are seconds and bytes; each says in its HELP what it is.
 *
 * Invariant: what a worker did not say is left out, never shown as 0.
 */
import { Histogram } from "../../runtime/base/histogram.ts";
import type { RecoverySummary } from "../node-api.ts";
import type { WorkerFacts } from "../worker/worker-facts.ts";
import { TIME_UNITS_A_US } from "../worker/worker-stats.ts";
import { Exposition, type Family, type Labels, type MetricType } from "./exposition.ts";
import type { ScrubFacts } from "./scrub.ts";

/** What is known of one worker. */
export interface WorkerState {
  readonly index: number;
  readonly state: "starting" | "ready" | "down";
  readonly restarts: number;
  /** Undefined: it did not answer. */
  readonly facts: WorkerFacts | undefined;
}

/** What is known of the node and its process. */
export interface NodeFacts {
  readonly name: string;
  readonly cluster: string;
  readonly nodeId: string;
  readonly version: string;
  readonly runtime: string;
  readonly isReady: boolean;
  readonly startedAtMs: number;
  readonly recovery: RecoverySummary;
  readonly scrub: ScrubFacts;
  readonly memoryBytesMax: number;
  readonly clientsMax: number;
  readonly cpuSeconds: { readonly user: number; readonly system: number };
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** The main thread's event loop, ms since its start. */
  readonly busyMs: number;
  readonly idleMs: number;
}

/** Ends of the buckets of syncs, µs: 128 µs to 8.4 s. */
const SYNC_LIMITS = Array.from({ length: 17 }, (_, i) => 2 ** (7 + i));
/** Ends of the buckets of commands: 1 µs to 1 s. */
const COMMAND_LIMITS = Array.from({ length: 11 }, (_, i) => TIME_UNITS_A_US * 2 ** (2 * i));
const US_A_SECOND = 1_000_000;

function family(type: MetricType, name: string, help: string): Family {
  return { type, name: `coterie_${name}`, help };
}

type NodeMetric = readonly [Family, (node: NodeFacts) => number];

const INFO = family("gauge", "node_info", "The node's identity and versions; always 1.");
const CPU = family("counter", "process_cpu_seconds_total", "CPU time of the process.");
const LOOP_BUSY = family(
  "counter",
  "event_loop_busy_seconds_total",
  "Time in which a thread's event loop was not waiting.",
);
const LOOP_IDLE = family(
  "counter",
  "event_loop_idle_seconds_total",
  "Time in which a thread's event loop was waiting.",
);
const HEAP = family("gauge", "heap_used_bytes", "JavaScript heap in use, of a thread.");

const NODE_METRICS: readonly NodeMetric[] = [
  [family("gauge", "ready", "Whether every worker serves."), (node) => Number(node.isReady)],
  [
    family("gauge", "start_time_seconds", "When the node was started, Unix time."),
    (node) => node.startedAtMs / 1000,
  ],
  [
    family("gauge", "recovery_seconds", "How long the start took, until every worker served."),
    (node) => node.recovery.durationMs / 1000,
  ],
  [
    family("gauge", "recovery_ops", "Ops that the start replayed from journals."),
    (node) => node.recovery.ops,
  ],
  [family("gauge", "recovery_keys", "Keys that the start found."), (node) => node.recovery.keys],
  [
    family("gauge", "recovery_torn_bytes", "Bytes of torn tails that the start dropped."),
    (node) => node.recovery.tornBytes,
  ],
  [
    family("counter", "scrub_files_total", "Resting files that were read again and found whole."),
    ({ scrub }) => scrub.files,
  ],
  [family("counter", "scrub_bytes_total", "Bytes of those files."), ({ scrub }) => scrub.bytes],
  [
    family("counter", "scrub_damaged_files_total", "Resting files that were found damaged."),
    ({ scrub }) => scrub.damaged,
  ],
  [
    family("gauge", "scrub_waiting_files", "Resting files that wait to be read again."),
    ({ scrub }) => scrub.waiting,
  ],
  [
    family("gauge", "memory_max_bytes", "Memory for data; past it writes are refused with OOM."),
    (node) => node.memoryBytesMax,
  ],
  [family("gauge", "clients_max", "Clients that may be connected."), (node) => node.clientsMax],
  [
    family("gauge", "process_resident_memory_bytes", "Resident memory of the process."),
    (node) => node.rssBytes,
  ],
];

type WorkerMetric = readonly [Family, (facts: WorkerFacts) => number];

const WORKER_METRICS: readonly WorkerMetric[] = [
  [
    family("gauge", "memory_used_bytes", "Memory of the tables: keys, values and indexes."),
    ({ info }) => info.sums.memoryBytes,
  ],
  [family("gauge", "clients", "Clients that are connected."), ({ info }) => info.sums.clients],
  [
    family("counter", "connections_total", "Connections accepted."),
    ({ info }) => info.sums.connections,
  ],
  [
    family("counter", "connections_rejected_total", "Connections refused: too many clients."),
    ({ info }) => info.sums.rejectedConnections,
  ],
  [
    family("counter", "authentication_failures_total", "Failed AUTH and HELLO ... AUTH."),
    ({ info }) => info.sums.deniedAuths,
  ],
  [
    family(
      "counter",
      "authentication_lockouts_total",
      "Times an address was locked out after wrong passwords.",
    ),
    ({ info }) => info.sums.lockouts,
  ],
  [
    family("counter", "received_bytes_total", "Bytes received from clients."),
    ({ info }) => info.sums.bytesIn,
  ],
  [
    family("counter", "sent_bytes_total", "Bytes sent to clients."),
    ({ info }) => info.sums.bytesOut,
  ],
  [
    family("counter", "keyspace_hits_total", "Reads that found their key."),
    ({ info }) => info.sums.keyspaceHits,
  ],
  [
    family("counter", "keyspace_misses_total", "Reads that did not find their key."),
    ({ info }) => info.sums.keyspaceMisses,
  ],
  [
    family("counter", "expired_keys_total", "Keys whose memory was given back after they expired."),
    ({ info }) => info.sums.expiredKeys,
  ],
  [family("gauge", "vnodes", "Partitions that hold or held something."), ({ vnodes }) => vnodes],
  [
    family("gauge", "journal_bytes", "Bytes in the journal files of this start."),
    ({ info }) => info.sums.journalBytes,
  ],
  [
    family("counter", "journal_commits_total", "Frames written to the journal."),
    ({ journal }) => journal.commits,
  ],
  [
    family(
      "gauge",
      "journal_undurable_commits",
      "Frames written and not known to be durable: the durable lag.",
    ),
    ({ journal }) => journal.undurableCommits,
  ],
  [
    family("gauge", "journal_pending_bytes", "Bytes of ops that wait for the next frame."),
    ({ journal }) => journal.pendingBytes,
  ],
  [
    family("gauge", "writes_refused", "Whether writes are refused because the disk is full."),
    ({ info }) => Number(info.isRefusing),
  ],
  [
    family("gauge", "memory_full", "Whether commands that need memory are refused (OOM)."),
    ({ info }) => Number(info.isMemoryFull),
  ],
  [
    family("gauge", "ops_since_snapshot", "Ops in the log that no snapshot holds yet."),
    ({ info }) => info.sums.opsSinceSnapshot,
  ],
  [
    family("gauge", "snapshots_running", "Snapshots that are being written."),
    ({ info }) => info.sums.snapshotsRunning,
  ],
  [
    family("counter", "snapshots_total", "Snapshots finished."),
    ({ info }) => info.sums.snapshotsTaken,
  ],
  [
    family("gauge", "last_snapshot_timestamp_seconds", "When the last snapshot (or start) was."),
    ({ info }) => info.lastSnapshotAtMs / 1000,
  ],
  [
    family("gauge", "exchange_requests_open", "Requests to other workers that wait for a reply."),
    (facts) => facts.exchangesOpen,
  ],
  [
    family("counter", "overload_refusals_total", "Requests refused: too many were under way."),
    (facts) => facts.overloads,
  ],
  [
    family("counter", "turns_total", "Turns: what came in at once, run and answered."),
    ({ info }) => info.sums.turns,
  ],
  [
    family("counter", "turn_seconds_total", "Time of all turns, estimated from a sample."),
    ({ info }) => info.sums.turnMs / 1000,
  ],
  [
    family("gauge", "longest_turn_seconds", "The longest turn that was timed so far."),
    ({ info }) => info.longestTurnMs / 1000,
  ],
];

const WORKER_UP = family("gauge", "worker_up", "Whether a worker serves.");
const WORKER_ANSWERED = family("gauge", "worker_answered", "Whether a worker answered in time.");
const RESTARTS = family("counter", "worker_restarts_total", "Restarts of a worker thread.");
const KEYS = family("gauge", "keys", "Keys, by keyspace; expired ones may still count.");
const EXPIRING = family("gauge", "keys_expiring", "Keys that carry an expiry, by keyspace.");
const ERRORS = family("counter", "error_replies_total", "Error replies, by their first word.");
const COMMANDS = family("counter", "commands_total", "Commands executed, by family.");
const FAILED = family("counter", "commands_failed_total", "Commands that ended with an error.");
const REJECTED = family("counter", "commands_rejected_total", "Commands refused unexecuted.");
const COMMAND_TIMES = family(
  "histogram",
  "command_duration_seconds",
  "Time of commands on the threads that ran them, estimated from a sample.",
);
const SYNC_TIMES = family(
  "histogram",
  "journal_sync_duration_seconds",
  "Time of the journal's syncs (fdatasync) of commits.",
);

/** The page. */
export function metricsText(node: NodeFacts, workers: readonly WorkerState[]): string {
  const page = new Exposition();
  const { name, cluster, nodeId, version, runtime } = node;
  page.sample(INFO, { node: name, cluster, node_id: nodeId, version, runtime }, 1);
  for (const [metric, read] of NODE_METRICS) page.sample(metric, {}, read(node));
  page.sample(CPU, { mode: "user" }, node.cpuSeconds.user);
  page.sample(CPU, { mode: "system" }, node.cpuSeconds.system);
  writeThread(page, { thread: "main" }, node);
  for (const worker of workers) {
    const labels = { worker: worker.index };
    page.sample(WORKER_UP, labels, Number(worker.state === "ready"));
    page.sample(WORKER_ANSWERED, labels, Number(worker.facts !== undefined));
    page.sample(RESTARTS, labels, worker.restarts);
    if (worker.facts !== undefined) writeWorker(page, labels, worker.facts);
  }
  return page.text();
}

function writeThread(
  page: Exposition,
  labels: Labels,
  thread: { readonly busyMs: number; readonly idleMs: number; readonly heapBytes: number },
): void {
  page.sample(LOOP_BUSY, labels, thread.busyMs / 1000);
  page.sample(LOOP_IDLE, labels, thread.idleMs / 1000);
  page.sample(HEAP, labels, thread.heapBytes);
}

function writeWorker(
  page: Exposition,
  labels: { readonly worker: number },
  facts: WorkerFacts,
): void {
  const { info, journal } = facts;
  writeThread(page, { thread: `worker-${labels.worker}` }, facts);
  for (const [metric, read] of WORKER_METRICS) page.sample(metric, labels, read(facts));
  for (const [keyspace, [keys, expiring]] of info.keys.entries()) {
    if (keys === 0 && keyspace > 0) continue;
    page.sample(KEYS, { ...labels, keyspace }, keys);
    page.sample(EXPIRING, { ...labels, keyspace }, expiring);
  }
  for (const [word, count] of errorWords(info.errors)) {
    page.sample(ERRORS, { ...labels, code: word }, count);
  }
  for (const { group, calls, failed, rejected, times, microseconds } of facts.families) {
    const own = { ...labels, family: group };
    page.sample(COMMANDS, own, calls);
    page.sample(FAILED, own, failed);
    page.sample(REJECTED, own, rejected);
    if (times.length === 0) continue;
    const sumSeconds = microseconds / US_A_SECOND;
    const unitsASecond = TIME_UNITS_A_US * US_A_SECOND;
    const measured = { histogram: addedUp(times), sumSeconds, unitsASecond };
    page.times(COMMAND_TIMES, own, measured, COMMAND_LIMITS);
  }
  const sumSeconds = journal.syncTotalMs / 1000;
  const syncs = { histogram: addedUp(journal.syncs), sumSeconds, unitsASecond: US_A_SECOND };
  page.times(SYNC_TIMES, labels, syncs, SYNC_LIMITS);
}

function addedUp(pairs: readonly number[]): Histogram {
  const histogram = new Histogram();
  histogram.add(pairs);
  return histogram;
}

/** Words that are error codes by themselves; the rest is one. */
function errorWords(errors: WorkerFacts["info"]["errors"]): ReadonlyMap<string, number> {
  const words = new Map<string, number>();
  for (const [word, count] of errors) {
    const code = /^[A-Z][A-Z0-9_]{0,31}$/.test(word) ? word : "other";
    words.set(code, (words.get(code) ?? 0) + count);
  }
  return words;
}
