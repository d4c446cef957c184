/**
 * One process a data folder: an exclusive socket named by the folder's real path (Node has no
 * flock). The system closes it with the process, however that ends.
 *
 * Invariant: of all processes that see the folder under one real path (and, on Linux, share a
 * network namespace) at most one holds the lock.
 */
import { createHash } from "node:crypto";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { systemCode, systemFiles } from "./files.ts";

export interface FolderLock {
  release(): Promise<void>;
}

/** Takes the lock of a folder; undefined if another process (or caller) has it. */
export type TakeFolderLock = (realPath: string) => Promise<FolderLock | undefined>;

/** The machine's lock. */
export const systemFolderLock: TakeFolderLock = async (realPath) => {
  const name = `coterie-${createHash("sha256").update(realPath).digest("hex").slice(0, 32)}`;
  switch (process.platform) {
    case "linux":
      return listen(`\0${name}`); // an abstract socket: no file to be left behind
    case "win32":
      return listen(`\\\\.\\pipe\\${name}`);
    default:
      return listenAtFile(`${tmpdir()}/${name}.sock`);
  }
};

/** A lock for simulated folders. */
export function memoryFolderLock(): TakeFolderLock {
  const held = new Set<string>();
  return async (realPath) => {
    if (held.has(realPath)) return undefined;
    held.add(realPath);
    return { release: async () => void held.delete(realPath) };
  };
}

async function listen(path: string): Promise<FolderLock | undefined> {
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
  return { release: () => close(server) };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** A socket file outlives a killed process: one that nobody answers at is taken over. */
async function listenAtFile(path: string): Promise<FolderLock | undefined> {
  const lock = await listen(path);
  if (lock !== undefined || (await answers(path))) return lock;
  await systemFiles.remove(path);
  return listen(path);
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
