/**
 * What the outside (bin, embedding applications, tests) sees of a started node: types only, so that
 * `bin/` and `actors/node.ts` are written against the same seam. `actors/node.ts` exports a
 * `StartNode`.
 */
import type { CoterieError } from "../runtime/base/errors.ts";
import type { NodeConfig, NodePorts } from "../runtime/config.ts";

/** A node that serves clients. */
export interface RunningNode {
  /** Persistent id of this node (from its data folder), not its name in the configuration. */
  readonly nodeId: string;
  /** Version of Coterie, as in package.json. */
  readonly version: string;
  /** The ports really bound: never 0, also when the configuration said 0. */
  readonly ports: NodePorts;
  /** Absolute path of the data folder. */
  readonly dataFolder: string;
  /** What recovery did, for the banner and the log. */
  readonly recovery: RecoverySummary;
  /**
   * Stops accepting, finishes what is in flight, syncs, closes every port and frees the data folder.
   * Idempotent: every call returns the same promise. Rejects with a `CoterieError` if what was
   * acknowledged in a weaker durability than `always` could not be synced.
   */
  stop(): Promise<void>;
  /**
   * Settles only if the node ends by itself, after everything was closed: with the reason (crash
   * loop, failed disk), or with undefined after a clean stop that a client asked for (SHUTDOWN).
   * Never settles when `stop` was called first; never rejects.
   */
  readonly killed: Promise<CoterieError | undefined>;
}

/** Numbers of one recovery. */
export interface RecoverySummary {
  /** From opening the data folder until every vnode could serve. */
  readonly durationMs: number;
  readonly keys: number;
  /** Ops replayed from journals after the snapshots. */
  readonly ops: number;
  /** Bytes of torn tails that were dropped: never anything acknowledged under `always`. */
  readonly tornBytes: number;
}

/**
 * Starts a node: resolves when it serves clients on every port, or rejects with a `CoterieError`
 * (PORT_IN_USE, DATA_FOLDER_IN_USE, CORRUPT ...) having closed what it had opened and damaged nothing.
 */
export type StartNode = (config: NodeConfig) => Promise<RunningNode>;

/** Body of `GET /livez` on the admin port; what a second node reads to name the first. */
export interface Liveness {
  /** Version of Coterie: by this field a node is known. */
  readonly coterie: string;
  readonly node: string;
  readonly cluster: string;
  readonly pid: number;
  readonly state: "starting" | "ready" | "stopping";
  readonly dataFolder: string;
  readonly ports: NodePorts;
}

/** Body of `GET /status` on the admin port; `coterie status` prints it. Additive changes only. */
export interface NodeStatus {
  readonly name: string;
  readonly cluster: string;
  readonly nodeId: string;
  readonly version: string;
  readonly pid: number;
  readonly state: "starting" | "ready" | "stopping";
  readonly uptimeSeconds: number;
  readonly ports: NodePorts;
  readonly dataFolder: string;
  readonly workers: readonly WorkerStatus[];
  readonly keys: number;
  readonly memoryBytes: number;
  readonly memoryBytesMax: number;
  readonly clients: number;
  readonly clientsMax: number;
  /** Commands executed since the start. */
  readonly commands: number;
  /** Whether writes are accepted; if not, why (disk full, memory full). */
  readonly writes: { readonly accepted: boolean; readonly reason?: string };
}

/** One worker thread in a `NodeStatus`. */
export interface WorkerStatus {
  readonly index: number;
  readonly state: "starting" | "ready" | "down";
  readonly keys: number;
  readonly clients: number;
  readonly memoryBytes: number;
  readonly restarts: number;
  /** The longest that all its clients waited for one turn. */
  readonly longestTurnMs: number;
  /** What is wrong with it: why it is down, or that it did not answer in time. */
  readonly problem?: string;
}
