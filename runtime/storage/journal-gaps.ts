/**
 * Commits of a journal that are not there whole, for salvage: what lies in their places, and how much
 * of it can be read.
 *
 * Invariant: of a frame whose checksum does not fit, a segment is handed over only if all its ops
 * fit theirs and the trail of its vnode confirms its entry.
 */
import type { Damage } from "./damage.ts";
import {
  decodeFrameHeader,
  emptyFrameHeader,
  type FrameHeader,
  type JournalFileName,
} from "./journal-format.ts";
import {
  findDirectory,
  type LooseFrame,
  type LooseSegment,
  readLooseFrame,
  type SegmentEntry,
  type SegmentTrail,
} from "./loose-frames.ts";

/** What a walk over the remains is told. */
export interface RemainsVisitor {
  /** A segment, its ops in order; the bytes are valid during the call only. */
  onSegment(segment: LooseSegment, bytes: Buffer): void;
  /** These ops were there and cannot be read. */
  onLost(entry: SegmentEntry): void;
}

/** A journal file that is walked over. */
export interface JournalFile extends JournalFileName {
  /** Of its frames. */
  journalId: string;
}

/** Bytes of a file that are a frame, or where frames should be. */
export interface Place {
  readonly at: number;
  readonly end: number;
  readonly gap: Gap | undefined;
}

/** Commits that should be in one stretch of a file, or at the end of one and the start of another. */
export class Gap {
  readonly #where: Omit<Damage, "what">;
  readonly #firstCommit: number;
  /** Infinity: as many as there is room for. */
  readonly #commits: number;
  /** Where the last stretch ends. */
  #end = 0;
  // What could be read in the walk: frames, ops, where the last frame ended.
  #frames = 0;
  #ops = 0;
  #opsRead = 0;
  #readEnd = 0;
  /** Whether the vnodes of all that is missing of those frames are known. */
  #isKnown = true;

  constructor(options: {
    readonly path: string;
    readonly offset: number;
    readonly firstCommit: number;
    readonly commits: number;
  }) {
    this.#where = { path: options.path, offset: options.offset };
    this.#firstCommit = options.firstCommit;
    this.#commits = options.commits;
  }

  /** One more stretch of it. */
  stretch(at: number, end: number): Place {
    this.#end = end;
    return { at, end, gap: this };
  }

  beginWalk(): void {
    this.#frames = 0;
    this.#ops = 0;
    this.#opsRead = 0;
    this.#readEnd = 0;
    this.#isKnown = true;
  }

  /** A frame of it was read, ops of it handed over. */
  note(frame: LooseFrame, opsRead: number, isKnown: boolean): void {
    this.#frames++;
    this.#ops += frame.ops;
    this.#opsRead += opsRead;
    this.#readEnd = frame.end;
    this.#isKnown &&= isKnown;
  }

  /** Whether there may be another frame of it. */
  get isOpen(): boolean {
    return this.#frames < this.#commits;
  }

  /** Whether the vnodes of all that is missing are known. */
  get isAccounted(): boolean {
    const isAll = Number.isFinite(this.#commits) ? !this.isOpen : this.#readEnd === this.#end;
    return isAll && this.#isKnown;
  }

  get damage(): Damage {
    const first = this.#firstCommit;
    const last = first + this.#commits - 1;
    let which = last === first ? `commit ${last} is` : `commits ${first} to ${last} are`;
    if (!Number.isFinite(last)) which = `commits from ${first} on are`;
    const ops = this.isAccounted ? `${this.#opsRead} of ${this.#ops} ops` : `${this.#opsRead} ops`;
    const rest = this.isAccounted ? "" : ", how many were in it is not known";
    return { ...this.#where, what: `${which} not there whole: ${ops} were read${rest}` };
  }
}

interface PlaceReading {
  readonly bytes: Buffer;
  readonly file: JournalFile;
  readonly place: Place;
  readonly trail: SegmentTrail;
  readonly visitor: RemainsVisitor;
}

/** Hands over a frame, or what can be read where some should be. */
export function readPlace(reading: PlaceReading): void {
  const { bytes, file, place } = reading;
  const { gap, end } = place;
  const header: FrameHeader = emptyFrameHeader();
  for (let at = place.at; at < end && gap?.isOpen !== false; ) {
    const hasHeader = decodeFrameHeader(bytes, at, end, file, header);
    const directory = hasHeader ? header : findDirectory(bytes, at, end);
    if (directory === undefined) return;
    const frame = readLooseFrame(bytes, at, end, directory);
    handOver(reading, frame, at);
    at = frame.end;
  }
}

function handOver(reading: PlaceReading, frame: LooseFrame, at: number): void {
  const { bytes, file, place, trail, visitor } = reading;
  let opsRead = 0;
  let isKnown = frame.isAccounted;
  const isTrue = (entry: SegmentEntry) => {
    // The checksum of a whole frame covers its entries.
    const is = place.gap === undefined || trail.confirms(entry);
    if (is) trail.note(entry, file.number, at);
    isKnown &&= is;
    return is;
  };
  for (const segment of frame.segments) {
    if (!isTrue(segment)) continue;
    visitor.onSegment(segment, bytes);
    opsRead += segment.starts.length;
  }
  for (const entry of frame.lost) if (isTrue(entry)) visitor.onLost(entry);
  place.gap?.note(frame, opsRead, isKnown);
}
