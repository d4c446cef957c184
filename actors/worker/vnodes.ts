/**
 * The vnodes of one worker: actors that are made at the first use of their partition, found by
 * (keyspace, partition) with two array reads, and restarted from their log when they fail.
 */
import { type ActorCell, actor } from "../../runtime/actor/actor.ts";
import type { ActorSystem } from "../../runtime/actor/system.ts";
import { vnodeProtocol } from "../protocols/vnode.ts";
import type { VnodeSource } from "../vnode/executor.ts";
import type { Vnode } from "../vnode/vnode.ts";
import { vnodeId } from "../vnode/vnode-id.ts";
import { Settling } from "./settling.ts";

type VnodeCell = ActorCell<(typeof vnodeProtocol)["messages"], Vnode>;

export interface VnodesOptions {
  readonly system: ActorSystem;
  /** Partitions of each keyspace. */
  readonly partitions: readonly number[];
  /** A vnode without any state yet. */
  create(id: number): Vnode;
  /** A failed vnode's successor, from what the disk holds. */
  recover(id: number): Promise<Vnode>;
  /** What a failed vnode held is worth nothing any more. */
  dropped(vnode: Vnode): void;
  /** Runs a function in a turn of its own. */
  soon(run: () => void): void;
}

/** How long a command waits for a vnode that restarts. */
const READY_TIMEOUT_MS = 10_000;

interface StartArgs {
  readonly id: number;
  /** The state to start with the first time; later starts recover. */
  first: Vnode | null;
}

export class Vnodes implements VnodeSource {
  readonly #options: VnodesOptions;
  readonly #cells: (VnodeCell | undefined)[][];
  readonly #definition;
  readonly #settling: Settling;

  constructor(options: VnodesOptions) {
    this.#options = options;
    this.#cells = options.partitions.map(() => []);
    this.#settling = new Settling(options);
    this.#definition = actor({
      protocol: vnodeProtocol,
      start({ id, first }: StartArgs): Vnode | Promise<Vnode> {
        return first ?? options.recover(id);
      },
      on: { whenReady: () => undefined },
      stop: (vnode) => options.dropped(vnode),
    });
  }

  vnode(keyspace: number, partition: number): Vnode {
    const cell = this.#cells[keyspace]?.[partition];
    return (cell === undefined ? this.#spawn(keyspace, partition).ready : cell.ready) as Vnode;
  }

  /** Whether a partition's commands can run now. One that does not exist yet can. */
  isReady(keyspace: number, partition: number): boolean {
    const cell = this.#cells[keyspace]?.[partition];
    return cell === undefined || cell.ready !== undefined;
  }

  /**
   * Whether commands on this key (none given: on any) can run now: its partition serves, and not
   * much is left to judge of it.
   */
  canRun(
    keyspace: number,
    partition: number,
    key: Buffer | undefined,
    start: number,
    end: number,
  ): boolean {
    const cell = this.#cells[keyspace]?.[partition];
    if (cell === undefined) return true;
    const vnode = cell.ready;
    if (vnode === undefined) return false;
    const { table } = vnode;
    if (!table.hasCuts) return true;
    return key !== undefined && !table.isSettling(table.find(key, start, end));
  }

  /** The vnode of a partition, if it exists and serves. */
  find(keyspace: number, partition: number): Vnode | undefined {
    return this.#cells[keyspace]?.[partition]?.ready;
  }

  /** Puts a recovered vnode in its place. */
  adopt(vnode: Vnode): void {
    this.#spawn(vnode.keyspace, vnode.partitionNumber, vnode);
  }

  #spawn(keyspace: number, partition: number, first?: Vnode): VnodeCell {
    const id = vnodeId(keyspace, partition);
    const args: StartArgs = { id, first: first ?? this.#options.create(id) };
    const { system } = this.#options;
    const cell = system.spawn(this.#definition, args, { name: `vnode-${keyspace}-${partition}` });
    args.first = null;
    (this.#cells[keyspace] as (VnodeCell | undefined)[])[partition] = cell;
    return cell;
  }

  /** Calls back once all commands can run on a partition, or with the reason why they cannot. */
  whenReady(keyspace: number, partition: number, done: (error: Error | null) => void): void {
    const cell = this.#cells[keyspace]?.[partition];
    if (cell === undefined) {
      done(null);
      return;
    }
    const table = cell.ready?.table;
    if (table?.hasCuts) {
      this.#settling.whenOver(table, () => done(null));
      return;
    }
    cell.ref.ask("whenReady", undefined, { timeoutMs: READY_TIMEOUT_MS }, (outcome) => {
      // The answer comes within a turn of the vnode, and it serves only after that.
      queueMicrotask(() => done(outcome.kind === "reply" ? null : outcome.error));
    });
  }

  /** Ends a vnode's incarnation; its supervisor restarts it from its log. */
  fail(vnode: Vnode, error: unknown): void {
    this.#cells[vnode.keyspace]?.[vnode.partitionNumber]?.fail(error);
  }

  /** The serving vnodes of a keyspace, by rising partition. */
  *all(keyspace: number): Iterable<Vnode> {
    for (const cell of this.#cells[keyspace] ?? []) {
      if (cell?.ready !== undefined) yield cell.ready;
    }
  }

  /** Every serving vnode. */
  *everywhere(): Iterable<Vnode> {
    for (let keyspace = 0; keyspace < this.#cells.length; keyspace++) yield* this.all(keyspace);
  }
}
