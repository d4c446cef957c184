/**
 * The status of a node, from what it knows itself and what its workers have said. Pure.
 */
import type { NodeConfig } from "../../runtime/config.ts";
import type { Liveness, NodeStatus, WorkerStatus } from "../node-api.ts";
import type { WorkerState } from "./metrics.ts";
import type { WorkerView } from "./workers.ts";

export interface StatusSource {
  readonly config: NodeConfig;
  readonly liveness: Liveness;
  readonly nodeId: string;
  readonly uptimeSeconds: number;
  readonly workers: readonly WorkerView[];
}

export function nodeStatus(source: StatusSource): NodeStatus {
  const { config, liveness, nodeId, uptimeSeconds } = source;
  const { node, cluster, pid, state, ports, dataFolder, coterie } = liveness;
  const workers = source.workers.map(workerStatus);
  const sum = (read: (worker: WorkerStatus) => number) => {
    return workers.reduce((total, worker) => total + read(worker), 0);
  };
  const memoryBytes = sum((worker) => worker.memoryBytes);
  const known = source.workers.flatMap(({ facts }) => facts?.info ?? []);
  const isDiskFull = known.some(({ isRefusing }) => isRefusing);
  const isMemoryFull = known.some((info) => info.isMemoryFull);
  return {
    name: node,
    cluster,
    nodeId,
    version: coterie,
    pid,
    state,
    uptimeSeconds,
    ports,
    dataFolder,
    workers,
    keys: sum((worker) => worker.keys),
    memoryBytes,
    memoryBytesMax: memoryBytesMax(config, source.workers),
    clients: sum((worker) => worker.clients),
    clientsMax: config.clients.max,
    commands: source.workers.reduce(
      (total, { facts }) => total + (facts?.info.sums.commands ?? 0),
      0,
    ),
    writes: writes(isDiskFull, isMemoryFull),
  };
}

/** The node's memory limit: each worker has its share, which CONFIG SET maxmemory may have changed. */
export function memoryBytesMax(config: NodeConfig, workers: readonly WorkerState[]): number {
  const known = workers.find(({ facts }) => facts !== undefined)?.facts?.info.sums.memoryMaxBytes;
  return known === undefined ? config.memory.bytesMax : known * config.workers;
}

function workerStatus({ index, state, restarts, facts, problem }: WorkerView): WorkerStatus {
  const keys = facts?.info.keys.reduce((sum, [count]) => sum + count, 0) ?? 0;
  return {
    index,
    state,
    keys,
    clients: facts?.info.sums.clients ?? 0,
    memoryBytes: facts?.info.sums.memoryBytes ?? 0,
    restarts,
    longestTurnMs: facts?.info.longestTurnMs ?? 0,
    ...(problem === undefined ? {} : { problem }),
  };
}

function writes(isDiskFull: boolean, isMemoryFull: boolean): NodeStatus["writes"] {
  if (isDiskFull) return { accepted: false, reason: "the disk is full" };
  if (isMemoryFull) return { accepted: false, reason: "the memory for data is full on a worker" };
  return { accepted: true };
}
