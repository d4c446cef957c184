/**
 * How long the syncs of one worker's commits took, for metrics.
 *
 * Invariant: noting one allocates nothing.
 */
import type { Clock } from "../../runtime/base/clock.ts";
import { Histogram } from "../../runtime/base/histogram.ts";
import type { SyncTimes as JournalSyncTimes } from "../../runtime/storage/journal-syncs.ts";

export class SyncTimes implements JournalSyncTimes {
  readonly clock: Clock;
  /** In µs. */
  readonly histogram = new Histogram();
  totalMs = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  note(durationMs: number): void {
    this.histogram.note(durationMs * 1000);
    this.totalMs += durationMs;
  }
}
