/** Opens the data folder of a simulated node for one boot: what its workers are born with. */
import type { WorkerArgs } from "../../actors/worker/worker-args.ts";
import type { Random } from "../../runtime/base/prng.ts";
import type { NodeConfig } from "../../runtime/config.ts";
import { openDataFolder } from "../../runtime/storage/data-folder.ts";
import { memoryFolderLock } from "../../runtime/storage/folder-lock.ts";
import type { MemoryDisk } from "../../runtime/storage/memory-files.ts";

export const FOLDER = "/data";

export async function openFolder({
  disk,
  random,
  config,
  startMs,
}: {
  readonly disk: MemoryDisk;
  readonly random: Random;
  readonly config: NodeConfig;
  readonly startMs: number;
}): Promise<WorkerArgs> {
  const { nodeId, hashSeed, boot } = await openDataFolder({
    fs: disk.mount(),
    lock: memoryFolderLock(),
    random,
    path: FOLDER,
    clusterId: config.cluster,
    nodeName: config.self.name,
    partitions: config.keyspaces.map(({ partitions }) => partitions),
    pid: 1,
  });
  return {
    config,
    nodeId,
    hashSeed,
    boot,
    folder: FOLDER,
    version: "0",
    startedAtMs: startMs,
    gatewayPort: 0,
    directPorts: [],
    memory: { file: [], slabs: [] },
  };
}
