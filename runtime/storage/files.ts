/**
 * Files as an argument: the only code that imports node:fs, behind an interface that
 * memory-files.ts simulates.
 *
 * Invariant: nothing here promises durability but `sync` (the bytes of one file) and `syncFolder`
 * (names created, renamed or removed in one folder). A failed `sync` is never repeated: after it
 * the kernel may have dropped the dirty pages and report success for bytes that are lost.
 */
import * as nodeFs from "node:fs";
import * as nodePath from "node:path";
import { CoterieError, type ErrorCode } from "../base/errors.ts";

/** One open file that is read. Positions are absolute; there is no cursor. */
export interface ReadFile {
  readonly path: string;
  /** Reads up to `length` bytes; fewer only at the end of the file. */
  read(target: Buffer, start: number, length: number, position: number): Promise<number>;
  size(): Promise<number>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** One open file. */
export interface File extends ReadFile {
  /** Writes all of it now, on this thread; throws on the first error (part may be written). */
  writeSync(source: Buffer, start: number, length: number, position: number): void;
  /** Writes all of it on the pool: for what no turn waits for. */
  write(source: Buffer, start: number, length: number, position: number): Promise<void>;
  /** Makes what was written before this call durable (fdatasync on the pool). */
  sync(done: (error: Error | undefined) => void): void;
  truncate(bytes: number): Promise<void>;
  /** False: its path leads to another file by now, or to none. A disk that does not say is no proof. */
  isInPlace(): Promise<boolean>;
}

/** Opens files to read. */
export interface FileReader {
  open(path: string, mode: "read"): Promise<ReadFile>;
}

/** What a node needs from a file system. Paths use "/"; errors carry the system's `code`. */
export interface FileSystem {
  /** Opens what exists: "read" works on a read-only disk. */
  open(path: string, mode: "read" | "write"): Promise<File>;
  /**
   * Makes an empty file; what had the name is replaced, or with "new" an error (EEXIST). Its name
   * lasts after `syncFolder`.
   */
  create(path: string, mode: "new" | "replace"): Promise<File>;
  /** Replaces `to` atomically. Lasts after `syncFolder`. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; one that is not there is fine. */
  remove(path: string): Promise<void>;
  /** Names in the folder, sorted by UTF-16 code units. */
  list(folder: string): Promise<string[]>;
  /** Makes the folder and its parents; one that exists is fine. */
  makeFolder(path: string): Promise<void>;
  syncFolder(path: string): Promise<void>;
  /** Bytes of a file. */
  size(path: string): Promise<number>;
  readWhole(path: string): Promise<Buffer>;
  /** Bytes that files may still take on a folder's disk; a quota may leave less. */
  freeBytes(folder: string): Promise<number>;
  /** The one name of a folder, whatever links lead to it. */
  realPath(path: string): Promise<string>;
}

/** `sync` as a promise, for everything that is not the journal's commit. */
export function synced(file: File): Promise<void> {
  return new Promise((resolve, reject) => {
    file.sync((error) => (error === undefined ? resolve() : reject(error)));
  });
}

/** The system's code of a failed call ("ENOSPC", "EIO", …), if it has one. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The same of what caused an error, if something did. */
export function causeCode(error: unknown): string | undefined {
  return systemCode(error instanceof Error && error.cause !== undefined ? error.cause : error);
}

/** What a write says on a full disk, of one that is not tried. */
export function noRoom(bytes: number): Error {
  return Object.assign(new Error(`no room for ${bytes} bytes`), { code: "ENOSPC" });
}

/** Whether the disk, or the user's share of it, has no room left. */
export function isDiskFull(error: unknown): boolean {
  const code = systemCode(error);
  return code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG" || code === "DISK_FULL";
}

/** To catch with where a full disk is no failure. */
export function unlessDiskFull(error: unknown): void {
  if (!isDiskFull(error)) throw error;
}

/** Turns a failed file call into the operating error that says what to do. */
export function diskError(error: unknown, doing: string, path: string): CoterieError {
  if (error instanceof CoterieError) return error;
  const code = systemCode(error) ?? "unknown error";
  const detail = { path, systemCode: code };
  const failed = (kind: ErrorCode, advice: string): CoterieError =>
    new CoterieError(kind, `cannot ${doing} ${path} (${code}): ${advice}`, {
      detail,
      cause: error,
    });
  if (isDiskFull(error)) {
    const advice = "the disk is full; free some space: a node that runs resumes by itself";
    return failed("DISK_FULL", advice);
  }
  switch (code) {
    case "EROFS":
      return failed("DISK_READ_ONLY", "the disk is read-only; mount it writable and start again");
    case "EACCES":
    case "EPERM":
    case "ENOTDIR":
    case "ELOOP":
      return failed("DATA_FOLDER_UNREADABLE", "give this user the right to read and write it");
    case "ENOENT":
      return failed("DATA_FOLDER_UNREADABLE", "it is not there: was the data folder moved away?");
    case "EISDIR":
      return failed("DATA_FOLDER_UNREADABLE", "a folder is in the file's place; move it away");
    case "ENAMETOOLONG": {
      const advice = "its name is too long for the system; choose a shorter one with --data";
      return failed("DATA_FOLDER_UNREADABLE", advice);
    }
    default:
      return failed("DISK_FAILED", "look at the system's log and check the disk");
  }
}

/** A file that a running node writes was removed or renamed, or its folder was. */
export function displaced(path: string): CoterieError {
  return new CoterieError(
    "DATA_FOLDER_FOREIGN",
    `${path} is not in its place any more: the data folder, or what is in it, was removed, renamed ` +
      "or replaced while the node ran, and what is written now would be lost with the process. Put " +
      "it back, or restore a backup, and start again",
    { detail: { path } },
  );
}

/** Most bytes in one system call: Linux stops at 2 GiB - 4 KiB. */
const CALL_BYTES_MAX = 1 << 30;

class NodeFile implements File {
  readonly path: string;
  #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  writeSync(source: Buffer, start: number, length: number, position: number): void {
    let done = 0;
    while (done < length) {
      const wanted = Math.min(length - done, CALL_BYTES_MAX);
      const written = nodeFs.writeSync(this.#fd, source, start + done, wanted, position + done);
      if (written === 0) throw shortWrite(this.path);
      done += written;
    }
  }

