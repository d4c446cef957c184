/**
 * A node put together, on the main thread: admin port, data folder, ports, workers. The composition
 * root: what starts and stops a node, in which order.
 *
 *   threads come up ──────────────────────────▶ workers recover, listen ─▶ ports.json ─▶ ready
 *   admin port ─▶ data folder ─▶ ports free? ─┘
 *
 * Invariant: whatever was opened is closed again, also when a later step fails; the admin port
 * answers from the first moment to the last.
 */
import { systemClock, systemTimers } from "../runtime/base/clock.ts";
import { CoterieError } from "../runtime/base/errors.ts";
import { hashKeyOf } from "../runtime/base/hash.ts";
import { logLine } from "../runtime/base/log.ts";
import { openFilesMax } from "../runtime/base/machine.ts";
import { systemRandom } from "../runtime/base/prng.ts";
import type { NodeConfig, NodePorts } from "../runtime/config.ts";
import { type DataFolder, openDataFolder } from "../runtime/storage/data-folder.ts";
import { systemFiles, unlessDiskFull } from "../runtime/storage/files.ts";
import { systemFolderLock } from "../runtime/storage/folder-lock.ts";
import { neededBytes } from "../runtime/storage/survey.ts";
import type { WorkerThread } from "../runtime/thread/worker-thread.ts";
import type { Liveness, NodeStatus, RecoverySummary, RunningNode } from "./node-api.ts";
import type { AdminServer, AdminSource } from "./supervisor/admin.ts";
import { BirthSurveys } from "./supervisor/birth-surveys.ts";
import { EarlierFiles } from "./supervisor/earlier-files.ts";
import { type HandleSource, Handles } from "./supervisor/handles.ts";
import { metricsText } from "./supervisor/metrics.ts";
import { memoryBytesMax, nodeStatus } from "./supervisor/node-status.ts";
import { withinOpenFiles } from "./supervisor/open-files.ts";
import { findPorts } from "./supervisor/ports.ts";
import { removePortsFile, writePortsFile } from "./supervisor/ports-file.ts";
import { Recoveries } from "./supervisor/recoveries.ts";
import { NOT_SCRUBBED, SCRUB_FILE_TIMEOUT_MS, SCRUB_LOOK_MS, Scrub } from "./supervisor/scrub.ts";
import { SetParameters } from "./supervisor/set-parameters.ts";
import { StartMemory } from "./supervisor/start-memory.ts";
import { threadOptions } from "./supervisor/threads.ts";
import { Workers, type WorkerView } from "./supervisor/workers.ts";
import { VERSION } from "./version.ts";
import { allowsTestCommands } from "./worker/process-facts.ts";
import type { WorkerArgs, WorkerReport } from "./worker/worker-args.ts";

/** Tries to find free ports (`--port 0`) that nobody else takes before the workers listen. */
const FREE_PORT_TRIES = 5;

/** Workers whose threads come up. */
interface ComingUp {
  /** Lets them recover, with all that they need. */
  begin(args: Omit<WorkerArgs, "slabs">, memory: StartMemory, surveys: BirthSurveys): void;
  /** Resolves once all of them serve. */
  readonly serving: Promise<unknown>;
}

/** A node in this process: what everybody sees of it, and handles on its workers. */
export interface LocalNode extends RunningNode {
  readonly handles: HandleSource;
}

/** Starts a node; see `StartNode`. `born`: its threads, if they come up already. */
export async function startNode(
  config: NodeConfig,
  born?: readonly WorkerThread[],
): Promise<LocalNode> {
  const node = new Node(config);
  try {
    await node.start(born);
    return node;
  } catch (error) {
    // The first reason counts; what was opened is closed whatever else goes wrong.
    await node.stop().catch(() => undefined);
    throw error;
  }
}

class Node implements LocalNode, AdminSource {
  readonly version = VERSION;
  readonly killed: Promise<CoterieError | undefined>;
  readonly handles = new Handles();
  ports: NodePorts;

  readonly #config: NodeConfig;
  readonly #startedAtMs = systemClock.now();
  #state: NodeStatus["state"] = "starting";
  #admin: AdminServer | undefined;
  #folder: DataFolder | undefined;
  #workers: Workers | undefined;
  #earlier: EarlierFiles | undefined;
  #scrub: Scrub | undefined;
  #recoveries: Recoveries;
  readonly #parameters = new SetParameters();
  #stopped: Promise<void> | undefined;
  /** One collection at a time, however many ask. */
  #collecting: Promise<WorkerView[]> | undefined;
  #end: (reason: CoterieError | undefined) => void = () => {};

