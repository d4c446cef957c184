/**
 * Whether a commit waits for the writers who were just answered. A decision only: no clock, no
 * timer.
 *
 * Who comes while a sync is in flight waits for the next one. So clients that write, wait and write
 * again fall into two groups that take turns, and each sync carries half of them. Where those who
 * were answered are back in a fraction of what a sync takes, waiting for them makes one sync carry
 * all:
 *
 *   sync of A │ sync of B │ sync of A │ sync of B          sync of A, B │ · │ sync of A, B
 *             answered: A
 *
 * Where a sync is short, or they come back slowly, nobody waits: then the two groups are better, for
 * one is worked on while the other is synced.
 */

// limits:
/** Nobody waits for syncs that are short beside what a timer can tell. */
const SYNC_MS_MIN = 2;
/** Longest waiting, as a part of what a sync takes; whoever needs longer is not waited for. */
const WAIT_PART_MAX = 0.5;
/** Longest waiting at all: a disk that hangs is not waited for. */
const WAIT_MS_MAX = 10;
/** Weight of the newest in what is expected next. */
const NEWEST = 0.2;
/** Syncs that who does not come back is taken to need: half a dozen in time make up for it. */
const GONE_SYNCS = 2;

/** See the file comment. Times are in milliseconds of one monotonic clock. */
export class Gathering {
  /** Expected of the next sync: what the last took, or less. */
  #syncMs = 0;
  /** Expected of those who are answered next: how long until they are back. */
  #returnMs = Number.POSITIVE_INFINITY;
  #answeredAtMs = 0;
  /** All are back once this many ops were appended; 0: nobody is expected. */
  #expected = 0;

  /** A sync took so long; `ops` that it made durable are answered now, `appended` came so far. */
  answered(nowMs: number, syncMs: number, ops: number, appended: number): void {
    this.look(nowMs, appended);
    // Who is not back yet takes at least as long as that.
    if (this.#expected > 0) this.#learn(nowMs - this.#answeredAtMs);
    // A long one is believed once others are long, too.
    if (syncMs < this.#syncMs || this.#syncMs === 0) this.#syncMs = syncMs;
    else this.#syncMs += Math.min(syncMs - this.#syncMs, this.#syncMs) * NEWEST;
    this.#answeredAtMs = nowMs;
    this.#expected = appended + ops;
  }

  /** So much was appended by now: are all back? */
  look(nowMs: number, appended: number): void {
    if (this.#expected === 0 || appended < this.#expected) return;
    this.#expected = 0;
    this.#learn(nowMs - this.#answeredAtMs);
  }

  /** How long a commit that could be synced now waits at most; 0: not at all. */
  waitMs(nowMs: number): number {
    const worthMs = Math.min(this.#syncMs * WAIT_PART_MAX, WAIT_MS_MAX);
    if (this.#expected === 0 || this.#syncMs < SYNC_MS_MIN || this.#returnMs > worthMs) return 0;
    const leftMs = this.#answeredAtMs + worthMs - nowMs;
    if (leftMs > 0) return leftMs;
    // They went away: nobody waits again before others were seen to come back in time, repeatedly.
    this.#expected = 0;
    this.#returnMs = this.#syncMs * GONE_SYNCS;
    return 0;
  }

  /** Nobody is expected this time. */
  forget(): void {
    this.#expected = 0;
  }

  #learn(returnMs: number): void {
    if (this.#returnMs === Number.POSITIVE_INFINITY) this.#returnMs = returnMs;
    else this.#returnMs += (returnMs - this.#returnMs) * NEWEST;
  }
}
