/**
 * Judges what a crash or damage left of one journal: feeds on its files in order and says how far
 * each counts. Pure.
 *
 * The rule: commits are dense. If commit n is not there whole, then
 * - a later frame of this journal that says n was durable proves damage: nothing counts;
 * - otherwise n is the torn tail: it and all after it were never promised and are dropped.
 * Later frames are looked for at every sector of every file. A header alone is proof: it fills less
 * than a sector, and only this journal writes it, at this place, after that sync returned.
 */
import { readU32, readU64 } from "../base/bytes.ts";
import { corruptJournal } from "./damage.ts";
import type { FileWindow } from "./file-window.ts";
import {
  ENTRY_BYTES,
  emptyFrameHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  SECTOR_BYTES,
} from "./journal-format.ts";
import { frameHeaderAt, isWholeAt } from "./journal-window.ts";

/** How far a file counts. */
export interface FileVerdict {
  /** Commit of the first frame, or the one expected there. */
  readonly firstCommit: number;
  /** End of the last frame that counts; 0 if none does. */
  readonly accepted: number;
  /** Offset of the first frame that counts and holds an op that is needed; none: `accepted`. */
  readonly needed: number;
  /** Bytes of later frames that do not count, torn ones included. */
  readonly droppedBytes: number;
  /** Last commit, in it or before it, that is known to be durable; 0: none is. */
  readonly durable: number;
  readonly reason: "whole" | "torn" | "after-torn";
  readonly vnodes: Uint32Array;
  readonly sequences: Float64Array;
}

interface Place {
  readonly path: string;
  readonly offset: number;
}

export class JournalJudge {
  /** Of each vnode, the largest sequence in a frame that is proven to be durable. */
  readonly proven: Map<number, number>;
  readonly #isNeeded: (vnode: number, sequence: number) => boolean;
  #expected: number;
  #number = 0;
  /** Where the next frame should be. */
  #end: Place = { path: "", offset: 0 };
  #broken: (Place & { readonly commit: number }) | undefined;
  #claims = 0;
  readonly #frame: FrameHeader = emptyFrameHeader();
  // Segments of frames not proven yet, in order: commit, vnode, last sequence.
  #waiting: number[] = [];
  #waitingFrom = 0;

  /** `isNeeded`: whether recovery needs ops of the vnode that end with this sequence. */
  constructor(
    firstCommit: number,
    proven: Map<number, number>,
    isNeeded: (vnode: number, sequence: number) => boolean,
  ) {
    this.#expected = firstCommit;
    this.proven = proven;
    this.#isNeeded = isNeeded;
  }

