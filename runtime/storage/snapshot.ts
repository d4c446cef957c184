/**
 * Container for one vnode's state at one sequence: checked chunks of bytes that only the vnode
 * understands. Format: docs/formats/snapshot.md.
 *
 * Invariant: a file with a snapshot's name is whole (temporary name, sync, rename), so anything wrong
 * in it is damage: CORRUPT with file and offset, and nothing of it is used.
 */
import { assert } from "../base/assert.ts";
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from "../base/bytes.ts";
import type { CoterieError } from "../base/errors.ts";
import { checksum } from "../base/hash.ts";
import { corrupt, unknownFormat } from "./damage.ts";
import { FileWindow } from "./file-window.ts";
import { diskError, type File, type FileReader, type FileSystem, synced } from "./files.ts";
import { TEMPORARY_SUFFIX } from "./replace-file.ts";

export const SNAPSHOT_FORMAT = 1;
// limits:
/** Largest chunk: one read, one check, one turn of a restore. */
export const SNAPSHOT_CHUNK_BYTES_MAX = 1024 * 1024;

/** Pieces are written together up to here: each call costs a thread of the pool. */
const HELD_BYTES_MAX = 128 * 1024;

const KIND = "the snapshot";
const HEADER_BYTES = 64;
const CHUNK_HEADER_BYTES = 16;
const FOOTER_BYTES = 32;
const FILE_MAGIC = 0x53544f43; // "COTS"
const CHUNK_MAGIC = 0x43544f43; // "COTC"
const FOOTER_MAGIC = 0x45544f43; // "COTE"

export interface SnapshotInfo {
  readonly vnodeId: number;
  /** Sequence of the last op that it contains. */
  readonly sequence: number;
  /** Wall time of the cut, ms since 1970. */
  readonly createdMs: number;
}

/** File name of a vnode's snapshot at a sequence. */
export function snapshotName({ vnodeId, sequence }: { vnodeId: number; sequence: number }): string {
  return `snapshot-${String(vnodeId).padStart(10, "0")}-${String(sequence).padStart(16, "0")}.snap`;
}

const NAME = /^snapshot-(\d{10})-(\d{16})\.snap$/;

/** What a snapshot's file name says; undefined: it is none. */
export function parseSnapshotName(
  name: string,
): { readonly vnodeId: number; readonly sequence: number } | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : { vnodeId: Number(match[1]), sequence: Number(match[2]) };
}

/** Of these file names, snapshots of the vnodes asked for that are not the listed one. */
export function unlistedSnapshots(
  names: readonly string[],
  listed: ReadonlyMap<number, { readonly snapshot?: string }>,
  filter: (vnodeId: number) => boolean,
): string[] {
  return names.filter((name) => {
    const parsed = parseSnapshotName(name);
    if (parsed === undefined || !filter(parsed.vnodeId)) return false;
    return listed.get(parsed.vnodeId)?.snapshot !== name;
  });
}

/** Writes one snapshot; nobody sees it before `finish` has returned. */
export class SnapshotWriter {
  readonly name: string;
  readonly #fs: FileSystem;
  readonly #folder: string;
  readonly #file: File;
  readonly #chunkHeader = Buffer.alloc(CHUNK_HEADER_BYTES);
  /** The last bytes before `#position`, which are not written yet. */
  readonly #held: Buffer;
  #heldBytes = 0;
  #position = 0;
  #chunks = 0;
  #payloadBytes = 0;
  /** Runs over the chunk headers, which hold the payloads' checksums. */
  #total = 0;

  private constructor(fs: FileSystem, folder: string, name: string, file: File) {
    this.#fs = fs;
    this.#folder = folder;
    this.name = name;
    this.#file = file;
    this.#held = spareHeld ?? Buffer.allocUnsafeSlow(HELD_BYTES_MAX);
    spareHeld = undefined;
  }

  static async create(fs: FileSystem, folder: string, info: SnapshotInfo): Promise<SnapshotWriter> {
    const name = snapshotName(info);
    const path = `${folder}/${name}${TEMPORARY_SUFFIX}`;
    let writer: SnapshotWriter | undefined;
    try {
      writer = new SnapshotWriter(fs, folder, name, await fs.create(path, "replace"));
      await writer.#writeHeader(info);
      return writer;
    } catch (error) {
      await writer?.abort();
      throw diskError(error, "write the snapshot", path);
    }
  }

  get bytes(): number {
    return this.#position;
  }

