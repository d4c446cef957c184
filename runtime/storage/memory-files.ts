/**
 * Simulated files: the same interface as files.ts, on a disk that can be hurt. Deterministic: the
 * same calls with the same random numbers leave the same bytes.
 *
 * Invariant: only what a sync covered is sure to survive `crash`: of every other 512-byte sector
 * any version since the last sync may be found, of names any part of what was not synced with the
 * folder. `kill` (the process ends, the machine goes on) loses nothing but stays unsynced.
 */
import type { Timers } from "../base/clock.ts";
import { below, type Random } from "../base/prng.ts";
import type { File, FileSystem } from "./files.ts";
import { MemoryInode } from "./memory-inode.ts";

export type OperationKind =
  | "write"
  | "sync"
  | "synced"
  | "create"
  | "rename"
  | "remove"
  | "truncate"
  | "syncFolder"
  | "read";

/** One call, before it happens. Reads are not counted, so `index` numbers what changes the disk. */
export interface Operation {
  readonly kind: OperationKind;
  readonly path: string;
  readonly index: number;
}

export interface MemoryDiskOptions {
  readonly random: Random;
  /** Bytes of all files together; writes beyond it fail with ENOSPC after what still fits. */
  readonly capacityBytes?: number;
  /** When a call on the pool returns. Default: a microtask later. */
  readonly schedule?: (run: () => void) => void;
  /** Delays each sync by `syncDelayMs`. */
  readonly timers?: Timers;
}

/** Who uses the disk, until it ends. */
interface Run {
  isOver: boolean;
}

