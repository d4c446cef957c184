/**
 * A node's workers as they are, but all on this thread: real dispatch, turns, ports between them
 * and a journal in a temporary folder, without worker threads; a clock and timers that the test
 * moves. For tests of what a worker does turn by turn.
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { MessageChannel } from "node:worker_threads";
import type { KeyCommand } from "../../actors/command.ts";
import type { CommandEntry } from "../../actors/command-table.ts";
import type { Outcome } from "../../actors/gateway/exchange.ts";
import { BirthSurveys } from "../../actors/supervisor/birth-surveys.ts";
import { SyncTimes } from "../../actors/worker/sync-times.ts";
import type { WorkerArgs } from "../../actors/worker/worker-args.ts";
import { WorkerRuntime } from "../../actors/worker/worker-runtime.ts";
import { openStorage, type WorkerStorage } from "../../actors/worker/worker-storage.ts";
import { ManualClock, systemClock, systemTimers } from "../../runtime/base/clock.ts";
import { seeded } from "../../runtime/base/prng.ts";
import { Request } from "../../runtime/codec/request.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { embeddedConfig } from "../../runtime/config/embedded.ts";
import type { Durability } from "../../runtime/config.ts";
import { workerOf } from "../../runtime/ring/slots.ts";
import { systemFiles } from "../../runtime/storage/files.ts";
import type { FolderSurvey } from "../../runtime/storage/survey.ts";
import { BatchPort } from "../../runtime/thread/batch-port.ts";
import { emptyFolder } from "./command-line.ts";
import { TestClient } from "./test-client.ts";

/** Partitions of a keyspace of such a node. */
export const NODE_PARTITIONS = 16;
/** Every start writes its journal's zeros ahead, to the disk: the least that there may be. */
const JOURNAL = { fileBytes: "1mb", reserveBytes: 0 };

export interface WorkerNodeOptions {
  readonly workers?: number;
  readonly password?: string;
  /** Default: "os". */
  readonly durability?: Durability;
  /** Keyspaces and nodes, as in cluster.config.json, and which node this is. */
  readonly config?: object;
  readonly node?: string;
}

export class WorkerNode {
  readonly clock = new ManualClock();
  readonly workers: WorkerRuntime[] = [];
  readonly #folder = emptyFolder();
  readonly #storages: WorkerStorage[] = [];
  readonly #servers: Server[] = [];
  readonly #ports: BatchPort[][] = [];

  static async start(options: WorkerNodeOptions = {}): Promise<WorkerNode> {
    const node = new WorkerNode();
    await node.#start(options);
    return node;
  }

  async #start(options: WorkerNodeOptions): Promise<void> {
    const { workers = 1, password, durability = "os", config, node } = options;
    const settings = embeddedConfig(
      {
        workers,
        port: 0,
        durability,
        memory: 64 * 1024 * 1024,
        config: {
          keyspaces: { count: 2, default: { partitions: NODE_PARTITIONS } },
          journal: JOURNAL,
          ...config,
        },
        ...(password === undefined ? {} : { password }),
        ...(node === undefined ? {} : { node }),
      },
      { folder: this.#folder.path, machine: { cores: 4, memoryBytes: 2 ** 34 } },
    );
    const args: WorkerArgs = {
      config: settings,
      nodeId: "00112233445566aa",
      hashKey: { high: 7, low: 7 },
      boot: 1,
      folder: this.#folder.path,
      version: "0.1.0",
      startedAtMs: this.clock.now(),
      gatewayPort: 0,
      directPorts: settings.self.ports.direct,
      slabs: [],
    };
    this.#connectPorts(workers);
    const surveys = new BirthSurveys({ ...args, fs: systemFiles });
    for (let index = 0; index < workers; index++) {
      await this.#startWorker(args, index, await surveys.of(index));
    }
    await Promise.all(this.workers.map(({ peers }) => peers.settle()));
  }

