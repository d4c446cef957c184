/**
 * The one checked configuration of a node: flags > environment > file > defaults.
 *
 * Invariant: whoever holds a `NodeConfig` need not check it again. Every number is in range, every
 * path absolute, every percentage and default worked out. The file's fields, their defaults and
 * their descriptions are in config/schema.ts; config/resolve.ts makes the value.
 */

import type { LogConfig } from "./base/log.ts";

/** When a write is acknowledged: after fdatasync, within an interval of it, or after write(). */
export type Durability = "always" | "interval" | "os";

/** How concurrent versions of a cell are shown (design 4.8). */
export type ResolverName = "lww" | "siblings";

/** One keyspace (`SELECT index`), every default worked out. */
export interface KeyspaceConfig {
  readonly index: number;
  readonly name: string;
  /** Q: a power of two, fixed once the keyspace holds data. */
  readonly partitions: number;
  /** N, W and R: 1 ≤ W ≤ N, 1 ≤ R ≤ N. */
  readonly replicas: number;
  readonly write: number;
  readonly read: number;
  readonly mode: "eventual";
  readonly resolver: ResolverName;
  readonly durability: Durability;
  /** Whether SET NX and its like run where N > 1 makes them at-least-once (design 5). */
  readonly conditional: "best-effort" | "refuse";
}

/** Every port of a node. Zero means: any free one. */
export interface NodePorts {
  readonly gateway: number;
  /** One a worker. */
  readonly direct: readonly number[];
  readonly admin: number;
  readonly control: number;
  /** One a worker. */
  readonly links: readonly number[];
}

/** A node of the cluster as the configuration names it. */
export interface NodeMember {
  readonly name: string;
  /** Where clients and other nodes reach it; what it announces. */
  readonly host: string;
  readonly ports: NodePorts;
  readonly rack: string;
}

export interface MemoryConfig {
  /** Past it, writes are refused with OOM; reads and deletes go on. The whole node's. */
  readonly bytesMax: number;
  /** V8's young generation of a worker. */
  readonly youngGenerationBytes: number;
}

export interface JournalConfig {
  readonly fileBytes: number;
  /** Disk kept free for cleaning when it is full. */
  readonly reserveBytes: number;
  /** Longest time between syncs with durability `interval`. */
  readonly intervalMs: number;
}

export interface SnapshotConfig {
  /** A vnode whose log is shorter takes none. */
  readonly logBytesMin: number;
}

export interface ClientsConfig {
  readonly max: number;
  /** Replies waiting before no more of the client's requests are read. */
  readonly outputPauseBytes: number;
  /** Replies waiting before it is disconnected: at once (hard), or after a time (soft). */
  readonly outputHardBytes: number;
  readonly outputSoftBytes: number;
  readonly outputSoftMs: number;
  /** Unfinished requests of one client. */
  readonly queryBytesMax: number;
  /** 0: never. */
  readonly idleTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  readonly keepAliveMs: number;
  /** Arguments of a request, and bytes of one. */
  readonly argumentsMax: number;
  readonly argumentBytesMax: number;
}

export interface SecurityConfig {
  /** Undefined: no authentication (loopback only). Never printed. */
  readonly password: string | undefined;
}

/** The configuration of one node of one cluster. */
export interface NodeConfig {
  readonly cluster: string;
  /** Version of the topology; rises with every change of `nodes`. */
  readonly epoch: number;
  /** This node; also in `nodes`. */
  readonly self: NodeMember;
  readonly nodes: readonly NodeMember[];
  /** Addresses to listen on: clients and links; admin HTTP. */
  readonly bind: string;
  readonly adminBind: string;
  /** Absolute. */
  readonly dataFolder: string;
  readonly workers: number;
  /** By index. */
  readonly keyspaces: readonly KeyspaceConfig[];
  readonly memory: MemoryConfig;
  readonly journal: JournalConfig;
  readonly snapshot: SnapshotConfig;
  readonly clients: ClientsConfig;
  readonly security: SecurityConfig;
  readonly log: LogConfig;
}

/** Workers whose ports are derived from the gateway's (design 1). */
export const DERIVED_WORKERS_MAX = 20;

/** Ports of a node from its gateway's: direct P+1+i, admin P-1, control P-79, links P-78+i. */
export function derivePorts({ port, workers }: { port: number; workers: number }): NodePorts {
  const indexes = Array.from({ length: workers }, (_, index) => index);
  if (port === 0) {
    const none = indexes.map(() => 0);
    return { gateway: 0, direct: none, admin: 0, control: 0, links: none };
  }
  return {
    gateway: port,
    direct: indexes.map((index) => port + 1 + index),
    admin: port - 1,
    control: port - 79,
    links: indexes.map((index) => port - 78 + index),
  };
}
