/**
 * A worker without its clients: the real storage, snapshots, chores and old files, and real vnodes
 * that random ops are made on. What a thread cannot do after its end, this cannot either.
 */
import assert from "node:assert/strict";
import { Exchange } from "../../actors/gateway/exchange.ts";
import { Vnode } from "../../actors/vnode/vnode.ts";
import { ownsVnode } from "../../actors/worker/ownership.ts";
import { PartitionLocks } from "../../actors/worker/partition-locks.ts";
import { SyncTimes } from "../../actors/worker/sync-times.ts";
import type { WorkerArgs } from "../../actors/worker/worker-args.ts";
import { WorkerStats } from "../../actors/worker/worker-stats.ts";
import {
  openStorage,
  type RecoveryTarget,
  type WorkerStorage,
} from "../../actors/worker/worker-storage.ts";
import { type UpkeepHost, WorkerUpkeep } from "../../actors/worker/worker-upkeep.ts";
import { ManualClock } from "../../runtime/base/clock.ts";
import { below, type Random } from "../../runtime/base/prng.ts";
import { HASH } from "../../runtime/causality/cell.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import type { FileSystem } from "../../runtime/storage/files.ts";
import { snapshotName } from "../../runtime/storage/snapshot.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import { clearKey, removeCell, setElements, setStrings } from "../support/partitions.ts";
import type { Ledger } from "./ledger.ts";

const SLAB_BYTES = 1024 * 1024;
const KEYS = 8;

export interface SimWorkerOptions {
  readonly args: WorkerArgs;
  readonly index: number;
  readonly fs: FileSystem;
  readonly random: Random;
  readonly ledger: Ledger;
  readonly startMs: number;
  /** Largest value. */
  readonly valueBytesMax: number;
  /** Vnodes that get ops. */
  readonly vnodeIds: readonly number[];
  released(names: readonly string[]): void;
  journalFailed(): void;
  /** Something went wrong that a disk does not explain. */
  broken(error: unknown): void;
  /** Errors that the disk gives just now. */
  isExpected(error: unknown): boolean;
  /** A pause of the start, before the snapshots are loaded. */
  pause(): Promise<void>;
}

export class SimWorker implements RecoveryTarget, UpkeepHost {
  state: "starting" | "serving" | "dead" = "starting";
  readonly clock: ManualClock;
  readonly index: number;
  readonly vnodes = new Map<number, Vnode>();
  storage: WorkerStorage | undefined;
  upkeep: WorkerUpkeep | undefined;

  // For the chores.
  readonly stats = new WorkerStats();
  readonly clients = new Map();
  readonly locks = new PartitionLocks();
  readonly isSweeping = true;
  readonly memoryBytes = 0;
  readonly limits;
  exchange: Exchange;

  readonly #options: SimWorkerOptions;
  readonly #pool = new SlabPool({ slabBytes: SLAB_BYTES });
  readonly #writers = new OpWriters();
  readonly #hybridClock: HybridClock;
  /** Ops that are not promised to be durable yet, and those not even written. */
  #undurable: { readonly commit: number; readonly vnode: number; readonly sequence: number }[] = [];

  constructor(options: SimWorkerOptions) {
    this.#options = options;
    this.index = options.index;
    this.clock = new ManualClock(options.startMs);
    this.#hybridClock = new HybridClock(this.clock);
    this.limits = options.args.config.clients;
    const gates = { isOpen: () => true };
    this.exchange = new Exchange(() => assert.fail("no ports"), gates, {
      moved: () => undefined,
      behind: () => undefined,
    });
  }

  /** As worker.ts does: opens, starts the chores, recovers, serves. */
  async start(): Promise<void> {
    const { args, index, fs, random, ledger, pause, released } = this.#options;
    const { clock } = this;
    const storage = await openStorage({
      args,
      index,
      fs,
      timers: clock,
      random,
      events: {
        onDurable: () => this.#note(),
        onFailed: () => this.#options.journalFailed(),
        onFull: () => undefined,
        syncTimes: new SyncTimes(clock),
      },
    });
    this.storage = storage;
    this.upkeep = new WorkerUpkeep({ host: this, args, clock, timers: clock, storage, released });
    await pause();
    await storage.recover(this);
    if (this.state === "dead") return;
    for (const id of new Set([...ledger.vnodes(), ...this.vnodes.keys()])) {
      if (this.owns(id)) ledger.recovered(id, this.vnodes.get(id)?.partition);
    }
    this.state = "serving";
  }

