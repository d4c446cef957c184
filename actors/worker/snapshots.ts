/**
 * Takes the worker's snapshots, one vnode after the other, in slices between turns: of every vnode
 * whose log since the last one has outgrown its table, or of all on request.
 *
 * Invariant: a snapshot counts only once the manifest names it; the log that it replaces is let go
 * after that.
 */
import type { Clock } from "../../runtime/base/clock.ts";
import { CoterieError } from "../../runtime/base/errors.ts";
import type { SnapshotConfig } from "../../runtime/config.ts";
import { diskError, type FileSystem } from "../../runtime/storage/files.ts";
import { SnapshotWriter } from "../../runtime/storage/snapshot.ts";
import { SnapshotScan } from "../../runtime/table/snapshot-scan.ts";
import { ChunkMemory } from "../../runtime/table/state-writer.ts";
import type { Vnode } from "../vnode/vnode.ts";

/** Keys and elements that one slice walks over: well below a millisecond. */
const SLICE_ITEMS = 500;
/** Snapshots between two manifests, at most; where room is short, each has its own. */
const MANIFEST_BATCH = 32;

/** At a stop, logs longer than this share of the table are replaced by snapshots … */
const STOP_LOG_SHARE = 4;
/** … for at most so long. */
const STOP_MS = 4_000;

/** A finished snapshot. */
export interface TakenSnapshot {
  readonly vnodeId: number;
  readonly name: string;
  readonly sequence: number;
}

export interface SnapshotsOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  readonly clock: Clock;
  readonly config: SnapshotConfig;
  /** The vnode that serves now under this id. */
  find(id: number): Vnode | undefined;
  /** Lets the rest of the thread run; resolves in a later turn. */
  pause(): Promise<void>;
  /** What a snapshot replaces must go before the next one has room. */
  isRoomShort(): boolean;
  /** They are durable: makes the manifest name them. */
  taken(snapshots: readonly TakenSnapshot[]): Promise<void>;
  /**
   * A snapshot could not be written; it is tried again with the next one that is due. Told once where
   * the others could not be written either.
   */
  failed(error: unknown): void;
}

export class Snapshots {
  /** Finished since the start, and when the last one was. */
  count = 0;
  lastAtMs: number;
  readonly #options: SnapshotsOptions;
  readonly #queue = new Set<number>();
  /** Of those, the ones that are taken even if their log is empty. */
  readonly #renewed = new Set<number>();
  readonly #memory = new ChunkMemory();
  #done: TakenSnapshot[] = [];
  #running: Promise<void> | null = null;
  #stopAtMs = Number.POSITIVE_INFINITY;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.lastAtMs = options.clock.now();
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Asks for a snapshot of a vnode. */
  want(vnode: Vnode): void {
    this.#queue.add(vnode.id);
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Asks for a snapshot though nothing may have changed: the last one is damaged. */
  renew(vnode: Vnode): void {
    this.#renewed.add(vnode.id);
    this.want(vnode);
  }

  /** Asks for the snapshots that are due: the log is longer than the table, or a damaged one waits. */
  wantDue(vnodes: Iterable<Vnode>): void {
    const { logBytesMin } = this.#options.config;
    for (const vnode of vnodes) {
      const due = Math.max(logBytesMin, vnode.table.heap.bytesUsed);
      const isDue = vnode.logBytes > due || this.#renewed.has(vnode.id);
      if (isDue && !this.#queue.has(vnode.id)) this.want(vnode);
    }
  }

  /** Before a stop: replaces logs that would make the next start slow, as long as there is time. */
  async beforeStop(vnodes: Iterable<Vnode>): Promise<void> {
    for (const vnode of vnodes) {
      if (vnode.logBytes * STOP_LOG_SHARE > vnode.table.heap.bytesUsed) this.want(vnode);
    }
    this.#stopAtMs = this.#options.clock.monotonicMs() + STOP_MS;
    await this.idle();
  }

  /** Resolves when nothing is asked for any more. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    let isGivenUp = false;
    while (this.#queue.size > 0) {
      const [id] = this.#queue;
      if (this.#options.clock.monotonicMs() > this.#stopAtMs) this.#queue.clear();
      if (this.#queue.size === 0) break;
      let isTaken = false;
      try {
        await this.#take(id as number);
        isTaken = true;
        const batch = this.#options.isRoomShort() ? 1 : MANIFEST_BATCH;
        if (this.#done.length >= batch) await this.#publish();
      } catch (error) {
        this.#options.failed(error);
        // Nor has the disk, or the folder, a place for the others; a short room may have.
        isGivenUp = error instanceof CoterieError && !this.#options.isRoomShort();
        if (isGivenUp) this.#queue.clear();
        else if (!isTaken) this.#renewed.delete(id as number);
      }
      this.#queue.delete(id as number);
    }
    try {
      await this.#publish();
    } catch (error) {
      if (!isGivenUp) this.#options.failed(error);
    }
  }

  async #take(id: number): Promise<void> {
    const { fs, folder, clock, pause, find } = this.#options;
    const vnode = find(id);
    const isRenewed = this.#renewed.has(id);
    if (vnode === undefined) this.#renewed.delete(id);
    if (vnode === undefined || (vnode.logBytes === 0 && !isRenewed)) return;
    // A scan would settle what is under a cut in one turn.
    const { table } = vnode.partition;
    while (table.hasCuts) {
      table.garbage.collect(SLICE_ITEMS);
      await pause();
    }
    if (find(id) !== vnode) return;
    const scan = new SnapshotScan(vnode.partition, this.#memory);
    const logBytes = vnode.logBytes;
    const { sequence } = scan;
    let writer: SnapshotWriter | undefined;
    try {
      writer = await SnapshotWriter.create(fs, folder, {
        vnodeId: id,
        sequence,
        createdMs: clock.now(),
      });
      for (let state = scan.next(SLICE_ITEMS); ; state = scan.next(SLICE_ITEMS)) {
        for (let chunk = scan.take(); chunk !== undefined; chunk = scan.take()) {
          await writer.chunk(chunk, 0, chunk.length);
          this.#memory.give(chunk);
        }
        if (state === "aborted" || find(id) !== vnode) throw new ScanAborted();
        if (state === "done") break;
        await pause();
      }
      const { name } = await writer.finish();
      vnode.logBytes -= logBytes;
      vnode.snapshotSequence = sequence;
      vnode.snapshotTableBytes = vnode.table.heap.bytesUsed;
      this.#renewed.delete(id);
      this.#done.push({ vnodeId: id, name, sequence });
      this.count++;
      this.lastAtMs = clock.now();
    } catch (error) {
      await writer?.abort();
      if (find(id) === vnode) await this.#leave(scan);
      if (!(error instanceof ScanAborted)) throw error;
    }
  }

  /** Makes the marks of a given-up scan even again. */
  async #leave(scan: SnapshotScan): Promise<void> {
    scan.abort();
    while (scan.next(SLICE_ITEMS) === "going") await this.#options.pause();
  }

  /** Makes the names of what is finished last, with one sync for all, then the manifest names them. */
  async #publish(): Promise<void> {
    const done = this.#done;
    if (done.length === 0) return;
    this.#done = [];
    const { fs, folder, taken } = this.#options;
    try {
      await fs.syncFolder(folder);
    } catch (error) {
      // A failed sync is never believed later: they are taken anew.
      for (const { vnodeId } of done) this.#renewed.add(vnodeId);
      throw diskError(error, "sync", folder);
    }
    await taken(done);
  }
}

/** The state was given up under the scan (a flush, a restart): no error. */
class ScanAborted extends Error {}
