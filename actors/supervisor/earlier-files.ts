/**
 * Removes what earlier boots left in the data folder and nobody needs any more: their manifests,
 * once every worker of this boot has written its own, journal files, once every worker has released
 * them, and reserves of workers that are no more. One boot's files would otherwise stay for ever.
 *
 * Invariants: a journal file goes only after no manifest on the disk names it, the earlier ones
 * included; a worker that restarts has released nothing yet, and nothing goes while it looks at what
 * there is.
 */
import type { FileSystem } from "../../runtime/storage/files.ts";
import { parseJournalFileName } from "../../runtime/storage/journal-format.ts";
import { parseManifestName, readManifests } from "../../runtime/storage/manifest.ts";
import { parseReserveName } from "../../runtime/storage/reserve.ts";

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
  /** Workers that serve, so that their manifests of this boot say everything. */
  readonly #up = new Set<number>();
  #isSuperseded = false;
  /** One removal after the other. */
  #working: Promise<void> = Promise.resolve();

  constructor(options: EarlierFilesOptions) {
    this.#options = options;
  }

  /** A worker has recovered. */
  workerUp(worker: number): void {
    this.#up.add(worker);
    this.#next();
  }

  /** A worker needs these no more: its manifest has stopped naming them. */
  released(worker: number, names: readonly string[]): void {
    for (const name of names) {
      const boot = parseJournalFileName(name)?.boot ?? this.#options.boot;
      if (boot >= this.#options.boot) continue;
      const workers = this.#released.get(name) ?? new Set();
      this.#released.set(name, workers.add(worker));
    }
    this.#next();
  }

  /** A worker died: its successor decides anew. */
  workerDown(worker: number): void {
    this.#up.delete(worker);
    for (const workers of this.#released.values()) workers.delete(worker);
  }

  /** Resolves when nothing is being removed. */
  idle(): Promise<void> {
    return this.#working;
  }

  get #isEveryoneUp(): boolean {
    return this.#up.size === this.#options.workers;
  }

  #next(): void {
    this.#working = this.#working
      .then(() => this.#removeUnneeded())
      .catch((error) => this.#options.failed(error));
  }

  async #removeUnneeded(): Promise<void> {
    if (!this.#isEveryoneUp) return;
    const { fs, folder, boot, workers } = this.#options;
    if (!this.#isSuperseded) {
      const names = await fs.list(folder);
      const earlier = names.filter((name) => (parseManifestName(name)?.boot ?? boot) < boot);
      if (!(await this.#remove(earlier))) return;
      if (!(await this.#remove(await this.#unnamed(names)))) return;
      this.#isSuperseded = true;
    }
    const names = [...this.#released].filter(([, by]) => by.size === workers).map(([name]) => name);
    if (!(await this.#remove(names.sort()))) return;
    for (const name of names) this.#released.delete(name);
  }

  /**
   * Journal files of earlier boots that no manifest names (spares, and what a crash left), and the
   * reserves of more workers than there are now.
   */
  async #unnamed(names: readonly string[]): Promise<string[]> {
    const { fs, folder, boot, nodeId, workers } = this.#options;
    const manifests = await readManifests(fs, folder, nodeId);
    return names.filter((name) => {
      if ((parseReserveName(name) ?? 0) >= workers) return true;
      const isEarlier = (parseJournalFileName(name)?.boot ?? boot) < boot;
      return isEarlier && !manifests.files.has(name);
    });
  }

  /**
   * Oldest first, so that a journal's files never have a hole. False: a worker went down, and what is
   * left stays for now.
   */
  async #remove(names: readonly string[]): Promise<boolean> {
    if (names.length === 0) return true;
    const { fs, folder } = this.#options;
    for (const name of names) {
      if (!this.#isEveryoneUp) return false;
      await fs.remove(`${folder}/${name}`);
    }
    await fs.syncFolder(folder);
    return true;
  }
}
