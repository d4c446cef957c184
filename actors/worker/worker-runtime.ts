/**
 * One worker thread put together: its journal, its vnodes, its clients, its ports to the others.
 *
 * A turn: bytes from sockets and peers run commands on vnodes by plain calls; at its end the
 * journal writes one frame, each connection is written to once, each port posted to once.
 */
import type { Socket } from "node:net";
import { ActorSystem } from "../../runtime/actor/system.ts";
import { systemScheduler } from "../../runtime/actor/timers.ts";
import { type Clock, systemTimers } from "../../runtime/base/clock.ts";
import type { CoterieError } from "../../runtime/base/errors.ts";
import type { Random } from "../../runtime/base/prng.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import { pack, unpack } from "../../runtime/codec/pack.ts";
import { Request } from "../../runtime/codec/request.ts";
import { respLimitsBeforeAuth } from "../../runtime/codec/resp-reader.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { ClientsConfig, NodeConfig } from "../../runtime/config.ts";
import { workerOf } from "../../runtime/ring/slots.ts";
import { systemFiles } from "../../runtime/storage/files.ts";
import type { Journal } from "../../runtime/storage/journal.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import type { BatchPort } from "../../runtime/thread/batch-port.ts";
import type { Peer } from "../../runtime/thread/worker-context.ts";
import { CommandTable } from "../command-table.ts";
import { Client } from "../gateway/client.ts";
import {
  Connection,
  type ConnectionHost,
  REPLY_BYTES_MAX,
  type Transport,
} from "../gateway/connection.ts";
import { CrossWorker } from "../gateway/cross-worker.ts";
import { Dispatcher, type DispatchHost } from "../gateway/dispatcher.ts";
import { Exchange } from "../gateway/exchange.ts";
import { refuseSocket } from "../gateway/listener.ts";
import {
  isTransactionMessage,
  MESSAGE_COLLECT,
  MESSAGE_FAILED,
  MESSAGE_PART,
  MESSAGE_RELEASE,
  MESSAGE_RESOLVE,
  MESSAGE_RUN,
  type RunHeader,
  waitsForService,
} from "../gateway/messages.ts";
import { Scatter, type ScatterHost } from "../gateway/scatter.ts";
import { Scratch } from "../gateway/scratch.ts";
import { SlotMap } from "../gateway/slot-map.ts";
import { SocketTransport, type TransportEvents } from "../gateway/socket-transport.ts";
import { Transactions } from "../gateway/transactions.ts";
import { Executor } from "../vnode/executor.ts";
import { SYSTEM_KEYSPACE, Vnode, vnodeId } from "../vnode/vnode.ts";
import { Chores } from "./chores.ts";
import { Intents } from "./intents.ts";
import { OldFiles } from "./old-files.ts";
import { Parameters } from "./parameters.ts";
import { Participant } from "./participant.ts";
import { PartitionLocks } from "./partition-locks.ts";
import { Pause } from "./pause.ts";
import { type ProcessFacts, thisProcess } from "./process-facts.ts";
import { defineParameters } from "./redis-parameters.ts";
import { type Answer, RemoteRequests } from "./remote-requests.ts";
import { Snapshots } from "./snapshots.ts";
import { Turn } from "./turn.ts";
import { Vnodes } from "./vnodes.ts";
import type { WorkerArgs } from "./worker-args.ts";
import type { WorkerLog } from "./worker-log.ts";
import { WorkerStats } from "./worker-stats.ts";
import type { WorkerStorage } from "./worker-storage.ts";
import type { PersistenceFacts } from "./worker-view.ts";

const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
const DISK_REFUSES =
  "MISCONF the disk is full: writes are refused until there is space again; reads go on";

export interface WorkerRuntimeOptions {
  readonly args: WorkerArgs;
  readonly index: number;
  readonly clock: Clock;
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

export class WorkerRuntime implements DispatchHost, ScatterHost, ConnectionHost {
  readonly index: number;
  readonly config: NodeConfig;
  readonly nodeId: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly random: Random;
  readonly stats = new WorkerStats();
  readonly parameters = new Parameters();
  readonly table = new CommandTable();
  readonly executor: Executor;
  readonly exchange: Exchange;
  readonly slots: SlotMap;
  readonly clients = new Map<number, Client>();
  readonly pool = new SlabPool({});
  readonly vnodesHere: Vnodes;
  readonly system: ActorSystem;
  readonly turn: Turn;
  readonly snapshots: Snapshots;
  readonly chores: Chores;
  /** Bounds on clients; CONFIG SET changes this copy. */
  readonly limits: { -readonly [Name in keyof ClientsConfig]: ClientsConfig[Name] };
  readonly gates: WorkerLog;
  readonly process: ProcessFacts = thisProcess();
  readonly locks = new PartitionLocks();
  readonly clientPause: Pause;
  readonly intents: Intents;
  readonly cross: CrossWorker;
  isSweeping = true;
  nowMs: number;

