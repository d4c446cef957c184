/** What every simulated node begins with: its disk, and its data folder opened for one boot. */
import type { WorkerArgs } from "../../actors/worker/worker-args.ts";
import { hashKeyOf } from "../../runtime/base/hash.ts";
import { type Random, seeded } from "../../runtime/base/prng.ts";
import type { NodeConfig } from "../../runtime/config.ts";
import { openDataFolder } from "../../runtime/storage/data-folder.ts";
import { memoryFolderLock } from "../../runtime/storage/folder-lock.ts";
import { MemoryDisk } from "../../runtime/storage/memory-files.ts";
import { SimLoop } from "./loop.ts";

export const FOLDER = "/data";

/** Wall time of the first boot. */
export const START_MS = 1_800_000_000_000;

/** A disk whose calls return when its loop says so. */
export function newDisk(seed: number): { readonly loop: SimLoop; readonly disk: MemoryDisk } {
  const loop = new SimLoop(seeded(seed + 0x1000000));
  const random = seeded(seed + 0x2000000);
  return { loop, disk: new MemoryDisk({ random, schedule: loop.schedule }) };
}

/** What the workers of this boot are born with. */
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
  const { nodeId, hashKey, boot } = await openDataFolder({
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
    hashKey: hashKeyOf(hashKey),
    boot,
    folder: FOLDER,
    version: "0",
    startedAtMs: startMs,
    gatewayPort: 0,
    directPorts: [],
    slabs: [],
  };
}
