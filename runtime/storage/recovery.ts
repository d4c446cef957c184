/**
 * Recovery: hands the ops of all journals of a data folder to a visitor, each vnode's in the order
 * of its sequences. Journals belong to the folder, not to a worker: the number of workers may have
 * changed, so each takes the partitions that are its own now from all of them.
 *
 * Invariant: a vnode's ops come without a gap from its snapshot on, each once; anything else is
 * CORRUPT. Recovery writes nothing: it may be interrupted and repeated at any point.
 */
import { readU32, readU64 } from "../base/bytes.ts";
import { opChecksum } from "../base/hash.ts";
import { corruptJournal } from "./damage.ts";
import type { FileWindow } from "./file-window.ts";
import {
  alignToWord,
  decodeFileHeader,
  ENTRY_BYTES,
  emptyFrameHeader,
  type FileHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  RECORD_HEADER_BYTES,
} from "./journal-format.ts";
import { frameHeaderAt, isWholeAt, journalWindow } from "./journal-window.ts";
import { bootAndWorker, snapshotSequence } from "./manifest.ts";
import { type Survey, type SurveyedFile, type SurveyOptions, surveyJournals } from "./survey.ts";

// limits:
/** Ops looked at before recovery lets others have the thread: below a millisecond. */
export const RECOVERY_SLICE_OPS = 2_000;
/** Bytes of frames that end a slice, however few ops they hold. */
export const RECOVERY_SLICE_BYTES = 1024 * 1024;

/** An op in place: the object is reused, its bytes stay until `beforeMove`. */
export interface RecoveredOp {
  vnodeId: number;
  sequence: number;
  bytes: Buffer;
  start: number;
  end: number;
  /** Name of the file, and the offset of the frame in it. */
  file: string;
  frameOffset: number;
}

export interface RecoverOptions extends SurveyOptions {
  /** Which vnodes to recover. */
  readonly filter: (vnodeId: number) => boolean;
  /**
   * Takes one op. Unless `provenDurable`, it may lie in the page cache only: append it to the new
   * journal and sync that before the vnode serves, acknowledges or offers anything.
   */
  onOp(op: RecoveredOp, provenDurable: boolean): void;
  /** The bytes of the ops that came since the last call are about to go. */
  beforeMove?(bytes: Buffer): void;
  /** Ends a slice, between two frames: lets the rest of the thread run. */
  readonly pause?: () => Promise<void>;
}

export interface Recovery {
  readonly survey: Survey;
  readonly ops: number;
  /** Ops that were read and not needed: written again by an earlier recovery, or in the snapshot. */
  readonly skippedOps: number;
  readonly unprovenOps: number;
}

/** Surveys the folder, then replays it. */
export async function recover(options: RecoverOptions): Promise<Recovery> {
  return replay(await surveyJournals(options), options);
}

/** Replays what a survey accepted. */
export async function replay(survey: Survey, options: RecoverOptions): Promise<Recovery> {
  const run = new Replay(survey, options);
  const cursors = cursorsOf(survey.files);
  // A journal waits at a frame whose vnode has earlier ops in another journal.
  for (;;) {
    let progress = false;
    for (const cursor of cursors) if (await run.advance(cursor)) progress = true;
    const blocked = cursors.find((cursor) => cursor.index < cursor.files.length);
    if (blocked === undefined) return run.result();
    if (!progress) throw run.gapAt(blocked);
  }
}

/** How far the files of one (boot, worker) are replayed. */
interface Cursor {
  readonly files: readonly SurveyedFile[];
  index: number;
  at: number;
}

function cursorsOf(files: readonly SurveyedFile[]): Cursor[] {
  const groups = new Map<string, SurveyedFile[]>();
  for (const file of files) {
    if (file.accepted === 0) continue;
    const key = bootAndWorker(file);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [file]);
    else group.push(file);
  }
  return [...groups.values()].map((group) => ({ files: group, index: 0, at: 0 }));
}

