/**
 * A file of zeros that holds disk space back for cleaning: when the disk is full it is given up,
 * so that snapshots can be written and old journal files removed. The last part is given apart, so
 * that snapshots which take all they get leave room for the manifest that names them.
 *
 * Invariant: while the reserve is not whole, no journal takes new space (JournalSpace restores it
 * first), so cleaning always has it before writers do.
 */
import { type FileSystem, synced, unlessDiskFull } from "./files.ts";

// limits:
/** Enough for the snapshots that free the oldest journal file. */
export const RESERVE_BYTES = 16 * 1024 * 1024;

const PIECE_BYTES = 1024 * 1024;

/** Share of the reserve that is given last. */
const LAST_SHARE = 1 / 4;

/** File name of a worker's reserve. */
export function reserveName(worker: number): string {
  return `reserve-${worker}`;
}

/** Whose reserve a file is; undefined: it is none. */
export function parseReserveName(name: string): number | undefined {
  const match = /^reserve-(\d+)$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export class Reserve {
  readonly #fs: FileSystem;
  readonly #folder: string;
  readonly #path: string;
  readonly #bytes: number;
  #held = false;
  #working: Promise<void> = Promise.resolve();

  constructor(fs: FileSystem, folder: string, name: string, bytes = RESERVE_BYTES) {
    this.#fs = fs;
    this.#folder = folder;
    this.#path = `${folder}/${name}`;
    this.#bytes = bytes;
  }

  get held(): boolean {
    return this.#held;
  }

  /** Takes the space (again), if there is any. */
  async restore(): Promise<void> {
    await this.whileWhole(() => Promise.resolve()).catch(unlessDiskFull);
  }

  /**
   * Takes the space (again), then runs what takes more: nothing is lent before that is done. Rejects
   * with the disk's error when there is no space.
   */
  whileWhole(run: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#held) await this.#take(this.#bytes);
      this.#held = true;
      await run();
    });
  }

  /**
   * Gives the space to cleaning for as long as that takes, if it still needs it when its turn comes;
   * who wants it whole waits for its end. `giveLast` gives what is left of it.
   */
  lend(
    isNeeded: () => boolean,
    clean: (giveLast: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    return this.#inTurn(async () => {
      if (!isNeeded()) return;
      if (this.#held) await this.#shrink();
      else await this.#take(this.#lastBytes).catch(unlessDiskFull);
      await clean(() => this.#fs.remove(this.#path));
    });
  }

  get #lastBytes(): number {
    return Math.floor(this.#bytes * LAST_SHARE);
  }

  async #shrink(): Promise<void> {
    this.#held = false;
    const file = await this.#fs.open(this.#path, "write");
    try {
      await file.truncate(this.#lastBytes);
    } finally {
      await file.close();
    }
  }

  #inTurn(run: () => Promise<void>): Promise<void> {
    const turn = this.#working.then(run);
    this.#working = turn.catch(() => undefined);
    return turn;
  }

  async #take(bytes: number): Promise<void> {
    const file = await this.#fs.create(this.#path, "replace");
    try {
      const zeros = Buffer.alloc(Math.min(PIECE_BYTES, bytes));
      for (let at = 0; at < bytes; at += zeros.length) {
        await file.write(zeros, 0, Math.min(zeros.length, bytes - at), at);
      }
      await synced(file);
      await this.#fs.syncFolder(this.#folder);
    } catch (error) {
      await file.close();
      await this.#fs.remove(this.#path);
      throw error;
    }
    await file.close();
  }
}
