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

export interface StartMemoryOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  readonly config: NodeConfig;
  /** Runs what follows in a later turn. */
  readonly later: (run: () => void) => void;
}

export class StartMemory {
  readonly #later: (run: () => void) => void;
  /** By worker, until it has them. */
  readonly #slabs: SharedArrayBuffer[][] = [];
  /** What is to be touched, a step at a time; holds the memory until that is over. */
  #touching: Generator<void>[] = [];

  private constructor(later: (run: () => void) => void) {
    this.#later = later;
  }

  /**
   * Memory for what the folder's snapshots hold, at most what the memory limit allows. None, if
   * something is wrong: those say so who need it.
   */
  static of(options: StartMemoryOptions): Promise<StartMemory> {
    return StartMemory.#of(options).catch(() => new StartMemory(options.later));
  }

  static async #of({ fs, folder, config, later }: StartMemoryOptions): Promise<StartMemory> {
    const { workers, memory } = config;
    const tables = new Array<number>(workers).fill(0);
    const looking = (await fs.list(folder)).map(async (name) => {
      const vnodeId = parseSnapshotName(name)?.vnodeId;
      if (vnodeId === undefined) return;
      const size = await fs.size(`${folder}/${name}`);
      const owner = tables.findIndex((_, worker) => ownsVnode({ config, folder }, worker, vnodeId));
      tables[owner] = (tables[owner] as number) + size * TABLE_BYTES_PER_SNAPSHOT_BYTE;
    });
    await Promise.all(looking);
    const made = new StartMemory(later);
    for (const bytes of tables) made.#add(Math.min(bytes, memory.bytesMax / workers));
    return made;
  }

  /** The next worker's memory. */
  #add(tableBytes: number): void {
    const length = Math.ceil(tableBytes / SLAB_BYTES_MAX);
    const slabs = Array.from({ length }, () => new SharedArrayBuffer(SLAB_BYTES_MAX));
    this.#slabs.push(slabs);
    this.#touching.push(touch([...slabs], tableBytes));
  }

  /** A worker's slabs; once, since its successor must not find what it has left there. */
  take(worker: number): SharedArrayBuffer[] {
    return this.#slabs[worker]?.splice(0) ?? [];
  }

  /** Touches what the workers will need, from the beginning on, in turns. */
  touch(): void {
    this.#touching = this.#touching.filter((step) => step.next().done !== true);
    if (this.#touching.length > 0) this.#later(() => this.touch());
  }

  /** The workers serve, or do not: what is left is theirs to touch. */
  stop(): void {
    this.#touching = [];
  }
}

/** Touches the first bytes of these buffers, a step at a time. */
function* touch(buffers: readonly SharedArrayBuffer[], bytes: number): Generator<void> {
  let left = bytes;
  for (const buffer of buffers) {
    const pages = new Uint8Array(buffer);
    const end = Math.min(left, pages.length);
    left -= end;
    for (let at = 0; at < end; at += PAGE_BYTES) {
      Atomics.or(pages, at, 0);
      if (at % STEP_BYTES === 0) yield;
    }
  }
}
