/** What a worker thread is started with: plain data, cloned. */
import type { NodeConfig } from "../../runtime/config.ts";

export interface WorkerArgs {
  readonly config: NodeConfig;
  /** The node's persistent id, 16 hex digits. */
  readonly nodeId: string;
  /** Seed of the hash indexes. */
  readonly hashSeed: number;
  /** Starts of the data folder, this one included. */
  readonly boot: number;
  /** The data folder's one name. */
  readonly folder: string;
  readonly version: string;
  readonly startedAtMs: number;
  /** Ports really to bind. */
  readonly gatewayPort: number;
  readonly directPorts: readonly number[];
  readonly memory: WorkerMemory;
}

/**
 * Memory that the main thread touches while the worker starts (supervisor/start-memory.ts). Who uses
 * some takes it out of its list, and alone can free it.
 */
export interface WorkerMemory {
  /** What journal files are read into: as large as the largest; none where there is no journal. */
  readonly file: SharedArrayBuffer[];
  /** The table's first slabs. */
  readonly slabs: SharedArrayBuffer[];
}

/** What a worker tells the main thread of its own accord. */
export type WorkerReport =
  | {
      readonly kind: "recovered";
      readonly ops: number;
      readonly tornBytes: number;
      readonly keys: number;
    }
  /** Journal files of earlier boots that this worker needs no more. */
  | { readonly kind: "released"; readonly files: readonly string[] }
  | { readonly kind: "shutdown" };
