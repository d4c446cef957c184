/**
 * Which old journal files are still needed: of each file, the largest sequence of every vnode that
 * has ops in it, against what snapshots and rewritten ops have made of them. Pure.
 *
 * Invariant: a file is unneeded only if every op in it is in a durable snapshot of its vnode or
 * written again, durably, in a later file; and no file of a journal before an older one of the same
 * journal, so that commit numbers on the disk stay dense.
 */

import { parseJournalFileName } from "./journal-format.ts";
import { bootAndWorker } from "./manifest.ts";

/** A file that takes no more frames. */
export interface ClosedFile {
  readonly name: string;
  readonly vnodes: Uint32Array;
  readonly sequences: Float64Array;
}

/** What one journal file holds, open or closed. */
export interface FileUse {
  readonly name: string;
  readonly number: number;
  /** The commit that the file begins with, or will. */
  readonly firstCommit: number;
  /** End of its last frame. */
  readonly bytes: number;
  readonly vnodes: Uint32Array;
  /** Of each of `vnodes`, the largest sequence in this file. */
  readonly sequences: Float64Array;
}

export class FileSpace {
  /** Oldest first: order of boot, worker, number, which is the order of the names. */
  #files: { readonly use: ClosedFile; readonly moved: Set<number> }[] = [];
  readonly #covered = new Map<number, number>();

  /** A file was left by the journal, or found by recovery. */
  add(use: ClosedFile): void {
    this.#files.push({ use, moved: new Set() });
    this.#files.sort((a, b) => (a.use.name < b.use.name ? -1 : 1));
  }

  /** A snapshot of the vnode with all ops through `sequence` is durable, and so its manifest. */
  snapshotTaken(vnodeId: number, sequence: number): void {
    this.#covered.set(vnodeId, Math.max(sequence, this.#covered.get(vnodeId) ?? 0));
  }

  /**
   * All live ops of the vnode in files before `head` are durable again in `head` or later files
   * (the journal's file when the rewriting began).
   */
  rewritten(vnodeId: number, head: string): void {
    for (const { use, moved } of this.#files) if (use.name < head) moved.add(vnodeId);
  }

  /** Files that may be removed or recycled, once no manifest names them; each journal's oldest. */
  unneeded(): string[] {
    const pinned = new Set<string>();
    const names: string[] = [];
    for (const file of this.#files) {
      const journal = journalOf(file.use.name);
      if (pinned.has(journal)) continue;
      if (this.#pins(file).length > 0) pinned.add(journal);
      else names.push(file.use.name);
    }
    return names;
  }

  /** Vnodes that keep the oldest needed file: rewrite their live ops, or snapshot them. */
  oldestPins(): { readonly name: string; readonly vnodes: readonly number[] } | undefined {
    for (const file of this.#files) {
      const vnodes = this.#pins(file);
      if (vnodes.length > 0) return { name: file.use.name, vnodes };
    }
    return undefined;
  }

  /** The file is gone. */
  remove(name: string): void {
    this.#files = this.#files.filter(({ use }) => use.name !== name);
  }

  names(): string[] {
    return this.#files.map(({ use }) => use.name);
  }

  #pins({ use, moved }: { readonly use: ClosedFile; readonly moved: Set<number> }): number[] {
    const pins: number[] = [];
    use.vnodes.forEach((vnode, i) => {
      const needed = use.sequences[i] as number;
      if (!moved.has(vnode) && needed > (this.#covered.get(vnode) ?? 0)) pins.push(vnode);
    });
    return pins;
  }
}

function journalOf(name: string): string {
  const parsed = parseJournalFileName(name);
  return parsed === undefined ? name : bootAndWorker(parsed);
}