  constructor(wanted: NodeConfig) {
    const { config, warning } = withinOpenFiles(wanted, openFilesMax());
    this.#config = config;
    if (warning !== undefined)
      this.#log("fewer clients", warning, { clientsMax: config.clients.max });
    this.ports = config.self.ports;
    this.#recoveries = new Recoveries(config.workers);
    this.killed = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get nodeId(): string {
    return this.#folder?.nodeId ?? "";
  }

  get recovery(): RecoverySummary {
    return this.#recoveries.summary;
  }

  get dataFolder(): string {
    return this.#folder?.path ?? this.#config.dataFolder;
  }

  // ---- start ------------------------------------------------------------------------------------

  async start(born?: readonly WorkerThread[]): Promise<void> {
    const config = this.#config;
    const began = systemClock.monotonicMs();
    const { admin } = config.self.ports;
    const workers = this.#spawnWorkers(born);
    // Loaded meanwhile: HTTP takes as long as all the rest.
    const { AdminServer } = await import("./supervisor/admin.ts");
    this.#admin = await AdminServer.open({ host: config.adminBind, port: admin, source: this });
    this.#folder = await openDataFolder({
      fs: systemFiles,
      lock: systemFolderLock,
      random: systemRandom(),
      path: config.dataFolder,
      clusterId: config.cluster,
      nodeName: config.self.name,
      partitions: config.keyspaces.map(({ partitions }) => partitions),
      pid: process.pid,
    });
    await removePortsFile(systemFiles, this.dataFolder);
    await this.#startOnPorts(this.#admin.port, workers, this.#folder);
    this.#recoveries.took(systemClock.monotonicMs() - began);
    await this.#writePortsFile(this.#folder.path);
    await this.#startScrub(this.#folder.path);
    if (this.#state === "starting") this.#state = "ready";
  }