  readonly #options: WorkerRuntimeOptions;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #hybridClock: HybridClock;
  readonly #writers = new OpWriters();
  readonly #side: RespWriter;
  readonly #dispatcher: Dispatcher;
  readonly #transactions: Transactions;
  readonly #remote: RemoteRequests;
  readonly #participant: Participant;
  /** What peers have asked since this worker started, until it serves; null: it does. */
  #waiting: (() => void)[] | null = [];
  readonly #partitions: readonly number[];
  readonly #commitsEarly: boolean;
  #nextClient = 1;
  #memoryMax: number;

  constructor(options: WorkerRuntimeOptions) {
    const { args, index, clock, storage } = options;
    const { journal, log } = storage;
    this.#options = options;
    this.index = index;
    this.config = args.config;
    this.nodeId = args.nodeId;
    this.version = args.version;
    this.startedAtMs = args.startedAtMs;
    this.random = options.random;
    this.#journal = journal;
    this.#clock = clock;
    this.nowMs = clock.now();
    // Wall time is read once a turn, not once an op.
    this.#hybridClock = new HybridClock({ ...clock, now: () => this.nowMs });
    this.#memoryMax = args.config.memory.bytesMax / args.config.workers;
    this.#partitions = args.config.keyspaces.map((keyspace) => keyspace.partitions);
    this.#commitsEarly = args.config.keyspaces.some(({ durability }) => durability === "always");
    this.limits = { ...args.config.clients };
    this.gates = log;
    this.system = new ActorSystem({
      name: `worker-${index}`,
      clock,
      timers: systemTimers,
      scheduler: systemScheduler,
      random: options.random,
      onRootFailure: options.onCrashLoop,
      onReport: (report) => {
        process.stderr.write(`${JSON.stringify(report, reportError)}\n`);
      },
    });
    this.vnodesHere = new Vnodes({
      system: this.system,
      partitions: this.#partitions,
      create: (id) => this.createVnode(id),
      recover: (id) => storage.recoverVnode(id, this),
      dropped: (vnode) => vnode.partition.table.heap.releaseAll(),
    });
    this.executor = new Executor(this.vnodesHere, this.#partitions);
    this.exchange = new Exchange(options.port, log, () => this.turn.schedule());
    this.slots = new SlotMap(args);
    this.#side = new RespWriter({ bytesMax: REPLY_BYTES_MAX });
    this.clientPause = new Pause(clock, systemTimers, (client, entry) =>
      entry.command.name === "EXEC" ? client.queuesWrites : entry.isWrite,
    );
    this.intents = new Intents(index, (id) => this.createVnode(id));
    this.#participant = new Participant(this, REPLY_BYTES_MAX);
    this.cross = new CrossWorker({
      host: this,
      participant: this.#participant,
      intents: this.intents,
      timers: systemTimers,
    });
    this.#transactions = new Transactions(this, this.cross);
    this.snapshots = new Snapshots({
      fs: systemFiles,
      folder: args.folder,
      clock,
      config: args.config.snapshot,
      find: (id) => this.#findAny(id),
      pause: () => new Promise((resolve) => setImmediate(resolve)),
      taken: (snapshots) => storage.snapshotsTaken(snapshots),
      failed: (error) => process.stderr.write(`snapshot failed: ${String(error)}\n`),
    });
    const chores = (error: unknown) => process.stderr.write(`cleaning failed: ${String(error)}\n`);
    const oldFiles = new OldFiles({
      storage,
      find: (id) => this.#findAny(id),
      want: (vnode) => this.snapshots.want(vnode),
      released: options.released,
    });
    this.chores = new Chores({
      clock,
      timers: systemTimers,
      exchange: this.exchange,
      stats: this.stats,
      snapshots: this.snapshots,
      limits: this.limits,
      clients: this.clients,
      locks: this.locks,
      vnodes: () => this.#everyVnode(),
      isSweeping: () => this.isSweeping,
      soon: (run) => void setImmediate(run),
      schedule: () => this.turn.schedule(),
      clean: () => void oldFiles.clean().catch(chores),
      interval: args.config.keyspaces.some((keyspace) => keyspace.durability === "interval")
        ? { everyMs: args.config.journal.intervalMs, sync: () => journal.syncNow() }
        : null,
    });
    this.#dispatcher = new Dispatcher(this, new Scatter(this), this.#transactions);
    this.#remote = new RemoteRequests(this, pack);
    this.turn = new Turn({
      commit: () => journal.commit(),
      flushPorts: () => this.#flushPorts(),
    });
    defineParameters(this.parameters, args.config, {
      setMemoryMax: (bytes) => {
        this.#memoryMax = bytes / args.config.workers;
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
      hashSeed: args.hashSeed,
      origin: { high: random.u32(), low: random.u32() },
      clock: this.#hybridClock,
      writers: this.#writers,
      log,
      unsynced: log.unsynced(id >>> 16),
      random,
    });
  }

  // ---- clients ----------------------------------------------------------------------------------

  /** Takes an accepted socket. */
  accept(socket: Socket, isDirect: boolean): void {
    if (this.clients.size * this.config.workers >= this.limits.max) {
      this.stats.rejectedConnections++;
      refuseSocket(socket, "ERR max number of clients reached");
      return;
    }
    const client = this.#newClient(isDirect);
    const { keepAliveMs } = this.limits;
    const connection = this.#attach(client, (events) => {
      return new SocketTransport(socket, keepAliveMs, events);
    });
    if (!client.isAuthenticated) connection.reader.setLimits(respLimitsBeforeAuth);
  }

