/**
 * Reads what proves itself of a frame that may be damaged, for salvage. Pure.
 *
 * A segment counts whole or not at all: every op of it, by the links from its last one back, has the
 * segment's number and fits its own checksum, and there are as many as its entry says. So half a
 * transaction, which lies in one segment, is never read. Where the frame's header is damaged, its
 * ops say where they end and the entries begin. Entries have no checksum: whose a segment is, the
 * vnode's segment before it must confirm (`SegmentTrail`).
 */
import { readU32, readU64 } from "../base/bytes.ts";
import { opChecksum } from "../base/hash.ts";
import {
  alignToSector,
  alignToWord,
  ENTRY_BYTES,
  FRAME_HEADER_BYTES,
  RECORD_HEADER_BYTES,
} from "./journal-format.ts";

/** What the entry of a segment says. */
export interface SegmentEntry {
  readonly vnodeId: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Where the vnode's segment before it is: file number (0: nowhere), and offset of the frame. */
  readonly previousFile: number;
  readonly previousOffset: number;
}

/** A vnode's ops in one frame; their bytes are [starts[i], ends[i]). */
export interface LooseSegment extends SegmentEntry {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

export interface LooseFrame {
  readonly segments: readonly LooseSegment[];
  /** Segments that cannot be read. */
  readonly lost: readonly SegmentEntry[];
  /** Whether `segments` and `lost` are all that was in it. */
  readonly isAccounted: boolean;
  readonly ops: number;
  /** Where the next frame begins. */
  readonly end: number;
}

/** Where the entries of a frame are, and how many ops they count. */
export interface FrameDirectory {
  readonly directoryOffset: number;
  readonly directoryCount: number;
  readonly opCount: number;
}

/** Finds the directory of a frame without a header; undefined: an op before it is damaged. */
export function findDirectory(bytes: Buffer, at: number, end: number): FrameDirectory | undefined {
  let record = at + FRAME_HEADER_BYTES;
  let opCount = 0;
  let directoryCount = 0;
  for (;;) {
    const opEnd = endOfOp(bytes, record, end);
    if (opEnd === undefined) break;
    directoryCount = Math.max(directoryCount, readU32(bytes, record + 8) + 1);
    opCount++;
    record = alignToWord(opEnd);
  }
  const directory = { directoryOffset: record - at, directoryCount, opCount };
  return opCount > 0 && counted(bytes, at, end, directory) === opCount ? directory : undefined;
}

/** Reads the frame at `at`, of which nothing is beyond `end`. */
export function readLooseFrame(
  bytes: Buffer,
  at: number,
  end: number,
  directory: FrameDirectory,
): LooseFrame {
  const { directoryOffset, directoryCount, opCount } = directory;
  const segments: LooseSegment[] = [];
  const lost: SegmentEntry[] = [];
  const isAccounted = counted(bytes, at, end, directory) === opCount;
  for (let i = 0; i < directoryCount; i++) {
    const entryAt = at + directoryOffset + i * ENTRY_BYTES;
    if (entryAt + ENTRY_BYTES > end) break;
    const entry = readEntry(bytes, entryAt);
    const offset = readU32(bytes, entryAt + 16);
    const segment = readSegment(bytes, at, { entry, index: i, offset, above: directoryOffset });
    if (segment === undefined) lost.push(entry);
    else segments.push(segment);
  }
  const directoryEnd = at + directoryOffset + directoryCount * ENTRY_BYTES;
  return { segments, lost, isAccounted, ops: opCount, end: alignToSector(directoryEnd) };
}

/** How many ops the entries count; -1: they do not fit. */
function counted(bytes: Buffer, at: number, end: number, directory: FrameDirectory): number {
  const start = at + directory.directoryOffset;
  if (start + directory.directoryCount * ENTRY_BYTES > end) return -1;
  let ops = 0;
  for (let i = 0; i < directory.directoryCount; i++) {
    ops += readU32(bytes, start + i * ENTRY_BYTES + 4);
  }
  return ops;
}

function readEntry(bytes: Buffer, at: number): SegmentEntry {
  const firstSequence = readU64(bytes, at + 8);
  return {
    vnodeId: readU32(bytes, at),
    firstSequence,
    lastSequence: firstSequence + readU32(bytes, at + 4) - 1,
    previousFile: readU32(bytes, at + 20),
    previousOffset: readU64(bytes, at + 24),
  };
}

/** A segment's ops, from its last one back; undefined: one of them is not there whole. */
function readSegment(
  bytes: Buffer,
  at: number,
  from: { entry: SegmentEntry; index: number; offset: number; above: number },
): LooseSegment | undefined {
  const { entry, index } = from;
  const starts: number[] = [];
  const ends: number[] = [];
  let { offset, above } = from;
  const opsEnd = at + above;
  for (let left = entry.lastSequence - entry.firstSequence + 1; left > 0; left--) {
    // Links lead backwards: that ends the walk whatever they are.
    if (offset < FRAME_HEADER_BYTES || offset >= above) return undefined;
    const record = at + offset;
    const opEnd = endOfOp(bytes, record, opsEnd);
    if (opEnd === undefined || readU32(bytes, record + 8) !== index) return undefined;
    starts.push(record + RECORD_HEADER_BYTES);
    ends.push(opEnd);
    above = offset;
    offset = readU32(bytes, record + 12);
  }
  if (offset !== 0 || starts.length === 0) return undefined;
  return { ...entry, starts: starts.reverse(), ends: ends.reverse() };
}

/** End of the op whose record is at `record`; undefined: no op with its checksum is there. */
function endOfOp(bytes: Buffer, record: number, end: number): number | undefined {
  if (record + RECORD_HEADER_BYTES > end) return undefined;
  const start = record + RECORD_HEADER_BYTES;
  const opEnd = start + readU32(bytes, record);
  if (opEnd === start || opEnd > end) return undefined;
  return opChecksum(bytes, start, opEnd) === readU32(bytes, record + 4) ? opEnd : undefined;
}

/** Where each vnode's last segment in a journal was: what a true entry names as the previous one. */
export class SegmentTrail {
  readonly #last = new Map<number, { file: number; at: number; sequence: number }>();

  /** Whether an entry goes on where its vnode's log was left. A vnode's first one does not. */
  confirms({ vnodeId, firstSequence, previousFile, previousOffset }: SegmentEntry): boolean {
    const last = this.#last.get(vnodeId);
    return (
      last !== undefined &&
      last.file === previousFile &&
      last.at === previousOffset &&
      last.sequence + 1 === firstSequence
    );
  }

  note({ vnodeId, lastSequence }: SegmentEntry, file: number, at: number): void {
    this.#last.set(vnodeId, { file, at, sequence: lastSequence });
  }
}
