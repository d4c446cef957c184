/**
 * Bytes of a journal file: its header, frames, op records and segment entries.
 * The grammar with a worked example is in docs/formats/journal.md.
 *
 * Invariant: every frame begins at a sector and fills whole sectors, so a header is never torn and
 * a sector that a sync covered is never written again. A header is valid only at its own offset of
 * its own file and use (generation), so what an earlier use left behind is never read as news.
 */
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from "../base/bytes.ts";
import { checksum } from "../base/hash.ts";

export const JOURNAL_FORMAT = 1;
/** Smallest unit that a disk writes whole; frames are aligned to it. */
export const SECTOR_BYTES = 512;
/** The file header fills the first sector. */
export const FILE_HEADER_BYTES = SECTOR_BYTES;
export const FRAME_HEADER_BYTES = 96;
/** Before each op: length, op checksum, index of its segment entry, link. */
export const RECORD_HEADER_BYTES = 16;
/** One vnode's segment in a frame. */
export const ENTRY_BYTES = 32;

const FILE_MAGIC = 0x4a544f43; // "COTJ"
const FRAME_MAGIC = 0x46544f43; // "COTF"

/** Which file this is, as its name says. */
export interface JournalFileName {
  readonly boot: number;
  readonly worker: number;
  /** From 1 within (boot, worker); never used twice. */
  readonly number: number;
}

/** What the first sector says. Ids are 16 hex digits. */
export interface FileHeader extends JournalFileName {
  readonly nodeId: string;
  /** Random for each Journal: separates a failed one from the one that follows it. */
  readonly journalId: string;
  /** Random for each use of a file: recycled bytes carry another. */
  readonly generation: string;
}

/** The changing part of a frame's header. */
export interface FrameHeader {
  commit: number;
  durableThrough: number;
  /** Whole frame with header and padding. */
  length: number;
  directoryOffset: number;
  directoryCount: number;
  opCount: number;
  bodyChecksum: number;
}

const NAME = /^journal-(\d{8})-(\d{3})-(\d{8})\.log$/;

export function journalFileName({ boot, worker, number }: JournalFileName): string {
  return `journal-${digits(boot, 8)}-${digits(worker, 3)}-${digits(number, 8)}.log`;
}

export function parseJournalFileName(name: string): JournalFileName | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  return { boot: Number(match[1]), worker: Number(match[2]), number: Number(match[3]) };
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, "0");
}

/** Ops of a frame begin at whole words: they are copied and checked four bytes at a time. */
export function alignToWord(position: number): number {
  return (position + 3) & ~3;
}

/** The next sector boundary at or after `position`. */
export function alignToSector(position: number): number {
  return Math.ceil(position / SECTOR_BYTES) * SECTOR_BYTES;
}

function writeId(target: Buffer, at: number, id: string): void {
  writeU32(target, at, Number.parseInt(id.slice(8), 16));
  writeU32(target, at + 4, Number.parseInt(id.slice(0, 8), 16));
}

function readId(source: Buffer, at: number): string {
  const high = readU32(source, at + 4)
    .toString(16)
    .padStart(8, "0");
  return high + readU32(source, at).toString(16).padStart(8, "0");
}

export function encodeFileHeader(header: FileHeader): Buffer {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES);
  writeU32(bytes, 0, FILE_MAGIC);
  writeU16(bytes, 4, JOURNAL_FORMAT);
  writeU16(bytes, 6, header.worker);
  writeU32(bytes, 8, header.boot);
  writeU32(bytes, 12, header.number);
  writeId(bytes, 16, header.nodeId);
  writeId(bytes, 24, header.journalId);
  writeId(bytes, 32, header.generation);
  writeU32(bytes, FILE_HEADER_BYTES - 4, checksum(bytes.subarray(0, FILE_HEADER_BYTES - 4)));
  return bytes;
}

export type FileHeaderReading =
  | { readonly kind: "valid"; readonly header: FileHeader }
  /** No header that this file could have: not written yet, of an earlier use, or damaged. */
  | { readonly kind: "none" }
  | { readonly kind: "unknown-format"; readonly format: number };

