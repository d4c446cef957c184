/**
 * Room for a journal's frames: makes its files, writes zeros ahead in the background and prepares
 * the next file, so that a commit neither grows a file nor runs out of disk in its middle.
 *
 * Invariant: [0, ahead) of a file was written and synced, with its name, before a frame goes there.
 * A full disk makes `full` true and is tried again by a timer; any other error is final.
 */
import type { TimerHandle, Timers } from "../base/clock.ts";
import type { Random } from "../base/prng.ts";
import type { FileUse } from "./file-space.ts";
import { type File, type FileSystem, isDiskFull, synced } from "./files.ts";
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  journalFileName,
} from "./journal-format.ts";
import type { Reserve } from "./reserve.ts";

// limits:
/** Bytes of an ordinary journal file. A larger frame gets a file of its own. */
export const JOURNAL_FILE_BYTES = 32 * 1024 * 1024;
/** Zeros written ahead at a time. */
export const JOURNAL_STEP_BYTES = 4 * 1024 * 1024;
/** Zeros that a journal begins with; more are written while it is used: a start does not wait for them. */
const FIRST_STEP_BYTES = 256 * 1024;
/** How long a full disk is left alone before it is tried again. */
export const DISK_FULL_RETRY_MS = 1_000;
/** Zeros in one write on the pool: small, so that commits' syncs get their turn. */
const ZERO_BYTES_MAX = 1024 * 1024;

export interface JournalSpaceOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  readonly boot: number;
  readonly worker: number;
  /** 16 hex digits. */
  readonly nodeId: string;
  /** Number of the first file: 1, or one that follows those of a failed Journal of this boot. */
  readonly firstFile?: number;
  readonly random: Random;
  readonly timers: Timers;
  /** Lent to the first file where the disk is full; whole again before the journal takes more. */
  readonly reserve?: Reserve;
  readonly fileBytes?: number;
  readonly stepBytes?: number;
}

/** One file that frames go to. */
export interface JournalFile {
  readonly name: string;
  readonly file: File;
  readonly header: FileHeader;
  /** How large it may become. */
  capacity: number;
  /** End of what was zeroed (or recycled) and synced. */
  ahead: number;
}

export interface SpaceEvents {
  /** There is more room, or `full` has changed. */
  changed(): void;
  failed(error: unknown): void;
}

export type Room = "here" | "next" | "none";

/** 64 random bits as 16 hex digits. */
export function randomId(random: Random): string {
  const high = random.u32().toString(16).padStart(8, "0");
  return high + random.u32().toString(16).padStart(8, "0");
}

export class JournalSpace {
  current: JournalFile;
  full = false;
  /** The number that the next new file gets. */
  nextNumber: number;

  readonly #options: JournalSpaceOptions;
  readonly #events: SpaceEvents;
  readonly #fileBytes: number;
  readonly #stepBytes: number;
  readonly #zeros: Buffer;
  readonly #journalId: string;
  #next: JournalFile | undefined;
  #position = FILE_HEADER_BYTES;
  /** Bytes of the frame that waits for room; 0: none. */
  #wanted = 0;
  #spares: string[] = [];
  #working: Promise<void> | undefined;
  #retry: TimerHandle | undefined;
  #closed = false;

  private constructor(options: JournalSpaceOptions, events: SpaceEvents, first: JournalFile) {
    this.#options = options;
    this.#events = events;
    this.#fileBytes = options.fileBytes ?? JOURNAL_FILE_BYTES;
    this.#stepBytes = options.stepBytes ?? JOURNAL_STEP_BYTES;
    this.#zeros = Buffer.alloc(Math.min(this.#stepBytes, ZERO_BYTES_MAX));
    this.#journalId = first.header.journalId;
    this.current = first;
    this.nextNumber = first.header.number + 1;
  }

  /** Makes the first file, ready for a few frames; `prepare` makes it ready for more. */
  static async open(options: JournalSpaceOptions, events: SpaceEvents): Promise<JournalSpace> {
    const number = options.firstFile ?? 1;
    const header = newHeader(options, number, randomId(options.random));
    const capacity = options.fileBytes ?? JOURNAL_FILE_BYTES;
    const stepBytes = options.stepBytes ?? JOURNAL_STEP_BYTES;
    const zeros = Math.min(stepBytes, FIRST_STEP_BYTES, capacity - FILE_HEADER_BYTES);
    const make = () => makeFile(options, header, { capacity, zeros });
    const first = await (options.reserve?.withLoan(make) ?? make());
    return new JournalSpace(options, events, first);
  }