  write(source: Buffer, start: number, length: number, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const step = (error: Error | null, written: number): void => {
        done += written;
        if (error !== null) reject(error);
        else if (done === length) resolve();
        else if (written === 0) reject(shortWrite(this.path));
        else next();
      };
      const next = (): void => {
        const wanted = Math.min(length - done, CALL_BYTES_MAX);
        nodeFs.write(this.#fd, source, start + done, wanted, position + done, step);
      };
      if (length === 0) resolve();
      else next();
    });
  }

  sync(done: (error: Error | undefined) => void): void {
    nodeFs.fdatasync(this.#fd, (error) => done(error ?? undefined));
  }

  read(target: Buffer, start: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const step = (error: Error | null, count: number): void => {
        done += count;
        if (error !== null) reject(error);
        else if (count === 0 || done === length) resolve(done);
        else next();
      };
      const next = (): void => {
        const wanted = Math.min(length - done, CALL_BYTES_MAX);
        nodeFs.read(this.#fd, target, start + done, wanted, position + done, step);
      };
      if (length === 0) resolve(0);
      else next();
    });
  }

  truncate(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      nodeFs.ftruncate(this.#fd, bytes, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  isInPlace(): Promise<boolean> {
    return new Promise((resolve) => {
      nodeFs.stat(this.path, { bigint: true }, (error, there) => {
        // Another error says nothing of where the file is.
        if (error) resolve(!["ENOENT", "ENOTDIR"].includes(error.code ?? ""));
        else if (this.#fd === -1) resolve(true);
        else {
          nodeFs.fstat(this.#fd, { bigint: true }, (failed, here) => {
            resolve(failed !== null || (there.ino === here.ino && there.dev === here.dev));
          });
        }
      });
    });
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      nodeFs.fstat(this.#fd, (error, stats) => (error ? reject(error) : resolve(stats.size)));
    });
  }

  close(): Promise<void> {
    const fd = this.#fd;
    if (fd === -1) return Promise.resolve();
    this.#fd = -1;
    return new Promise((resolve, reject) => {
      nodeFs.close(fd, (error) => (error ? reject(error) : resolve()));
    });
  }
}

function shortWrite(path: string): Error {
  return Object.assign(new Error(`nothing was written to ${path}`), { code: "EIO" });
}

async function openNode(path: string, flags: string | number): Promise<File> {
  const fd = await new Promise<number>((resolve, reject) => {
    nodeFs.open(path, flags, 0o640, (error, opened) => (error ? reject(error) : resolve(opened)));
  });
  return new NodeFile(path, fd);
}

