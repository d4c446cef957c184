/**
 * One boot of a node as it is, but for threads, sockets and disk: real workers with dispatch, turns,
 * transactions, storage and chores, in one process under one seed. A worker dies without a word and
 * is started again, as its host would.
 */
import assert from "node:assert/strict";
import type { MessagePort } from "node:worker_threads";
import type { TransportEvents } from "../../actors/gateway/transport.ts";
import { BirthSurveys } from "../../actors/supervisor/birth-surveys.ts";
import { SyncTimes } from "../../actors/worker/sync-times.ts";
import type { WorkerArgs } from "../../actors/worker/worker-args.ts";
import { WorkerRuntime } from "../../actors/worker/worker-runtime.ts";
import { openStorage } from "../../actors/worker/worker-storage.ts";
import { ManualClock } from "../../runtime/base/clock.ts";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import type { NodeConfig } from "../../runtime/config.ts";
import type { FileSystem } from "../../runtime/storage/files.ts";
import type { MemoryDisk } from "../../runtime/storage/memory-files.ts";
import { BatchPort } from "../../runtime/thread/batch-port.ts";
import { encodeCommand, type Reply, ReplyReader } from "../support/resp.ts";
import { FOLDER, openFolder } from "./boot.ts";
import type { SimLoop } from "./loop.ts";
import { portPair } from "./ports.ts";

/** What a worker is born with. */
interface WholeWorkerStart {
  readonly args: WorkerArgs;
  readonly surveys: BirthSurveys;
  readonly seed: number;
  /** What its crash loop would say. */
  report(facts: object): void;
}

export interface WholeNodeOptions {
  readonly disk: MemoryDisk;
  readonly loop: SimLoop;
  readonly random: Random;
  readonly config: NodeConfig;
  readonly startMs: number;
  /** Something went wrong that nobody has planned. */
  broken(error: unknown): void;
}

/** A client of one worker, with one pipeline under way at a time. */
export class SimClient {
  /** The connection has ended: what was not answered is unknown. */
  isLost = false;
  readonly #worker: WholeWorker;
  readonly #replies = new ReplyReader();
  #events: TransportEvents | undefined;
  #waiting: { readonly count: number; readonly done: (replies: Reply[]) => void } | undefined;
  #arrived: Reply[] = [];

  constructor(worker: WholeWorker) {
    this.#worker = worker;
  }

  get isBusy(): boolean {
    return this.#waiting !== undefined;
  }

  connect(runtime: WorkerRuntime): void {
    const lose = () => this.lose();
    runtime.gateway.acceptHandle((events) => {
      this.#events = events;
      return {
        send: (buffer, start, end) => this.#received(Buffer.from(buffer.subarray(start, end))),
        pause() {},
        resume() {},
        close: lose,
        destroy: lose,
        remoteAddress: "sim:0",
        localAddress: "sim:0",
      };
    });
  }

  /** Sends commands; `done` gets a reply for each, or fewer if the connection ends before. */
  send(commands: readonly (readonly string[])[], done: (replies: Reply[]) => void): void {
    assert.ok(!this.isBusy && !this.isLost, "one pipeline at a time");
    this.#waiting = { count: commands.length, done };
    const bytes = Buffer.concat(commands.map(encodeCommand));
    this.#events?.received(bytes, bytes.length);
  }

