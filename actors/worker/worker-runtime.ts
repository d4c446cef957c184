/**
 * One worker thread put together: its journal, its vnodes, its clients, its ports to the others.
 *
 * A turn: bytes from sockets and peers run commands on vnodes by plain calls; at its end the
 * journal writes one frame, each connection is written to once, each port posted to once.
 */

import { ActorSystem } from "../../runtime/actor/system.ts";
import { systemScheduler } from "../../runtime/actor/timers.ts";
import type { Clock, Timers } from "../../runtime/base/clock.ts";
import type { CoterieError } from "../../runtime/base/errors.ts";
import type { LogEvent } from "../../runtime/base/log.ts";
import type { Random } from "../../runtime/base/prng.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import { unpack } from "../../runtime/codec/pack.ts";
import type { Request } from "../../runtime/codec/request.ts";
import type { ClientsConfig, NodeConfig } from "../../runtime/config.ts";
import { workerOf } from "../../runtime/ring/slots.ts";
import type { Journal } from "../../runtime/storage/journal.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import type { BatchPort } from "../../runtime/thread/batch-port.ts";
import type { Peer } from "../../runtime/thread/worker-context.ts";
import { CommandTable } from "../command-table.ts";
import { Logins } from "../gateway/authentication.ts";
import type { Client } from "../gateway/client.ts";
import { guardConditionals } from "../gateway/conditional.ts";
import { REPLY_BYTES_MAX } from "../gateway/connection.ts";
import { CrossWorker } from "../gateway/cross-worker.ts";
import type { DispatchHost } from "../gateway/dispatch-host.ts";
import { Dispatcher } from "../gateway/dispatcher.ts";
import { Exchange } from "../gateway/exchange.ts";
import type { RunHeader } from "../gateway/messages.ts";
import { Scatter, type ScatterHost } from "../gateway/scatter.ts";
import { Scratch } from "../gateway/scratch.ts";
import { SlotMap } from "../gateway/slot-map.ts";
import { Transactions } from "../gateway/transactions.ts";
import { Executor } from "../vnode/executor.ts";
import { Vnode } from "../vnode/vnode.ts";
import { SYSTEM_KEYSPACE, vnodeId } from "../vnode/vnode-id.ts";
import { crashPoints } from "./crash-points.ts";
import { Intents } from "./intents.ts";
import { MemoryLimit } from "./memory-limit.ts";
import { Parameters } from "./parameters.ts";
import { DISK_REFUSES, PARTS_REPLY_BYTES_MAX, Participant } from "./participant.ts";
import { PartitionLocks } from "./partition-locks.ts";
import { Pause } from "./pause.ts";
import { type ProcessFacts, thisProcess } from "./process-facts.ts";
import { defineParameters } from "./redis-parameters.ts";
import { writeReport } from "./report.ts";
import { Slices } from "./slices.ts";
import { Turn } from "./turn.ts";
import { Vnodes } from "./vnodes.ts";
import type { WorkerArgs } from "./worker-args.ts";
import { WorkerClients } from "./worker-clients.ts";
import type { WorkerLog } from "./worker-log.ts";
import { WorkerPeers } from "./worker-peers.ts";
import { WorkerStats } from "./worker-stats.ts";
import type { WorkerStorage } from "./worker-storage.ts";
import { type UpkeepHost, WorkerUpkeep } from "./worker-upkeep.ts";
import type { PersistenceFacts } from "./worker-view.ts";

const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";

export interface WorkerRuntimeOptions {
  readonly args: WorkerArgs;
  readonly index: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly storage: WorkerStorage;
  /** The port to another thread. */
  readonly port: (peer: Peer) => BatchPort;
  /** Posts to every port, at the end of a turn. */
  readonly flushPorts: () => void;
  /** Files of earlier boots that this worker needs no more. */
  readonly released: (names: readonly string[]) => void;
  readonly onCrashLoop: (error: CoterieError) => void;
  readonly shutdown: () => void;
}

export class WorkerRuntime implements DispatchHost, ScatterHost, UpkeepHost {
  readonly index: number;
  readonly config: NodeConfig;
  readonly nodeId: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly random: Random;
  readonly clock: Clock;
  readonly stats = new WorkerStats();
  readonly logins: Logins;
  readonly parameters = new Parameters();
  readonly table = new CommandTable();
  readonly executor: Executor;
  readonly exchange: Exchange;
  readonly slots: SlotMap;
  readonly clients = new Map<number, Client>();
  readonly pool: SlabPool;
  readonly vnodesHere: Vnodes;
  readonly system: ActorSystem;
  readonly turn: Turn;
  /** Its own clients. */
  readonly gateway: WorkerClients;
  /** What other threads ask of it. */
  readonly peers: WorkerPeers;
  /** Bounds on clients; CONFIG SET changes this copy. */
  readonly limits: { -readonly [Name in keyof ClientsConfig]: ClientsConfig[Name] };
  readonly gates: WorkerLog;
  readonly process: ProcessFacts = thisProcess();
  readonly locks = new PartitionLocks();
  readonly slices = new Slices(() => this.beginTurn());
  readonly clientPause: Pause;
  readonly intents: Intents;
  readonly cross: CrossWorker;
  isSweeping = true;
  nowMs: number;