  /** Takes a handle of the embedding application: trusted, of RESP3, over what `open` makes. */
  acceptHandle(open: (events: TransportEvents) => Transport): void {
    const client = this.#newClient(false);
    client.isAuthenticated = true;
    this.#attach(client, open).out.protocol = 3;
  }

  #attach(client: Client, open: (events: TransportEvents) => Transport): Connection {
    const transport = open({
      received: (bytes: Buffer, length: number) => {
        this.#beginTurn();
        connection.receive(bytes, length);
        this.#commitEarly();
      },
      drained: () => connection.drained(),
      ended: () => connection.ended(),
      gone: () => connection.destroy(),
    });
    const connection: Connection = new Connection(client, transport, this, this.#side);
    client.connection = connection;
    return connection;
  }

  #newClient(isDirect: boolean): Client {
    const { workers, security } = this.config;
    const client = new Client({
      id: this.#nextClient++ * workers + this.index,
      worker: this,
      router: this.#transactions,
      isDirect,
      isAuthenticated: security.password === undefined,
      nowMs: this.nowMs,
    });
    this.clients.set(client.id, client);
    this.stats.connections++;
    return client;
  }

  closed(connection: Connection): void {
    this.stats.bytesIn += connection.bytesIn;
    this.stats.bytesOut += connection.bytesOut;
    this.clients.delete(connection.client.id);
  }

  flushLater(connection: Connection): void {
    this.turn.flushLater(connection);
  }

  dispatch(connection: Connection, request: Request): void {
    this.#dispatcher.dispatch(connection, request);
  }

  /**
   * Does not wait for the end of the turn while no sync runs: the disk works on the first client's
   * ops while the next client's are run, and what comes during the sync shares the next one.
   */
  #commitEarly(): void {
    if (this.#commitsEarly) this.#journal.commit();
  }

  /** Something else than a client's bytes begins a turn. */
  beginTurn(): void {
    this.#beginTurn();
    this.turn.schedule();
  }