interface NameChange {
  readonly folder: string;
  apply(names: Map<string, MemoryInode>): void;
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${path}`), { code });
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

export class MemoryDisk {
  /** Fails a call with the code that it returns ("EIO", "ENOSPC", "EROFS", …). */
  fault: (operation: Operation) => string | undefined = () => undefined;
  /** The power fails at the operation of this index: it and all after it never return well. */
  crashAt = Number.POSITIVE_INFINITY;
  capacityBytes: number;
  syncDelayMs = 0;
  /** Operations so far. */
  operations = 0;
  /** The machine is off until `crash` (or `kill`) starts it again. */
  off = false;

  readonly #random: Random;
  readonly #schedule: (run: () => void) => void;
  readonly #timers: Timers | undefined;
  /** Those that are not over. */
  readonly #runs = new Map<FileSystem, Run>();
  #names = new Map<string, MemoryInode>();
  #durableNames = new Map<string, MemoryInode>();
  #changes: NameChange[] = [];
  readonly #folders = new Set<string>();

  constructor(options: MemoryDiskOptions) {
    this.#random = options.random;
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
    this.#schedule = options.schedule ?? queueMicrotask;
    this.#timers = options.timers;
  }

  /** A file system for one run of the process: calls through an earlier one fail for ever. */
  mount(): FileSystem {
    const run: Run = { isOver: false };
    const fs = this.#mount(run);
    this.#runs.set(fs, run);
    return fs;
  }

  /** One of several that use the disk ends alone, as a thread does. */
  unmount(fs: FileSystem): void {
    const run = this.#runs.get(fs);
    if (run !== undefined) run.isOver = true;
    this.#runs.delete(fs);
  }

  #mount(run: Run): FileSystem {
    const call = <T>(kind: OperationKind, path: string, act: () => T): Promise<T> =>
      this.#pool(run, () => {
        this.#enter(run, kind, path);
        return act();
      });
    return {
      open: (path) => call("read", path, () => this.#file(run, path, this.#find(path))),
      create: (path, mode) =>
        call("create", path, () => {
          if (mode === "new" && this.#names.has(path)) throw failure("EEXIST", path);
          return this.#create(run, path);
        }),
      rename: (from, to) =>
        call("rename", to, () => {
          const inode = this.#find(from);
          this.#change(folderOf(to), (names) => {
            names.set(to, inode);
            if (names.get(from) === inode) names.delete(from);
          });
        }),
      remove: (path) =>
        call("remove", path, () => {
          const inode = this.#names.get(path);
          if (inode === undefined) return;
          this.#change(folderOf(path), (names) => {
            if (names.get(path) === inode) names.delete(path);
          });
        }),
      list: (folder) => call("read", folder, () => this.#list(folder)),
      makeFolder: (path) => call("create", path, () => void this.#folders.add(path)),
      syncFolder: (path) => call("syncFolder", path, () => this.#syncFolder(path)),
      size: (path) => call("read", path, () => this.#find(path).contents().length),
      readWhole: (path) => call("read", path, () => this.#find(path).contents()),
      freeBytes: (path) =>
        call("read", path, () => Math.max(0, this.capacityBytes - this.usedBytes)),
      realPath: (path) => call("read", path, () => path),
    };
  }

  /** The power fails and comes back: unsynced sectors and names survive by chance. */
  crash(): void {
    this.#restart();
    const prefix = below(this.#random, 2) === 0;
    const kept = below(this.#random, this.#changes.length + 1);
    this.#changes.forEach((change, i) => {
      const survives = prefix ? i < kept : below(this.#random, 2) === 0;
      if (survives) change.apply(this.#durableNames);
    });
    this.#changes = [];
    this.#names = new Map(this.#durableNames);
    for (const inode of new Set(this.#names.values())) inode.crash(this.#random);
  }

  /** The process dies and another may start: everything written is still there, unsynced. */
  kill(): void {
    this.#restart();
  }

  /** Flips one bit of what is on the disk (and read back). */
  flip(path: string, offset: number, bit: number): void {
    this.#find(path).flip(offset, bit);
  }

  /** The bytes as a reader sees them. */
  peek(path: string): Buffer {
    return this.#find(path).contents();
  }

  /** Puts a durable file there, as if it had always been. */
  put(path: string, bytes: Buffer): void {
    const inode = new MemoryInode();
    inode.write(bytes, 0, bytes.length, 0);
    inode.settle(inode.stamp);
    this.#folders.add(folderOf(path));
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  /** Removes a file for good, as an operator's mistake would. */
  lose(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  /** Full names of all files. */
  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  get usedBytes(): number {
    let used = 0;
    for (const inode of new Set(this.#names.values())) used += inode.size;
    return used;
  }

  #restart(): void {
    for (const fs of [...this.#runs.keys()]) this.unmount(fs);
    this.off = false;
    this.crashAt = Number.POSITIVE_INFINITY;
  }

  /** Counts the operation and lets it fail. */
  #enter(run: Run, kind: OperationKind, path: string): void {
    if (run.isOver || this.off) throw failure("EPOWER", path);
    const index = kind === "read" ? this.operations : this.operations++;
    if (kind !== "read" && index >= this.crashAt) {
      this.off = true;
      throw failure("EPOWER", path);
    }
    const code = this.fault({ kind, path, index });
    if (code !== undefined) throw failure(code, path);
  }

  /** Runs a call as the pool does: its effect now, its result later, never after a restart. */
  #pool<T>(run: Run, act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let finish: () => void;
      try {
        const result = act();
        finish = () => resolve(result);
      } catch (error) {
        finish = () => reject(error);
      }
      this.#schedule(() => {
        if (!run.isOver) finish();
        else reject(failure("EPOWER", "a file of an earlier run"));
      });
    });
  }

  #find(path: string): MemoryInode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw failure("ENOENT", path);
    return inode;
  }

  #list(folder: string): string[] {
    if (!this.#folders.has(folder)) throw failure("ENOENT", folder);
    const names = [...this.#names.keys()].filter((path) => folderOf(path) === folder);
    return names.map((path) => path.slice(folder.length + 1)).sort();
  }

  #create(run: Run, path: string): File {
    if (!this.#folders.has(folderOf(path))) throw failure("ENOENT", path);
    const inode = new MemoryInode();
    this.#change(folderOf(path), (names) => void names.set(path, inode));
    return this.#file(run, path, inode);
  }

  #change(folder: string, apply: (names: Map<string, MemoryInode>) => void): void {
    apply(this.#names);
    this.#changes.push({ folder, apply });
  }

  #syncFolder(folder: string): void {
    for (const change of this.#changes) {
      if (change.folder === folder) change.apply(this.#durableNames);
    }
    this.#changes = this.#changes.filter((change) => change.folder !== folder);
  }

  #write(
    run: Run,
    path: string,
    inode: MemoryInode,
    source: Buffer,
    { start, length, position }: { start: number; length: number; position: number },
  ): void {
    const isPossible = !run.isOver && !this.off;
    try {
      this.#enter(run, "write", path);
    } catch (error) {
      // Part of a write that fails may have happened.
      const part = isPossible ? below(this.#random, length + 1) : 0;
      if (part > 0 && position + part <= inode.size) inode.write(source, start, part, position);
      throw error;
    }
    const growth = Math.max(0, position + length - inode.size);
    const free = growth === 0 ? 0 : Math.max(0, this.capacityBytes - this.usedBytes);
    if (growth > free) {
      const part = Math.max(0, length - (growth - free));
      if (part > 0) inode.write(source, start, part, position);
      throw failure("ENOSPC", path);
    }
    inode.write(source, start, length, position);
  }

  #sync(
    run: Run,
    path: string,
    inode: MemoryInode,
    done: (error: Error | undefined) => void,
  ): void {
    const through = inode.stamp;
    let failed: Error | undefined;
    try {
      this.#enter(run, "sync", path);
    } catch (error) {
      failed = error as Error;
      if (!run.isOver && !this.off) inode.loseDirty(through, this.#random);
    }
    const finish = (): void => {
      if (run.isOver) failed ??= failure("EPOWER", path);
      if (failed === undefined) {
        try {
          this.#enter(run, "synced", path);
          inode.settle(through);
        } catch (error) {
          failed = error as Error;
          if (!this.off) inode.loseDirty(through, this.#random);
        }
      }
      done(failed);
    };
    if (this.syncDelayMs > 0 && this.#timers !== undefined) {
      this.#timers.after(this.syncDelayMs, finish);
    } else {
      this.#schedule(finish);
    }
  }

  #file(run: Run, path: string, inode: MemoryInode): File {
    let open = true;
    const enter = (): void => {
      if (!open) throw failure("EBADF", path);
    };
    return {
      path,
      writeSync: (source, start, length, position) => {
        enter();
        this.#write(run, path, inode, source, { start, length, position });
      },
      write: (source, start, length, position) =>
        this.#pool(run, () => {
          enter();
          this.#write(run, path, inode, source, { start, length, position });
        }),
      sync: (done) => {
        enter();
        this.#sync(run, path, inode, done);
      },
      read: (target, start, length, position) =>
        this.#pool(run, () => {
          enter();
          this.#enter(run, "read", path);
          return inode.read(target, start, length, position);
        }),
      truncate: (bytes) =>
        this.#pool(run, () => {
          enter();
          this.#enter(run, "truncate", path);
          inode.truncate(bytes);
        }),
      isInPlace: () => this.#pool(run, () => this.#names.get(path) === inode).catch(() => true),
      size: () => this.#pool(run, () => inode.size),
      close: () => {
        open = false;
        return Promise.resolve();
      },
    };
  }
}