  readonly #options: WorkerRuntimeOptions;
  readonly #journal: Journal;
  readonly #hybridClock: HybridClock;
  readonly #writers = new OpWriters();
  readonly upkeep: WorkerUpkeep;
  readonly #partitions: readonly number[];
  readonly memoryLimit: MemoryLimit;

  constructor(options: WorkerRuntimeOptions) {
    const { args, index, clock, timers, storage, released } = options;
    const { journal, log } = storage;
    this.#options = options;
    this.index = index;
    this.config = args.config;
    this.nodeId = args.nodeId;
    this.version = args.version;
    this.startedAtMs = args.startedAtMs;
    this.random = options.random;
    this.#journal = journal;
    this.clock = clock;
    this.nowMs = clock.now();
    // Wall time is read once a turn, not once an op.
    this.#hybridClock = new HybridClock({ ...clock, now: () => this.nowMs });
    this.#partitions = args.config.keyspaces.map((keyspace) => keyspace.partitions);
    this.limits = { ...args.config.clients };
    this.gates = log;
    this.pool = new SlabPool({ given: args.slabs }).warm();
    this.memoryLimit = new MemoryLimit(this.pool, args.config);
    this.system = newSystem(options);
    this.vnodesHere = new Vnodes({
      system: this.system,
      partitions: this.#partitions,
      create: (id) => this.createVnode(id),
      recover: (id) => storage.recoverVnode(id, this),
      dropped: (vnode) => vnode.partition.release(),
      soon: (run) => this.#soon(run),
    });
    guardConditionals(this.table, args.config.keyspaces);
    this.executor = new Executor(this.vnodesHere, this.#partitions);
    const asked = { moved: () => this.turn.schedule(), behind: () => this.turn.look() };
    this.exchange = new Exchange(options.port, log, asked);
    this.slots = new SlotMap(args);
    this.logins = new Logins({ ...options, beginTurn: () => this.beginTurn() });
    this.clientPause = new Pause({ ...options, beginTurn: () => this.beginTurn() });
    this.intents = new Intents(index, (id) => this.createVnode(id));
    const participant = new Participant(this, PARTS_REPLY_BYTES_MAX);
    this.cross = new CrossWorker({
      host: this,
      participant,
      intents: this.intents,
      timers: options.timers,
      onPoint: crashPoints(process.env.COTERIE_TEST_CRASH_POINT, this.process.allowsTestCommands),
    });
    const transactions = new Transactions(this, this.cross);
    this.upkeep = new WorkerUpkeep({ host: this, args, clock, timers, storage, released });
    const flushPorts = () => this.#flushPorts();
    const readClock = () => this.#readClock();
    const isBehind = () => this.exchange.isBehind;
    const steps = { readClock, commit: () => journal.commit(), flushPorts, isBehind };
    this.turn = new Turn(steps, clock, this.stats);
    this.gateway = new WorkerClients({
      worker: this,
      clients: this.clients,
      limits: this.limits,
      gates: log,
      dispatcher: new Dispatcher(this, new Scatter(this), transactions),
      router: transactions,
      turn: this.turn,
      readClock,
    });
    this.peers = new WorkerPeers({ host: this, cross: this.cross, participant, readClock });
    defineParameters(this.parameters, args.config, {
      setMemoryMax: (bytes) => {
        this.memoryLimit.bytesMax = bytes / args.config.workers;
      },
      limits: this.limits,
    });
  }

  /** A vnode without any state, under an origin of its own. */
  createVnode(id: number): Vnode {
    const { args, random } = this.#options;
    const log = this.gates;
    return new Vnode({
      id,
      pool: this.pool,
      hashKey: args.hashKey,
      origin: { high: random.u32(), low: random.u32() },
      isAlone: args.config.keyspaces[id >>> 16]?.replicas === 1,
      clock: this.#hybridClock,
      writers: this.#writers,
      log,
      unsynced: log.unsynced(id >>> 16),
      lookups: this.stats,
      random,
    });
  }

  /** Something else than a client's bytes begins a turn. */
  beginTurn(): void {
    this.#readClock();
    this.turn.schedule();
  }

  /** Runs a function in a turn of its own. */
  #soon(run: () => void): void {
    setImmediate(() => {
      this.beginTurn();
      run();
    });
  }

