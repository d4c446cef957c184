/**
 * Lets journal files go: a file that nothing needs is reused or removed, and ops that keep the
 * oldest file alive are written again at the head, or replaced by a snapshot, so that an idle vnode
 * pins no file.
 *
 * Invariant: a file goes only after the manifest has stopped naming it.
 */
import type { RecoveredOp } from "../../runtime/storage/recovery.ts";
import type { Vnode } from "../vnode/vnode.ts";
import type { WorkerStorage } from "./worker-storage.ts";

/** Closed files that are left alone: most need no help to become free. */
const CLOSED_FILES_KEPT = 3;
/** Log of a vnode that is rather written again than snapshotted. */
const REWRITE_BYTES_MAX = 64 * 1024;

export interface OldFilesOptions {
  readonly storage: WorkerStorage;
  find(id: number): Vnode | undefined;
  /** Asks for a snapshot. */
  want(vnode: Vnode): void;
  /** Whether snapshots are being taken, the manifest's naming them included. */
  isSnapshotting(): boolean;
  /** Files of earlier boots that this worker needs no more; others may. */
  released(names: readonly string[]): void;
}

export class OldFiles {
  readonly #options: OldFilesOptions;
  #isCleaning = false;

  constructor(options: OldFilesOptions) {
    this.#options = options;
  }

  /** Does what there is to do; one run at a time. */
  async clean(): Promise<void> {
    if (this.#isCleaning) return;
    this.#isCleaning = true;
    try {
      await this.#free();
      if (this.#options.storage.space.names().length > CLOSED_FILES_KEPT) await this.#unpin();
    } finally {
      this.#isCleaning = false;
    }
  }

  async #free(): Promise<void> {
    const { storage } = this.#options;
    const { journal, space } = storage;
    const known = new Set(space.names());
    const closed = journal.files().slice(0, -1);
    for (const use of closed) if (!known.has(use.name)) space.add(use);
    const names = space.unneeded();
    if (names.length === 0) return;
    await storage.release(names);
    const own = new Set(closed.map(({ name }) => name));
    for (const name of names) {
      space.remove(name);
      if (own.has(name)) journal.recycle(name);
    }
    const others = names.filter((name) => !own.has(name));
    if (others.length > 0) this.#options.released(others);
  }

  /**
   * Frees the oldest needed file of the vnodes that keep it. While snapshots are taken nobody can be
   * told idle: what is not yet named by the manifest keeps its file, although its log is short.
   */
  async #unpin(): Promise<void> {
    const { storage, find, want, isSnapshotting } = this.#options;
    if (isSnapshotting()) return;
    const pins = storage.space.oldestPins();
    if (pins === undefined) return;
    const idle = new Set<number>();
    for (const id of pins.vnodes) {
      const vnode = find(id);
      if (vnode === undefined) continue;
      if (vnode.logBytes > REWRITE_BYTES_MAX) want(vnode);
      else idle.add(id);
    }
    if (idle.size > 0) await this.#rewrite(idle);
  }

  /** Writes the live ops of idle vnodes again, unless one of them stops being idle meanwhile. */
  async #rewrite(ids: ReadonlySet<number>): Promise<void> {
    const { storage, find } = this.#options;
    const { journal, log, space } = storage;
    const before = new Map([...ids].map((id) => [id, find(id)?.partition.sequence]));
    const ops: { vnodeId: number; sequence: number; bytes: Buffer }[] = [];
    await storage.readLog(ids, ({ vnodeId, sequence, bytes, start, end }: RecoveredOp) => {
      ops.push({ vnodeId, sequence, bytes: Buffer.from(bytes.subarray(start, end)) });
    });
    journal.commit();
    if (journal.pendingBytes > 0) return;
    for (const [id, sequence] of before) {
      if (find(id)?.partition.sequence !== sequence) return;
    }
    const head = journal.files().at(-1)?.name ?? "";
    for (const id of ids) journal.restartVnode(id);
    for (const { vnodeId, sequence, bytes } of ops) {
      log.rewrite(vnodeId, sequence, bytes, 0, bytes.length);
    }
    await storage.sync();
    for (const id of ids) space.rewritten(id, head);
  }
}
