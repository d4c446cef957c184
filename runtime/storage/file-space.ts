/**
 * Which old journal files are still needed: of each file, the largest sequence of every vnode that
 * has ops in it, against what is in snapshots. Pure.
 *
 * Invariant: a file is unneeded only if every op in it is in a durable snapshot of its vnode; and no
 * file of a journal before an older one of the same journal, so that commit numbers on the disk stay
 * dense.
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
  #files: ClosedFile[] = [];
  readonly #covered = new Map<number, number>();

  /** A file was left by the journal, or found by recovery. */
  add(use: ClosedFile): void {
    this.#files.push(use);
    this.#files.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A snapshot of the vnode with all ops through `sequence` is durable, and so its manifest. */
  snapshotTaken(vnodeId: number, sequence: number): void {
    this.#covered.set(vnodeId, Math.max(sequence, this.#covered.get(vnodeId) ?? 0));
  }

  /** Files that may be removed or recycled, once no manifest names them; each journal's oldest. */
  unneeded(): string[] {
    const pinned = new Set<string>();
    const names: string[] = [];
    for (const use of this.#files) {
      const journal = journalOf(use.name);
      if (pinned.has(journal)) continue;
      if (this.#pins(use).length > 0) pinned.add(journal);
      else names.push(use.name);
    }
    return names;
  }

  /** Vnodes that keep the oldest needed file: their snapshots free it. */
  oldestPins(): readonly number[] {
    for (const use of this.#files) {
      const vnodes = this.#pins(use);
      if (vnodes.length > 0) return vnodes;
    }
    return [];
  }

  /** Vnodes that keep a file, or an older one of its journal: with those it cannot go either. */
  pinsThrough(name: string): number[] {
    const pins = new Set<number>();
    for (const use of this.#files) {
      const isOf = journalOf(use.name) === journalOf(name) && use.name <= name;
      if (isOf) for (const vnode of this.#pins(use)) pins.add(vnode);
    }
    return [...pins];
  }

  /** The file is gone. */
  remove(name: string): void {
    this.#files = this.#files.filter((use) => use.name !== name);
  }

  names(): string[] {
    return this.#files.map(({ name }) => name);
  }

  #pins({ vnodes, sequences }: ClosedFile): number[] {
    return [...vnodes].filter((vnode, i) => {
      return (sequences[i] as number) > (this.#covered.get(vnode) ?? 0);
    });
  }
}

/** What a file holds of some vnodes: the rest does not concern who has them. */
export function partOf(file: ClosedFile, has: (vnodeId: number) => boolean): ClosedFile {
  const indexes = [...file.vnodes.keys()].filter((i) => has(file.vnodes[i] as number));
  return {
    name: file.name,
    vnodes: Uint32Array.from(indexes, (i) => file.vnodes[i] as number),
    sequences: Float64Array.from(indexes, (i) => file.sequences[i] as number),
  };
}

function journalOf(name: string): string {
  const parsed = parseJournalFileName(name);
  return parsed === undefined ? name : bootAndWorker(parsed);
}
