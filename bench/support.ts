/**
 * Runs named cases with benny, the only file that imports it, and prints the median nanoseconds of
 * one operation.
 *
 * A case does many operations a call and returns a checksum of what they did: it is added up and
 * printed, so that no compiler may leave the work out.
 */
import { add, configure, suite } from "benny";
import { printTable } from "./report.ts";

/** Fewest samples of a case, whatever its time. */
const SAMPLES_MIN = 5;
/** One sample lasts at least this long, seconds: less would measure the clock. */
const SAMPLE_SECONDS_MIN = 0.02;

export interface BenchCase {
  readonly name: string;
  /** Operations a call. */
  readonly operations: number;
  /** Does so many operations; returns a checksum. */
  readonly run: (operations: number) => number | Promise<number>;
  /** `run` returns a promise. */
  readonly waits?: boolean;
}

export interface BenchGroup {
  readonly name: string;
  readonly cases: readonly BenchCase[];
  /** Ends what the cases left running. */
  readonly close?: () => Promise<void> | void;
}

/** What was measured of a case. */
export interface BenchResult {
  readonly name: string;
  readonly nanoseconds: number;
  /** Half the 95 % confidence interval of the mean, percent. */
  readonly margin: number;
  readonly samples: number;
}

let checksum = 0;

/** Everything that the cases computed, in one number: for the last line of the output. */
export function checksumOfAll(): number {
  return checksum;
}

/** A case as benny takes it. What waits is queued: benny tries the cases of a group all at once. */
function asTest({ operations, run, waits }: BenchCase, queue: { last: Promise<void> }) {
  const consume = (sum: number | undefined) => {
    if (sum === undefined || !Number.isFinite(sum)) throw new Error("a case returns a checksum");
    checksum = (Math.imul(checksum, 31) + sum) | 0;
  };
  if (waits !== true) return () => consume(run(operations) as number);
  return () => {
    queue.last = queue.last.then(async () => consume(await run(operations)));
    return queue.last;
  };
}

/** Measures the cases of a group one after the other, each for about so many seconds. */
export async function runGroup(group: BenchGroup, seconds: number): Promise<BenchResult[]> {
  const timing = { minSamples: SAMPLES_MIN, minTime: SAMPLE_SECONDS_MIN, maxTime: seconds };
  const queue = { last: Promise.resolve() };
  try {
    const entries = group.cases.map((each) => add(each.name, asTest(each, queue)));
    const summary = await suite(group.name, ...entries, configure({ cases: timing }));
    const results = summary.results.map(({ name, details, margin, samples }, i): BenchResult => {
      const { operations } = group.cases[i] as BenchCase;
      if (samples === 0) throw new Error(`${group.name} ${name} failed; run it alone to see why`);
      return { name, nanoseconds: (details.median * 1e9) / operations, margin, samples };
    });
    return results;
  } finally {
    await group.close?.();
  }
}

export function printResults(results: readonly BenchResult[]): void {
  const rows = results.map(({ name, nanoseconds, margin, samples }) => {
    const digits = nanoseconds < 100 ? 1 : 0;
    return [name, nanoseconds.toFixed(digits), margin.toFixed(1), String(samples)];
  });
  printTable(["case", "ns/op (median)", "± %", "samples"], rows);
}