/** Judges the first sector of the file that has this name. */
export function decodeFileHeader(
  bytes: Buffer,
  length: number,
  name: JournalFileName,
): FileHeaderReading {
  if (length < FILE_HEADER_BYTES || readU32(bytes, 0) !== FILE_MAGIC) return { kind: "none" };
  const format = readU16(bytes, 4);
  if (format !== JOURNAL_FORMAT) return { kind: "unknown-format", format };
  const sum = checksum(bytes.subarray(0, FILE_HEADER_BYTES - 4));
  if (readU32(bytes, FILE_HEADER_BYTES - 4) !== sum) return { kind: "none" };
  const header: FileHeader = {
    boot: readU32(bytes, 8),
    worker: readU16(bytes, 6),
    number: readU32(bytes, 12),
    nodeId: readId(bytes, 16),
    journalId: readId(bytes, 24),
    generation: readId(bytes, 32),
  };
  const own =
    header.boot === name.boot && header.worker === name.worker && header.number === name.number;
  return own ? { kind: "valid", header } : { kind: "none" };
}

/** Writes what all frames of one file share; `encodeFrameHeader` completes it. */
export function encodeFrameIdentity(target: Buffer, file: FileHeader): void {
  writeU32(target, 0, FRAME_MAGIC);
  writeU16(target, 4, JOURNAL_FORMAT);
  writeU16(target, 6, file.worker);
  writeU32(target, 8, file.boot);
  writeU32(target, 12, file.number);
  writeId(target, 16, file.journalId);
  writeId(target, 24, file.generation);
}

/** Completes the frame in target[0, frame.length): changing fields and both checksums. */
export function encodeFrameHeader(target: Buffer, fileOffset: number, frame: FrameHeader): void {
  writeU64(target, 32, frame.commit);
  writeU64(target, 40, fileOffset);
  writeU64(target, 48, frame.durableThrough);
  writeU32(target, 56, frame.length);
  writeU32(target, 60, frame.directoryOffset);
  writeU32(target, 64, frame.directoryCount);
  writeU32(target, 68, frame.opCount);
  target.fill(0, 72, 88);
  frame.bodyChecksum = checksum(target.subarray(FRAME_HEADER_BYTES, frame.length));
  writeU32(target, 88, frame.bodyChecksum);
  writeU32(target, 92, checksum(target.subarray(0, 92)));
}

/**
 * Reads the frame header at `at` into `into`; false unless it was written there, `offset` in the file,
 * by a journal for this very file. `generation` undefined accepts any use of the file.
 */
export function decodeFrameHeader(
  bytes: Buffer,
  at: number,
  end: number,
  file: JournalFileName & { readonly generation?: string },
  into: FrameHeader,
  offset = at,
): boolean {
  if (at + FRAME_HEADER_BYTES > end || readU32(bytes, at) !== FRAME_MAGIC) return false;
  if (readU32(bytes, at + 92) !== checksum(bytes.subarray(at, at + 92))) return false;
  const own =
    readU16(bytes, at + 4) === JOURNAL_FORMAT &&
    readU16(bytes, at + 6) === file.worker &&
    readU32(bytes, at + 8) === file.boot &&
    readU32(bytes, at + 12) === file.number &&
    readU64(bytes, at + 40) === offset;
  if (!own) return false;
  if (file.generation !== undefined && readId(bytes, at + 24) !== file.generation) return false;
  into.commit = readU64(bytes, at + 32);
  into.durableThrough = readU64(bytes, at + 48);
  into.length = readU32(bytes, at + 56);
  into.directoryOffset = readU32(bytes, at + 60);
  into.directoryCount = readU32(bytes, at + 64);
  into.opCount = readU32(bytes, at + 68);
  into.bodyChecksum = readU32(bytes, at + 88);
  return true;
}

/** The journal that the frame at `at` is of, its header being valid. */
export function frameJournalId(bytes: Buffer, at: number): string {
  return readId(bytes, at + 16);
}

/** Whether the body of the frame at `at` is whole, its header being valid. */
export function frameIsWhole(bytes: Buffer, at: number, end: number, frame: FrameHeader): boolean {
  if (frame.length < FRAME_HEADER_BYTES || at + frame.length > end) return false;
  return (
    checksum(bytes.subarray(at + FRAME_HEADER_BYTES, at + frame.length)) === frame.bodyChecksum
  );
}

export function emptyFrameHeader(): FrameHeader {
  return {
    commit: 0,
    durableThrough: 0,
    length: 0,
    directoryOffset: 0,
    directoryCount: 0,
    opCount: 0,
    bodyChecksum: 0,
  };
}
