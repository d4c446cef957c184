/**
 * Lets journal files go: a file that nothing needs is reused or removed. Once the closed files
 * outgrow the tables, or the disk is full, whoever keeps the oldest of them alive gets a snapshot, so
 * that a vnode that is hardly written to pins no file. On a full disk the reserve is given to that.
 *
 * Invariant: a file goes only after the manifest has stopped naming it.
 */
import type { FileUse } from "../../runtime/storage/file-space.ts";
import { unlessDiskFull } from "../../runtime/storage/files.ts";
import type { Vnode } from "../vnode/vnode.ts";
import type { WorkerStorage } from "./worker-storage.ts";

export interface OldFilesOptions {
  readonly storage: WorkerStorage;
  find(id: number): Vnode | undefined;
  /** Closed files that are left alone: the snapshots that are due by themselves free them, too. */
  filesKept(): number;
  /** Asks for a snapshot. */
  want(vnode: Vnode): void;
  /** Whether snapshots are being taken, the manifest's naming them included. */
  isSnapshotting(): boolean;
  /** Resolves when no snapshot is asked for any more. */
  snapshotsIdle(): Promise<void>;
  /** Files of earlier boots that this worker needs no more; others may. */
  released(names: readonly string[]): void;
}

/**
 * Files that wait for another use, for each that is left alone: one pass of snapshots frees as many, and
 * those that were filled in its course. A new file is written twice, first with zeros.
 */
const SPARES_A_KEPT_FILE = 2;

/** What a snapshot of nothing takes on a disk. */
const SNAPSHOT_BYTES_MIN = 4_096;

/** Vnodes whose snapshots free the oldest file, and the bytes of their tables. */
interface Pins {
  readonly ids: string;
  readonly bytes: number;
}

export class OldFiles {
  readonly #options: OldFilesOptions;
  /** Damaged ones: not to be used again. */
  readonly #damaged = new Set<string>();
  #cleaning: Promise<void> | null = null;
  /** Who was asked while the reserve was lent, which was not enough if they still keep their file. */
  #tooLarge: Pins | null = null;

  constructor(options: OldFilesOptions) {
    this.#options = options;
  }

  /** The disk did not keep this file: it is removed when nothing needs it, not used again. */
  distrust(name: string): void {
    this.#damaged.add(name);
  }

  /** Does what there is to do, snapshots included; one run at a time. */
  clean(): Promise<void> {
    this.#cleaning ??= this.#clean().finally(() => {
      this.#cleaning = null;
    });
    return this.#cleaning;
  }

  async #clean(): Promise<void> {
    const { storage, filesKept } = this.#options;
    this.#addClosed();
    if (storage.journal.full) {
      const before = storage.space.names().length;
      if (before === 0 && !storage.isBehind && !storage.journal.waitsForRoom) return;
      const pins = this.#oldestPins();
      const fits = await this.#snapshotsFit();
      await (this.#mayHelp(pins, fits) ? this.#makeRoom(pins, fits) : this.#free());
      if (storage.space.names().length < before) this.#tooLarge = null;
      return;
    }
    this.#tooLarge = null;
    await storage.reserve.restore();
    await this.#free();
    if (storage.space.names().length > filesKept()) this.#unpin();
  }

  /** Files of the journal that take no more frames. */
  #addClosed(): FileUse[] {
    const { journal, space } = this.#options.storage;
    const known = new Set(space.names());
    const closed = journal.files().slice(0, -1);
    for (const use of closed) if (!known.has(use.name)) space.add(use);
    return closed;
  }

  async #free(): Promise<void> {
    const { storage, filesKept } = this.#options;
    const { journal, space } = storage;
    const closed = this.#addClosed();
    const names = space.unneeded();
    if (names.length > 0 || storage.isBehind) await storage.release(names);
    const left = new Map(closed.map((use) => [use.name, use]));
    for (const name of names) {
      space.remove(name);
      const use = left.get(name);
      if (use !== undefined && !this.#damaged.has(name)) journal.recycle(use);
      else if (storage.isOwn(name)) {
        journal.forget(name);
        await storage.removeFile(name);
      }
    }
    journal.keepSpares(Math.ceil(filesKept() * SPARES_A_KEPT_FILE));
    const others = names.filter((name) => !storage.isOwn(name));
    if (others.length > 0) this.#options.released(others);
  }

  /**
   * The disk is full: snapshots are written to the reserve's room, those that are due first, and free
   * the oldest file. Ops that wait for room come before them: no snapshot with such an op is named.
   */
  async #makeRoom(pins: Pins, fits: boolean): Promise<void> {
    const { storage, snapshotsIdle } = this.#options;
    const { journal, reserve } = storage;
    const isNeeded = () => journal.full;
    await reserve.lend(isNeeded, async (giveLast) => {
      await journal.squeeze();
      await snapshotsIdle();
      await this.#free().catch(unlessDiskFull);
      if (fits && this.#unpin()) this.#tooLarge = pins;
      await snapshotsIdle();
      await giveLast();
      await journal.squeeze();
      await this.#free();
    });
  }

  #oldestPins(): Pins {
    const ids = this.#options.storage.space.oldestPins();
    let bytes = 0;
    for (const id of ids) bytes += this.#options.find(id)?.table.heap.bytesUsed ?? 0;
    return { ids: ids.join(), bytes };
  }

  /**
   * Whether snapshots of all that keep the oldest file have room in the reserve. A part of them frees
   * nothing, and would take the room that is needed once the tables are smaller.
   */
  async #snapshotsFit(): Promise<boolean> {
    const { storage, find } = this.#options;
    const room = await storage.reserve.room();
    // A snapshot goes when its successor is named: until then the disk has both.
    let [more, both] = [0, 0];
    for (const id of storage.space.oldestPins()) {
      const replaced = await storage.snapshotBytes(id);
      const bytes = nextSnapshotBytes(find(id), replaced);
      more += Math.max(0, bytes - replaced);
      both = Math.max(both, Math.min(bytes, replaced));
      if (more + both > room) return false;
    }
    return true;
  }

  /** Whether the reserve is worth giving: not for what it was not enough for, and is no smaller. */
  #mayHelp({ ids, bytes }: Pins, fits: boolean): boolean {
    const { reserve, isBehind, journal } = this.#options.storage;
    if (journal.waitsForRoom) return true; // readers wait for it
    if (isBehind && reserve.held) return true; // a manifest fits
    const tooLarge = this.#tooLarge;
    if (!fits) return false;
    return tooLarge === null || ids !== tooLarge.ids || bytes < tooLarge.bytes;
  }

  /**
   * Asks for snapshots of the vnodes that keep the oldest file; not while snapshots are taken: what
   * the manifest does not name yet keeps its file, too. False: not all of them could be asked, as one
   * that is being brought back.
   */
  #unpin(): boolean {
    const { storage, find, want, isSnapshotting } = this.#options;
    if (isSnapshotting()) return false;
    let isWhole = true;
    for (const id of storage.space.oldestPins()) {
      const vnode = find(id);
      if (vnode === undefined) isWhole = false;
      else want(vnode);
    }
    return isWhole;
  }
}

/** About how long a vnode's next snapshot will be, as the last one is so long (0: there is none). */
function nextSnapshotBytes(vnode: Vnode | undefined, lastBytes: number): number {
  const tableBytes = vnode?.table.heap.bytesUsed ?? 0;
  if (lastBytes === 0) return tableBytes + SNAPSHOT_BYTES_MIN;
  // A table is larger than its snapshot: by how much, the last one says.
  const then = vnode?.snapshotTableBytes || lastBytes;
  return tableBytes * Math.min(1, lastBytes / then);
}