  /** Wall time is read once a turn. */
  #beginTurn(): void {
    this.nowMs = this.#clock.now();
  }

  // ---- what dispatch needs ----------------------------------------------------------------------

  refusesWrite(deniesOom: boolean): string | null {
    if (!deniesOom) return null;
    if (this.#journal.full) return DISK_REFUSES;
    return this.pool.bytesUsed > this.#memoryMax ? OUT_OF_MEMORY : null;
  }

  isReady(keyspace: number, partition: number): boolean {
    return this.vnodesHere.isReady(keyspace, partition);
  }

  canRun(keyspace: number, partition: number): boolean {
    if (this.locks.size > 0 && !this.locks.isFree(vnodeId(keyspace, partition))) return false;
    return this.vnodesHere.isReady(keyspace, partition);
  }

  whenReady(keyspace: number, partition: number, done: (error: string | null) => void): void {
    const id = vnodeId(keyspace, partition);
    if (!this.locks.isFree(id)) {
      this.locks.whenFree(id, this.nowMs, done);
      return;
    }
    this.vnodesHere.whenReady(keyspace, partition, (error) => {
      done(error === null ? null : `TRYAGAIN ${error.message}`);
    });
  }

  schedule(): void {
    this.turn.schedule();
  }

  newScratch(): Scratch {
    return new Scratch({
      partitions: this.#partitions,
      clock: this.#clock,
      random: this.random,
      replyBytesMax: REPLY_BYTES_MAX,
    });
  }

  report(facts: object): void {
    process.stderr.write(`${JSON.stringify(facts, reportError)}\n`);
  }

  #findAny(id: number): Vnode | undefined {
    return this.intents.find(id) ?? this.vnodesHere.find(id >>> 16, id & 0xffff);
  }

  /** Every vnode, the node's own included. */
  *#everyVnode(): Iterable<Vnode> {
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
    for (const vnode of this.vnodesHere.everywhere()) keys += vnode.partition.table.keyCount;
    return keys;
  }

  /** Closes every client once its replies have left. */
  drain(): Promise<void> {
    for (const client of this.clients.values()) client.connection?.close();
    return new Promise((resolve) => this.#whenEmpty(resolve));
  }

  #whenEmpty(done: () => void): void {
    if (this.clients.size === 0) done();
    else setImmediate(() => this.#whenEmpty(done));
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
    const part = partOf(request, indexes);
    this.#remote.runRequest(part, header, (_kind, bytes, start, end, gate) => {
      done(bytes.subarray(start, end), gate);
    });
  }

  flush(keyspace: number | undefined): void {
    for (const vnode of this.vnodesHere.everywhere()) {
      if (keyspace === undefined || vnode.keyspace === keyspace) this.executor.flush(vnode);
    }
  }

  snapshot(): void {
    for (const vnode of this.#everyVnode()) {
      if (vnode.logBytes > 0) this.snapshots.want(vnode);
    }
  }

  /** Shortens the next start. */
  snapshotBeforeStop(): Promise<void> {
    this.chores.stop();
    return this.snapshots.beforeStop(this.#everyVnode());
  }

  get persistence(): PersistenceFacts {
    const { snapshots } = this;
    let opsSinceSnapshot = 0;
    for (const vnode of this.vnodesHere.everywhere()) opsSinceSnapshot += vnode.opsSinceSnapshot;
    return {
      opsSinceSnapshot,
      snapshotsRunning: snapshots.isRunning ? 1 : 0,
      snapshotsTaken: snapshots.count,
      lastSnapshotAtMs: snapshots.lastAtMs,
      journalBytes: this.#options.storage.journalBytes,
      isRefusing: this.#journal.full,
    };
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

  // ---- other threads ----------------------------------------------------------------------------

  /** Serves one message of a peer. */
  serve(peer: Peer, kind: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (this.#waiting !== null && waitsForService(kind)) {
      const kept = Buffer.from(buffer.subarray(start, end));
      this.#waiting.push(() => this.serve(peer, kind, id, kept, 0, kept.length));
      return;
    }
    this.#beginTurn();
    if (isTransactionMessage(kind)) {
      this.#serveTransaction(peer, kind, id, buffer.subarray(start, end));
      return;
    }
    if (kind !== MESSAGE_RUN && kind !== MESSAGE_COLLECT) {
      this.exchange.answered(id, kind === MESSAGE_FAILED, buffer, start, end);
      return;
    }
    const answer: Answer = (answerKind, bytes, from, to, gate) => {
      this.turn.schedule();
      this.exchange.reply(peer, answerKind, id, bytes, from, to, gate);
    };
    if (kind === MESSAGE_RUN) this.#remote.run(buffer, start, answer);
    else this.#remote.collect(buffer, start, answer);
  }

  #serveTransaction(peer: Peer, kind: number, id: number, bytes: Buffer): void {
    const answer = (value: unknown, gate: number) => {
      if (kind === MESSAGE_RELEASE) return;
      const packed = pack(value);
      this.exchange.reply(peer, MESSAGE_PART, id, packed, 0, packed.length, gate);
    };
    this.turn.schedule();
    if (kind === MESSAGE_RESOLVE) this.cross.resolve(peer as number, () => answer(true, 0));
    else this.#participant.serve(kind, this.unpack(bytes), answer);
  }

  /** Settles what was begun before this start; then peers' requests are served. */
  async settle(): Promise<void> {
    await this.cross.start();
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const serve of waiting) serve();
  }

  /** Another worker has died. */
  workerDied(worker: number): void {
    this.cross.workerDied(worker);
    this.exchange.workerDied(worker);
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

/** A request of some of another's arguments, in the same buffer. */
function partOf(request: Request, indexes: readonly number[]): Request {
  const part = new Request();
  part.reset(request.bytes);
  for (const index of indexes) {
    part.push(request.starts[index] as number, request.ends[index] as number);
  }
  return part;
}

function reportError(_key: string, value: unknown): unknown {
  return value instanceof Error ? { message: value.message, stack: value.stack } : value;
}
