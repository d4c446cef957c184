/**
 * What keeps a worker's memory and files in bounds, put together: snapshots, old files, chores.
 *
 * Invariant: none of it runs within a command: it goes in slices between turns.
 */

import type { Clock, Timers } from "../../runtime/base/clock.ts";
import type { LogEvent } from "../../runtime/base/log.ts";
import type { ClientsConfig } from "../../runtime/config.ts";
import { isDiskFull } from "../../runtime/storage/files.ts";
import { parseSnapshotName } from "../../runtime/storage/snapshot.ts";
import type { Client } from "../gateway/client.ts";
import type { Exchange } from "../gateway/exchange.ts";
import type { Vnode } from "../vnode/vnode.ts";
import { Chores } from "./chores.ts";
import { OldFiles } from "./old-files.ts";
import type { PartitionLocks } from "./partition-locks.ts";
import { Snapshots } from "./snapshots.ts";
import type { WorkerArgs } from "./worker-args.ts";
import type { WorkerStats } from "./worker-stats.ts";
import type { WorkerStorage } from "./worker-storage.ts";
import type { PersistenceFacts } from "./worker-view.ts";

/** What upkeep needs of its worker. */
export interface UpkeepHost {
  readonly exchange: Exchange;
  readonly stats: WorkerStats;
  readonly limits: ClientsConfig;
  readonly clients: ReadonlyMap<number, Client>;
  readonly locks: PartitionLocks;
  readonly isSweeping: boolean;
  /** Memory of the tables. */
  readonly memoryBytes: number;
  /** The vnode that serves now under this id, the node's own included. */
  findAny(id: number): Vnode | undefined;
  /** Every vnode, the node's own included. */
  everyVnode(): Iterable<Vnode>;
  /** Makes sure that the turn has an end. */
  schedule(): void;
  /** Says on stderr what went wrong. */
  report(event: LogEvent): void;
}

export interface WorkerUpkeepOptions {
  readonly host: UpkeepHost;
  readonly args: WorkerArgs;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly storage: WorkerStorage;
  /** Files of earlier boots that this worker needs no more. */
  readonly released: (names: readonly string[]) => void;
}

/** Closed journal files that need no help to become free, whatever they hold. */
const CLOSED_FILES_KEPT = 3;

export class WorkerUpkeep {
  readonly #host: UpkeepHost;
  readonly #storage: WorkerStorage;
  readonly #snapshots: Snapshots;
  readonly #chores: Chores;
  readonly #oldFiles: OldFiles;

  constructor(options: WorkerUpkeepOptions) {
    const { host, args, clock, timers, storage } = options;
    const { journal, keyspaces, snapshot } = args.config;
    this.#host = host;
    this.#storage = storage;
    const snapshots = new Snapshots({
      fs: storage.fs,
      folder: args.folder,
      clock,
      config: snapshot,
      find: (id) => host.findAny(id),
      pause: () => new Promise((resolve) => setImmediate(resolve)),
      isRoomShort: () => storage.journal.full,
      taken: async (taken) => {
        await storage.snapshotsTaken(taken);
        void this.#clean(); // not waited for: it may wait for snapshots
      },
      failed: (error) => this.#failed("snapshot failed", error),
    });
    this.#oldFiles = new OldFiles({
      storage,
      find: (id) => host.findAny(id),
      filesKept: () => Math.max(CLOSED_FILES_KEPT, host.memoryBytes / journal.fileBytes),
      want: (vnode) => snapshots.want(vnode),
      isSnapshotting: () => snapshots.isRunning,
      snapshotsIdle: () => snapshots.idle(),
      released: options.released,
    });
    this.#snapshots = snapshots;
    this.#chores = new Chores({
      clock,
      timers,
      exchange: host.exchange,
      stats: host.stats,
      snapshots,
      limits: host.limits,
      clients: host.clients,
      locks: host.locks,
      vnodes: () => host.everyVnode(),
      // A sweep logs what it removes: not in the last room of a full disk.
      isSweeping: () => host.isSweeping && !storage.journal.isShort,
      soon: (run) => void setImmediate(run),
      schedule: () => host.schedule(),
      clean: () => {
        void storage.journal.checkPlace();
        void this.#clean();
      },
      interval: keyspaces.some((keyspace) => keyspace.durability === "interval")
        ? { everyMs: journal.intervalMs, sync: () => storage.journal.syncNow() }
        : null,
    });
  }

  /** Starts a snapshot of every vnode that has changed. */
  snapshot(): void {
    for (const vnode of this.#host.everyVnode()) {
      if (vnode.logBytes > 0) this.#snapshots.want(vnode);
    }
  }

  /**
   * A resting file is damaged: takes snapshots of the vnodes that need it, whatever is in their logs.
   * A damaged snapshot is so replaced, a damaged journal file let go.
   */
  replaceFile(name: string): void {
    const snapshot = parseSnapshotName(name);
    if (snapshot === undefined) this.#oldFiles.distrust(name);
    const ids = snapshot === undefined ? this.#storage.space.pinsThrough(name) : [snapshot.vnodeId];
    for (const id of ids) {
      const vnode = this.#host.findAny(id);
      if (vnode !== undefined) this.#snapshots.renew(vnode);
    }
  }

  /** Ends the chores; takes the snapshots that shorten the next start, and drops what they replace. */
  async stop(): Promise<void> {
    this.#chores.stop();
    await this.#storage.journal.checkPlace();
    await this.#snapshots.beforeStop(this.#host.everyVnode());
    await this.#clean();
  }

  #clean(): Promise<void> {
    return this.#oldFiles.clean().catch((error) => this.#failed("cleaning failed", error));
  }

  /** That a full disk has no room for cleaning either is said once, by whom it refuses. */
  #failed(event: string, error: unknown): void {
    const { journal } = this.#storage;
    const isFull = isDiskFull(error);
    // A journal that lives on its spare files does not notice it.
    if (isFull) journal.keepSpares(0);
    if (!(isFull && journal.full)) this.#host.report({ level: "error", event, error });
  }

  /** `vnodes`: those whose ops count. */
  facts(vnodes: Iterable<Vnode>): PersistenceFacts {
    const snapshots = this.#snapshots;
    let opsSinceSnapshot = 0;
    for (const vnode of vnodes) opsSinceSnapshot += vnode.opsSinceSnapshot;
    return {
      opsSinceSnapshot,
      snapshotsRunning: snapshots.isRunning ? 1 : 0,
      snapshotsTaken: snapshots.count,
      lastSnapshotAtMs: snapshots.lastAtMs,
      journalBytes: this.#storage.journalBytes,
      isRefusing: this.#storage.journal.full,
    };
  }
}
