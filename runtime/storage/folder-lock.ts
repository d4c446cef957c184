/**
 * One process a data folder. First an exclusive socket named by the folder's real path, which changes
 * nothing in a folder that may be somebody else's; then, in a folder that is known to be ours, a
 * locked file, which also holds against containers that have it as a volume. The system lets go of
 * both with the process, however that ends.
 *
 * Node has no call that locks a file; SQLite, which comes with it, locks its databases (fcntl on
 * Unix). So the file is an empty database in a transaction that never writes.
 *
 * Invariant: of all processes on one machine at most one holds the lock whole. Whoever else in this
 * process opens and closes the file drops its lock (POSIX): nobody does.
 */
import { createHash } from "node:crypto";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import type { DatabaseSync } from "node:sqlite";
import { systemCode, systemFiles } from "./files.ts";

export const LOCK_NAME = "owner.lock";

export interface FolderLock {
  /**
   * Holds it by a file in the folder, too; false if a process has that which sees the folder under
   * another path, or in another network namespace.
   */
  holdFile(): boolean;
  release(): Promise<void>;
}

/** Takes the lock of a folder; undefined if another process (or caller) has it. */
export type TakeFolderLock = (realPath: string) => Promise<FolderLock | undefined>;

/** The machine's lock. */
export const systemFolderLock: TakeFolderLock = async (realPath) => {
  const name = `coterie-${createHash("sha256").update(realPath).digest("hex").slice(0, 32)}`;
  switch (process.platform) {
    case "linux":
      return listen(realPath, `\0${name}`); // an abstract socket: no file to be left behind
    case "win32":
      return listen(realPath, `\\\\.\\pipe\\${name}`);
    default:
      return listenAtFile(realPath, `${tmpdir()}/${name}.sock`);
  }
};

/** A lock for simulated folders. */
export function memoryFolderLock(): TakeFolderLock {
  const held = new Set<string>();
  return async (realPath) => {
    if (held.has(realPath)) return undefined;
    held.add(realPath);
    return { holdFile: () => true, release: async () => void held.delete(realPath) };
  };
}

async function listen(folder: string, path: string): Promise<FolderLock | undefined> {
  const server = createServer((socket) => socket.destroy());
  const taken = await new Promise<boolean>((resolve, reject) => {
    server.once("error", (error) => {
      if (systemCode(error) === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen({ path, exclusive: true }, () => resolve(true));
  });
  if (!taken) return undefined;
  server.unref();
  return new SocketLock(folder, server);
}

class SocketLock implements FolderLock {
  readonly #folder: string;
  readonly #server: Server;
  #file: DatabaseSync | undefined;

  constructor(folder: string, server: Server) {
    this.#folder = folder;
    this.#server = server;
  }

  holdFile(): boolean {
    // Not an import: an older Node would end an application before anybody could say why.
    const sqlite = process.getBuiltinModule("node:sqlite");
    const file = new sqlite.DatabaseSync(`${this.#folder}/${LOCK_NAME}`, { timeout: 0 });
    try {
      // No journal file beside it.
      file.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    } catch (error) {
      file.close();
      if (isBusy(error)) return false;
      throw error;
    }
    this.#file = file;
    return true;
  }

  async release(): Promise<void> {
    this.#file?.close();
    this.#file = undefined;
    await close(this.#server);
  }
}

/** SQLITE_BUSY. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === 5;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** A socket file outlives a killed process: one that nobody answers at is taken over. */
async function listenAtFile(folder: string, path: string): Promise<FolderLock | undefined> {
  const lock = await listen(folder, path);
  if (lock !== undefined || (await answers(path))) return lock;
  await systemFiles.remove(path);
  return listen(folder, path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