  /** A port from every worker to every other. */
  #connectPorts(workers: number): void {
    for (let from = 0; from < workers; from++) {
      this.#ports.push(Array.from({ length: workers }, (_, to) => this.#newPort(from, to)));
    }
    for (let a = 0; a < workers; a++) {
      for (let b = a + 1; b < workers; b++) {
        const { port1, port2 } = new MessageChannel();
        this.#ports[a]?.[b]?.attach(port1);
        this.#ports[b]?.[a]?.attach(port2);
      }
    }
  }

  #newPort(worker: number, peer: number): BatchPort {
    return new BatchPort({
      onMessage: (kind, id, buffer, start, end) => {
        this.workers[worker]?.peers.serve(peer, kind, id, buffer, start, end);
      },
      onBatchEnd: () => this.workers[worker]?.turn.schedule(),
    });
  }

  async #startWorker(args: WorkerArgs, index: number, found: FolderSurvey): Promise<void> {
    const storage = await openStorage({
      args,
      index,
      found,
      fs: systemFiles,
      timers: systemTimers,
      random: seeded(index + 101),
      events: {
        onDurable: () => this.workers[index]?.onDurable(),
        onFailed: (error) => {
          throw error;
        },
        onFull: () => undefined,
        syncTimes: new SyncTimes(systemClock),
      },
    });
    const ports = this.#ports[index] as BatchPort[];
    const worker = new WorkerRuntime({
      args,
      index,
      clock: this.clock,
      timers: this.clock,
      random: seeded(index + 1),
      storage,
      port: (peer) => ports[peer as number] as BatchPort,
      flushPorts: () => {
        for (const port of ports) port.flush();
      },
      released: () => {},
      onCrashLoop: (error) => {
        throw error;
      },
      shutdown: () => {},
    });
    this.#storages.push(storage);
    this.workers.push(worker);
    await storage.recover(worker);
    const accept = (socket: Socket) => worker.gateway.accept(socket, false);
    const server = createServer({ pauseOnConnect: true, noDelay: true }, accept);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#servers.push(server);
  }

  /** A client of one worker's own, over a real socket. */
  connect(worker = 0): Promise<TestClient> {
    const address = this.#servers[worker]?.address();
    if (address === null || typeof address !== "object") throw new Error("no such worker");
    return TestClient.connect(address.port);
  }

  /** Sets so many keys, without clients; their names, sorted. */
  fill(count: number): string[] {
    const names = Array.from({ length: count }, (_, i) => `key:${i}`);
    const reply = new RespWriter({ bytesMax: 1024 });
    const request = new Request();
    for (const name of names) {
      const bytes = Buffer.from(`SET${name}v`);
      request.reset(bytes);
      request.push(0, 3);
      request.push(3, bytes.length - 1);
      request.push(bytes.length - 1, bytes.length);
      const { executor, config } = this.workers[0] as WorkerRuntime;
      const partition = executor.partitionOf(0, bytes, 3, bytes.length - 1);
      const owner = workerOf(partition, NODE_PARTITIONS, config.workers);
      const worker = this.workers[owner] as WorkerRuntime;
      const { command } = worker.table.findName("set") as CommandEntry;
      worker.beginTurn();
      worker.executor.nowMs = worker.nowMs;
      worker.executor.runOnKey(command as KeyCommand, 0, partition, request, reply);
      reply.reset();
    }
    return names.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    for (const { clients } of this.workers) {
      for (const { connection } of [...clients.values()]) connection?.destroy();
    }
    for (const worker of this.workers) await worker.stop();
    for (const storage of this.#storages) await storage.close();
    for (const port of this.#ports.flat()) port.peerDied();
    this.#folder[Symbol.dispose]();
  }
}

/**
 * Stands between a worker and what it asks others: `answer` says what comes back, `pass` asks them.
 * Returns what ends that.
 */
export function intercept(
  { exchange }: WorkerRuntime,
  answer: (kind: number, message: Buffer, pass: () => Promise<Outcome>) => Promise<Outcome>,
): () => void {
  const { request } = exchange;
  exchange.request = (peer, kind, message, nowMs) => {
    return answer(kind, message, () => request.call(exchange, peer, kind, message, nowMs));
  };
  return () => {
    exchange.request = request;
  };
}
