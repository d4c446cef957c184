/**
 * Whether a client takes its replies too slowly: too much waits for it, or it takes nothing at all.
 * What moves is not slow however long one reply is.
 */
import type { ClientsConfig } from "../../runtime/config.ts";

/** How long a client for which very much waits may take nothing. */
const HARD_MS = 1_000;

/** What waits for a client now. */
export interface Waiting {
  /** Bytes that the system has not taken yet. */
  readonly bytes: number;
  /** Of those, the ones of the last reply: it alone may be larger than the hard limit. */
  readonly lastBytes: number;
  /** Bytes that the system has taken since the client is connected. */
  readonly moved: number;
  /** So much that nothing more of what the client asks is run, and the system takes no more. */
  readonly isStopped: boolean;
}

export class SlowReader {
  /** Since when it is slow, ms, and what had moved then; 0: it is not. */
  #sinceMs = 0;
  #movedThen = 0;
  /** What had moved at the last look, and when it was last seen to move, or to have nothing to take. */
  #moved = 0;
  #movedAtMs = 0;

  /** Looks now and then. */
  isTooSlow(waiting: Waiting, limits: ClientsConfig, monotonicMs: number): boolean {
    const { outputHardBytes, outputSoftBytes, outputSoftMs } = limits;
    const { bytes, lastBytes, moved } = waiting;
    const isStuck = waiting.isStopped && moved === this.#moved;
    if (!isStuck) this.#movedAtMs = monotonicMs;
    this.#moved = moved;
    if (bytes - lastBytes > outputHardBytes && monotonicMs - this.#movedAtMs > HARD_MS) return true;
    if (bytes <= outputSoftBytes && !isStuck) {
      this.#sinceMs = 0;
      return false;
    }
    if (this.#sinceMs === 0) this.#begin(moved, monotonicMs);
    if (monotonicMs - this.#sinceMs <= outputSoftMs) return false;
    if (moved - this.#movedThen < outputSoftBytes) return true;
    this.#begin(moved, monotonicMs);
    return false;
  }

  #begin(moved: number, monotonicMs: number): void {
    this.#sinceMs = monotonicMs;
    this.#movedThen = moved;
  }
}
