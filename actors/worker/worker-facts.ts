/**
 * What one worker tells the main thread about itself, for /metrics and /status: plain data, asked
 * for over the control port (comlink), never on the data path.
 */
import { getHeapStatistics } from "node:v8";
import { Histogram } from "../../runtime/base/histogram.ts";
import type { Journal } from "../../runtime/storage/journal.ts";
import type { CatalogEntry } from "../command-facts.ts";
import { collectInfo, type InfoPart } from "../gateway/commands/info-part.ts";
import type { Exchange } from "../gateway/exchange.ts";
import type { SyncTimes } from "./sync-times.ts";
import type { WorkerView } from "./worker-view.ts";

/** The worker's journal in numbers. */
export interface JournalFacts {
  /** Frames written since the worker's start, and how many of them are not known to be durable. */
  readonly commits: number;
  readonly undurableCommits: number;
  /** Bytes of ops that wait for the next frame. */
  readonly pendingBytes: number;
  /** Syncs by duration, µs: pairs of a `Histogram`; and their sum, ms. */
  readonly syncs: readonly number[];
  readonly syncTotalMs: number;
}

/** The counters of all commands of a group ("string", "server" ...). */
export interface CommandFamily {
  readonly group: string;
  readonly calls: number;
  readonly rejected: number;
  readonly failed: number;
  /** Times of the runs on this thread, in TIME_UNITS_A_US: pairs of a `Histogram`; their sum, µs. */
  readonly times: readonly number[];
  readonly microseconds: number;
}

export interface WorkerFacts {
  /** What the worker adds to INFO. */
  readonly info: Omit<InfoPart, "commands">;
  readonly families: readonly CommandFamily[];
  readonly journal: JournalFacts;
  readonly vnodes: number;
  /** Requests to other workers that wait for their reply, and those refused for overload. */
  readonly exchangesOpen: number;
  readonly overloads: number;
  /** The thread's JavaScript heap; values live outside of it. */
  readonly heapBytes: number;
  /** How long the thread's event loop was busy and idle, ms since its start. */
  readonly busyMs: number;
  readonly idleMs: number;
}

/** Where the facts come from. */
export interface FactsSource {
  readonly view: WorkerView;
  readonly journal: Journal;
  readonly exchange: Exchange;
  readonly syncs: SyncTimes;
}

/** This worker's facts, now. */
export function workerFacts({ view, journal, exchange, syncs }: FactsSource): WorkerFacts {
  const { active, idle } = performance.eventLoopUtilization();
  const { commands: _, ...info } = collectInfo(view);
  return {
    info,
    families: commandFamilies(view.table.entries),
    journal: {
      commits: journal.writtenThrough,
      undurableCommits: journal.writtenThrough - journal.durableThrough,
      pendingBytes: Math.max(0, journal.pendingBytes),
      syncs: syncs.histogram.pairs(),
      syncTotalMs: syncs.totalMs,
    },
    vnodes: view.config.keyspaces.reduce((sum, { index }) => sum + countVnodes(view, index), 0),
    exchangesOpen: exchange.size,
    overloads: exchange.overloads,
    heapBytes: getHeapStatistics().used_heap_size,
    busyMs: active,
    idleMs: idle,
  };
}

function countVnodes(view: WorkerView, keyspace: number): number {
  let count = 0;
  for (const _ of view.vnodes(keyspace)) count++;
  return count;
}

function commandFamilies(entries: readonly CatalogEntry[]): CommandFamily[] {
  const groups = new Map<
    string,
    { -readonly [Name in keyof CommandFamily]: CommandFamily[Name] }
  >();
  const histograms = new Map<string, Histogram>();
  for (const { facts, stats } of entries.flatMap((entry) => [entry, ...entry.subcommands])) {
    const { group } = facts;
    const family = groups.get(group) ?? { group, ...NO_CALLS };
    groups.set(group, family);
    family.calls += stats.calls;
    family.rejected += stats.rejected;
    family.failed += stats.failed;
    family.microseconds += stats.microseconds;
    if (stats.latency === null) continue;
    const histogram = histograms.get(group) ?? new Histogram();
    histograms.set(group, histogram);
    histogram.add(stats.latency.pairs());
    family.times = histogram.pairs();
  }
  return [...groups.values()];
}

const NO_CALLS = { calls: 0, rejected: 0, failed: 0, times: [], microseconds: 0 };
