/**
 * The worker's journal as vnodes and gateways see it: ops go in, gates come out.
 *
 * A gate names the commit that a reply waits for, and how: `commit · 2` until it is written,
 * `commit · 2 + 1` until it is durable. 0 waits for nothing.
 *
 * Invariant: with durability `always`, a reader of a key waits for every op that touched the key
 * and is not yet durable; absence counts as a read.
 */
import { CoterieError } from "../../runtime/base/errors.ts";
import type { Durability } from "../../runtime/config.ts";
import type { Journal } from "../../runtime/storage/journal.ts";
import type { Gates } from "../gateway/connection.ts";
import type { UnsyncedKeys } from "../vnode/open-key.ts";
import type { VnodeLog } from "../vnode/vnode.ts";
import { SYSTEM_KEYSPACE } from "../vnode/vnode-id.ts";

/** Entries of the filter of unsynced keys; keys that share one wait for each other's syncs. */
const FILTER_ENTRIES = 16_384;

/** Who waits for a commit, and for what of it. */
interface Waiting {
  readonly commit: number;
  readonly until: "durable" | "settled" | "placed" | "written";
  readonly done: () => void;
}

export class WorkerLog implements VnodeLog, Gates {
  readonly #journal: Journal;
  /** Of each keyspace, whether its ops are answered after their sync. */
  readonly #alwaysSynced: readonly boolean[];
  readonly #filter = new Float64Array(FILTER_ENTRIES);
  #waiting: Waiting[] = [];
  /** The writer whose op came last, and its bytes as words: nearly always the same one. */
  #lastBuffer: Buffer | null = null;
  #lastWords: Int32Array = new Int32Array(0);
  readonly #always: UnsyncedKeys;
  readonly #written: UnsyncedKeys;

