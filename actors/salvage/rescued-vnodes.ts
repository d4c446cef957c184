/**
 * The vnodes of a damaged folder: each from the newest of its snapshots that can be read whole, then
 * from the remains of the journals.
 *
 * Invariant: a snapshot counts if a manifest names it. One that no manifest names counts only where
 * the manifest, or the one that it names, cannot be read.
 */
import type { Clock } from "../../runtime/base/clock.ts";
import type { HashKey } from "../../runtime/base/hash.ts";
import type { Random } from "../../runtime/base/prng.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import { type Damage, damageOf } from "../../runtime/storage/damage.ts";
import type { FileSystem } from "../../runtime/storage/files.ts";
import type { JournalRemains } from "../../runtime/storage/journal-remains.ts";
import type { Manifests } from "../../runtime/storage/manifest.ts";
import {
  parseSnapshotName,
  readDamagedSnapshot,
  readSnapshot,
} from "../../runtime/storage/snapshot.ts";
import { Partition } from "../../runtime/table/partition.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import { StateLoader } from "../../runtime/table/state-loader.ts";
import { CHUNK_END } from "../../runtime/table/state-writer.ts";
import { RescuedVnode } from "./rescued-vnode.ts";

/** All vnodes of all workers are here at once, and a pool holds what one worker may. */
const POOLS = 16;

export interface RescuedVnodesOptions {
  readonly fs: FileSystem;
  readonly random: Random;
  readonly clock: Clock;
  readonly hashKey: HashKey;
  readonly folder: string;
  readonly manifests: Manifests;
  readonly damaged: (damage: Damage) => void;
}

/** A state that was read whole. */
interface LoadedState {
  readonly partition: Partition;
  /** Wall time of its cut, if the file's header could be read. */
  readonly atMs: number | undefined;
}

export class RescuedVnodes {
  readonly #options: RescuedVnodesOptions;
  readonly #vnodes = new Map<number, RescuedVnode>();
  readonly #pools = Array.from({ length: POOLS }, () => new SlabPool());
  readonly #clock: HybridClock;
  readonly #writers = new OpWriters();

  constructor(options: RescuedVnodesOptions) {
    this.#options = options;
    this.#clock = new HybridClock(options.clock);
  }

  /** By rising id. */
  all(): RescuedVnode[] {
    return [...this.#vnodes.values()].sort((a, b) => a.id - b.id);
  }

  /** Loads a state of each vnode that has one; `names` of the files in the folder. */
  async load(names: readonly string[], isManifestWhole: boolean): Promise<void> {
    const { manifests } = this.#options;
    const snapshots = snapshotsByVnode(names);
    const ids = new Set(manifests.vnodes.keys());
    if (!isManifestWhole) for (const id of snapshots.keys()) ids.add(id);
    for (const id of ids) {
      const listed = manifests.vnodes.get(id);
      const others = snapshots.get(id) ?? [];
      let candidates = others;
      if (listed?.snapshot !== undefined) {
        candidates = [listed.snapshot, ...others.filter((name) => name !== listed.snapshot)];
      } else if (isManifestWhole) candidates = [];
      const state = await this.#firstWhole(id, candidates);
      this.#add(id, state, listed?.sequence ?? 0);
    }
  }

  /** Applies what the journals still hold, as far as each vnode's log has no gap. */
  async replay(remains: JournalRemains): Promise<void> {
    for (let isMoving = true; isMoving; ) {
      isMoving = false;
      for (const vnode of this.#vnodes.values()) vnode.beginWalk();
      // A copy of an op that was written again lies in a later file: then there is more to apply.
      await remains.walk({
        onSegment: (segment, bytes) => {
          if (this.#find(segment.vnodeId).offer(segment, bytes)) isMoving = true;
        },
        onLost: ({ vnodeId, lastSequence }) => this.#find(vnodeId).knows(lastSequence),
      });
    }
  }

  #find(id: number): RescuedVnode {
    return this.#vnodes.get(id) ?? this.#add(id, undefined, 0);
  }

  #add(id: number, state: LoadedState | undefined, known: number): RescuedVnode {
    const partition = state?.partition ?? this.#newPartition(id);
    const vnode = new RescuedVnode({ id, partition, snapshotAtMs: state?.atMs, known });
    this.#vnodes.set(id, vnode);
    return vnode;
  }

  #newPartition(id: number): Partition {
    const { random, hashKey } = this.#options;
    return new Partition({
      pool: this.#pools[id % POOLS] as SlabPool,
      hashKey,
      origin: { high: random.u32(), low: random.u32() },
      clock: this.#clock,
      writers: this.#writers,
      sink: { take: () => undefined },
    });
  }

  async #firstWhole(id: number, names: readonly string[]): Promise<LoadedState | undefined> {
    for (const name of names) {
      const state = await this.#read(id, name);
      if (state !== undefined) return state;
    }
    return undefined;
  }

  /** A snapshot's state; undefined: it cannot be read whole. */
  async #read(id: number, name: string): Promise<LoadedState | undefined> {
    const { fs, folder, damaged } = this.#options;
    const path = `${folder}/${name}`;
    const whole = this.#newLoad(id);
    try {
      const { createdMs } = await readSnapshot(fs, path, whole.chunk);
      return whole.finish(createdMs);
    } catch (error) {
      const damage = damageOf(error, path);
      whole.partition.release();
      const rest = this.#newLoad(id);
      const state = await readDamagedSnapshot(fs, path, rest.chunk)
        .then(() => rest.finish(undefined))
        .catch((again: unknown) => void damageOf(again, path));
      if (state === undefined) rest.partition.release();
      const use = state === undefined ? "it is not used" : "its state is whole all the same";
      damaged({ ...damage, what: `${damage.what}: ${use}` });
      return state;
    }
  }

  #newLoad(id: number) {
    const partition = this.#newPartition(id);
    const loader = new StateLoader(partition);
    let lastKind = 0;
    return {
      partition,
      chunk(bytes: Buffer, start: number, end: number): void {
        lastKind = bytes[start] as number;
        loader.chunk(bytes, start, end);
      },
      finish(atMs: number | undefined): LoadedState | undefined {
        if (lastKind !== CHUNK_END) return undefined;
        loader.finish();
        return { partition, atMs };
      },
    };
  }
}

/** The names of each vnode's snapshots, the newest first. */
function snapshotsByVnode(names: readonly string[]): Map<number, string[]> {
  const byVnode = new Map<number, string[]>();
  for (const name of names) {
    const parsed = parseSnapshotName(name);
    if (parsed === undefined) continue;
    // Names sort by sequence.
    byVnode.set(parsed.vnodeId, [name, ...(byVnode.get(parsed.vnodeId) ?? [])]);
  }
  return byVnode;
}
