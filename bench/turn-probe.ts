/**
 * Preloaded into a node under test (`node --import …/turn-probe.ts bin/coterie.ts start`): each of
 * its threads appends, once a second, a line of JSON with its longest turn and its longest garbage
 * collection to a file of its own in $BENCH_PROBE_FOLDER.
 *
 * A turn is one round of the event loop, in CPU time of the thread: what the machine gives to others
 * meanwhile does not count. It is read in the check phase of every round while the thread is busy;
 * an idle thread is left to sleep, and looked at once a millisecond.
 *
 * Invariant: a turn is never reported shorter than it was; at most the work of one idle millisecond
 * is added to it.
 */
import { appendFileSync } from "node:fs";
import { PerformanceObserver } from "node:perf_hooks";
import { threadId } from "node:worker_threads";

/** What a thread says of one second. */
export interface ProbeLine {
  /** End of the second, wall ms. */
  readonly atMs: number;
  readonly turns: number;
  readonly longestTurnMs: number;
  readonly collections: number;
  readonly longestCollectionMs: number;
  /** What V8 calls its kind: 1 young, 4 full, 16 weak callbacks. */
  readonly longestKind: number;
}

/** CPU time of a turn from which on the next one is looked at, too, µs. */
const BUSY_US = 20;
const IDLE_POLL_MS = 1;
/** V8 reports the time from the first to the last step of a marking: no pause. Turns hold its steps. */
const INCREMENTAL = 8;

function probe(folder: string): void {
  const path = `${folder}/thread-${threadId}.jsonl`;
  let turns = 0;
  let longestUs = 0;
  let collections = 0;
  let longestCollectionMs = 0;
  let longestKind = 0;
  let isLooking = false;

  const cpuUs = () => {
    // Linux brings a thread's own time up to date only where the whole process's is asked for;
    // without this it moves in ticks of 4 ms.
    process.cpuUsage();
    const { user, system } = process.threadCpuUsage();
    return user + system;
  };
  let lastUs = cpuUs();
  const look = () => {
    const nowUs = cpuUs();
    const turnUs = nowUs - lastUs;
    lastUs = nowUs;
    turns++;
    if (turnUs > longestUs) longestUs = turnUs;
    isLooking = turnUs > BUSY_US;
    if (isLooking) setImmediate(look);
  };
  setInterval(() => {
    if (!isLooking) look();
  }, IDLE_POLL_MS).unref();

  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const kind = (entry as { readonly detail?: { kind: number } }).detail?.kind ?? 0;
      if (kind === INCREMENTAL) continue;
      collections++;
      if (entry.duration <= longestCollectionMs) continue;
      longestCollectionMs = entry.duration;
      longestKind = kind;
    }
  }).observe({ entryTypes: ["gc"] });

  setInterval(() => {
    const line: ProbeLine = {
      atMs: Date.now(),
      turns,
      longestTurnMs: longestUs / 1000,
      collections,
      longestCollectionMs,
      longestKind,
    };
    appendFileSync(path, `${JSON.stringify(line)}\n`);
    turns = 0;
    longestUs = 0;
    collections = 0;
    longestCollectionMs = 0;
    longestKind = 0;
  }, 1000).unref();
}

if (process.env.BENCH_PROBE_FOLDER !== undefined) probe(process.env.BENCH_PROBE_FOLDER);