  /** A node whose disk is full serves without the file: tools are given the ports then. */
  async #writePortsFile(folder: string): Promise<void> {
    await writePortsFile(systemFiles, folder, this.ports).catch((error: CoterieError) => {
      unlessDiskFull(error);
      this.#log("no ports file", error.message, {});
    });
  }

  /** Lets workers begin; on other free ports, where any will do and somebody was faster. */
  async #startOnPorts(admin: number, spawned: ComingUp, folder: DataFolder): Promise<void> {
    const { path, nodeId, boot } = folder;
    const surveys = new BirthSurveys({ fs: systemFiles, folder: path, nodeId, boot });
    for (let tries = 1, workers = spawned; ; tries++, workers = this.#spawnWorkers()) {
      this.ports = await findPorts(this.#config, admin);
      try {
        await this.#startWorkers(workers, folder, surveys);
        return;
      } catch (error) {
        if (tries === FREE_PORT_TRIES || !this.#mayChooseAgain(error)) throw error;
        await this.#workers?.stop().catch(() => undefined);
      }
    }
  }

  #mayChooseAgain(error: unknown): boolean {
    if (!(error instanceof CoterieError) || error.code !== "PORT_IN_USE") return false;
    const { gateway, direct } = this.#config.self.ports;
    const chosen = [...(gateway === 0 ? [this.ports.gateway] : [])];
    direct.forEach((port, worker) => {
      if (port === 0) chosen.push(this.ports.direct[worker] as number);
    });
    return chosen.includes(error.detail.port as number);
  }

  async #startWorkers(workers: ComingUp, opened: DataFolder, surveys: BirthSurveys): Promise<void> {
    const config = this.#config;
    const { nodeId, boot, path: folder } = opened;
    this.#earlier = new EarlierFiles({
      fs: systemFiles,
      folder,
      nodeId,
      boot,
      workers: config.workers,
      failed: (error) => this.#log("old files stay", `old files stay: ${String(error)}`, {}),
    });
    const memory = await StartMemory.of({ fs: systemFiles, folder, config, later: setImmediate });
    const args = {
      config,
      nodeId,
      hashKey: hashKeyOf(opened.hashKey),
      boot,
      folder,
      version: VERSION,
      startedAtMs: this.#startedAtMs,
      gatewayPort: this.ports.gateway,
      directPorts: this.ports.direct,
    };
    workers.begin(args, memory, surveys);
    memory.touch();
    await workers.serving.finally(() => memory.stop());
  }

  #spawnWorkers(born?: readonly WorkerThread[]): ComingUp {
    const config = this.#config;
    const begun = Promise.withResolvers<Parameters<ComingUp["begin"]>>();
    const lost = Promise.withResolvers<never>();
    this.#recoveries = new Recoveries(config.workers);
    const workers = new Workers({
      threads: threadOptions(config),
      ...(born === undefined ? {} : { born }),
      birth: async (worker) => {
        const [args, memory, surveys] = await begun.promise;
        // Nothing goes while it is looked at.
        await this.#earlier?.idle();
        const found = await surveys.of(worker);
        const slabs = memory.take(worker, neededBytes(found.survey));
        return { args: { ...args, slabs }, found, parameters: this.#parameters.values };
      },
      handles: this.handles,
      reported: (worker, report) => this.#reported(worker, report),
      down: (worker, reason) => {
        this.#earlier?.workerDown(worker);
        if (this.#state === "stopping") return;
        this.#log("worker down", `${reason.message}; it is restarted`, { worker });
      },
      crashLoop: (reason) => {
        if (this.#state === "starting") lost.reject(reason);
        else this.#endBecause(reason);
      },
    });
    this.#workers = workers;
    const recovered = Promise.all([workers.start(), this.#recoveries.done]);
    const serving = Promise.race([recovered, lost.promise]);
    serving.catch(() => undefined);
    return { begin: (...args) => begun.resolve(args), serving };
  }

  async #startScrub(folder: string): Promise<void> {
    const workers = this.#workers;
    const { createPool } = await import("../runtime/thread/pool.ts");
    if (workers === undefined || this.#stopped !== undefined) return;
    this.#scrub = new Scrub({
      pool: createPool({ threadsMax: 1, timeoutMs: SCRUB_FILE_TIMEOUT_MS }),
      folder,
      workers: this.#config.workers,
      clock: systemClock,
      timers: systemTimers,
      lookMs: testedLookMs() ?? SCRUB_LOOK_MS,
      resting: (worker) => workers.resting(worker),
      replace: (worker, name) => workers.replaceFile(worker, name),
      damaged: ({ path, offset, what }) => {
        const text = `${path} is damaged at offset ${offset}: ${what}. What it holds is written again from memory; check the disk`;
        this.#log("damaged file", text, { path, offset });
      },
      failed: (error) => this.#log("scrub failed", `a file cannot be verified: ${error}`, {}),
    });
  }

  #reported(worker: number, report: WorkerReport): void {
    switch (report.kind) {
      case "shutdown":
        this.#endBecause(undefined);
        return;
      case "released":
        this.#earlier?.released(worker, report.files);
        return;
      case "configured":
        this.#parameters.note(report.values);
        return;
      case "recovered":
        this.#earlier?.workerUp(worker);
        this.#recoveries.add(report);
    }
  }

  // ---- end --------------------------------------------------------------------------------------

  /** Stops by itself, then says why: a reason, or undefined for a clean SHUTDOWN. */
  #endBecause(reason: CoterieError | undefined): void {
    if (this.#stopped !== undefined) return;
    const failed = (error: unknown) => {
      return error instanceof CoterieError
        ? error
        : new CoterieError("WORKER_DOWN", `the stop failed: ${String(error)}`, { cause: error });
    };
    this.stop().then(
      () => this.#end(reason),
      (error: unknown) => this.#end(reason ?? failed(error)),
    );
  }

  stop(): Promise<void> {
    this.#state = "stopping";
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.handles.stop();
    await this.#scrub?.stop();
    try {
      await this.#workers?.stop();
    } finally {
      await this.#earlier?.idle();
      if (this.#folder !== undefined) await removePortsFile(systemFiles, this.dataFolder);
      await this.#folder?.release();
      await this.#admin?.close();
    }
  }

  // ---- what the admin port shows ----------------------------------------------------------------

  liveness(): Liveness {
    const { cluster, self } = this.#config;
    return {
      coterie: VERSION,
      node: self.name,
      cluster,
      pid: process.pid,
      state: this.#state,
      dataFolder: this.dataFolder,
      ports: this.ports,
    };
  }

  whyNotReady(): string | undefined {
    if (this.#state === "stopping") return "the node is stopping";
    const reason = this.#workers?.whyNotReady;
    if (this.#state === "ready") return reason;
    return `the node is starting${reason === undefined ? "" : `: ${reason}`}`;
  }

  #collect(): Promise<WorkerView[]> {
    this.#collecting ??= (this.#workers?.states() ?? Promise.resolve([])).finally(() => {
      this.#collecting = undefined;
    });
    return this.#collecting;
  }

  async status(): Promise<NodeStatus> {
    const workers = await this.#collect();
    const uptimeSeconds = Math.max(0, (systemClock.now() - this.#startedAtMs) / 1000);
    return nodeStatus({
      config: this.#parameters.over(this.#config),
      liveness: this.liveness(),
      nodeId: this.nodeId,
      uptimeSeconds,
      workers,
    });
  }

  async metrics(): Promise<string> {
    const workers = await this.#collect();
    const { cluster, self, clients } = this.#parameters.over(this.#config);
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    const { active, idle } = performance.eventLoopUtilization();
    const node = {
      name: self.name,
      cluster,
      nodeId: this.nodeId,
      version: VERSION,
      runtime: process.versions.node,
      isReady: this.whyNotReady() === undefined,
      startedAtMs: this.#startedAtMs,
      recovery: this.recovery,
      scrub: this.#scrub?.facts ?? NOT_SCRUBBED,
      memoryBytesMax: memoryBytesMax(this.#config, workers),
      clientsMax: clients.max,
      cpuSeconds: { user: user / 1_000_000, system: system / 1_000_000 },
      rssBytes: rss,
      heapBytes: heapUsed,
      busyMs: active,
      idleMs: idle,
    };
    return metricsText(node, workers);
  }

  #log(event: string, text: string, facts: object): void {
    const logged = { level: "warn" as const, event, message: text, ...facts };
    process.stderr.write(logLine(this.#config.log, logged));
  }
}

/** For tests only: looks for files to verify this often. */
function testedLookMs(): number | undefined {
  const text = process.env.COTERIE_TEST_SCRUB_MS;
  return text === undefined || !allowsTestCommands() ? undefined : Number(text);
}
