/**
 * A file of zeros that holds disk space back for cleaning: when the disk is full it is given up,
 * so that snapshots can be written and old journal files removed. The last part is given apart, so
 * that snapshots which take all they get leave room for the manifest that names them. A worker that
 * starts on a full disk is lent as much of it as it cannot begin without.
 *
 * Invariant: while the reserve is not whole, no journal takes new space (JournalSpace restores it
 * first), so cleaning always has it before writers do.
 */
import {
  diskError,
  type File,
  type FileSystem,
  isDiskFull,
  noRoom,
  synced,
  systemCode,
  unlessDiskFull,
} from "./files.ts";

// limits:
/** Enough for the snapshots that free the oldest journal file. */
export const RESERVE_BYTES = 16 * 1024 * 1024;

const PIECE_BYTES = 1024 * 1024;

/** Share of the reserve that is given last. */
const LAST_SHARE = 1 / 4;

/** Lent at a time to who starts: a journal's first file and a manifest, as a rule. */
const LOAN_BYTES = 1024 * 1024;

/** File name of a worker's reserve. */
export function reserveName(worker: number): string {
  return `reserve-${worker}`;
}

/** Whose reserve a file is; undefined: it is none. */
export function parseReserveName(name: string): number | undefined {
  const match = /^reserve-(\d+)$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/**
 * As `Reserve.withLoan`, before there are workers: of any reserve that is among the folder's names.
 */
export function withAnyLoan<T>(
  fs: FileSystem,
  folder: string,
  names: readonly string[],
  run: () => Promise<T>,
): Promise<T> {
  const reserves = names.filter((name) => parseReserveName(name) !== undefined);
  const give = async () => {
    for (const name of reserves) if (await shorten(fs, `${folder}/${name}`)) return true;
    return false;
  };
  return whileGiven(give, run);
}

/** Runs something again for as long as the disk is full and there is something to give for it. */
async function whileGiven<T>(give: () => Promise<boolean>, run: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!isDiskFull(error) || !(await give())) throw error;
    }
  }
}

/** Gives back a loan's bytes of a reserve. False: it has none. */
async function shorten(fs: FileSystem, path: string): Promise<boolean> {
  const size = await fs.size(path).catch(() => 0);
  if (size === 0) return false;
  const file = await fs.open(path, "write");
  await file.truncate(Math.max(0, size - LOAN_BYTES)).finally(() => file.close());
  return true;
}

export class Reserve {
  readonly #fs: FileSystem;
  readonly #folder: string;
  readonly #path: string;
  readonly #bytes: number;
  #held = false;
  /** Bytes from the beginning on that were written since this start. */
  #written = 0;
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
   * Runs what a worker cannot begin without; where the disk has no room for it, again with a part of
   * the reserve, and another. Rejects with the disk's error when there is none left.
   */
  withLoan<T>(run: () => Promise<T>): Promise<T> {
    const give = () =>
      this.#inTurn(async () => {
        const isGiven = await shorten(this.#fs, this.#path);
        if (isGiven) this.#held = false;
        return isGiven;
      });
    return whileGiven(give, run);
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
      this.#held = false;
      const { last } = await this.#shares();
      await this.#take(last).catch(unlessDiskFull);
      await clean(() => this.#fs.remove(this.#path));
    });
  }

  /** Bytes that cleaning could write until the last part is given, if the reserve were lent now. */
  async room(): Promise<number> {
    return (await this.#shares()).first;
  }

  /** What is lent, in bytes, what is free beside the reserve included: first, and last. */
  async #shares(): Promise<{ readonly first: number; readonly last: number }> {
    const held = await this.#fs.size(this.#path).catch(() => 0);
    const all = held + (await this.#fs.freeBytes(this.#folder));
    const last = Math.floor(Math.min(all, this.#bytes) * LAST_SHARE);
    return { first: all - last, last };
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#working.then(run);
    this.#working = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  /** Holds back so many bytes; where there is no room for them, as many as before. */
  async #take(bytes: number): Promise<void> {
    try {
      const file = await this.#open();
      await this.#resize(file, bytes).finally(() => file.close());
    } catch (error) {
      throw diskError(error, "hold space back in", this.#path);
    }
  }

  async #open(): Promise<File> {
    try {
      return await this.#fs.open(this.#path, "write");
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
      return this.#fs.create(this.#path, "new");
    }
  }

  async #resize(file: File, bytes: number): Promise<void> {
    const before = await file.size();
    if (before > bytes) {
      await file.truncate(bytes);
      return;
    }
    // Who tries in vain takes nobody's room meanwhile.
    const isRoom = (await this.#fs.freeBytes(this.#folder)) >= bytes - before;
    if (!isRoom) throw noRoom(bytes - before);
    try {
      // What an earlier start left is written again, in its place: a copy may have holes there.
      const zeros = Buffer.alloc(Math.min(PIECE_BYTES, bytes));
      for (let at = Math.min(before, this.#written); at < bytes; at += zeros.length) {
        await file.write(zeros, 0, Math.min(zeros.length, bytes - at), at);
      }
      await synced(file);
      await this.#fs.syncFolder(this.#folder);
      this.#written = bytes;
    } catch (error) {
      await file.truncate(before).catch(() => undefined);
      throw error;
    }
  }
}
