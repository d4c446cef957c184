/**
 * Which of two ways to do something gives more, found by going both: a run of rounds one way and a
 * run the other, in turns, and the better one in between. What else changes a rate (more clients, a
 * slower disk) changes that of neighbouring runs alike. A decision only: no clock.
 */

// limits:
/** Rounds of a run that count, and those before them, in which what the last run left is over. */
const RUN_ROUNDS = 24;
const SETTLING_ROUNDS = 3;
/** Runs between two comparisons: where it is not clear which way is better, and where it is. */
const REST_RUNS = 6;
const LONG_REST_RUNS = 30;
/** Comparisons before the first rest. */
const COMPARISONS_MIN = 3;
/** Logarithms of the ratio of the two rates: from which one the second way is better, and clearly. */
const BETTER = 0.02;
const CLEAR = 0.06;
/** A comparison says no more than this: the load may have changed in the middle of it. */
const LOG_RATIO_MAX = 0.3;
/** Amounts of two runs of one way that are further apart: another load, of which nothing is known. */
const SAME_LOAD_MAX = 3;
/** Weight of the newest comparison. */
const NEWEST = 0.3;

/** See the file comment. The first way is the one to prefer where both give the same. */
export class Trial {
  /** Whether the second way is gone in this run. */
  isSecond = false;
  /** Expected logarithm of the second way's rate over the first's. */
  #gain = 0;
  #comparisons = 0;
  #rounds = 0;
  #amount = 0;
  #beganMs = 0;
  /** What the last run of each way gave; 0: there was none. */
  readonly #lastAmounts: [first: number, second: number] = [0, 0];
  /** Runs left before the next comparison. */
  #resting = 0;
  /** Rate of a comparison's first run; 0: that one has not ended. */
  #firstRate = 0;

  /** A round ends now, which gave so much. */
  ended(nowMs: number, amount: number): void {
    this.#rounds++;
    if (this.#rounds === SETTLING_ROUNDS) {
      this.#beganMs = nowMs;
      this.#amount = 0;
      return;
    }
    this.#amount += amount;
    if (this.#rounds < SETTLING_ROUNDS + RUN_ROUNDS) return;
    this.#rounds = 0;
    const way = this.isSecond ? 1 : 0;
    const last = this.#lastAmounts[way];
    this.#lastAmounts[way] = this.#amount;
    if (last > 0 && !isSameLoad(last, this.#amount)) {
      this.#forget();
      return;
    }
    if (this.#resting > 0) {
      this.#resting--;
      return;
    }
    const rate = this.#amount / Math.max(nowMs - this.#beganMs, Number.MIN_VALUE);
    if (this.#firstRate === 0) {
      this.#firstRate = rate;
      this.isSecond = !this.isSecond;
      return;
    }
    this.#compare(this.isSecond ? rate / this.#firstRate : this.#firstRate / rate);
  }

  #forget(): void {
    this.isSecond = false;
    this.#comparisons = 0;
    this.#resting = 0;
    this.#firstRate = 0;
  }

  /** The second way gave so many times as much as the first. */
  #compare(ratio: number): void {
    this.#firstRate = 0;
    this.#comparisons++;
    const weight = Math.max(1 / this.#comparisons, NEWEST);
    const logRatio = Math.max(-LOG_RATIO_MAX, Math.min(Math.log(ratio), LOG_RATIO_MAX));
    this.#gain += (logRatio - this.#gain) * weight;
    // The next one begins as this one ended: without a rest, the two ways take turns at going first.
    if (this.#comparisons < COMPARISONS_MIN) return;
    this.isSecond = this.#gain > BETTER;
    this.#resting = Math.abs(this.#gain) > CLEAR ? LONG_REST_RUNS : REST_RUNS;
  }
}

function isSameLoad(a: number, b: number): boolean {
  return a <= b * SAME_LOAD_MAX && b <= a * SAME_LOAD_MAX;
}
