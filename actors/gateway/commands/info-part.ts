/**
 * What one worker adds to INFO: plain numbers, added up over the workers by whoever answers.
 *
 * Invariant: a part is plain data, so that it can be packed.
 */
import { Histogram } from "../../../runtime/base/histogram.ts";
import type { CatalogEntry } from "../../command-facts.ts";
import type { WorkerView } from "../../worker/worker-view.ts";

/** A command's counters: name, calls, µs, rejected, failed, histogram of times (see CommandStats). */
export type CommandPart = readonly [string, number, number, number, number, readonly number[]];

export interface InfoPart {
  /** Numbers that add up, by name. */
  readonly sums: Readonly<Record<Sum, number>>;
  readonly maxInput: number;
  readonly maxOutput: number;
  readonly longestTurnMs: number;
  readonly lastSnapshotAtMs: number;
  readonly isRefusing: boolean;
  /** Commands that need memory are refused. */
  readonly isMemoryFull: boolean;
  readonly errors: readonly (readonly [string, number])[];
  readonly commands: readonly CommandPart[];
  /** Keys, and those that expire, by keyspace. */
  readonly keys: readonly (readonly [number, number])[];
}

const SUMS = [
  "clients",
  "memoryBytes",
  "memoryPeakBytes",
  "memoryMaxBytes",
  "commands",
  "connections",
  "rejectedConnections",
  "bytesIn",
  "bytesOut",
  "expiredKeys",
  "keyspaceHits",
  "keyspaceMisses",
  "deniedAuths",
  "lockouts",
  "errorReplies",
  "turns",
  "turnMs",
  "opsPerSecond",
  "inputKb",
  "outputKb",
  "opsSinceSnapshot",
  "snapshotsRunning",
  "snapshotsTaken",
  "journalBytes",
] as const;

type Sum = (typeof SUMS)[number];

/** This worker's part. */
export function collectInfo(worker: WorkerView): InfoPart {
  const { stats, persistence } = worker;
  let { bytesIn, bytesOut } = stats;
  let clients = 0;
  let maxInput = 0;
  let maxOutput = 0;
  for (const { connection } of worker.clients.values()) {
    if (connection === undefined) continue;
    clients++;
    bytesIn += connection.bytesIn;
    bytesOut += connection.bytesOut;
    maxInput = Math.max(maxInput, connection.pendingInput);
    maxOutput = Math.max(maxOutput, connection.pendingOutput);
  }
  return {
    sums: {
      clients,
      memoryBytes: worker.memoryBytes,
      memoryPeakBytes: worker.pool.bytesPeak,
      memoryMaxBytes: worker.memoryLimit.bytesMax,
      commands: stats.commands,
      connections: stats.connections,
      rejectedConnections: stats.rejectedConnections,
      bytesIn,
      bytesOut,
      expiredKeys: stats.expiredKeys,
      keyspaceHits: stats.keyspaceHits,
      keyspaceMisses: stats.keyspaceMisses,
      deniedAuths: stats.deniedAuths,
      lockouts: stats.lockouts,
      errorReplies: stats.errorReplies,
      turns: stats.turns,
      turnMs: stats.turnMs,
      opsPerSecond: stats.opsPerSecond,
      inputKb: stats.inputKbPerSecond,
      outputKb: stats.outputKbPerSecond,
      opsSinceSnapshot: persistence.opsSinceSnapshot,
      snapshotsRunning: persistence.snapshotsRunning,
      snapshotsTaken: persistence.snapshotsTaken,
      journalBytes: persistence.journalBytes,
    },
    maxInput,
    maxOutput,
    longestTurnMs: stats.longestTurnMs,
    lastSnapshotAtMs: persistence.lastSnapshotAtMs,
    isRefusing: persistence.isRefusing,
    isMemoryFull: worker.memoryLimit.isReached,
    errors: [...stats.errors],
    commands: worker.table.entries.flatMap(commandParts),
    keys: worker.config.keyspaces.map(({ index }) => countKeys(worker, index)),
  };
}

function commandParts(entry: CatalogEntry): CommandPart[] {
  const { calls, microseconds, rejected, failed, latency } = entry.stats;
  const inner = entry.subcommands.flatMap(commandParts);
  // A call is counted by the worker that took it, its time by the one that ran it.
  const isUsed = calls > 0 || rejected > 0 || failed > 0 || latency !== null;
  if (!isUsed) return inner;
  const own: CommandPart = [
    entry.fullName,
    calls,
    microseconds,
    rejected,
    failed,
    latency?.pairs() ?? [],
  ];
  return [own, ...inner];
}

function countKeys(worker: WorkerView, keyspace: number): [number, number] {
  let keys = 0;
  let expiring = 0;
  for (const { partition } of worker.vnodes(keyspace)) {
    keys += partition.table.keyCount;
    expiring += partition.table.expiring;
  }
  return [keys, Math.min(keys, expiring)];
}

/** A command's counters over all workers. */
export interface CommandTotals {
  calls: number;
  microseconds: number;
  rejected: number;
  failed: number;
  readonly latency: Histogram;
}

/** The node's numbers, from all parts. */
export interface InfoTotals {
  readonly sums: Readonly<Record<Sum, number>>;
  readonly maxInput: number;
  readonly maxOutput: number;
  readonly longestTurnMs: number;
  readonly lastSnapshotAtMs: number;
  readonly isRefusing: boolean;
  readonly errors: ReadonlyMap<string, number>;
  readonly commands: ReadonlyMap<string, CommandTotals>;
  readonly keys: readonly (readonly [number, number])[];
}

export function addParts(parts: readonly InfoPart[]): InfoTotals {
  const sums = Object.fromEntries(
    SUMS.map((name) => [name, parts.reduce((sum, part) => sum + part.sums[name], 0)]),
  ) as Record<Sum, number>;
  const errors = new Map<string, number>();
  const commands = new Map<string, CommandTotals>();
  for (const part of parts) {
    for (const [word, count] of part.errors) errors.set(word, (errors.get(word) ?? 0) + count);
    for (const command of part.commands) addCommand(commands, command);
  }
  const keyspaces = parts[0]?.keys.length ?? 0;
  return {
    sums,
    maxInput: Math.max(0, ...parts.map(({ maxInput }) => maxInput)),
    maxOutput: Math.max(0, ...parts.map(({ maxOutput }) => maxOutput)),
    longestTurnMs: Math.max(0, ...parts.map(({ longestTurnMs }) => longestTurnMs)),
    lastSnapshotAtMs: Math.min(...parts.map(({ lastSnapshotAtMs }) => lastSnapshotAtMs)),
    isRefusing: parts.some(({ isRefusing }) => isRefusing),
    errors,
    commands,
    keys: Array.from({ length: keyspaces }, (_, i) => [
      parts.reduce((sum, { keys }) => sum + (keys[i]?.[0] ?? 0), 0),
      parts.reduce((sum, { keys }) => sum + (keys[i]?.[1] ?? 0), 0),
    ]),
  };
}

function addCommand(totals: Map<string, CommandTotals>, part: CommandPart): void {
  const [name, calls, microseconds, rejected, failed, pairs] = part;
  let total = totals.get(name);
  if (total === undefined) {
    total = { calls: 0, microseconds: 0, rejected: 0, failed: 0, latency: new Histogram() };
    totals.set(name, total);
  }
  total.calls += calls;
  total.microseconds += microseconds;
  total.rejected += rejected;
  total.failed += failed;
  total.latency.add(pairs);
}