  /** Appends source[start, end), at most SNAPSHOT_CHUNK_BYTES_MAX; leave it as it is until then. */
  async chunk(source: Buffer, start: number, end: number): Promise<void> {
    const length = end - start;
    assert(length > 0 && length <= SNAPSHOT_CHUNK_BYTES_MAX, "a chunk has 1 byte to 1 MB");
    const header = this.#chunkHeader;
    writeU32(header, 0, CHUNK_MAGIC);
    writeU32(header, 4, this.#chunks);
    writeU32(header, 8, length);
    writeU32(header, 12, checksum(source.subarray(start, end)));
    this.#total = checksum(header, this.#total);
    await this.#write(header, 0, CHUNK_HEADER_BYTES);
    await this.#write(source, start, length);
    this.#chunks++;
    this.#payloadBytes += length;
  }

  /**
   * Makes it durable, and gives it its name, which lasts after `syncFolder`: the manifest may name it
   * then.
   */
  async finish(): Promise<{ readonly name: string; readonly bytes: number }> {
    const footer = Buffer.alloc(FOOTER_BYTES);
    writeU32(footer, 0, FOOTER_MAGIC);
    writeU32(footer, 4, this.#chunks);
    writeU64(footer, 8, this.#payloadBytes);
    writeU32(footer, 16, this.#total);
    writeU32(footer, FOOTER_BYTES - 4, checksum(footer.subarray(0, FOOTER_BYTES - 4)));
    await this.#write(footer, 0, FOOTER_BYTES);
    await this.#flush();
    spareHeld = this.#held;
    try {
      await synced(this.#file);
      await this.#file.close();
      await this.#fs.rename(this.#file.path, `${this.#folder}/${this.name}`);
    } catch (error) {
      await this.abort();
      throw diskError(error, "finish the snapshot", this.#file.path);
    }
    return { name: this.name, bytes: this.#position };
  }

  /** Gives it up: removes what was written. */
  async abort(): Promise<void> {
    try {
      await this.#file.close();
      await this.#fs.remove(this.#file.path);
    } catch {
      // A start removes what is left under a temporary name.
    }
  }

  async #writeHeader(info: SnapshotInfo): Promise<void> {
    const header = Buffer.alloc(HEADER_BYTES);
    writeU32(header, 0, FILE_MAGIC);
    writeU16(header, 4, SNAPSHOT_FORMAT);
    writeU32(header, 8, info.vnodeId);
    writeU64(header, 16, info.sequence);
    writeU64(header, 24, info.createdMs);
    writeU32(header, HEADER_BYTES - 4, checksum(header.subarray(0, HEADER_BYTES - 4)));
    this.#total = checksum(header);
    await this.#write(header, 0, HEADER_BYTES);
  }

  /** Takes a piece: small ones are held back, to be written with what follows. */
  async #write(source: Buffer, start: number, length: number): Promise<void> {
    if (this.#heldBytes + length > HELD_BYTES_MAX) await this.#flush();
    if (length > HELD_BYTES_MAX) await this.#writeAt(source, start, length, this.#position);
    else {
      source.copy(this.#held, this.#heldBytes, start, start + length);
      this.#heldBytes += length;
    }
    this.#position += length;
  }

  async #flush(): Promise<void> {
    const length = this.#heldBytes;
    if (length > 0) await this.#writeAt(this.#held, 0, length, this.#position - length);
    this.#heldBytes = 0;
  }

  async #writeAt(source: Buffer, start: number, length: number, position: number): Promise<void> {
    try {
      await this.#file.write(source, start, length, position);
    } catch (error) {
      await this.abort();
      throw diskError(error, "write the snapshot", this.#file.path);
    }
  }
}

/** What the last writer had no more use for: a worker writes one snapshot after the other. */
let spareHeld: Buffer | undefined;

/** Takes a checked chunk, source[start, end); the bytes are its own only during the call. */
export type VisitChunk = (source: Buffer, start: number, end: number) => void | Promise<void>;

/** A chunk of any size with what surrounds it: no part of a full one is read twice. */
const WINDOW_BYTES = SNAPSHOT_CHUNK_BYTES_MAX + CHUNK_HEADER_BYTES + FOOTER_BYTES;

/** A window over one snapshot after the other; reads so many bytes at once, if it can. */
export function snapshotWindow(fs: FileReader, windowBytes = WINDOW_BYTES): FileWindow {
  return new FileWindow(fs, windowBytes, (damage, cause) => corrupt(KIND, damage, cause));
}

/**
 * Reads a snapshot chunk by chunk and returns what its header says. The state is good only if this
 * returns.
 */
export async function readSnapshot(
  fs: FileReader,
  path: string,
  visit: VisitChunk,
  window = snapshotWindow(fs),
): Promise<SnapshotInfo> {
  try {
    await window.open(path);
    const info = readHeader(window);
    checkName(path, info);
    await readChunks(window, visit, true);
    return info;
  } finally {
    await window.close();
  }
}

/**
 * Reads a snapshot whose header or end may be damaged. Its chunks are checked as ever; whether they
 * are all of them, the last one has to say.
 */
export async function readDamagedSnapshot(
  fs: FileReader,
  path: string,
  visit: VisitChunk,
): Promise<void> {
  // Reads nothing that is not needed: the disk may not give it.
  const window = snapshotWindow(fs, HEADER_BYTES);
  try {
    await window.open(path);
    const info = wholeHeader(window);
    if (info !== undefined) checkName(path, info);
    await readChunks(window, visit, false);
  } finally {
    await window.close();
  }
}

/** A whole file of another vnode or sequence is not the one that is named. */
function checkName(path: string, info: SnapshotInfo): void {
  if (path.endsWith(`/${snapshotName(info)}`)) return;
  throw damaged(path, 0, `it is ${snapshotName(info)} under another name`);
}

async function readChunks(
  window: FileWindow,
  visit: VisitChunk,
  isEndNeeded: boolean,
): Promise<void> {
  const { path } = window;
  const chunkBytesMax = Math.min(window.length, SNAPSHOT_CHUNK_BYTES_MAX);
  await window.show(0, HEADER_BYTES);
  let total = checksum(window.bytes.subarray(0, HEADER_BYTES));
  let position = HEADER_BYTES;
  let payloadBytes = 0;
  for (let chunks = 0; ; chunks++) {
    await window.show(position, FOOTER_BYTES);
    const have = window.end - position;
    const header = position - window.start;
    if (have < CHUNK_HEADER_BYTES || readU32(window.bytes, header) !== CHUNK_MAGIC) {
      const isWhole = isFooter(window, position, { chunks, payloadBytes, total });
      if (!isWhole && isEndNeeded) throw damaged(path, position, "its end is damaged or missing");
      return;
    }
    const length = readU32(window.bytes, header + 8);
    const expected = readU32(window.bytes, header + 12);
    const fits = length > 0 && length <= chunkBytesMax;
    if (!fits || readU32(window.bytes, header + 4) !== chunks) {
      throw damaged(path, position, "a chunk's header is damaged");
    }
    total = checksum(window.bytes.subarray(header, header + CHUNK_HEADER_BYTES), total);
    position += CHUNK_HEADER_BYTES;
    await window.show(position, length);
    const from = position - window.start;
    const isThere = window.end - position >= length;
    if (!isThere || checksum(window.bytes.subarray(from, from + length)) !== expected) {
      throw damaged(path, position, "a chunk's checksum does not match");
    }
    await visit(window.bytes, from, from + length);
    position += length;
    payloadBytes += length;
  }
}

interface Totals {
  readonly chunks: number;
  readonly payloadBytes: number;
  readonly total: number;
}

/** Whether the file ends here, with a footer that says the same. */
function isFooter(window: FileWindow, position: number, totals: Totals): boolean {
  const at = position - window.start;
  const footer = window.bytes.subarray(at, Math.min(at + FOOTER_BYTES, window.end - window.start));
  return (
    footer.length === FOOTER_BYTES &&
    position + FOOTER_BYTES === window.length &&
    readU32(footer, 0) === FOOTER_MAGIC &&
    readU32(footer, FOOTER_BYTES - 4) === checksum(footer.subarray(0, FOOTER_BYTES - 4)) &&
    readU32(footer, 4) === totals.chunks &&
    readU64(footer, 8) === totals.payloadBytes &&
    readU32(footer, 16) === totals.total
  );
}

function wholeHeader(window: FileWindow): SnapshotInfo | undefined {
  try {
    return readHeader(window);
  } catch {
    return undefined;
  }
}

function readHeader({ bytes: buffer, end, path }: FileWindow): SnapshotInfo {
  if (end < HEADER_BYTES || readU32(buffer, 0) !== FILE_MAGIC) {
    throw damaged(path, 0, "it is not a snapshot");
  }
  const format = readU16(buffer, 4);
  if (format !== SNAPSHOT_FORMAT) {
    throw unknownFormat(path, format, SNAPSHOT_FORMAT);
  }
  if (readU32(buffer, HEADER_BYTES - 4) !== checksum(buffer.subarray(0, HEADER_BYTES - 4))) {
    throw damaged(path, 0, "its header is damaged");
  }
  return {
    vnodeId: readU32(buffer, 8),
    sequence: readU64(buffer, 16),
    createdMs: readU64(buffer, 24),
  };
}

function damaged(path: string, offset: number, what: string): CoterieError {
  return corrupt(KIND, { path, offset, what });
}