  lose(): void {
    if (this.isLost) return;
    this.isLost = true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.done(this.#arrived);
  }

  #received(bytes: Buffer): boolean {
    if (this.isLost || this.#worker.isDead) return true;
    this.#replies.push(bytes);
    this.#arrived.push(...this.#replies.all());
    const waiting = this.#waiting;
    if (waiting === undefined || this.#arrived.length < waiting.count) return true;
    const replies = this.#arrived;
    this.#arrived = [];
    this.#waiting = undefined;
    waiting.done(replies);
    return true;
  }
}

/** One life of a worker thread. */
class WholeWorker {
  isServing = false;
  isDead = false;
  readonly clock: ManualClock;
  readonly ports: (BatchPort | undefined)[];
  readonly clients: SimClient[] = [];
  readonly fs: FileSystem;
  runtime: WorkerRuntime | undefined;
  readonly #index: number;
  /** The peers' ports until they are opened; null: they are. */
  #early: Map<number, MessagePort> | null = new Map();

  constructor(index: number, fs: FileSystem, startMs: number, workers: number) {
    this.#index = index;
    this.fs = fs;
    this.clock = new ManualClock(startMs);
    this.ports = Array.from({ length: workers }, (_, peer) => {
      return peer === index ? undefined : this.#newPort(peer);
    });
  }

  #newPort(peer: number): BatchPort {
    return new BatchPort({
      onMessage: (kind, id, buffer, start, end) => {
        if (!this.isDead) this.runtime?.peers.serve(peer, kind, id, buffer, start, end);
      },
      onBatchEnd: () => this.runtime?.turn.schedule(),
    });
  }

  /** A peer's thread is there; it is heard once this worker has recovered. */
  newPeer(peer: number, port: MessagePort): void {
    if (this.#early === null) this.ports[peer]?.attach(port);
    else this.#early.set(peer, port);
  }

  peerDied(peer: number): void {
    this.#early?.delete(peer);
    this.ports[peer]?.peerDied();
    this.runtime?.peers.workerDied(peer);
  }

  #openPorts(): void {
    const early = this.#early ?? new Map<number, MessagePort>();
    this.#early = null;
    for (const [peer, port] of early) this.newPeer(peer, port);
  }

  /** As worker.ts does. */
  async start({ args, surveys, seed, report }: WholeWorkerStart): Promise<void> {
    const { clock, fs } = this;
    const index = this.#index;
    const random = seeded(seed);
    const found = await surveys.of(index);
    if (this.isDead) return;
    const storage = await openStorage({
      args,
      index,
      found,
      fs,
      timers: clock,
      random,
      events: {
        onDurable: () => this.runtime?.onDurable(),
        onFailed: () => undefined,
        onFull: () => undefined,
        syncTimes: new SyncTimes(clock),
      },
    });
    const runtime = new WorkerRuntime({
      args,
      index,
      clock,
      timers: clock,
      random,
      storage,
      port: (peer) => this.ports[peer as number] as BatchPort,
      flushPorts: () => {
        for (const port of this.ports) port?.flush();
      },
      released: () => {},
      onCrashLoop: (error) => {
        throw error;
      },
      shutdown: () => {},
    });
    // What a dead thread's chores complain of, nobody hears.
    runtime.report = (facts) => {
      if (!this.isDead) report(facts);
    };
    this.runtime = runtime;
    await storage.recover(runtime);
    if (this.isDead) return;
    this.#openPorts();
    await runtime.peers.settle();
    this.isServing = !this.isDead;
  }

  die(): void {
    this.isDead = true;
    this.isServing = false;
    for (const port of this.ports) port?.peerDied();
    for (const client of this.clients) client.lose();
  }
}

export class WholeNode {
  readonly #options: WholeNodeOptions;
  readonly #args: WorkerArgs;
  readonly #surveys: BirthSurveys;
  readonly #workers: WholeWorker[] = [];

  private constructor(options: WholeNodeOptions, args: WorkerArgs) {
    this.#options = options;
    this.#args = args;
    const { nodeId, boot } = args;
    this.#surveys = new BirthSurveys({ fs: options.disk.mount(), folder: FOLDER, nodeId, boot });
    for (let index = 0; index < options.config.workers; index++) this.#bear(index);
  }

  /** Opens the folder; the workers start by themselves. */
  static async boot(options: WholeNodeOptions): Promise<WholeNode> {
    return new WholeNode(options, await openFolder(options));
  }

  get nowMs(): number {
    return Math.max(...this.#workers.map(({ clock }) => clock.now()));
  }

  get workerCount(): number {
    return this.#workers.length;
  }

  get isServing(): boolean {
    return this.#workers.every(({ isServing }) => isServing);
  }

  #bear(index: number): void {
    const { disk, loop, random, startMs } = this.#options;
    const now = this.#workers.length === 0 ? startMs : this.nowMs;
    const worker = new WholeWorker(index, disk.mount(), now, this.#options.config.workers);
    const dead = this.#workers[index];
    this.#workers[index] = worker;
    for (const [peer, other] of this.#workers.entries()) {
      if (peer === index) continue;
      const [mine, theirs] = portPair(loop.schedule);
      worker.newPeer(peer, mine);
      // It hears of the death and of the new thread when its host's messages arrive.
      loop.schedule(() => {
        if (other.isDead) return;
        if (dead !== undefined) other.peerDied(index);
        other.newPeer(index, theirs);
      });
    }
    const report = (facts: object) => this.#options.broken(new Error(JSON.stringify(facts)));
    const seed = below(random, 2 ** 31);
    const start = { args: this.#args, surveys: this.#surveys, seed, report };
    worker.start(start).catch((error) => {
      if (!worker.isDead) this.#options.broken(error);
    });
  }

  /** A worker thread ends without a word; another takes its place. */
  kill(index: number): void {
    const worker = this.#workers[index] as WholeWorker;
    worker.die();
    this.#options.disk.unmount(worker.fs);
    this.#bear(index);
  }

  /** A client of a random worker that serves; undefined: none does. */
  connect(): SimClient | undefined {
    const serving = this.#workers.filter(({ isServing }) => isServing);
    const worker = serving[below(this.#options.random, serving.length)];
    if (worker?.runtime === undefined) return undefined;
    const client = new SimClient(worker);
    worker.clients.push(client);
    client.connect(worker.runtime);
    return client;
  }

  advance(ms: number): void {
    for (const { clock, isDead } of [...this.#workers]) if (!isDead) clock.advance(ms);
  }

  /** The process is gone. */
  end(): void {
    for (const worker of this.#workers) worker.die();
  }
}
