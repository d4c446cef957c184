/** What a worker thread is started with: plain data, cloned. */

import type { HashKey } from "../../runtime/base/hash.ts";
import type { NodeConfig } from "../../runtime/config.ts";
import type { FolderSurvey } from "../../runtime/storage/survey.ts";
import type { ParameterValues } from "./parameters.ts";

export interface WorkerArgs {
  readonly config: NodeConfig;
  /** The node's persistent id, 16 hex digits. */
  readonly nodeId: string;
  /** Seed of the hash indexes. */
  readonly hashKey: HashKey;
  /** Starts of the data folder, this one included. */
  readonly boot: number;
  /** The data folder's one name. */
  readonly folder: string;
  readonly version: string;
  readonly startedAtMs: number;
  /** Ports really to bind. */
  readonly gatewayPort: number;
  readonly directPorts: readonly number[];
  /**
   * The table's first slabs, which the main thread touches while the worker starts
   * (supervisor/start-memory.ts). Who uses one takes it out of the list, and alone can free it.
   */
  readonly slabs: SharedArrayBuffer[];
}

/** What a worker begins with, each time it is born. */
export interface WorkerBirth {
  readonly args: WorkerArgs;
  readonly found: FolderSurvey;
  /** What CONFIG SET has changed since the node started. */
  readonly parameters: ParameterValues;
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
  /** CONFIG SET. */
  | { readonly kind: "configured"; readonly values: ParameterValues }
  | { readonly kind: "shutdown" };
