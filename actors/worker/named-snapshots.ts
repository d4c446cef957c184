/**
 * Which snapshots a worker's manifest names, which it is to name next, and which it names no more.
 *
 * Invariant: while a vnode is brought back from its snapshot and the log after it, no other snapshot
 * of it is named: what it is read from must stay.
 */
import type { ManifestVnode } from "../../runtime/storage/manifest.ts";
import type { TakenSnapshot } from "./snapshots.ts";

export class NamedSnapshots {
  readonly #vnodes = new Map<number, ManifestVnode>();
  #taken: TakenSnapshot[] = [];
  /** They go once the manifest names their successors. */
  readonly #replaced = new Set<string>();
  /** Vnodes that are being brought back. */
  readonly #held = new Set<number>();

  get vnodes(): ReadonlyMap<number, ManifestVnode> {
    return this.#vnodes;
  }

  /** Files that the manifest, once written, names no more. */
  get replaced(): readonly string[] {
    return [...this.#replaced];
  }

  /** Some are not named yet, or what they replace is still there. */
  get isBehind(): boolean {
    return this.#taken.length > 0 || this.#replaced.size > 0;
  }

  /** Finished, and not named yet. */
  get taken(): readonly TakenSnapshot[] {
    return [...this.#taken];
  }

  /** An earlier manifest named this one. */
  keep(entry: ManifestVnode): void {
    this.#vnodes.set(entry.id, entry);
  }

  /** These are finished and durable. */
  add(taken: readonly TakenSnapshot[]): void {
    this.#taken.push(...taken);
  }

  /** Names these of the finished ones, but for those whose vnodes are being brought back. */
  name(snapshots: readonly TakenSnapshot[]): void {
    for (const snapshot of snapshots) {
      const { vnodeId, name, sequence } = snapshot;
      if (this.#held.has(vnodeId)) continue;
      this.#taken = this.#taken.filter((taken) => taken !== snapshot);
      const before = this.#vnodes.get(vnodeId)?.snapshot;
      if (before !== undefined && before !== name) this.#replaced.add(before);
      this.#vnodes.set(vnodeId, { id: vnodeId, snapshot: name, sequence });
    }
  }

  /** A replaced one is gone. */
  removed(name: string): void {
    this.#replaced.delete(name);
  }

  /** Runs what reads a vnode's snapshot and its log. */
  async holding<T>(vnodeId: number, read: () => Promise<T>): Promise<T> {
    this.#held.add(vnodeId);
    try {
      return await read();
    } finally {
      this.#held.delete(vnodeId);
    }
  }
}
