/**
 * A worker without its clients: the real storage, snapshots, chores and old files, and real vnodes
 * that random commands are run on. What a thread cannot do after its end, this cannot either.
 */
import assert from "node:assert/strict";
import type { KeyCommand } from "../../actors/command.ts";
import { CommandTable } from "../../actors/command-table.ts";
import { Exchange } from "../../actors/gateway/exchange.ts";
import { requestOf } from "../../actors/gateway/steps.ts";
import { Executor } from "../../actors/vnode/executor.ts";
import { Vnode, type VnodeLog } from "../../actors/vnode/vnode.ts";
import { vnodeId } from "../../actors/vnode/vnode-id.ts";
import type { RecoveryTarget } from "../../actors/worker/log-replay.ts";
import { ownsVnode } from "../../actors/worker/ownership.ts";
import { PartitionLocks } from "../../actors/worker/partition-locks.ts";
import { SyncTimes } from "../../actors/worker/sync-times.ts";
import type { WorkerArgs } from "../../actors/worker/worker-args.ts";
import { WorkerStats } from "../../actors/worker/worker-stats.ts";
import { openStorage, type WorkerStorage } from "../../actors/worker/worker-storage.ts";
import { type UpkeepHost, WorkerUpkeep } from "../../actors/worker/worker-upkeep.ts";
import { ManualClock } from "../../runtime/base/clock.ts";
import { below, type Random } from "../../runtime/base/prng.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { FileSystem } from "../../runtime/storage/files.ts";
import { snapshotName } from "../../runtime/storage/snapshot.ts";
import type { FolderSurvey } from "../../runtime/storage/survey.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import type { Ledger, Part } from "./ledger.ts";
import { type Line, randomDelete, randomLine } from "./told.ts";

const SLAB_BYTES = 1024 * 1024;
const HASH_KEY = { high: 7, low: 7 };
const REPLY_BYTES_MAX = 64 * 1024;
/** One command in so many removes all keys of its vnode. */
const FLUSH_SHARE = 16;
/** Commands of a transaction, on as many vnodes or fewer. */
const TRANSACTION_COMMANDS_MAX = 5;
/** One transaction in so many throws at its end. */
const THROW_SHARE = 10;
/** One in so many is a part of a larger one. */
const PART_SHARE = 6;

const commands = new CommandTable();

export interface SimWorkerOptions {
  readonly args: WorkerArgs;
  readonly index: number;
  /** What the main thread tells of the folder. */
  readonly found: () => Promise<FolderSurvey>;
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
  readonly memoryBytes = 0;
  readonly limits;
  exchange: Exchange;

  readonly #options: SimWorkerOptions;
  /** What its vnodes have in common. */
  readonly #shared;
  readonly #executor: Executor;
  readonly #reply = new RespWriter({ bytesMax: REPLY_BYTES_MAX });
  /** Ops of the running command or transaction. */
  #made: Part[] = [];
  /** What was done for clients who are not answered yet. */
  #replies: { readonly gate: number; readonly parts: readonly Part[] }[] = [];
  /** Ops that are not promised to be durable yet, and those not even written. */
  #undurable: { readonly commit: number; readonly vnode: number; readonly sequence: number }[] = [];

  constructor(options: SimWorkerOptions) {
    this.#options = options;
    this.index = options.index;
    this.clock = new ManualClock(options.startMs);
    const pool = new SlabPool({ slabBytes: SLAB_BYTES });
    const clock = new HybridClock(this.clock);
    const writers = new OpWriters();
    this.#shared = { pool, hashKey: HASH_KEY, isAlone: true, clock, writers, lookups: this.stats };
    this.limits = options.args.config.clients;
    const partitions = options.args.config.keyspaces.map((keyspace) => keyspace.partitions);
    const vnode = (keyspace: number, partition: number) =>
      this.#vnode(vnodeId(keyspace, partition));
    this.#executor = new Executor({ vnode }, partitions);
    const gates = { isOpen: () => true };
    const idle = () => undefined;
    const noPort = () => assert.fail("no ports");
    this.exchange = new Exchange(noPort, gates, { moved: idle, behind: idle });
  }

  get isDead(): boolean {
    return this.state === "dead";
  }