/**
 * One folder after the other: Node's own recursive mkdir tries for ever where a folder that exists
 * says of a new one in it that it does not (/proc).
 */
async function makeFolders(path: string): Promise<void> {
  const missing: string[] = [];
  for (let at = nodePath.resolve(path); ; at = nodePath.dirname(at)) {
    const stats = await nodeFs.promises.stat(at).catch((error: unknown) => {
      if (systemCode(error) === "ENOENT") return undefined;
      throw error;
    });
    if (stats?.isDirectory()) break;
    if (stats !== undefined) throw Object.assign(new Error(`${at} is a file`), { code: "ENOTDIR" });
    missing.unshift(at);
  }
  for (const folder of missing) {
    await nodeFs.promises.mkdir(folder, { mode: 0o750 }).catch((error: unknown) => {
      if (systemCode(error) !== "EEXIST") throw error; // somebody else was faster
    });
  }
}

/** Bytes that are read at once past the page cache: whole pages of WebAssembly memory (64 KB). */
const WINDOW_PAGES = 16;
/** Places and lengths of such reads are multiples of this on every disk. */
const BLOCK_BYTES = 4096;

/** WebAssembly.Memory: of a standard that our types leave out. */
const PagedMemory = (
  globalThis as unknown as {
    WebAssembly: { Memory: new (size: { initial: number }) => { buffer: ArrayBuffer } };
  }
).WebAssembly.Memory;

/**
 * Reads past the page cache (O_DIRECT). Such a read needs memory at a whole page, which no Buffer of
 * Node's has but WebAssembly's has; so one window of that goes over the file.
 */
class UncachedFile implements ReadFile {
  readonly path: string;
  #file: ReadFile;
  readonly #window = Buffer.from(new PagedMemory({ initial: WINDOW_PAGES }).buffer);
  #start = 0;
  #length = 0;

  constructor(file: ReadFile) {
    this.path = file.path;
    this.#file = file;
  }

  async read(target: Buffer, start: number, length: number, position: number): Promise<number> {
    let done = 0;
    while (done < length) {
      const at = position + done;
      if (at < this.#start || at >= this.#start + this.#length) await this.#fill(at);
      const offset = at - this.#start;
      if (offset >= this.#length) break;
      const count = Math.min(length - done, this.#length - offset);
      this.#window.copy(target, start + done, offset, offset + count);
      done += count;
    }
    return done;
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #fill(at: number): Promise<void> {
    this.#length = 0;
    this.#start = at - (at % BLOCK_BYTES);
    this.#length = await this.#file.read(this.#window, 0, this.#window.length, this.#start);
  }
}

/**
 * Files as the disk has them, not as the page cache remembers them, where the system can do that:
 * else as `systemFiles`.
 */
export const uncachedFiles: FileReader = {
  async open(path) {
    const { O_RDONLY, O_DIRECT } = nodeFs.constants;
    try {
      // Undefined where the system has no such thing.
      if (O_DIRECT !== undefined)
        return new UncachedFile(await openNode(path, O_RDONLY | O_DIRECT));
    } catch (error) {
      if (systemCode(error) !== "EINVAL") throw error; // a file system that cannot
    }
    return openNode(path, "r");
  },
};

/** The machine's file system. */
export const systemFiles: FileSystem = {
  open: (path, mode) => openNode(path, mode === "read" ? "r" : "r+"),
  create: (path, mode) => openNode(path, mode === "new" ? "wx+" : "w+"),
  rename: (from, to) => nodeFs.promises.rename(from, to),
  async remove(path) {
    await nodeFs.promises.unlink(path).catch((error: unknown) => {
      if (systemCode(error) !== "ENOENT") throw error;
    });
  },
  async list(folder) {
    return (await nodeFs.promises.readdir(folder)).sort();
  },
  makeFolder: makeFolders,
  async syncFolder(path) {
    if (process.platform === "win32") return; // folders cannot be opened there
    const handle = await nodeFs.promises.open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  size: async (path) => (await nodeFs.promises.stat(path)).size,
  readWhole: (path) => nodeFs.promises.readFile(path),
  async freeBytes(folder) {
    const { bavail, bsize } = await nodeFs.promises.statfs(folder);
    return bavail * bsize;
  },
  realPath: (path) => nodeFs.promises.realpath(path),
};
