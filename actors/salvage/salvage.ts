/**
 * `coterie salvage`: reads what can be read of a damaged data folder and writes it to a new one.
 *
 *   locks ─▶ manifests ─▶ a whole state of each vnode ─▶ its log up to a gap ─▶ snapshots in the
 *   new folder ─▶ manifest ─▶ identity
 *
 * What is safe, and why nothing behind a gap is applied: docs/decisions/0031.
 *
 * Invariants: nothing in the damaged folder changes, and no server runs on it meanwhile; the new
 * folder has no identity, so that no node starts on it, before everything else in it is durable;
 * whatever may be missing is in the report.
 */
import type { Clock } from "../../runtime/base/clock.ts";
import { CoterieError } from "../../runtime/base/errors.ts";
import { hashKeyOf } from "../../runtime/base/hash.ts";
import type { Random } from "../../runtime/base/prng.ts";
import { type Damage, damageOf } from "../../runtime/storage/damage.ts";
import {
  folderError,
  lockFolder,
  type NodeIdentity,
  newIdentity,
  reached,
  readIdentity,
  refuseForeign,
  writeIdentity,
} from "../../runtime/storage/data-folder.ts";
import { type FileSystem, systemCode } from "../../runtime/storage/files.ts";
import type { TakeFolderLock } from "../../runtime/storage/folder-lock.ts";
import { JournalRemains } from "../../runtime/storage/journal-remains.ts";
import {
  type ManifestVnode,
  readableManifests,
  writeManifest,
} from "../../runtime/storage/manifest.ts";
import { parseSnapshotName, SnapshotWriter } from "../../runtime/storage/snapshot.ts";
import { SnapshotScan } from "../../runtime/table/snapshot-scan.ts";
import { SYSTEM_KEYSPACE } from "../vnode/vnode-id.ts";
import type { RescuedVnode, VnodeOutcome } from "./rescued-vnode.ts";
import { RescuedVnodes } from "./rescued-vnodes.ts";

/** The start that the new folder says it had; what it holds is of it. */
const FIRST_BOOT = 1;
/** Keys and elements between two looks at what a scan has written. */
const SCAN_ITEMS = 10_000;

export interface SalvageOptions {
  readonly fs: FileSystem;
  readonly lock: TakeFolderLock;
  readonly random: Random;
  readonly clock: Clock;
  readonly from: string;
  readonly to: string;
  /** Of the new folder, where the damaged one does not say. */
  readonly clusterId: string;
  readonly nodeName: string;
}

export interface SalvageReport {
  readonly from: string;
  readonly to: string;
  readonly damages: readonly Damage[];
  /** Torn tails: dropped as at any start. */
  readonly tails: readonly Damage[];
  /** Vnodes that miss something, or have been left out. */
  readonly incomplete: readonly VnodeOutcome[];
  /** Whether `incomplete` is all that may miss something. */
  readonly isAccounted: boolean;
  /** Transactions over several workers that were under way, and are not finished. */
  readonly areIntentsDropped: boolean;
  readonly vnodes: number;
  readonly keys: number;
}

/** Nothing is missing. */
export function isComplete(report: SalvageReport): boolean {
  return report.isAccounted && report.incomplete.length === 0 && !report.areIntentsDropped;
}

/**
 * Salvages. Throws DATA_FOLDER_IN_USE, DATA_FOLDER_FOREIGN, DATA_FOLDER_UNREADABLE, FORMAT_UNKNOWN,
 * DISK_FULL and the like; then the new folder holds no identity and can be removed.
 */
export async function salvage(options: SalvageOptions): Promise<SalvageReport> {
  const { fs, lock } = options;
  const from = await existing(fs, options.from);
  const fromLock = await lockFolder(fs, lock, from);
  try {
    const wanted = await realPathOf(fs, options.to);
    if (`${wanted}/`.startsWith(`${from}/`)) {
      throw new CoterieError(
        "DATA_FOLDER_FOREIGN",
        `${wanted} lies in the damaged folder, in which nothing is changed: choose another with --to`,
        { detail: { path: wanted } },
      );
    }
    const to = await reached(fs, options.to);
    const toLock = await lockFolder(fs, lock, to);
    try {
      refuseForeign(await fs.list(to), to);
      return await copyReadable(options, from, to);
    } finally {
      await toLock.release();
    }
  } catch (error) {
    throw systemCode(error) === undefined ? error : folderError(error, options.to);
  } finally {
    await fromLock.release();
  }
}

/** Where a path leads, of which only a beginning may be there. */
async function realPathOf(fs: FileSystem, path: string): Promise<string> {
  try {
    return await fs.realPath(path);
  } catch (error) {
    const cut = path.lastIndexOf("/");
    if (systemCode(error) !== "ENOENT" || cut <= 0) throw error;
    return `${await realPathOf(fs, path.slice(0, cut))}${path.slice(cut)}`;
  }
}

