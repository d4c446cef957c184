/**
 * Which commits of a journal are durable: the sync in flight of the current file, and the last
 * syncs of files that were left; and whether the next sync is to wait for more ops.
 *
 * Invariant: `through` moves past a commit only after syncs covered every file that holds it or an
 * earlier one. No handle has two syncs in flight (one could swallow the error of the other), and
 * after a failed one `through` never moves again.
 */
import { assert } from "../base/assert.ts";
import type { Clock, TimerHandle, Timers } from "../base/clock.ts";
import type { FileUse } from "./file-space.ts";
import { Gathering } from "./gathering.ts";
import { FILE_HEADER_BYTES } from "./journal-format.ts";
import type { JournalFile } from "./journal-space.ts";
import type { AcceptedFile } from "./manifest.ts";

export interface SyncEvents {
  /** `through` has moved. */
  moved(through: number): void;
  /** Another sync may begin: one returned, or enough was waited for more ops. */
  returned(): void;
  failed(error: Error): void;
  /** Ops appended so far, those of frames that are not written included. */
  appended(): number;
}

/** Measures the syncs of commits. */
export interface SyncTimes {
  readonly clock: Clock;
  /** A sync has succeeded. */
  note(durationMs: number): void;
}

export interface SyncsOptions {
  readonly timers: Timers;
  /** Without them nobody knows what a sync takes, and none waits for more ops. */
  readonly syncTimes?: SyncTimes;
}

/** A commit and where its frame ends. */
interface Point {
  readonly commit: number;
  readonly fileNumber: number;
  readonly end: number;
}

interface RetiringFile {
  readonly file: JournalFile;
  readonly last: Point;
  done: boolean;
}

export class JournalSyncs {
  readonly #events: SyncEvents;
  readonly #timers: Timers;
  readonly #times: SyncTimes | undefined;
  readonly #gathering = new Gathering();
  /** `returned` follows at the end of this round of the event loop. */
  #returnsSoon = false;
  #waiting: TimerHandle | undefined;
  #durable: Point;
  #syncing: JournalFile | undefined;
  #syncCommit = 0;
  /** The last sync of a current file that returned. */
  #synced: Point;
  #retiring: RetiringFile[] = [];
  #retireBusy = false;
  #dead = false;

  constructor(firstFile: number, events: SyncEvents, { timers, syncTimes }: SyncsOptions) {
    this.#events = events;
    this.#timers = timers;
    this.#times = syncTimes;
    this.#durable = { commit: 0, fileNumber: firstFile, end: FILE_HEADER_BYTES };
    this.#synced = this.#durable;
  }

  /** The last commit known to be durable. */
  get through(): number {
    return this.#durable.commit;
  }

  /** How far a file counts: through the last commit known to be durable. */
  accepted({ name, number, firstCommit, bytes }: FileUse): AcceptedFile {
    const { fileNumber, end } = this.#durable;
    return {
      name,
      firstCommit,
      accepted: number < fileNumber ? bytes : number > fileNumber ? 0 : end,
    };
  }

  /** Whether a sync of the current file is in flight. */
  get busy(): boolean {
    return this.#syncing !== undefined;
  }

  /** The commit that the sync in flight covers. */
  get covers(): number {
    return this.#syncCommit;
  }

  /** Whether nothing is in flight or waits for it. */
  get idle(): boolean {
    return this.#syncing === undefined && this.#retiring.length === 0;
  }

  /**
   * Whether a frame that asks for a sync is not to be written yet: one is in flight, or writers who
   * were just answered are waited for. `returned` follows.
   */
  holds(): boolean {
    if (this.#times === undefined) return this.busy;
    const nowMs = this.#times.clock.monotonicMs();
    this.#gathering.look(nowMs, this.#events.appended());
    if (this.busy) return true;
    const waitMs = this.#gathering.waitMs(nowMs);
    if (waitMs > 0) this.#wait(waitMs);
    return waitMs > 0;
  }

  #wait(waitMs: number): void {
    if (this.#gathering.countsRounds) {
      this.#returnSoon();
      return;
    }
    this.#waiting ??= this.#timers.after(Math.ceil(waitMs), () => {
      this.#waiting = undefined;
      if (!this.#dead) this.#events.returned();
    });
  }

  /** Another sync may begin at the end of this round, with whatever is read until then. */
  #returnSoon(): void {
    if (this.#returnsSoon) return;
    this.#returnsSoon = true;
    this.#timers.soon(() => {
      this.#returnsSoon = false;
      if (!this.#dead) this.#events.returned();
    });
  }

  /** Nobody is waited for this time. */
  hurry(): void {
    this.#gathering.forget();
  }

  /** Syncs the current file, whose last frame is `commit`, ending at `end`. */
  start(file: JournalFile, commit: number, end: number): void {
    assert(this.#syncing === undefined, "at most one sync of the current file is in flight");
    this.#waiting?.cancel();
    this.#waiting = undefined;
    this.#syncing = file;
    this.#syncCommit = commit;
    this.#gathering.began(this.#events.appended());
    const times = this.#times;
    const beganMs = times?.clock.monotonicMs() ?? 0;
    file.file.sync((error) => {
      if (this.#dead) return;
      this.#syncing = undefined;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      if (times !== undefined) this.#measured(times, beganMs);
      this.#synced = { commit, fileNumber: file.header.number, end };
      this.#retireNext();
      this.#settled();
    });
  }

  #measured(times: SyncTimes, beganMs: number): void {
    const nowMs = times.clock.monotonicMs();
    times.note(nowMs - beganMs);
    this.#gathering.answered(nowMs, nowMs - beganMs, this.#events.appended());
  }

  /** The file was left: syncs it once more, then closes it. */
  retire(file: JournalFile, commit: number, end: number): void {
    const last = { commit, fileNumber: file.header.number, end };
    this.#retiring.push({ file, last, done: false });
    this.#retireNext();
  }

  /** Nothing moves any more; closes what was left open. */
  abandon(): void {
    this.#dead = true;
    this.#waiting?.cancel();
    for (const { file, done } of this.#retiring) {
      if (!done) void file.file.close().catch(() => undefined);
    }
    this.#retiring = [];
  }

  #retireNext(): void {
    const next = this.#retiring.find((entry) => !entry.done);
    if (next === undefined || this.#retireBusy || this.#syncing === next.file) return;
    this.#retireBusy = true;
    next.file.file.sync((error) => {
      this.#retireBusy = false;
      if (this.#dead) return;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      next.done = true;
      void next.file.file.close().catch(() => undefined);
      this.#retireNext();
      this.#settled();
    });
  }

  /**
   * A sync returned. The next one begins at the end of this round of the event loop at the earliest:
   * whatever is read until then is in it, too.
   */
  #settled(): void {
    const before = this.#durable.commit;
    for (let first = this.#retiring[0]; first?.done === true; first = this.#retiring[0]) {
      this.#retiring.shift();
      if (first.last.commit > this.#durable.commit) this.#durable = first.last;
    }
    if (this.#retiring.length === 0 && this.#synced.commit > this.#durable.commit) {
      this.#durable = this.#synced;
    }
    const through = this.#durable.commit;
    this.#returnSoon();
    if (through > before) this.#events.moved(through);
  }

  #fail(error: Error): void {
    this.abandon();
    this.#events.failed(error);
  }
}
