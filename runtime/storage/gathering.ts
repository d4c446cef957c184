/**
 * Whether a commit waits for the writers who were just answered. A decision only: no clock, no
 * timer.
 *
 * Who comes while a sync is in flight waits for the next one. So clients that write, wait and write
 * again fall into two groups that take turns, and each sync carries half of them. Waiting for those
 * who were just answered makes one sync carry all:
 *
 *   sync of A │ sync of B │ sync of A │ sync of B          sync of A, B │ · │ sync of A, B
 *             answered: A
 *
 * Half as many syncs cost half as much, on the disk and on the threads that ask for them; but while
 * one is in flight, nobody's next op is worked on. What is more depends on the disk, the number of
 * cores, the clients and their ops: a trial tells.
 */
import { Trial } from "./trial.ts";

// limits:
/** From here on a timer can tell when waiting is over. */
const TIMER_SYNC_MS_MIN = 2;
/** Longest waiting while nothing comes, as a part of what a sync takes. */
const QUIET_PART_MAX = 0.5;
/** Longest waiting while nothing comes: a disk that hangs is not waited for. */
const QUIET_MS_MAX = 10;
/** Longest waiting while ops keep coming, if that is more. */
const BUSY_MS_MAX = 2;
/** Looks in one waiting: more than fit into the longest, but where the clock stands still. */
const LOOKS_MAX = 2_000;
/** Weight of the newest in what is expected next. */
const NEWEST = 0.2;

/** See the file comment. Times are in milliseconds of one monotonic clock. */
export class Gathering {
  /** The first way is to go at once, the second to wait. */
  readonly #trial = new Trial();
  /** Expected of the next sync: what the last took, or less. */
  #syncMs = 0;
  /** Ops appended by now, when the last sync began, and in it. */
  #appended = 0;
  #began = 0;
  #carried = 0;
  #answeredAtMs = 0;
  /** When an op came last, or the waiting began; NaN: it has not. */
  #cameAtMs = Number.NaN;
  /** All are back once this many ops were appended; 0: nobody is expected. */
  #expected = 0;
  /** Looks since it was answered. */
  #looks = 0;

  /** A sync begins, of all that was appended so far. */
  began(appended: number): void {
    this.#carried = appended - this.#began;
    this.#began = appended;
  }

  /** It took so long; who waited for it is answered now, `appended` came so far. */
  answered(nowMs: number, syncMs: number, appended: number): void {
    // A long one is believed once others are long, too.
    if (syncMs < this.#syncMs || this.#syncMs === 0) this.#syncMs = syncMs;
    else this.#syncMs += Math.min(syncMs - this.#syncMs, this.#syncMs) * NEWEST;
    this.#trial.ended(nowMs, this.#carried);
    this.#appended = appended;
    this.#answeredAtMs = nowMs;
    this.#cameAtMs = Number.NaN;
    this.#looks = 0;
    this.#expected = this.#trial.isSecond ? appended + this.#carried : 0;
  }

  /** So much was appended by now: are all back? */
  look(nowMs: number, appended: number): void {
    if (appended === this.#appended) return;
    this.#appended = appended;
    this.#cameAtMs = nowMs;
    if (appended >= this.#expected) this.#expected = 0;
  }

  /** Whether waiting is too short for timers: rounds of the event loop tell when it is over. */
  get countsRounds(): boolean {
    return this.#syncMs < TIMER_SYNC_MS_MIN;
  }

  /** How long a commit that could be synced now waits at most; 0: not at all. */
  waitMs(nowMs: number): number {
    if (this.#expected === 0) return 0;
    if (Number.isNaN(this.#cameAtMs)) this.#cameAtMs = nowMs;
    const quietMs = Math.min(this.#syncMs * QUIET_PART_MAX, QUIET_MS_MAX);
    const busyMs = Math.max(quietMs, BUSY_MS_MAX);
    const leftMs = Math.min(this.#cameAtMs + quietMs, this.#answeredAtMs + busyMs) - nowMs;
    if (leftMs > 0 && this.#looks++ < LOOKS_MAX) return leftMs;
    this.#expected = 0;
    return 0;
  }

  /** Nobody is expected this time. */
  forget(): void {
    this.#expected = 0;
  }
}
