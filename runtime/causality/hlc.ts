/**
 * Hybrid logical clock: wall milliseconds and a logical part in one integer, so that stamps order
 * as causality does and stay near the wall clock. It never goes back.
 *
 * An `Hlc` is (wall ms − 2020-01-01T00:00Z) · 4096 + logical: exact in a double until 2089.
 * Kulkarni et al., "Logical Physical Clocks", 2014.
 */
import type { Clock } from "../base/clock.ts";

/** A stamp; larger is later. */
export type Hlc = number;

/** Wall time of stamp zero: 2020-01-01T00:00:00Z. */
export const HLC_EPOCH_MS = 1_577_836_800_000;
/** Stamps in one millisecond before the logical part runs into the next. */
const LOGICAL = 4096;
/**
 * Largest stamp that a wall clock makes. Above it stamps go on by ones: a clock that was once wrong by
 * decades leaves room for 10^12 more, each still larger than the one before.
 */
const WALL_STAMP_MAX: Hlc = Number.MAX_SAFE_INTEGER - 2 ** 40;

/** The wall time that a stamp was taken at, in ms since 1970 (ahead of it under heavy load). */
export function hlcWallMs(hlc: Hlc): number {
  return Math.floor(hlc / LOGICAL) + HLC_EPOCH_MS;
}

/** The first stamp of a wall millisecond. */
export function hlcAt(wallMs: number): Hlc {
  return (wallMs - HLC_EPOCH_MS) * LOGICAL;
}

export class HybridClock {
  readonly #clock: Clock;
  #last: Hlc = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The largest stamp made or seen. */
  get last(): Hlc {
    return this.#last;
  }

  /** A stamp larger than every one made or seen here. */
  next(): Hlc {
    const wall = Math.min(hlcAt(this.#clock.now()), WALL_STAMP_MAX);
    this.#last = wall > this.#last ? wall : this.#last + 1;
    return this.#last;
  }

  /** Moves past a stamp from elsewhere: a log, a snapshot, another node. */
  observe(hlc: Hlc): void {
    if (hlc > this.#last) this.#last = hlc;
  }
}
