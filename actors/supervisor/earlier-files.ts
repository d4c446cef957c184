/**
 * Removes what earlier boots left in the data folder and nobody needs any more: their manifests,
 * once every worker of this boot has written its own, journal files, once every worker has released
 * them, and snapshots that were replaced. One boot's files would otherwise stay for ever.
 *
 * Invariants: a journal file goes only after no manifest on the disk names it, the earlier ones
 * included; a worker that restarts has released nothing yet.
 */
import type { FileSystem } from "../../runtime/storage/files.ts";
import { parseJournalFileName } from "../../runtime/storage/journal-format.ts";
import { parseManifestName, readManifests } from "../../runtime/storage/manifest.ts";
import { staleSnapshots } from "../../runtime/storage/snapshot.ts";

export interface EarlierFilesOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  /** The node's persistent id, 16 hex digits. */
  readonly nodeId: string;
  /** This boot. */
  readonly boot: number;
  readonly workers: number;
  /** Something could not be removed; the next start tries again. */
  failed(error: unknown): void;
}

export class EarlierFiles {
  readonly #options: EarlierFilesOptions;
  /** By file, the workers that have released it. */
  readonly #released = new Map<string, Set<number>>();
  #isSuperseded = false;
  /** One removal after the other. */
  #working: Promise<void> = Promise.resolve();

  constructor(options: EarlierFilesOptions) {
    this.#options = options;
  }

  /** Every worker serves, so the manifests of this boot say everything: earlier ones go. */
  superseded(): void {
    this.#next(async () => {
      const { fs, folder, boot } = this.#options;
      const names = await fs.list(folder);
      const earlier = names.filter((name) => (parseManifestName(name)?.boot ?? boot) < boot);
      await this.#remove(earlier);
      await this.#removeUnnamed(names);
      this.#isSuperseded = true;
      await this.#removeReleased();
    });
  }

  /** A worker needs these no more: its manifest has stopped naming them. */
  released(worker: number, names: readonly string[]): void {
    for (const name of names) {
      const boot = parseJournalFileName(name)?.boot ?? this.#options.boot;
      if (boot >= this.#options.boot) continue;
      const workers = this.#released.get(name) ?? new Set();
      this.#released.set(name, workers.add(worker));
    }
    this.#next(() => this.#removeReleased());
  }

  /** A worker died: its successor decides anew. */
  workerDown(worker: number): void {
    for (const workers of this.#released.values()) workers.delete(worker);
  }

  /** Resolves when nothing is being removed. */
  idle(): Promise<void> {
    return this.#working;
  }

  /**
   * Journal files of earlier boots that no manifest names (spares, and what a crash left), and
   * snapshots that a named one has replaced.
   */
  async #removeUnnamed(names: readonly string[]): Promise<void> {
    const { fs, folder, boot, nodeId } = this.#options;
    const manifests = await readManifests(fs, folder, nodeId);
    const journals = names.filter((name) => {
      const isEarlier = (parseJournalFileName(name)?.boot ?? boot) < boot;
      return isEarlier && !manifests.files.has(name);
    });
    await this.#remove([...journals, ...staleSnapshots(names, manifests.vnodes)]);
  }

  async #removeReleased(): Promise<void> {
    if (!this.#isSuperseded) return;
    const { workers } = this.#options;
    const names = [...this.#released].filter(([, by]) => by.size === workers).map(([name]) => name);
    await this.#remove(names.sort());
    for (const name of names) this.#released.delete(name);
  }

  /** Oldest first, so that a journal's files never have a hole. */
  async #remove(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const { fs, folder } = this.#options;
    for (const name of names) await fs.remove(`${folder}/${name}`);
    await fs.syncFolder(folder);
  }

  #next(run: () => Promise<void>): void {
    this.#working = this.#working.then(run).catch((error) => this.#options.failed(error));
  }
}