  /** As worker.ts does: opens, starts the chores, recovers, serves. */
  async start(): Promise<void> {
    const { args, index, fs, random, ledger, pause, released } = this.#options;
    const found = await this.#options.found();
    const { clock } = this;
    if (this.isDead) return;
    const storage = await openStorage({
      args,
      index,
      found,
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
    if (this.isDead) return;
    for (const id of new Set([...ledger.vnodes(), ...this.vnodes.keys()])) {
      if (this.owns(id)) ledger.recovered(id, this.vnodes.get(id), clock.now());
    }
    this.state = "serving";
  }

  owns(id: number): boolean {
    return ownsVnode(this.#options.args, this.index, id);
  }

  /** What has expired is cleared once it is judged what came back. */
  get isSweeping(): boolean {
    return this.state === "serving";
  }

  createVnode(id: number): Vnode {
    const { random } = this.#options;
    const log = this.storage?.log ?? assert.fail("vnodes come after the storage");
    const vnode: Vnode = new Vnode({
      id,
      ...this.#shared,
      origin: { high: random.u32(), low: random.u32() },
      log: this.#noting(log, () => vnode),
      unsynced: log.unsynced(id >>> 16),
      random,
    });
    return vnode;
  }

  /** Every op that a vnode makes is noted, a sweep's as well. */
  #noting(log: VnodeLog, vnode: () => Vnode): VnodeLog {
    return {
      append: (id, sequence, op, start, end) => {
        log.append(id, sequence, op, start, end);
        const part = this.#options.ledger.appended(id, vnode().partition);
        this.#made.push(part);
        const commit = this.storage?.journal.collecting ?? assert.fail();
        this.#undurable.push({ commit, vnode: id, sequence });
      },
    };
  }

  #vnode(id: number): Vnode {
    const vnode = this.vnodes.get(id) ?? this.createVnode(id);
    this.adopt(vnode);
    return vnode;
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

  schedule(): void {
    setImmediate(() => {
      if (this.state !== "dead") this.#commit();
    });
  }

  #commit(): void {
    this.storage?.journal.commit();
    this.#note();
  }

  report(facts: object): void {
    const { error } = facts as { readonly error?: unknown };
    if (this.state !== "dead" && !this.#options.isExpected(error)) this.#options.broken(error);
  }

  /** Whether ops can be made now. */
  get takesOps(): boolean {
    const journal = this.storage?.journal;
    return this.state === "serving" && journal !== undefined && !journal.dead && !journal.full;
  }

  /** A turn: some commands, each on one vnode or a transaction over several, and their commit. */
  turn(opsMax: number): void {
    const { random, vnodeIds } = this.#options;
    const ops = 1 + below(random, opsMax);
    for (let i = 0; i < ops && this.takesOps; i++) {
      const own = vnodeIds.filter((id) => this.owns(id) && !this.#restarting.has(id));
      if (own.length === 0) break;
      const id = own[below(random, own.length)] as number;
      if (below(random, FLUSH_SHARE) === 0) this.#answerLater(() => this.#flush(id));
      else if (below(random, 3) > 0) this.#answerLater(() => this.#run(id));
      else this.#transaction(own);
    }
    this.#commit();
  }

  /** Runs something whose reply leaves when its gate is open: then it is promised. */
  #answerLater(run: () => void): readonly Part[] {
    const parts: Part[] = [];
    this.#made = parts;
    this.#executor.gate = 0;
    run();
    this.#made = [];
    this.#replies.push({ gate: this.#executor.gate, parts });
    return parts;
  }

  /** Some commands, all or none of which are done; as parts of a larger one, with the ids of calls. */
  #transaction(own: readonly number[]): void {
    const { random, ledger } = this.#options;
    const executor = this.#executor;
    const mark = this.storage?.journal.mark() ?? assert.fail();
    const sequences = new Map(own.map((id) => [id, this.#sequenceOf(id)]));
    const isThrowing = below(random, THROW_SHARE) === 0;
    const isPart = below(random, PART_SHARE) === 0;
    const ids = Array.from({ length: 2 + below(random, TRANSACTION_COMMANDS_MAX - 1) }, () => {
      return own[below(random, own.length)] as number;
    });
    let isPromised = true;
    const parts = this.#answerLater(() => {
      executor.beginTransaction();
      for (const id of ids) this.#run(id);
      const call = { high: random.u32(), low: random.u32() };
      for (const [sequence, id] of [...new Set(ids)].entries()) {
        if (!isPart) continue;
        // For an id alone no reply waits: until it is synced, an intent stands for it.
        if (!this.#vnode(id).partition.isBusy) isPromised = false;
        executor.nameCall(id >>> 16, id & 0xffff, { ...call, sequence });
      }
      if (!isThrowing) executor.endTransaction();
    });
    if (isThrowing || !isPromised) this.#replies.pop();
    if (isThrowing) this.#rollBack(mark, sequences);
    else ledger.together(parts);
  }

  #sequenceOf(id: number): number {
    return this.vnodes.get(id)?.partition.sequence ?? 0;
  }

  /** As the runtime does after a throw: nothing of it is logged, and its vnodes restart. */
  #rollBack(mark: number, sequences: ReadonlyMap<number, number>): void {
    const { ledger } = this.#options;
    this.storage?.journal.rewind(mark);
    const touched = this.#executor.abandon();
    for (const { id } of touched) ledger.rolledBack(id, sequences.get(id) ?? 0);
    const isLogged = ({ vnode, sequence }: { vnode: number; sequence: number }) =>
      sequence <= (sequences.get(vnode) ?? sequence);
    this.#undurable = this.#undurable.filter(isLogged);
    const failed = (error: unknown) => this.report({ error });
    for (const vnode of touched) this.#restart(vnode).catch(failed);
  }

  /** A delete, which a full disk does not refuse. */
  deleteSome(): void {
    const { random } = this.#options;
    const ids = [...this.vnodes.keys()].filter((id) => this.owns(id));
    const id = ids[below(random, ids.length)];
    if (id === undefined || this.state !== "serving") return;
    this.#answerLater(() => this.#run(id, randomDelete(random)));
    this.#commit();
  }

  #run(id: number, line = this.#randomLine(id)): void {
    const executor = this.#executor;
    const { command } = commands.findName(line[0].toLowerCase()) ?? assert.fail();
    const nowMs = this.clock.now();
    this.#options.ledger.judgeKeys(id, this.vnodes.get(id), nowMs);
    executor.nowMs = nowMs;
    this.#reply.reset();
    const request = requestOf(line.map((arg) => Buffer.from(arg)));
    executor.runOnKey(command as KeyCommand, id >>> 16, id & 0xffff, request, this.#reply);
    const text = this.#reply.buffer.toString("latin1", 0, this.#reply.at);
    assert.ok(!text.startsWith("-"), `${line.join(" ")} is refused: ${text}`);
    this.#options.ledger.executed(id, this.#sequenceOf(id), line, nowMs);
  }

  #randomLine(id: number): Line {
    return randomLine(this.#options.random, this.#sequenceOf(id), this.#options.valueBytesMax);
  }

  #flush(id: number): void {
    const vnode = this.#vnode(id);
    this.#executor.flush(vnode);
    this.#options.ledger.executed(id, vnode.partition.sequence, ["FLUSH"], this.clock.now());
  }

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
    this.#replies = this.#replies.filter(({ gate, parts }) => {
      if (!storage.log.isOpen(gate)) return true;
      for (const { vnode, sequence } of parts) {
        this.#options.ledger.promise(vnode, sequence, this.#levelOf(vnode));
      }
      return false;
    });
  }

  /** How much a reply promises. */
  #levelOf(vnode: number): "durable" | "written" {
    const { keyspaces } = this.#options.args.config;
    return keyspaces[vnode >>> 16]?.durability === "always" ? "durable" : "written";
  }

  readonly #restarting = new Set<number>();

  /** A vnode fails: its successor must hold the same. */
  async restartVnode(): Promise<void> {
    const { random } = this.#options;
    const { storage } = this;
    const ids = [...this.vnodes.keys()].filter((id) => !this.#restarting.has(id));
    const vnode = this.vnodes.get(ids[below(random, ids.length)] ?? -1);
    if (vnode === undefined || storage?.journal.dead !== false || this.state !== "serving") return;
    await this.#restart(vnode);
  }

  async #restart(vnode: Vnode): Promise<void> {
    const storage = this.storage ?? assert.fail();
    this.#restarting.add(vnode.id);
    this.vnodes.delete(vnode.id);
    vnode.partition.release();
    const next = await storage.recoverVnode(vnode.id, this);
    this.#restarting.delete(vnode.id);
    if (storage.journal.dead || this.state !== "serving") return;
    this.#options.ledger.judgeSame(next);
    this.#options.ledger.judgeKeys(next.id, next, this.clock.now());
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
