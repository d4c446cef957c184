/**
 * Bit rot: one bit of one file at rest turns. Where the disk still proves what was there, a start
 * must name the file, or need nothing of it; nothing may be lost in silence.
 *
 * What only the last frames of a journal could prove is left alone: with its proof gone it looks like
 * a torn tail, to any reader (docs/decisions/0031).
 */
import type { RestingFile } from "../../actors/worker/worker-control.ts";
import type { WorkerStorage } from "../../actors/worker/worker-storage.ts";
import { CoterieError } from "../../runtime/base/errors.ts";
import { below, type Random } from "../../runtime/base/prng.ts";
import {
  decodeFrameHeader,
  emptyFrameHeader,
  FILE_HEADER_BYTES,
  FRAME_HEADER_BYTES,
  parseJournalFileName,
  SECTOR_BYTES,
} from "../../runtime/storage/journal-format.ts";
import type { MemoryDisk } from "../../runtime/storage/memory-files.ts";

/** In one journal file of so many it is the file's header that rots. */
const HEADER_SHARE = 8;

interface Frame {
  readonly path: string;
  readonly at: number;
  readonly end: number;
  readonly commit: number;
  /** The commit that was durable when it was written. */
  readonly claim: number;
}

interface Turned {
  readonly path: string;
  readonly offset: number;
  readonly bit: number;
  /** As it is now. */
  readonly sector: Buffer;
}

export class Rot {
  /** How often a start has refused a damaged file. */
  refusals = 0;
  readonly #disk: MemoryDisk;
  readonly #random: Random;
  #turned: Turned | undefined;

  constructor(disk: MemoryDisk, random: Random) {
    this.#disk = disk;
    this.#random = random;
  }

  /** Whether the bit is where it was turned: the file has not gone, nor been written again. */
  get isThere(): boolean {
    const turned = this.#turned;
    if (turned === undefined) return false;
    const isSame =
      this.#disk.paths().includes(turned.path) && this.#sectorOf(turned).equals(turned.sector);
    if (!isSame) this.#turned = undefined;
    return isSame;
  }

  /** Turns a bit of a file at rest of a worker; one at a time, so that proofs stay. */
  strike(storage: WorkerStorage, folder: string, boot: number): void {
    if (this.isThere) return;
    const resting = storage.resting();
    const isJournal = below(this.#random, 2) === 0;
    const files = resting.filter(({ end }) => end > 0 === isJournal);
    const file = files[below(this.#random, files.length)];
    if (file === undefined) return;
    const path = `${folder}/${file.name}`;
    const offset = isJournal
      ? this.#offsetIn(path, this.#framesBeside(storage, { file, folder, boot }))
      : below(this.#random, this.#disk.peek(path).length);
    if (offset === undefined) return;
    const bit = below(this.#random, 8);
    this.#disk.flip(path, offset, bit);
    const turned = { path, offset, bit };
    this.#turned = { ...turned, sector: this.#sectorOf(turned) };
  }

  /** The frames of a file's journal that are sure to stay; none, if that is not known. */
  #framesBeside(
    storage: WorkerStorage,
    { file, folder, boot }: { file: RestingFile; folder: string; boot: number },
  ): Frame[] {
    const { journal } = storage;
    const parsed = parseJournalFileName(file.name);
    const own = journal.files().map(({ name, bytes }) => ({ name, end: bytes }));
    if (own.some(({ name }) => name === file.name)) {
      const frames = own.flatMap((one) => this.#framesOf(folder, one));
      return frames.filter(({ commit }) => commit <= journal.durableThrough);
    }
    // What a predecessor in this boot has written may not be synced.
    if (parsed?.boot === boot) return [];
    const isBeside = ({ name }: RestingFile) => {
      const other = parseJournalFileName(name);
      return other?.boot === parsed?.boot && other?.worker === parsed?.worker;
    };
    const files = storage.resting().filter(isBeside);
    return files.flatMap((one) => this.#framesOf(folder, one));
  }

  #framesOf(folder: string, { name, end }: RestingFile): Frame[] {
    const path = `${folder}/${name}`;
    const parsed = parseJournalFileName(name);
    const bytes = this.#disk.peek(path);
    const frame = emptyFrameHeader();
    const frames: Frame[] = [];
    for (let at = FILE_HEADER_BYTES; parsed !== undefined && at < end; at += frame.length) {
      if (!decodeFrameHeader(bytes, at, end, parsed, frame)) return [];
      const { length, commit, durableThrough } = frame;
      frames.push({ path, at, end: at + length, commit, claim: durableThrough });
    }
    return frames;
  }

  /** Somewhere in the file, where another frame says that what was there was durable. */
  #offsetIn(path: string, frames: readonly Frame[]): number | undefined {
    const random = this.#random;
    const claim = frames.reduce((last, frame) => Math.max(last, frame.claim), 0);
    const here = frames.filter((frame) => frame.path === path);
    const proven = here.filter(({ commit }) => commit <= claim);
    const frame = proven[below(random, proven.length)];
    if (frame === undefined) return undefined;
    // Without the file's header none of its frames is found.
    const isWhole = proven.length === here.length;
    if (isWhole && below(random, HEADER_SHARE) === 0) return below(random, FILE_HEADER_BYTES);
    // Often in a frame's header, where it hurts the judgement most.
    const { at, end } = frame;
    return at + below(random, below(random, 2) === 0 ? FRAME_HEADER_BYTES : end - at);
  }

  /** Whether an error names the damaged file: nothing else may be wrong with the folder. */
  explains(error: unknown): boolean {
    const isRefusal =
      error instanceof CoterieError && ["CORRUPT", "FORMAT_UNKNOWN"].includes(error.code);
    if (!isRefusal || !this.isThere) return false;
    const { path } = error.detail as { readonly path?: string };
    if (path === this.#turned?.path) this.refusals++;
    return path === this.#turned?.path;
  }

  /** The bit is turned back, as if the file came from a backup. */
  heal(): void {
    const turned = this.#turned;
    if (turned !== undefined && this.isThere) {
      this.#disk.flip(turned.path, turned.offset, turned.bit);
    }
    this.#turned = undefined;
  }

  #sectorOf({ path, offset }: { readonly path: string; readonly offset: number }): Buffer {
    const start = offset - (offset % SECTOR_BYTES);
    return this.#disk.peek(path).subarray(start, start + SECTOR_BYTES);
  }
}