  owns(id: number): boolean {
    return ownsVnode(this.#options.args, this.index, id);
  }

  createVnode(id: number): Vnode {
    const { random } = this.#options;
    const log = this.storage?.log ?? assert.fail("vnodes come after the storage");
    return new Vnode({
      id,
      pool: this.#pool,
      hashSeed: 7,
      origin: { high: random.u32(), low: random.u32() },
      clock: this.#hybridClock,
      writers: this.#writers,
      log,
      unsynced: null,
      random,
    });
  }

  adopt(vnode: Vnode): void {
    this.vnodes.set(vnode.id, vnode);
  }

  findAny(id: number): Vnode | undefined {
    return this.vnodes.get(id);
  }

  everyVnode(): Iterable<Vnode> {
    return this.vnodes.values();
  }

  schedule(): void {}

  report(facts: object): void {
    const { error } = facts as { readonly error?: unknown };
    if (this.state !== "dead" && !this.#options.isExpected(error)) this.#options.broken(error);
  }

  /** Whether ops can be made now. */
  get takesOps(): boolean {
    const journal = this.storage?.journal;
    return this.state === "serving" && journal !== undefined && !journal.dead && !journal.full;
  }

  /** A turn: some ops, each on one vnode or a transaction over two, and their commit. */
  turn(opsMax: number): void {
    const { random, vnodeIds } = this.#options;
    const own = vnodeIds.filter((id) => this.owns(id) && !this.#restarting.has(id));
    const ops = 1 + below(random, opsMax);
    for (let i = 0; i < ops && own.length > 0 && this.takesOps; i++) {
      const first = own[below(random, own.length)] as number;
      const second = own[below(random, own.length)] as number;
      if (first === second || below(random, 3) > 0) this.#make(first);
      else this.#options.ledger.together([this.#make(first), this.#make(second)]);
    }
    this.storage?.journal.commit();
    this.#note();
  }

  /** A delete, which a full disk does not refuse. */
  deleteSome(): void {
    const { random } = this.#options;
    const ids = [...this.vnodes.keys()].filter((id) => this.owns(id));
    const id = ids[below(random, ids.length)];
    if (id === undefined || this.state !== "serving") return;
    this.#make(id, (partition) => clearKey(partition, `k${below(random, KEYS)}`));
    this.storage?.journal.commit();
    this.#note();
  }

  #make(id: number, change = this.#change) {
    const { ledger } = this.#options;
    const vnode = this.vnodes.get(id) ?? this.createVnode(id);
    this.adopt(vnode);
    const journal = this.storage?.journal ?? assert.fail();
    change(vnode.partition);
    const part = ledger.appended(id, vnode.partition);
    this.#undurable.push({ commit: journal.collecting, vnode: id, sequence: part.sequence });
    return part;
  }

  readonly #change = (partition: Partition): void => {
    randomOp(partition, this.#options.random, this.#options.valueBytesMax);
  };

  /** Some of it is written, or durable: so far goes the promise. */
  #note(): void {
    const { storage } = this;
    if (this.state === "dead" || storage === undefined) return;
    const { dead, durableThrough, writtenThrough } = storage.journal;
    if (dead) return;
    this.#undurable = this.#undurable.filter(({ commit, vnode, sequence }) => {
      const level = commit <= durableThrough ? "durable" : "written";
      if (commit <= writtenThrough) this.#options.ledger.promise(vnode, sequence, level);
      return level === "written";
    });
  }

  readonly #restarting = new Set<number>();

  /** A vnode fails: its successor must hold the same. */
  async restartVnode(): Promise<void> {
    const { random } = this.#options;
    const { storage } = this;
    const ids = [...this.vnodes.keys()].filter((id) => !this.#restarting.has(id));
    const vnode = this.vnodes.get(ids[below(random, ids.length)] ?? -1);
    if (vnode === undefined || storage?.journal.dead !== false || this.state !== "serving") return;
    const { sequence } = vnode.partition;
    this.#restarting.add(vnode.id);
    this.vnodes.delete(vnode.id);
    vnode.partition.release();
    const next = await storage.recoverVnode(vnode.id, this);
    this.#restarting.delete(vnode.id);
    if (storage.journal.dead || this.state !== "serving") return;
    assert.equal(next.partition.sequence, sequence, "a restarted vnode holds what it held");
    this.adopt(next);
  }

  /** A vnode's snapshot is said to be damaged: it alone gets another. */
  replaceSnapshot(): void {
    const ids = [...this.vnodes.keys()];
    const vnodeId = ids[below(this.#options.random, ids.length)];
    if (vnodeId !== undefined) this.upkeep?.replaceFile(snapshotName({ vnodeId, sequence: 0 }));
  }

  /** Clean end of the thread. */
  async stop(): Promise<void> {
    await this.upkeep?.stop();
    await this.storage?.close();
  }
}

/** One op: sets and removes strings and fields, or removes everything. */
function randomOp(partition: Partition, random: Random, valueBytesMax: number): void {
  const key = `k${below(random, KEYS)}`;
  const value = `${partition.sequence}:`.padEnd(below(random, 200), "x");
  switch (below(random, 12)) {
    case 0:
    case 1:
      clearKey(partition, key);
      return;
    case 2:
      partition.flush();
      if (partition.isOpen) partition.finish();
      else setStrings(partition, [[key, "after a flush of nothing"]]);
      return;
    case 3:
    case 4:
      setElements(partition, `h${key}`, HASH, [[`f${below(random, 3)}`, value]]);
      return;
    case 5:
      removeCell(partition, `h${key}`, HASH, `f${below(random, 3)}`);
      return;
    case 6:
      setStrings(partition, [[key, value.padEnd(below(random, valueBytesMax), "y")]]);
      return;
    default:
      setStrings(partition, [[key, value]]);
  }
}
