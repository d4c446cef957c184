/**
 * Reads what rests on the disk again and again, so that damage is found while the same data are still
 * in memory and can be written anew: the snapshots and closed journal files of all workers, one at a
 * time on a pool thread, past the page cache, at a pace that a disk does not notice.
 *
 * Invariant: a file counts as damaged only if its worker still lists it after it was read: what was
 * replaced or used again meanwhile is no damage.
 */
import type { Clock, TimerHandle, Timers } from "../../runtime/base/clock.ts";
import type { Damage } from "../../runtime/storage/damage.ts";
import type { Pool } from "../../runtime/thread/pool.ts";
import type { RestingFile } from "../worker/worker-control.ts";

// limits:
/** Bytes that are read in a second, of all workers together. */
export const SCRUB_BYTES_PER_SECOND = 16 * 1024 * 1024;
/** How often files are looked for that were not verified yet, or not for long. */
export const SCRUB_LOOK_MS = 5 * 60_000;
/** How long a verified file is believed. */
export const SCRUB_EVERY_MS = 24 * 3_600_000;
/** How long a stop waits for the file that is being read. */
export const SCRUB_STOP_MS = 1_000;
/** How long one file may take to be read: 32 MB, or a snapshot of a partition. */
export const SCRUB_FILE_TIMEOUT_MS = 5 * 60_000;

export interface ScrubOptions {
  readonly pool: Pool;
  readonly folder: string;
  readonly workers: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly lookMs: number;
  /** A worker's files; undefined: it does not answer now. */
  resting(worker: number): Promise<readonly RestingFile[] | undefined>;
  /** Makes a worker write anew what a damaged file holds. */
  replace(worker: number, name: string): Promise<void>;
  /** A file is damaged: said each time that it is found so. */
  damaged(damage: Damage): void;
  /** A file could not be read, which says nothing of it. */
  failed(error: unknown): void;
}

/** Since the start. */
export interface ScrubFacts {
  readonly files: number;
  readonly bytes: number;
  /** Files found damaged. */
  readonly damaged: number;
  /** Files that wait to be verified, as of the last look. */
  readonly waiting: number;
}

export const NOT_SCRUBBED: ScrubFacts = { files: 0, bytes: 0, damaged: 0, waiting: 0 };

interface ListedFile extends RestingFile {
  /** Files of earlier starts belong to several. */
  readonly workers: number[];
}

export class Scrub {
  readonly #options: ScrubOptions;
  /** When files were verified, by name and end: monotonic, ms. */
  readonly #verified = new Map<string, number>();
  #files = 0;
  #bytes = 0;
  #damaged = 0;
  #waiting = 0;
  #timer: TimerHandle | undefined;
  #wake: (() => void) | undefined;
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(options: ScrubOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get facts(): ScrubFacts {
    return {
      files: this.#files,
      bytes: this.#bytes,
      damaged: this.#damaged,
      waiting: this.#waiting,
    };
  }

  /** Reads no more; a read that a dead disk does not answer is waited for in vain, so not for long. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#wake?.();
    const late = new Promise<void>((resolve) => {
      this.#options.timers.after(SCRUB_STOP_MS, resolve);
    });
    await Promise.race([this.#options.pool.close().then(() => this.#running), late]);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#rest(this.#options.lookMs);
      if (!this.#isStopped) await this.#look();
    }
  }

  /** Verifies every file that is due. */
  async #look(): Promise<void> {
    const listed = await this.#list();
    const due = [...listed.values()].filter((file) => this.#isDue(file));
    for (const key of this.#verified.keys()) if (!listed.has(key)) this.#verified.delete(key);
    this.#waiting = due.length;
    for (const file of due) {
      if (this.#isStopped) return;
      const bytes = await this.#verify(file);
      this.#waiting--;
      await this.#rest((bytes * 1000) / SCRUB_BYTES_PER_SECOND);
    }
  }

  async #list(): Promise<Map<string, ListedFile>> {
    const files = new Map<string, ListedFile>();
    for (let worker = 0; worker < this.#options.workers; worker++) {
      for (const file of (await this.#options.resting(worker)) ?? []) {
        const known = files.get(keyOf(file));
        if (known === undefined) files.set(keyOf(file), { ...file, workers: [worker] });
        else known.workers.push(worker);
      }
    }
    return files;
  }

  #isDue(file: RestingFile): boolean {
    const verifiedAt = this.#verified.get(keyOf(file)) ?? Number.NEGATIVE_INFINITY;
    return this.#options.clock.monotonicMs() - verifiedAt >= SCRUB_EVERY_MS;
  }

  /** Returns how many bytes were read. */
  async #verify(file: ListedFile): Promise<number> {
    const { pool, folder, clock, failed } = this.#options;
    const { name, end } = file;
    try {
      const found = await pool.run("verify", { folder, name, end });
      switch (found.kind) {
        case "whole":
          this.#files++;
          this.#bytes += found.bytes;
          this.#verified.set(keyOf(file), clock.monotonicMs());
          return found.bytes;
        case "gone":
          await this.#replace(file, {
            path: `${folder}/${name}`,
            offset: 0,
            what: "the file is missing",
          });
          return 0;
        case "damaged":
          await this.#replace(file, found.damage);
          return found.damage.offset;
      }
    } catch (error) {
      if (!this.#isStopped) failed(error);
      return 0;
    }
  }

  async #replace(file: ListedFile, damage: Damage): Promise<void> {
    const still = (await this.#list()).get(keyOf(file));
    if (still === undefined || this.#isStopped) return;
    this.#damaged++;
    this.#options.damaged(damage);
    for (const worker of still.workers) await this.#options.replace(worker, file.name);
  }

  /** Waits, unless it is stopped meanwhile. */
  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#options.timers.after(ms, resolve);
    });
  }
}

function keyOf({ name, end }: RestingFile): string {
  return `${name}/${end}`;
}
