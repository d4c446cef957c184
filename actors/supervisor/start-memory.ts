/**
 * The memory that workers' tables need at their start, touched before they need it. A page costs most
 * when it is touched first: the system zeroes it and enters it in its page tables, 0.3 µs on bare
 * metal, up to 16 µs on a virtual machine with shadow page tables, where that was a third of a start.
 * While the workers start, the main thread has nothing to do: it touches their pages for them.
 *
 * Invariant: a touch changes no byte, also where the worker writes at the same time.
 */
import type { NodeConfig } from "../../runtime/config.ts";
import type { FileSystem } from "../../runtime/storage/files.ts";
import { parseSnapshotName } from "../../runtime/storage/snapshot.ts";
import { SLAB_BYTES_MAX } from "../../runtime/table/slab-pool.ts";
import { ownsVnode } from "../worker/ownership.ts";

// limits:
/** Touched for each worker in one turn: the admin port answers in between. */
const STEP_BYTES = 256 * 1024;
const PAGE_BYTES = 4096;
/** A table takes more than the snapshots that it comes from: 119 bytes a small key for 96. */
const TABLE_BYTES_PER_SNAPSHOT_BYTE = 1.2;
/** And less than the log: 119 bytes a small key for 150. */
const TABLE_BYTES_PER_LOG_BYTE = 0.8;
/** The log may hold overwrites, which take no memory: no more than this part of a table is for it. */
const LOG_SHARE_MAX = 1 / 8;

export interface StartMemoryOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  readonly config: NodeConfig;
  /** Runs what follows in a later turn. */
  readonly later: (run: () => void) => void;
}

/** What one worker needs. */
interface Share {
  readonly slabs: SharedArrayBuffer[];
  /** Bytes of the slabs to be touched, from the first on; so many are. */
  bytes: number;
  touched: number;
  isTaken: boolean;
}

export class StartMemory {
  readonly #later: (run: () => void) => void;
  /** Most bytes that a worker may use. */
  readonly #bytesMax: number;
  /** By worker. */
  #shares: Share[] = [];
  #isTouching = false;

  private constructor({ config, later }: StartMemoryOptions) {
    this.#later = later;
    this.#bytesMax = config.memory.bytesMax / config.workers;
  }

  /**
   * Memory for what the folder's snapshots hold, at most what the memory limit allows. None, if
   * something is wrong: those say so who need it.
   */
  static of(options: StartMemoryOptions): Promise<StartMemory> {
    return StartMemory.#of(options).catch(() => new StartMemory(options));
  }

  static async #of(options: StartMemoryOptions): Promise<StartMemory> {
    const { fs, folder, config } = options;
    const tables = new Array<number>(config.workers).fill(0);
    const looking = (await fs.list(folder)).map(async (name) => {
      const vnodeId = parseSnapshotName(name)?.vnodeId;
      if (vnodeId === undefined) return;
      const size = await fs.size(`${folder}/${name}`);
      const owner = tables.findIndex((_, worker) => ownsVnode({ config, folder }, worker, vnodeId));
      tables[owner] = (tables[owner] as number) + size * TABLE_BYTES_PER_SNAPSHOT_BYTE;
    });
    await Promise.all(looking);
    const made = new StartMemory(options);
    for (const bytes of tables) {
      const share = { slabs: [], bytes: 0, touched: 0, isTaken: false };
      made.#grow(share, bytes);
      made.#shares.push(share);
    }
    return made;
  }

  #grow(share: Share, bytes: number): void {
    share.bytes = Math.min(share.bytes + bytes, this.#bytesMax);
    while (share.slabs.length * SLAB_BYTES_MAX < share.bytes) {
      share.slabs.push(new SharedArrayBuffer(SLAB_BYTES_MAX));
    }
  }

  /**
   * A worker's slabs, with room for its part of `logBytes`; once, since its successor must not find
   * what it has left there.
   */
  take(worker: number, logBytes: number): SharedArrayBuffer[] {
    const share = this.#shares[worker];
    if (share === undefined || share.isTaken) return [];
    share.isTaken = true;
    const forLog = (logBytes / this.#shares.length) * TABLE_BYTES_PER_LOG_BYTE;
    this.#grow(share, Math.min(forLog, share.bytes * LOG_SHARE_MAX));
    this.touch();
    return [...share.slabs];
  }

  /** Touches what the workers will need, from the beginning on, in turns. */
  touch(): void {
    if (!this.#isTouching) this.#touchNext();
  }

  #touchNext(): void {
    for (const share of this.#shares) touchStep(share);
    this.#isTouching = this.#shares.some(({ bytes, touched }) => touched < bytes);
    if (this.#isTouching) this.#later(() => this.#touchNext());
  }

  /** The workers serve, or do not: what is left is theirs to touch. */
  stop(): void {
    this.#shares = [];
  }
}

function touchStep(share: Share): void {
  const slab = share.slabs[Math.floor(share.touched / SLAB_BYTES_MAX)];
  if (slab === undefined) return;
  const pages = new Uint8Array(slab);
  const from = share.touched % SLAB_BYTES_MAX;
  const end = Math.min(from + STEP_BYTES, from + share.bytes - share.touched);
  for (let at = from; at < end; at += PAGE_BYTES) Atomics.or(pages, at, 0);
  share.touched += STEP_BYTES;
}