async function existing(fs: FileSystem, path: string): Promise<string> {
  try {
    return await fs.realPath(path);
  } catch (error) {
    throw new CoterieError(
      "DATA_FOLDER_UNREADABLE",
      `there is no data folder ${path}: name the damaged one with --data`,
      { detail: { path }, cause: error },
    );
  }
}

async function copyReadable(
  options: SalvageOptions,
  from: string,
  to: string,
): Promise<SalvageReport> {
  const { fs } = options;
  const damages: Damage[] = [];
  const damaged = (damage: Damage) => void damages.push(damage);
  const names = await fs.list(from);
  if (!names.some((name) => /^(node\.json|(journal|snapshot|manifest)-\d+-.*)$/.test(name))) {
    throw new CoterieError("DATA_FOLDER_FOREIGN", `${from} holds no data of Coterie`, {
      detail: { path: from },
    });
  }
  const old = await identityOf(options, names, damaged);
  const manifests = await readableManifests(fs, from, old?.nodeId, damaged);
  const hasSnapshots = names.some((name) => parseSnapshotName(name) !== undefined);
  if (manifests.names.length === 0 && hasSnapshots) {
    damaged({ path: from, offset: 0, what: "it has snapshots and no manifest" });
  }
  const isManifestWhole = damages.every(({ path }) => path.endsWith("node.json"));
  const partitions = old?.partitions ?? [];
  const identity = { ...newIdentity({ ...options, ...old }), boot: FIRST_BOOT, partitions };
  const hashKey = hashKeyOf(identity.hashKey);
  const vnodes = new RescuedVnodes({ ...options, hashKey, folder: from, manifests, damaged });
  await vnodes.load(names, isManifestWhole);
  const nodeId = old?.nodeId;
  const remains = await JournalRemains.survey({
    fs,
    folder: from,
    nodeId,
    manifests,
    isManifestWhole,
  });
  await vnodes.replay(remains);
  const { isAccounted } = remains;
  const all = vnodes.all();
  const incomplete = all.filter((vnode) => !vnode.isComplete);
  const areIntentsDropped =
    all.some(isSystem) && !(isAccounted && incomplete.every((vnode) => !isSystem(vnode)));
  const kept = all.filter((vnode) => {
    return vnode.partition.sequence > 0 && !(areIntentsDropped && isSystem(vnode));
  });
  await writeFolder(options, to, identity, kept);
  return {
    from,
    to,
    damages: [...damages, ...remains.damages()],
    tails: remains.tails,
    incomplete: incomplete.filter((vnode) => !isSystem(vnode)).map(({ outcome }) => outcome),
    isAccounted,
    areIntentsDropped,
    vnodes: kept.length,
    keys: kept.reduce((sum, vnode) => sum + (isSystem(vnode) ? 0 : vnode.keys), 0),
  };
}

async function identityOf(
  { fs, from, random }: SalvageOptions,
  names: readonly string[],
  damaged: (damage: Damage) => void,
): Promise<NodeIdentity | undefined> {
  const path = `${from}/node.json`;
  try {
    const identity = await readIdentity(fs, from, names, random);
    if (identity === undefined) damaged({ path, offset: 0, what: "the file is missing" });
    return identity;
  } catch (error) {
    damaged(damageOf(error, path));
    return undefined;
  }
}

/**
 * Intents are carried over only if nothing of them can be missing: one whose removal is lost would
 * be done a second time, over what was written since.
 */
function isSystem({ id }: { readonly id: number }): boolean {
  return id >>> 16 === SYSTEM_KEYSPACE;
}

/** Writes a data folder: what it holds first, then what makes it one. */
async function writeFolder(
  { fs, clock }: SalvageOptions,
  folder: string,
  identity: NodeIdentity,
  vnodes: readonly RescuedVnode[],
): Promise<void> {
  const entries: ManifestVnode[] = [];
  for (const { id, partition } of vnodes) {
    const scan = new SnapshotScan(partition);
    const { sequence } = scan;
    const info = { vnodeId: id, sequence, createdMs: clock.now() };
    const writer = await SnapshotWriter.create(fs, folder, info);
    for (let state = scan.next(SCAN_ITEMS); ; state = scan.next(SCAN_ITEMS)) {
      for (let chunk = scan.take(); chunk !== undefined; chunk = scan.take()) {
        await writer.chunk(chunk, 0, chunk.length);
      }
      if (state !== "going") break;
    }
    const { name } = await writer.finish();
    entries.push({ id, snapshot: name, sequence });
  }
  const { nodeId, boot } = identity;
  await writeManifest(fs, folder, { nodeId, boot, worker: 0, vnodes: entries, files: [] });
  await writeIdentity(fs, folder, identity);
}
