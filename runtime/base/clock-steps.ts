/**
 * Times of the wall clock that measure how long something takes, once somebody has set that clock:
 * found by the monotonic one, and moved along.
 */
import type { Clock } from "./clock.ts";

// limits:
/** Smaller steps are as good as none: a clock that is kept in time makes many. */
export const STEP_MS_MIN = 500;

export class ClockSteps {
  readonly #clock: Clock;
  #aheadMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#aheadMs = clock.now() - clock.monotonicMs();
  }

  /** What the wall clock was set by since the last call, ms; 0: nothing. */
  take(): number {
    const aheadMs = this.#clock.now() - this.#clock.monotonicMs();
    const stepMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    return Math.abs(stepMs) < STEP_MS_MIN ? 0 : stepMs;
  }
}

/** A deadline, `timeoutMs` from its beginning, that was taken before or after such a step. */
export function movedDeadline(
  deadlineMs: number,
  { nowMs, stepMs, timeoutMs }: { nowMs: number; stepMs: number; timeoutMs: number },
): number {
  const isEarlier = deadlineMs <= nowMs && stepMs > 0;
  return Math.min(isEarlier ? deadlineMs + stepMs : deadlineMs, nowMs + timeoutMs);
}

/** The time of something in the past that was taken before or after such a step. */
export function movedPast(atMs: number, nowMs: number, stepMs: number): number {
  const isEarlier = stepMs > 0 && nowMs - atMs >= stepMs;
  return Math.min(isEarlier ? atMs + stepMs : atMs, nowMs);
}