class Replay {
  readonly #survey: Survey;
  readonly #options: RecoverOptions;
  readonly #window: FileWindow;
  readonly #last = new Map<number, number>();
  readonly #frame: FrameHeader = emptyFrameHeader();
  readonly #op: RecoveredOp;
  #ops = 0;
  #skipped = 0;
  #unproven = 0;
  #sliceOps = 0;
  #sliceBytes = 0;
  /** The first op that could not be handed over: its vnode misses earlier ones. */
  #gap = "";
  // Of the frame in hand, by segment: next sequence in it, last one handed over, proven through.
  #next = new Float64Array(64);
  #done = new Float64Array(64);
  #proven = new Float64Array(64);

  constructor(survey: Survey, options: RecoverOptions) {
    this.#survey = survey;
    this.#options = options;
    this.#window = journalWindow(options.fs);
    const { bytes } = this.#window;
    this.#op = { vnodeId: 0, sequence: 0, bytes, start: 0, end: 0, file: "", frameOffset: 0 };
  }

  result(): Recovery {
    return {
      survey: this.#survey,
      ops: this.#ops,
      skippedOps: this.#skipped,
      unprovenOps: this.#unproven,
    };
  }

  gapAt(cursor: Cursor): Error {
    const file = cursor.files[cursor.index] as SurveyedFile;
    return corruptJournal({ path: this.#path(file), offset: cursor.at }, this.#gap);
  }

  /** Replays the journal as far as it goes; true if any frame was finished. */
  async advance(cursor: Cursor): Promise<boolean> {
    let progress = false;
    for (; cursor.index < cursor.files.length; cursor.index++, cursor.at = 0) {
      const file = cursor.files[cursor.index] as SurveyedFile;
      cursor.at = Math.max(cursor.at, file.needed);
      if (cursor.at >= file.accepted) continue;
      const before = cursor.at;
      await this.#replayFile(file, cursor).finally(() => this.#window.close());
      if (cursor.at > before) progress = true;
      if (cursor.at < file.accepted) break;
    }
    return progress;
  }

  /** Replays a file as far as it goes. */
  async #replayFile(file: SurveyedFile, cursor: Cursor): Promise<void> {
    await this.#window.open(this.#path(file), file.accepted);
    const header = this.#headerOf(file);
    while (cursor.at < file.accepted) {
      await this.#showFrame(file, header, cursor.at);
      if (!this.#replayFrame(file, cursor.at)) break;
      cursor.at += this.#frame.length;
      const pausing = this.#endSlice();
      if (pausing !== undefined) await pausing;
    }
    this.#options.beforeMove?.(this.#window.bytes);
  }

  /** A frame was replayed: pauses, if it fills the slice. */
  #endSlice(): Promise<void> | undefined {
    this.#sliceOps += this.#frame.opCount;
    this.#sliceBytes += this.#frame.length;
    if (this.#sliceOps < RECOVERY_SLICE_OPS && this.#sliceBytes < RECOVERY_SLICE_BYTES) return;
    this.#sliceOps = 0;
    this.#sliceBytes = 0;
    return this.#options.pause?.();
  }

  #path(file: SurveyedFile): string {
    return `${this.#options.folder}/${file.name}`;
  }

  #headerOf(file: SurveyedFile): FileHeader {
    const { bytes, end } = this.#window;
    const reading = decodeFileHeader(bytes, end, file);
    if (reading.kind === "valid") return reading.header;
    throw corruptJournal({ path: this.#path(file), offset: 0 }, "it changed while it was read");
  }

  /** Brings the frame at `at` into the window, all of it. */
  async #showFrame(file: SurveyedFile, header: FileHeader, at: number): Promise<void> {
    const window = this.#window;
    const frame = this.#frame;
    await this.#show(at, FRAME_HEADER_BYTES);
    const isThere = frameHeaderAt(window, at, header, frame);
    if (isThere) await this.#show(at, frame.length);
    if (isThere && isWholeAt(window, at, frame)) return;
    throw corruptJournal({ path: this.#path(file), offset: at }, "it changed while it was read");
  }

  #show(at: number, bytes: number): Promise<void> | undefined {
    const window = this.#window;
    if (!window.shows(at, bytes)) this.#options.beforeMove?.(window.bytes);
    return window.show(at, bytes);
  }

  /** Hands over a frame's ops; false if one of them has to wait for ops of another journal. */
  #replayFrame(file: SurveyedFile, frameOffset: number): boolean {
    const { bytes, start } = this.#window;
    const frame = this.#frame;
    const at = frameOffset - start;
    if (!this.#openFrame(bytes, at)) return true;
    const op = this.#op;
    op.bytes = bytes;
    op.file = file.name;
    op.frameOffset = frameOffset;
    let ready = true;
    const opsEnd = at + frame.directoryOffset;
    let record = at + FRAME_HEADER_BYTES;
    for (let i = 0; i < frame.opCount; i++) {
      const length = readU32(bytes, record);
      const segment = readU32(bytes, record + 8);
      op.start = record + RECORD_HEADER_BYTES;
      op.end = op.start + length;
      const sum = readU32(bytes, record + 4);
      const fits = op.end <= opsEnd && segment < frame.directoryCount;
      if (!fits || opChecksum(bytes, op.start, op.end) !== sum) {
        const offset = start + record;
        throw corruptJournal({ path: this.#path(file), offset }, "an op in it is damaged");
      }
      if (!this.#offer(segment, at)) ready = false;
      record = alignToWord(op.end);
    }
    this.#closeFrame(bytes, at);
    return ready;
  }

  /** False if nobody needs any op of the frame. */
  #openFrame(bytes: Buffer, at: number): boolean {
    const { directoryCount, directoryOffset } = this.#frame;
    if (directoryCount > this.#next.length) {
      this.#next = new Float64Array(directoryCount * 2);
      this.#done = new Float64Array(directoryCount * 2);
      this.#proven = new Float64Array(directoryCount * 2);
    }
    let known = 0;
    let isNeeded = false;
    for (let i = 0; i < directoryCount; i++) {
      const entry = at + directoryOffset + i * ENTRY_BYTES;
      const vnode = readU32(bytes, entry);
      const ops = readU32(bytes, entry + 4);
      const first = readU64(bytes, entry + 8);
      const done = this.#options.filter(vnode) ? this.#lastOf(vnode) : -1;
      this.#next[i] = first;
      this.#done[i] = done;
      this.#proven[i] = this.#survey.proven.get(vnode) ?? 0;
      if (done < 0) continue;
      known += ops;
      if (first + ops - 1 > done) isNeeded = true;
    }
    if (!isNeeded) this.#skipped += known;
    return isNeeded;
  }

  #closeFrame(bytes: Buffer, at: number): void {
    const { directoryCount, directoryOffset } = this.#frame;
    for (let i = 0; i < directoryCount; i++) {
      const done = this.#done[i] as number;
      if (done >= 0) this.#last.set(readU32(bytes, at + directoryOffset + i * ENTRY_BYTES), done);
    }
  }

  #lastOf(vnode: number): number {
    const known = this.#last.get(vnode);
    if (known !== undefined) return known;
    return snapshotSequence(this.#options.manifests, vnode);
  }

  /** Takes the op in `#op` as the next of its segment; false if its vnode misses earlier ones. */
  #offer(segment: number, frameAt: number): boolean {
    const op = this.#op;
    const sequence = this.#next[segment] as number;
    const done = this.#done[segment] as number;
    this.#next[segment] = sequence + 1;
    if (done < 0) return true;
    if (sequence <= done) {
      this.#skipped++;
      return true;
    }
    const entry = frameAt + this.#frame.directoryOffset + segment * ENTRY_BYTES;
    op.vnodeId = readU32(op.bytes, entry);
    if (sequence > done + 1) {
      this.#gap = `vnode ${op.vnodeId} has op ${sequence} here, but op ${done + 1} nowhere`;
      return false;
    }
    op.sequence = sequence;
    const proven = sequence <= (this.#proven[segment] as number);
    this.#done[segment] = sequence;
    this.#ops++;
    if (!proven) this.#unproven++;
    this.#options.onOp(op, proven);
    return true;
  }
}
