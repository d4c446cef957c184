/** Times of commands from a sample, and turns: counted as if every one had been timed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  beginRun,
  type CommandStats,
  commandStats,
  SLOW_RUN_US,
  TIME_UNITS_A_US,
  TIMED_RUN_INTERVAL,
  TIMED_RUNS_FIRST,
  WorkerStats,
} from "../../../actors/worker/worker-stats.ts";
import type { Clock } from "../../../runtime/base/clock.ts";
import { below, seeded } from "../../../runtime/base/prng.ts";

/** A clock that a run moves; it counts how often it is read. */
class RunClock implements Clock {
  reads = 0;
  us = 0;
  now = () => 0;
  monotonicMs = () => {
    this.reads++;
    return this.us / 1000;
  };
}

/** Runs a command as often as it has times, µs. */
function runs(stats: CommandStats, clock: RunClock, timesUs: Iterable<number>): void {
  const worker = new WorkerStats();
  for (const us of timesUs) {
    const beganMs = beginRun(stats, clock);
    clock.us += us;
    worker.endRun(stats, clock, beganMs);
  }
}

test("the first runs of a command are all timed, then one in some, for all of them", () => {
  const stats = commandStats();
  const clock = new RunClock();
  runs(stats, clock, new Array<number>(TIMED_RUNS_FIRST).fill(2));
  assert.equal(clock.reads, 2 * TIMED_RUNS_FIRST);
  assert.ok(Math.abs(stats.microseconds - 2 * TIMED_RUNS_FIRST) < 1e-6);
  runs(stats, clock, new Array<number>(100 * TIMED_RUN_INTERVAL).fill(2));
  assert.equal(clock.reads, 2 * (TIMED_RUNS_FIRST + 100));
  const all = TIMED_RUNS_FIRST + 100 * TIMED_RUN_INTERVAL;
  assert.ok(Math.abs(stats.microseconds - 2 * all) < 1e-6);
  assert.equal(stats.latency?.count, all);
});

test("every run of a command that is slow on average is timed", () => {
  const stats = commandStats();
  const clock = new RunClock();
  const times = Array.from({ length: 5 * TIMED_RUNS_FIRST }, (_, i) => (i % 2) * 3 * SLOW_RUN_US);
  runs(stats, clock, times);
  assert.equal(clock.reads, 2 * times.length);
});

test("sums and percentiles of a sample are near those of all runs, pipelines or not", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 16, 60, 64, 100),
      fc.integer({ min: 1, max: 2 ** 31 }),
      (pipeline, seed) => {
        const stats = commandStats();
        const random = seeded(seed);
        // The first of a pipeline takes longest; the others 1 to 3 µs.
        const times = Array.from({ length: 100_000 }, (_, i) => {
          return i % pipeline === 0 ? 20 : 1 + below(random, 2_000) / 1000;
        });
        runs(stats, new RunClock(), times);
        const exact = times.reduce((sum, us) => sum + us, 0);
        const share = stats.microseconds / exact;
        assert.ok(share > 0.9 && share < 1.1, `${share} of the time, pipelines of ${pipeline}`);
        if (pipeline < 16) return;
        const median = (stats.latency?.percentile(0.5) ?? 0) / TIME_UNITS_A_US;
        assert.ok(median > 1.7 && median < 2.4, `a median of ${median} µs`);
      },
    ),
    { numRuns: 10 },
  );
});