  /** False: the current file is not where the next start would look for it. */
  async isInPlace(): Promise<boolean> {
    const { file } = this.current;
    const isInPlace = await file.isInPlace();
    // Who has been left may have been renamed for another use.
    return isInPlace || this.#closed || this.current.file !== file;
  }

  /** Whether a frame of `length` bytes can be written at `position` of the current file now. */
  room(position: number, length: number): Room {
    this.#position = position;
    const here = this.current;
    // A giant frame may have a file for itself: also one that happens to be empty.
    if (position === FILE_HEADER_BYTES && position + length > here.capacity) {
      here.capacity = position + length;
    }
    let room: Room = "none";
    if (position + length <= here.ahead) room = "here";
    else if (position + length > here.capacity) {
      const next = this.#next;
      if (next !== undefined) {
        next.capacity = Math.max(next.capacity, FILE_HEADER_BYTES + length);
        if (FILE_HEADER_BYTES + length <= next.ahead) room = "next";
      }
    }
    this.#wanted = room === "none" ? length : 0;
    this.prepare();
    return room;
  }

  /** Bytes that are written ahead of a position in the current file, those of the next file included. */
  left(position: number): number {
    return this.current.ahead - position + (this.#next?.ahead ?? 0);
  }

  /** Whether a frame waits for room. */
  get isWanted(): boolean {
    return this.#wanted > 0;
  }

  /** Writes ahead in the background, as far as that is due. */
  prepare(): void {
    if (this.#hasWork()) this.#wake();
  }

  /** Makes the next file the current one; returns the old one, whose sync and close are its. */
  advance(): JournalFile {
    const old = this.current;
    if (this.#next === undefined) throw new Error("room() said next");
    this.current = this.#next;
    this.#next = undefined;
    this.#position = FILE_HEADER_BYTES;
    return old;
  }

  /**
   * Offers a file that nobody needs any more (in no manifest, closed) for another use. One that was made
   * for a giant frame is removed.
   */
  recycle({ name, bytes }: FileUse): void {
    if (bytes > this.#fileBytes) this.#remove(name);
    else this.#spares.push(name);
  }

  /** Removes the files that wait for another use, but for so many. */
  keepSpares(kept: number): void {
    for (const name of this.#spares.splice(kept)) this.#remove(name);
  }

  /**
   * Stops the background work and closes the files; idempotent. What was written ahead behind `end`
   * is given back.
   */
  async close(end?: number): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await this.#working;
    const { file } = this.current;
    if (end !== undefined) await file.truncate(end).catch(() => undefined);
    await file.close();
    const next = this.#next;
    if (next !== undefined) {
      await next.file.close();
      await this.#options.fs.remove(next.file.path); // it never held a frame
    }
  }

  #needsMore(): boolean {
    const here = this.current;
    const end = this.#position + this.#wanted;
    return end <= here.capacity && here.ahead < here.capacity && here.ahead - end < this.#stepBytes;
  }

  #needsNext(): boolean {
    if (this.#next !== undefined) return false;
    const left = this.current.capacity - this.#position;
    return this.#wanted > left || left * 2 < this.#fileBytes;
  }

  #nextNeedsMore(): boolean {
    const next = this.#next;
    if (next === undefined) return false;
    return (
      next.ahead < Math.min(next.capacity, FILE_HEADER_BYTES + this.#stepBytes) ||
      (this.#position + this.#wanted > this.current.capacity &&
        next.ahead < FILE_HEADER_BYTES + this.#wanted)
    );
  }

  #hasWork(): boolean {
    return this.#needsMore() || this.#needsNext() || this.#nextNeedsMore();
  }

  #wake(): void {
    if (this.#working !== undefined || this.#closed || this.#retry !== undefined) return;
    this.#working = this.#work();
  }

  async #work(): Promise<void> {
    try {
      const { reserve } = this.#options;
      const prepare = () => this.#prepareAll();
      const isGuarded = reserve !== undefined && (this.full || !reserve.held);
      await (isGuarded ? reserve.whileWhole(prepare) : prepare());
      this.#working = undefined;
      // Asked for since the last look.
      if (this.#hasWork()) this.#wake();
      else if (this.full) {
        this.full = false; // what was wanted is not wanted any more
        if (!this.#closed) this.#events.changed();
      }
    } catch (error) {
      this.#working = undefined;
      if (this.#closed) return;
      if (isDiskFull(error)) this.#waitForSpace();
      else this.#events.failed(error);
    }
  }

  async #prepareAll(): Promise<void> {
    while (!this.#closed && this.#hasWork()) {
      if (this.#needsMore()) await this.#extend(this.current);
      else if (this.#needsNext()) await this.#prepareNext();
      else if (this.#next !== undefined) await this.#extend(this.#next);
      this.full = false;
      if (!this.#closed) this.#events.changed();
    }
  }

  #waitForSpace(): void {
    const wasFull = this.full;
    this.full = true;
    this.keepSpares(0);
    this.#retry = this.#options.timers.after(DISK_FULL_RETRY_MS, () => {
      this.#retry = undefined;
      this.#wake();
    });
    if (!wasFull) this.#events.changed();
  }

  #remove(name: string): void {
    const { fs, folder } = this.#options;
    void fs.remove(`${folder}/${name}`).catch(() => undefined); // a later start removes it
  }

  async #prepareNext(): Promise<void> {
    // A number is never used twice, not even after a full disk.
    const header = newHeader(this.#options, this.nextNumber++, this.#journalId);
    const spare = this.#spares.shift();
    const next = await makeFile(this.#options, header, { capacity: this.#fileBytes, spare });
    if (this.#closed) {
      await next.file.close();
      await this.#options.fs.remove(next.file.path);
      return;
    }
    if (this.#wanted > this.current.capacity - this.#position) {
      next.capacity = Math.max(next.capacity, FILE_HEADER_BYTES + this.#wanted);
    }
    this.#next = next;
  }

  /**
   * The reserve is lent: room for the frame that waits and no more. The disk counts as full, and
   * whoever wants more waits for the reserve.
   */
  async squeeze(): Promise<void> {
    if (this.#closed || !this.full || this.#wanted === 0) return;
    const end = this.#position + this.#wanted;
    if (end <= this.current.capacity) await this.#extend(this.current, end);
    else {
      if (this.#next === undefined) await this.#prepareNext();
      const next = this.#next;
      if (next !== undefined) await this.#extend(next, FILE_HEADER_BYTES + this.#wanted);
    }
    if (!this.#closed) this.#events.changed();
  }

  /**
   * Writes one step of zeros, or those before `end`, through a handle of its own: a sync error reaches
   * both handles.
   */
  async #extend(
    target: JournalFile,
    end = Math.min(target.ahead + this.#stepBytes, target.capacity),
  ): Promise<void> {
    if (end <= target.ahead) return;
    const file = await this.#options.fs.open(target.file.path, "write");
    try {
      for (let at = target.ahead; at < end; ) {
        const bytes = Math.min(this.#zeros.length, end - at);
        await file.write(this.#zeros, 0, bytes, at);
        at += bytes;
      }
      await synced(file);
    } catch (error) {
      // What does not fit takes nothing: the last room is not for a file's end.
      if (isDiskFull(error)) await file.truncate(target.ahead).catch(() => undefined);
      throw error;
    } finally {
      await file.close();
    }
    target.ahead = end;
  }
}

function newHeader(options: JournalSpaceOptions, number: number, journalId: string): FileHeader {
  const { boot, worker, nodeId, random } = options;
  return { boot, worker, number, nodeId, journalId, generation: randomId(random) };
}

interface NewFile {
  readonly capacity: number;
  /** Zeros behind its header. */
  readonly zeros?: number;
  /** Name of the file that is used again: it keeps its old bytes. */
  readonly spare?: string | undefined;
}

/** Makes a file with its header, its bytes and its name durable. */
async function makeFile(
  { fs, folder }: JournalSpaceOptions,
  header: FileHeader,
  { capacity, zeros = 0, spare }: NewFile,
): Promise<JournalFile> {
  const name = journalFileName(header);
  const path = `${folder}/${name}`;
  if (spare !== undefined) await fs.rename(`${folder}/${spare}`, path);
  const file = spare === undefined ? await fs.create(path, "new") : await fs.open(path, "write");
  try {
    await file.write(encodeFileHeader(header), 0, FILE_HEADER_BYTES, 0);
    if (zeros > 0) await file.write(Buffer.alloc(zeros), 0, zeros, FILE_HEADER_BYTES);
    const ahead = Math.min(Math.max(await file.size(), FILE_HEADER_BYTES), capacity);
    await synced(file);
    await fs.syncFolder(folder);
    return { name, file, header, capacity, ahead };
  } catch (error) {
    await file.close();
    await fs.remove(path).catch(() => undefined);
    throw error;
  }
}