  /** A turn begins, or goes on. */
  #readClock(): void {
    this.nowMs = this.clock.now();
    this.turn.begin();
  }

  refusesWrite(deniesOom: boolean): string | null {
    // What frees memory goes on in the room that is left of the journal.
    if (this.#journal.full && (deniesOom || this.#journal.isShort)) return DISK_REFUSES;
    return deniesOom && this.memoryLimit.isReached ? OUT_OF_MEMORY : null;
  }

  isReady(keyspace: number, partition: number): boolean {
    return this.vnodesHere.isReady(keyspace, partition);
  }

  canRun(keyspace: number, partition: number, key?: Buffer, start = 0, end = 0): boolean {
    if (this.locks.size > 0 && !this.locks.isFree(vnodeId(keyspace, partition))) return false;
    return this.vnodesHere.canRun(keyspace, partition, key, start, end);
  }

  whenReady(keyspace: number, partition: number, done: (error: string | null) => void): void {
    const id = vnodeId(keyspace, partition);
    const goOn = (refusal: string | null) => {
      this.beginTurn();
      done(refusal);
    };
    if (!this.locks.isFree(id)) {
      this.locks.whenFree(id, this.nowMs, goOn);
      return;
    }
    this.vnodesHere.whenReady(keyspace, partition, (error) => {
      goOn(error === null ? null : `TRYAGAIN ${error.message}`);
    });
  }

  schedule(): void {
    this.turn.schedule();
  }

  newScratch(): Scratch {
    return new Scratch({
      partitions: this.#partitions,
      clock: this.clock,
      random: this.random,
      replyBytesMax: REPLY_BYTES_MAX,
      lookups: this.stats,
    });
  }

  report(event: LogEvent): void {
    writeReport(this.config.log, event);
  }

  /** The vnode that serves under this id, the node's own included. */
  findAny(id: number): Vnode | undefined {
    return this.intents.find(id) ?? this.vnodesHere.find(id >>> 16, id & 0xffff);
  }

  /** Every vnode, the node's own included. */
  *everyVnode(): Iterable<Vnode> {
    yield* this.intents.vnodes();
    yield* this.vnodesHere.everywhere();
  }

  mark(): number {
    return this.#journal.mark();
  }

  rollBack(mark: number, error: unknown): void {
    this.#journal.rewind(mark);
    for (const vnode of this.executor.abandon()) this.vnodesHere.fail(vnode, error);
  }

  unpack(bytes: Buffer): unknown {
    const unpacked = unpack(bytes);
    return unpacked.kind === "value" ? unpacked.value : undefined;
  }

  ownerOf(keyspace: number, partition: number): number {
    return workerOf(partition, this.#partitions[keyspace] as number, this.config.workers);
  }

  vnodes(keyspace: number): Iterable<Vnode> {
    return this.vnodesHere.all(keyspace);
  }

  findVnode(keyspace: number, partition: number): Vnode | undefined {
    return this.vnodesHere.find(keyspace, partition);
  }

  adopt(vnode: Vnode): void {
    if (vnode.keyspace === SYSTEM_KEYSPACE) this.intents.adopt(vnode);
    else this.vnodesHere.adopt(vnode);
  }

  /** Keys on this worker, expired ones that are not swept yet included. */
  get keyCount(): number {
    let keys = 0;
    for (const vnode of this.vnodesHere.everywhere()) keys += vnode.table.keyCount;
    return keys;
  }

  get memoryBytes(): number {
    return this.pool.bytesUsed;
  }

  runPart(
    request: Request,
    indexes: readonly number[],
    header: RunHeader,
    done: (reply: Buffer, gate: number) => void,
  ): void {
    this.peers.runPart(request, indexes, header, done);
  }

  flush(keyspace: number | undefined): void {
    for (const vnode of this.vnodesHere.everywhere()) {
      if (keyspace === undefined || vnode.keyspace === keyspace) this.executor.flush(vnode);
    }
  }

  snapshot(): void {
    this.upkeep.snapshot();
  }

  /** Ends upkeep, with what shortens the next start. */
  stop(): Promise<void> {
    return this.upkeep.stop();
  }

  get persistence(): PersistenceFacts {
    return this.upkeep.facts(this.vnodesHere.everywhere());
  }

  setSweeping(isOn: boolean): void {
    this.isSweeping = isOn;
  }

  shutdown(): void {
    this.#options.shutdown();
  }

  pause(untilMs: number, writesOnly: boolean): void {
    this.clientPause.set(untilMs, writesOnly);
  }

  #flushPorts(): void {
    this.exchange.release();
    this.#options.flushPorts();
  }

  /** The journal has made more durable: replies may leave. */
  onDurable(): void {
    this.turn.flushGated();
  }
}

function newSystem(options: WorkerRuntimeOptions): ActorSystem {
  const { log } = options.args.config;
  return new ActorSystem({
    ...options,
    name: `worker-${options.index}`,
    scheduler: systemScheduler,
    onRootFailure: options.onCrashLoop,
    onReport: ({ kind, ...facts }) => {
      writeReport(log, { level: "error", event: `actor ${kind}`, ...facts });
    },
  });
}
