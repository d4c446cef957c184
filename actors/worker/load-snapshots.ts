/** Vnodes from their snapshots: what a start and a vnode's restart begin with. */
import type { FileReader } from "../../runtime/storage/files.ts";
import type { ManifestVnode } from "../../runtime/storage/manifest.ts";
import { readSnapshot, snapshotWindow } from "../../runtime/storage/snapshot.ts";
import { StateLoader } from "../../runtime/table/state-loader.ts";
import type { Vnode } from "../vnode/vnode.ts";

/** Snapshots that are read at the same time: while one is worked on, the next ones come in. */
const LOADED_AT_ONCE = 3;

export interface LoadOptions {
  readonly fs: FileReader;
  readonly folder: string;
  createVnode(id: number): Vnode;
}

/** The vnode of an entry that names a snapshot. */
export async function loadSnapshot(
  { fs, folder, createVnode }: LoadOptions,
  { id, snapshot }: ManifestVnode,
  window = snapshotWindow(fs),
): Promise<Vnode> {
  const vnode = createVnode(id);
  const loader = new StateLoader(vnode.partition);
  const path = `${folder}/${snapshot ?? ""}`;
  await readSnapshot(fs, path, (bytes, start, end) => loader.chunk(bytes, start, end), window);
  loader.finish();
  vnode.snapshotSequence = vnode.partition.sequence;
  vnode.snapshotTableBytes = vnode.table.heap.bytesUsed;
  return vnode;
}

/** The vnodes of all entries that name a snapshot, by id. */
export async function loadSnapshots(
  options: LoadOptions,
  entries: readonly ManifestVnode[],
): Promise<Map<number, Vnode>> {
  const vnodes = new Map<number, Vnode>();
  const rest = entries.values();
  const loadRest = async () => {
    const window = snapshotWindow(options.fs);
    for (const entry of rest) {
      if (entry.snapshot === undefined) continue;
      vnodes.set(entry.id, await loadSnapshot(options, entry, window));
    }
  };
  await Promise.all(Array.from({ length: LOADED_AT_ONCE }, loadRest));
  return vnodes;
}
