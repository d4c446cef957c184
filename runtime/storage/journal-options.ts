/** What a journal is opened with, and whom it tells what. */
import type { CoterieError } from "../base/errors.ts";
import type { JournalSpaceOptions } from "./journal-space.ts";
import type { SyncTimes } from "./journal-syncs.ts";

export interface JournalOptions extends JournalSpaceOptions {
  readonly arenaBytes?: number;
  readonly arenaBytesMax?: number;
  /** Told how long each sync of commits took, for metrics. */
  readonly syncTimes?: SyncTimes;
  /** Every commit up to this one is durable. Called in order, after `durableThrough` moved. */
  onDurable(commit: number): void;
  /** The journal is dead; commits after `lastDurable` have an unknown outcome. Called once. */
  onFailed(error: CoterieError, lastDurable: number): void;
  /** A frame was written that an earlier `commit` had not: it waited for room, a sync, or ops. */
  onWritten?(): void;
  /** `full` changed. */
  onFull?(full: boolean): void;
}
