/**
 * What commands see of the worker thread that runs them: the node's facts, the vnodes that live
 * here, the clients that are connected here, counters.
 */
import type { Random } from "../../runtime/base/prng.ts";
import type { ClientsConfig, NodeConfig } from "../../runtime/config.ts";
import type { SlabPool } from "../../runtime/table/slab-pool.ts";
import type { CommandCatalog } from "../command-facts.ts";
import type { Logins } from "../gateway/authentication.ts";
import type { Client } from "../gateway/client.ts";
import type { SlotMap } from "../gateway/slot-map.ts";
import type { Executor } from "../vnode/executor.ts";
import type { Vnode } from "../vnode/vnode.ts";
import type { MemoryLimit } from "./memory-limit.ts";
import type { Parameters } from "./parameters.ts";
import type { ProcessFacts } from "./process-facts.ts";
import type { WorkerStats } from "./worker-stats.ts";

/** What INFO and LASTSAVE tell of a worker's log and snapshots. */
export interface PersistenceFacts {
  /** Ops in the log that no snapshot holds yet. */
  readonly opsSinceSnapshot: number;
  readonly snapshotsRunning: number;
  readonly snapshotsTaken: number;
  /** Wall time of the last snapshot, or of the start, ms. */
  readonly lastSnapshotAtMs: number;
  /** Bytes of the journal's files. */
  readonly journalBytes: number;
  /** The disk takes no writes now. */
  readonly isRefusing: boolean;
}

export interface WorkerView {
  readonly index: number;
  readonly config: NodeConfig;
  readonly nodeId: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly random: Random;
  readonly stats: WorkerStats;
  readonly logins: Logins;
  readonly process: ProcessFacts;
  readonly persistence: PersistenceFacts;
  /** All commands, with this worker's counters. */
  readonly table: CommandCatalog;
  readonly slots: SlotMap;
  /** CONFIG GET and SET. */
  readonly parameters: Parameters;
  /** Bounds on clients, as CONFIG SET has left them. */
  readonly limits: ClientsConfig;
  readonly executor: Executor;
  /** Wall time of the turn, ms. */
  readonly nowMs: number;
  /** The memory of its tables. */
  readonly pool: SlabPool;
  /** Bytes of tables that this worker holds. */
  readonly memoryBytes: number;
  readonly memoryLimit: Pick<MemoryLimit, "bytesMax" | "isReached">;
  readonly clients: ReadonlyMap<number, Client>;

  /** The vnodes of a keyspace that exist here, by rising partition. */
  vnodes(keyspace: number): Iterable<Vnode>;
  /** A vnode that exists here, or undefined. */
  findVnode(keyspace: number, partition: number): Vnode | undefined;
  /** Whether a partition's commands can run now; not while its vnode restarts. */
  isReady(keyspace: number, partition: number): boolean;
  /** The worker that owns a partition. */
  ownerOf(keyspace: number, partition: number): number;
  /** Removes every key of a keyspace, or of all; ops like any other. */
  flush(keyspace: number | undefined): void;
  /** Starts a snapshot of every vnode that has changed. */
  snapshot(): void;
  /** Whether expired keys are swept; reads never show them anyway. For tests. */
  setSweeping(isOn: boolean): void;
  /** Stops the node; SHUTDOWN. */
  shutdown(): void;
  /** Holds commands back until this wall time, ms: CLIENT PAUSE. `writesOnly`: only changes. */
  pause(untilMs: number, writesOnly: boolean): void;
}