  /** `durabilities` of the keyspaces by index. */
  constructor(journal: Journal, durabilities: readonly Durability[]) {
    this.#journal = journal;
    this.#alwaysSynced = durabilities.map((durability) => durability === "always");
    const filter = this.#filter;
    this.#always = {
      gateOf(hash) {
        const commit = filter[hash & (FILTER_ENTRIES - 1)] as number;
        return commit > journal.durableThrough ? unsyncedGate(journal, commit) : 0;
      },
      touch(hash) {
        const commit = journal.collecting;
        filter[hash & (FILTER_ENTRIES - 1)] = commit;
        return commit * 2 + 1;
      },
      touchAll() {
        const commit = journal.collecting;
        filter.fill(commit);
        return commit * 2 + 1;
      },
    };
    const written = () => journal.collecting * 2;
    this.#written = { gateOf: () => 0, touch: written, touchAll: written };
  }

  /** What a look at all keys of a keyspace must wait for; 0: nothing. */
  gateOfAll(keyspace: number): number {
    if (this.#alwaysSynced[keyspace] !== true) return 0;
    return unsyncedGate(this.#journal, Number.POSITIVE_INFINITY);
  }

  /** How readers and writers of a keyspace wait. */
  unsynced(keyspace: number): UnsyncedKeys {
    return this.#isAlways(keyspace) ? this.#always : this.#written;
  }

  /** Whether a keyspace's ops are answered after their sync. The node's own always are. */
  #isAlways(keyspace: number): boolean {
    return keyspace === SYSTEM_KEYSPACE || this.#alwaysSynced[keyspace] === true;
  }

  /** Calls back once everything appended so far is durable; asks for that. */
  sync(done: () => void): void {
    const commit = this.#lastCommit;
    this.#journal.syncNow();
    this.whenDurable(commit, done);
  }

  /**
   * Resolves to whether everything appended so far is durable: once it is or, where the disk has no
   * room for it, once what is written is. Also when the journal is dead.
   */
  async settled(): Promise<boolean> {
    const commit = this.#lastCommit;
    this.#journal.syncNow();
    await new Promise<void>((done) => this.#wait({ commit, until: "settled", done }));
    return commit <= this.#journal.durableThrough;
  }

  /** The commit that holds the last op appended. */
  get #lastCommit(): number {
    const { collecting, pendingBytes } = this.#journal;
    return pendingBytes === 0 ? collecting - 1 : collecting;
  }

  /** Bytes of ops that wait to be written. */
  get pendingBytes(): number {
    return this.#journal.pendingBytes;
  }

  append(vnodeId: number, sequence: number, op: Buffer, start: number, end: number): void {
    const isDurable = this.#isAlways(vnodeId >>> 16);
    if (start !== 0 || op.byteOffset % 4 !== 0) {
      this.#append(vnodeId, sequence, op, start, end, isDurable);
      return;
    }
    if (op !== this.#lastBuffer) {
      this.#lastBuffer = op;
      this.#lastWords = new Int32Array(op.buffer, op.byteOffset, op.length >>> 2);
    }
    if (!this.#journal.append(vnodeId, sequence, this.#lastWords, end, isDurable)) throw dead();
  }

  /**
   * Appends an op that recovery found and that may lie in the page cache only. One sync follows when
   * all are written.
   */
  rewrite(vnodeId: number, sequence: number, op: Buffer, start: number, end: number): void {
    this.#append(vnodeId, sequence, op, start, end, false);
  }

  #append(
    vnodeId: number,
    sequence: number,
    op: Buffer,
    start: number,
    end: number,
    isDurable: boolean,
  ): void {
    const length = end - start;
    const at = this.#journal.open(vnodeId, sequence, length);
    if (at < 0) throw dead();
    op.copy(this.#journal.arena, at, start, end);
    this.#journal.seal(length, isDurable);
  }

  /**
   * Resolves once everything appended so far is written, or waits for room on a full disk. Also when
   * the journal is dead.
   */
  placed(): Promise<void> {
    const commit = this.#lastCommit;
    return new Promise((done) => this.#wait({ commit, until: "placed", done }));
  }

  /** Resolves once everything appended so far is written; rejects when the journal is dead. */
  async written(): Promise<void> {
    const commit = this.#lastCommit;
    await new Promise<void>((done) => this.#wait({ commit, until: "written", done }));
    if (this.#journal.dead) throw dead();
  }

  /** Calls back once this commit is durable. */
  whenDurable(commit: number, done: () => void): void {
    this.#wait({ commit, until: "durable", done });
  }

  #wait(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.moved();
  }

  /** The journal has written more late, has made more durable, has no room, or is dead. */
  moved(): void {
    if (this.#waiting.length === 0) return;
    const ready = this.#waiting.filter((waiting) => this.#isOver(waiting));
    this.#waiting = this.#waiting.filter((waiting) => !this.#isOver(waiting));
    for (const { done } of ready) done();
  }

  #isOver({ commit, until }: Waiting): boolean {
    const { durableThrough, writtenThrough, full, dead } = this.#journal;
    switch (until) {
      case "durable":
        return commit <= durableThrough;
      case "settled":
        return dead || (full && durableThrough === writtenThrough) || commit <= durableThrough;
      case "placed":
        return dead || full || commit <= writtenThrough;
      case "written":
        return dead || commit <= writtenThrough;
    }
  }

  isOpen(gate: number): boolean {
    const commit = Math.floor(gate / 2);
    const through = gate % 2 === 1 ? this.#journal.durableThrough : this.#journal.writtenThrough;
    return commit <= through;
  }
}

/**
 * The gate of a commit, but never of one that nobody will sync: an op that was rolled back leaves its
 * key in the filter with a commit that may hold nothing, or what did not ask for a sync.
 */
function unsyncedGate(journal: Journal, commit: number): number {
  const last = Math.min(commit, journal.lastDurable);
  return last > journal.durableThrough ? last * 2 + 1 : 0;
}

function dead(): CoterieError {
  return new CoterieError("DISK_FAILED", "the journal takes no ops: its disk failed");
}
