/**
 * A node put together, on the main thread: data folder, ports, workers, admin. The composition
 * root: what starts and stops a node, in which order.
 *
 * Invariant: whatever was opened is closed again, also when a later step fails.
 */
import { createServer, type Server } from "node:net";
import { systemClock, systemTimers } from "../runtime/base/clock.ts";
import { CoterieError } from "../runtime/base/errors.ts";
import { systemRandom } from "../runtime/base/prng.ts";
import { unpack } from "../runtime/codec/pack.ts";
import type { NodeConfig, NodePorts } from "../runtime/config.ts";
import { type DataFolder, openDataFolder } from "../runtime/storage/data-folder.ts";
import { systemFiles } from "../runtime/storage/files.ts";
import { systemFolderLock } from "../runtime/storage/folder-lock.ts";
import { WorkerHost } from "../runtime/thread/worker-host.ts";
import { MESSAGE_REPORT } from "./gateway/messages.ts";
import { portError, portOf } from "./gateway/listener.ts";
import type { RecoverySummary, RunningNode } from "./node-api.ts";
import type { WorkerArgs, WorkerReport } from "./worker/worker-args.ts";
import { VERSION } from "./version.ts";

/** How long workers may take to finish what is in flight. */
const STOP_TIMEOUT_MS = 10_000;

/** Starts a node; see `StartNode`. */
export async function startNode(config: NodeConfig): Promise<RunningNode> {
  const node = new Node(config);
  try {
    await node.start();
    return node;
  } catch (error) {
    await node.stop();
    throw error;
  }
}

class Node implements RunningNode {
  readonly version = VERSION;
  readonly killed: Promise<CoterieError>;
  ports: NodePorts;
  recovery: RecoverySummary = { durationMs: 0, keys: 0, ops: 0, tornBytes: 0 };

  readonly #config: NodeConfig;
  #folder: DataFolder | undefined;
  #host: WorkerHost | undefined;
  #stopped: Promise<void> | undefined;
  #kill: (reason: CoterieError) => void = () => {};

  constructor(config: NodeConfig) {
    this.#config = config;
    this.ports = config.self.ports;
    this.killed = new Promise((resolve) => {
      this.#kill = resolve;
    });
  }

  get nodeId(): string {
    return this.#folder?.nodeId ?? "";
  }

  get dataFolder(): string {
    return this.#folder?.path ?? this.#config.dataFolder;
  }

  async start(): Promise<void> {
    const config = this.#config;
    const startedAtMs = systemClock.now();
    const began = systemClock.monotonicMs();
    this.#folder = await openDataFolder({
      fs: systemFiles,
      lock: systemFolderLock,
      random: systemRandom(),
      path: config.dataFolder,
      clusterId: config.cluster,
      nodeName: config.self.name,
      pid: process.pid,
    });
    const { gateway, direct } = await findPorts(config);
    this.ports = { ...config.self.ports, gateway, direct };
    const { nodeId, hashSeed, boot, path } = this.#folder;
    const args: WorkerArgs = {
      config,
      nodeId,
      hashSeed,
      boot,
      folder: path,
      version: VERSION,
      startedAtMs,
      gatewayPort: gateway,
      directPorts: direct,
    };
    await this.#startWorkers(args);
    this.recovery = { ...this.recovery, durationMs: systemClock.monotonicMs() - began };
  }

  async #startWorkers(args: WorkerArgs): Promise<void> {
    const { workers, memory } = this.#config;
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    this.#host = new WorkerHost({
      entry: new URL(`./worker/worker.${extension}`, import.meta.url),
      workers,
      args: () => args,
      resourceLimits: {
        maxYoungGenerationSizeMb: Math.ceil(memory.youngGenerationBytes / 1048576),
      },
      portOptions: () => ({
        onMessage: (kind, _id, buffer, start, end) => {
          if (kind === MESSAGE_REPORT) this.#reported(buffer.subarray(start, end));
        },
        onBatchEnd: () => {},
      }),
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      onWorkerDown: (index, reason) => {
        process.stderr.write(`worker ${index} is down: ${reason.message}\n`);
      },
      onCrashLoop: (reason) => void this.stop().finally(() => this.#kill(reason)),
    });
    await this.#host.start();
  }

  #reported(bytes: Buffer): void {
    const unpacked = unpack(bytes);
    if (unpacked.kind !== "value") return;
    const report = unpacked.value as WorkerReport;
    if (report.kind === "shutdown") {
      const reason = new CoterieError("COMMAND_FAILED", "a client sent SHUTDOWN");
      void this.stop().finally(() => this.#kill(reason));
      return;
    }
    const { recovery } = this;
    this.recovery = {
      durationMs: recovery.durationMs,
      keys: recovery.keys + report.keys,
      ops: recovery.ops + report.ops,
      tornBytes: recovery.tornBytes + report.tornBytes,
    };
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    await this.#host?.stop(STOP_TIMEOUT_MS);
    await this.#folder?.release();
  }
}

/**
 * The gateway's and the direct ports: bound exclusively once and let go, since with `reusePort`
 * alone two nodes would share the gateway's silently.
 */
async function findPorts(config: NodeConfig): Promise<{ gateway: number; direct: number[] }> {
  const wanted = [config.self.ports.gateway, ...config.self.ports.direct];
  const servers: Server[] = [];
  try {
    for (const port of wanted) servers.push(await bind(config.bind, port));
    const [gateway, ...direct] = servers.map(portOf);
    return { gateway: gateway as number, direct };
  } finally {
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  }
}

function bind(host: string, port: number): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(portError(error, host, port)));
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}