  /** Judges the file in the window as the journal's next; `durable` was in it. Throws CORRUPT. */
  async judge(window: FileWindow, header: FileHeader, durable = 0): Promise<FileVerdict> {
    const { path, length: end } = window;
    const frame = this.#frame;
    const largest = new Map<number, number>();
    const brokenBefore = this.#broken !== undefined;
    const firstCommit = this.#expected;
    const missing = this.#number !== 0 && header.number !== this.#number + 1;
    let accepted = FILE_HEADER_BYTES;
    let needed = -1;
    let droppedEnd = accepted;
    let at = accepted;
    this.#number = header.number;
    while (at < end) {
      const showing = window.show(at, FRAME_HEADER_BYTES);
      if (showing !== undefined) await showing;
      if (!frameHeaderAt(window, at, header, frame)) {
        at += SECTOR_BYTES;
        continue;
      }
      // Room for all of a frame is durable before it is written: the file was cut later.
      if (at + frame.length > end)
        throw corruptJournal({ path, offset: at }, "the file ends in it");
      const showingBody = window.show(at, frame.length);
      if (showingBody !== undefined) await showingBody;
      const whole = isWholeAt(window, at, frame);
      this.#claim(frame.durableThrough);
      if (this.#broken === undefined && whole && this.#isNext(accepted, at)) {
        if (this.#accept(window, at, largest) && needed < 0) needed = at;
        at += frame.length;
        accepted = at;
        droppedEnd = at;
        continue;
      }
      if (this.#broken === undefined) this.#break({ path, offset: at }, accepted, missing);
      droppedEnd = Math.max(droppedEnd, Math.min(end, at + frame.length));
      at += whole ? frame.length : SECTOR_BYTES;
    }
    // A file that others follow has held a frame, if none is found in it.
    if (this.#broken === undefined) this.#end = { path, offset: accepted };
    if (this.#expected <= durable) {
      const commit = this.#expected;
      throw corruptJournal(
        { path, offset: accepted },
        `commit ${commit} was durable, and is not there`,
      );
    }
    const torn = this.#broken === undefined ? "whole" : "torn";
    if (accepted === FILE_HEADER_BYTES) accepted = 0;
    return {
      firstCommit,
      accepted,
      needed: needed < 0 ? accepted : needed,
      droppedBytes: droppedEnd - Math.max(accepted, FILE_HEADER_BYTES),
      durable: this.#claims,
      reason: brokenBefore ? "after-torn" : torn,
      vnodes: Uint32Array.from(largest.keys()),
      sequences: Float64Array.from(largest.values()),
    };
  }

  #isNext(accepted: number, at: number): boolean {
    return this.#frame.commit === this.#expected && accepted === at;
  }

  /** The frame read last is not the next one: commit `#expected` is not there whole. */
  #break(found: Place, accepted: number, missing: boolean): void {
    const frame = this.#frame;
    if (frame.commit < this.#expected) {
      throw corruptJournal(found, `commit ${frame.commit} follows ${this.#expected - 1}`);
    }
    // Behind a file's first place, what is not there was in this file.
    const own = frame.commit === this.#expected || found.offset > FILE_HEADER_BYTES;
    const place = own || this.#end.path === "" ? { ...found, offset: accepted } : this.#end;
    this.#broken = { ...place, commit: this.#expected };
    if (missing && this.#claims >= this.#expected) {
      throw corruptJournal(found, `commits from ${this.#expected} on are in a missing file`);
    }
    this.#claim(this.#claims);
  }

  /** A header says that all commits through `durable` were synced before it was written. */
  #claim(durable: number): void {
    if (this.#broken !== undefined && durable >= this.#broken.commit) {
      throw corruptJournal(
        this.#broken,
        `commit ${this.#broken.commit} was durable, and is not there whole`,
      );
    }
    this.#claims = Math.max(this.#claims, durable);
    const waiting = this.#waiting;
    let from = this.#waitingFrom;
    while (from < waiting.length && (waiting[from] as number) <= durable) {
      const vnode = waiting[from + 1] as number;
      this.proven.set(vnode, Math.max(waiting[from + 2] as number, this.proven.get(vnode) ?? 0));
      from += 3;
    }
    if (from === waiting.length) {
      waiting.length = 0;
      from = 0;
    }
    this.#waitingFrom = from;
  }

  /** True if the frame holds an op that is needed. */
  #accept({ bytes, path, start }: FileWindow, at: number, largest: Map<number, number>): boolean {
    const frame = this.#frame;
    const directory = at - start + frame.directoryOffset;
    const directoryEnd = directory + frame.directoryCount * ENTRY_BYTES;
    if (frame.directoryOffset < FRAME_HEADER_BYTES || directoryEnd > at - start + frame.length) {
      throw corruptJournal({ path, offset: at }, "its frame contradicts itself");
    }
    let isNeeded = false;
    for (let entry = directory; entry < directoryEnd; entry += ENTRY_BYTES) {
      const vnode = readU32(bytes, entry);
      const last = readU64(bytes, entry + 8) + readU32(bytes, entry + 4) - 1;
      largest.set(vnode, Math.max(last, largest.get(vnode) ?? 0));
      this.#waiting.push(frame.commit, vnode, last);
      isNeeded ||= this.#isNeeded(vnode, last);
    }
    this.#expected++;
    return isNeeded;
  }
}
