/**
 * Which commits of a journal are durable: the sync in flight of the current file, and the last
 * syncs of files that were left.
 *
 * Invariant: `through` moves past a commit only after syncs covered every file that holds it or an
 * earlier one. No handle has two syncs in flight (one could swallow the error of the other), and
 * after a failed one `through` never moves again.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { FILE_HEADER_BYTES } from "./journal-format.ts";
import type { JournalFile } from "./journal-space.ts";

export interface SyncEvents {
  /** `through` has moved. */
  moved(through: number): void;
  /** A sync returned; another may begin. */
  returned(): void;
  failed(error: Error): void;
}

/** Measures the syncs of commits. */
export interface SyncTimes {
  readonly clock: Clock;
  /** A sync has succeeded. */
  note(durationMs: number): void;
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
  readonly #times: SyncTimes | undefined;
  #durable: Point;
  #syncing: JournalFile | undefined;
  #syncCommit = 0;
  /** The last sync of a current file that returned. */
  #synced: Point;
  #retiring: RetiringFile[] = [];
  #retireBusy = false;
  #dead = false;

  constructor(firstFile: number, events: SyncEvents, times?: SyncTimes) {
    this.#events = events;
    this.#times = times;
    this.#durable = { commit: 0, fileNumber: firstFile, end: FILE_HEADER_BYTES };
    this.#synced = this.#durable;
  }

  /** The last commit known to be durable, and where its frame ends. */
  get through(): number {
    return this.#durable.commit;
  }

  get durableAt(): Point {
    return this.#durable;
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

  /** Syncs the current file, whose last frame is `commit`, ending at `end`. */
  start(file: JournalFile, commit: number, end: number): void {
    assert(this.#syncing === undefined, "at most one sync of the current file is in flight");
    this.#syncing = file;
    this.#syncCommit = commit;
    const times = this.#times;
    const beganMs = times?.clock.monotonicMs() ?? 0;
    file.file.sync((error) => {
      if (this.#dead) return;
      this.#syncing = undefined;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      times?.note(times.clock.monotonicMs() - beganMs);
      this.#synced = { commit, fileNumber: file.header.number, end };
      this.#retireNext();
      this.#settled();
    });
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

  /** A sync returned. The disk gets the next one before anybody is told, which takes time. */
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
    this.#events.returned();
    if (through > before) this.#events.moved(through);
  }

  #fail(error: Error): void {
    this.abandon();
    this.#events.failed(error);
  }
}
