/**
 * Container for one vnode's state at one sequence: checked chunks of bytes that only the vnode
 * understands. Format: docs/formats/snapshot.md.
 *
 * Invariant: a file with a snapshot's name is whole (temporary name, sync, rename, folder sync),
 * so anything wrong in it is damage: CORRUPT with file and offset, and nothing of it is used.
 */
import { assert } from "../base/assert.ts";
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from "../base/bytes.ts";
import type { CoterieError } from "../base/errors.ts";
import { checksum } from "../base/hash.ts";
import { corrupt, unknownFormat } from "./damage.ts";
import {
  diskError,
  type File,
  type FileReader,
  type FileSystem,
  type ReadFile,
  synced,
  systemCode,
  TEMPORARY_SUFFIX,
} from "./files.ts";

export const SNAPSHOT_FORMAT = 1;
// limits:
/** Largest chunk: one read, one check, one turn of a restore. */
export const SNAPSHOT_CHUNK_BYTES_MAX = 1024 * 1024;

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
  #position = HEADER_BYTES;
  #chunks = 0;
  #payloadBytes = 0;
  /** Runs over the chunk headers, which hold the payloads' checksums. */
  #total = 0;

  private constructor(fs: FileSystem, folder: string, name: string, file: File) {
    this.#fs = fs;
    this.#folder = folder;
    this.name = name;
    this.#file = file;
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

  /** Makes it durable under its name. The manifest may name it from now on. */
  async finish(): Promise<{ readonly name: string; readonly bytes: number }> {
    const footer = Buffer.alloc(FOOTER_BYTES);
    writeU32(footer, 0, FOOTER_MAGIC);
    writeU32(footer, 4, this.#chunks);
    writeU64(footer, 8, this.#payloadBytes);
    writeU32(footer, 16, this.#total);
    writeU32(footer, FOOTER_BYTES - 4, checksum(footer.subarray(0, FOOTER_BYTES - 4)));
    await this.#write(footer, 0, FOOTER_BYTES);
    try {
      await synced(this.#file);
      await this.#file.close();
      await this.#fs.rename(this.#file.path, `${this.#folder}/${this.name}`);
      await this.#fs.syncFolder(this.#folder);
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
    await this.#file.write(header, 0, HEADER_BYTES, 0);
  }

  async #write(source: Buffer, start: number, length: number): Promise<void> {
    try {
      await this.#file.write(source, start, length, this.#position);
    } catch (error) {
      await this.abort();
      throw diskError(error, "write the snapshot", this.#file.path);
    }
    this.#position += length;
  }
}

/** Takes a checked chunk, source[start, end); the bytes are its own only during the call. */
export type VisitChunk = (source: Buffer, start: number, end: number) => void | Promise<void>;

/** Where chunks are read to: for one snapshot at a time, one after the other. */
export class SnapshotMemory {
  #bytes = Buffer.alloc(0);

  /** At least so many bytes. */
  take(bytes: number): Buffer {
    if (this.#bytes.length < bytes) this.#bytes = Buffer.allocUnsafeSlow(bytes);
    return this.#bytes;
  }
}

/**
 * Reads a snapshot chunk by chunk and returns what its header says. The state is good only if this
 * returns.
 */
export function readSnapshot(
  fs: FileReader,
  path: string,
  visit: VisitChunk,
  memory = new SnapshotMemory(),
): Promise<SnapshotInfo> {
  return withFile(fs, path, async (file) => {
    const info = await readHeader(file);
    checkName(path, info);
    await readChunks(file, visit, { memory, isEndNeeded: true });
    return info;
  });
}

/**
 * Reads a snapshot whose header or end may be damaged. Its chunks are checked as ever; whether they
 * are all of them, the last one has to say.
 */
export function readDamagedSnapshot(
  fs: FileReader,
  path: string,
  visit: VisitChunk,
): Promise<void> {
  return withFile(fs, path, async (file) => {
    const info = await readHeader(file).catch(() => undefined);
    if (info !== undefined) checkName(path, info);
    await readChunks(file, visit, { memory: new SnapshotMemory(), isEndNeeded: false });
  });
}

/** A whole file of another vnode or sequence is not the one that is named. */
function checkName(path: string, info: SnapshotInfo): void {
  if (path.endsWith(`/${snapshotName(info)}`)) return;
  throw damaged(path, 0, `it is ${snapshotName(info)} under another name`);
}

async function withFile<T>(
  fs: FileReader,
  path: string,
  run: (file: ReadFile) => Promise<T>,
): Promise<T> {
  let file: ReadFile;
  try {
    file = await fs.open(path, "read");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw unread(path, 0, error);
    throw damaged(path, 0, "the file is missing", error);
  }
  try {
    return await run(file);
  } finally {
    await file.close();
  }
}

async function readChunks(
  file: ReadFile,
  visit: VisitChunk,
  { memory, isEndNeeded }: { memory: SnapshotMemory; isEndNeeded: boolean },
): Promise<void> {
  const fileBytes = await file.size();
  const chunkBytesMax = Math.min(fileBytes, SNAPSHOT_CHUNK_BYTES_MAX);
  const buffer = memory.take(chunkBytesMax + CHUNK_HEADER_BYTES + FOOTER_BYTES);
  await read(file, buffer, HEADER_BYTES, 0);
  let total = checksum(buffer.subarray(0, HEADER_BYTES));
  let position = HEADER_BYTES;
  let chunks = 0;
  let payloadBytes = 0;
  // Each read brings a payload and the header that follows it.
  let have = await read(file, buffer, FOOTER_BYTES, position);
  while (have >= CHUNK_HEADER_BYTES && readU32(buffer, 0) === CHUNK_MAGIC) {
    const length = readU32(buffer, 8);
    const expected = readU32(buffer, 12);
    const fits = length > 0 && length <= chunkBytesMax;
    if (!fits || readU32(buffer, 4) !== chunks) {
      throw damaged(file.path, position, "a chunk's header is damaged");
    }
    total = checksum(buffer.subarray(0, CHUNK_HEADER_BYTES), total);
    const start = position + CHUNK_HEADER_BYTES;
    have = (await read(file, buffer, length + FOOTER_BYTES, start)) - length;
    if (have < 0 || checksum(buffer.subarray(0, length)) !== expected) {
      throw damaged(file.path, start, "a chunk's checksum does not match");
    }
    await visit(buffer, 0, length);
    buffer.copy(buffer, 0, length, length + have);
    position = start + length;
    payloadBytes += length;
    chunks++;
  }
  const whole =
    have === FOOTER_BYTES &&
    position + FOOTER_BYTES === fileBytes &&
    readU32(buffer, 0) === FOOTER_MAGIC &&
    readU32(buffer, FOOTER_BYTES - 4) === checksum(buffer.subarray(0, FOOTER_BYTES - 4)) &&
    readU32(buffer, 4) === chunks &&
    readU64(buffer, 8) === payloadBytes &&
    readU32(buffer, 16) === total;
  if (!whole && isEndNeeded) throw damaged(file.path, position, "its end is damaged or missing");
}

async function readHeader(file: ReadFile): Promise<SnapshotInfo> {
  const buffer = Buffer.alloc(HEADER_BYTES);
  const have = await read(file, buffer, HEADER_BYTES, 0);
  if (have < HEADER_BYTES || readU32(buffer, 0) !== FILE_MAGIC) {
    throw damaged(file.path, 0, "it is not a snapshot");
  }
  const format = readU16(buffer, 4);
  if (format !== SNAPSHOT_FORMAT) {
    throw unknownFormat(file.path, format, SNAPSHOT_FORMAT);
  }
  if (readU32(buffer, HEADER_BYTES - 4) !== checksum(buffer.subarray(0, HEADER_BYTES - 4))) {
    throw damaged(file.path, 0, "its header is damaged");
  }
  return {
    vnodeId: readU32(buffer, 8),
    sequence: readU64(buffer, 16),
    createdMs: readU64(buffer, 24),
  };
}

async function read(file: ReadFile, buffer: Buffer, length: number, at: number): Promise<number> {
  try {
    return await file.read(buffer, 0, length, at);
  } catch (error) {
    throw unread(file.path, at, error);
  }
}

/** A call that failed is damage only if the disk says so: too many open files are not. */
function unread(path: string, at: number, error: unknown): CoterieError {
  if (systemCode(error) !== "EIO") return diskError(error, "read", path);
  return damaged(path, at, "the disk does not give its bytes", error);
}

function damaged(path: string, offset: number, what: string, cause?: unknown): CoterieError {
  return corrupt("the snapshot", { path, offset, what }, cause);
}
