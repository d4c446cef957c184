/**
 * Servers under test: coterie and redis-server as processes of their own, on free loopback ports,
 * with their data in a temporary folder.
 *
 * Invariant: whatever was started here is ended by its own pid, and its folder removed, also when a
 * benchmark throws or is interrupted.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ControlClient } from "./control-client.ts";
import { redisVersion } from "./report.ts";

const ROOT = join(import.meta.dirname, "..");
const HOST = "127.0.0.1";
/** Longest time from start to the first PONG: recovery of millions of keys included. */
const START_TIMEOUT_MS = 300_000;
/** Longest time that a clean stop may take before it is ended. */
const STOP_TIMEOUT_MS = 120_000;
/** Ports are looked for here: below those that the system gives to clients. */
const PORTS_FROM = 20_000;
const PORTS_TO = 32_000;
/** What coterie derives from P, for one worker and some to spare. */
const PORT_OFFSETS = [0, -1, 1, 2, 3, 4, -79, -78, -77, -76, -75];
/** Bytes of a server's stderr that are kept for the message when it ends unasked. */
const STDERR_KEPT = 4000;

/** The kernel's unit of /proc/PID/stat. */
const TICK_MS = 10;

export type ServerKind = "coterie" | "redis";

export interface ServerOptions {
  readonly kind: ServerKind;
  /** How it is called in tables. */
  readonly name: string;
  /** The checkout to run (coterie only); default: this one. */
  readonly root?: string;
  /** Flags of the server, besides port and data folder. */
  readonly words: readonly string[];
  /** A folder with data to begin with; default: a new empty one. */
  readonly folder?: string;
  readonly port?: number;
  /** Flags for Node itself (coterie only). */
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Durability of a server in the words of each kind. */
function durabilityWords(kind: ServerKind, durability: string): string[] {
  if (kind === "coterie") return ["--durability", durability];
  if (durability === "os") return ["--appendonly", "no"];
  const appendfsync = durability === "always" ? "always" : "everysec";
  return ["--appendonly", "yes", "--appendfsync", appendfsync];
}

/** Flags of a server with this durability and, if it is coterie, so many workers. */
export function settingsOf(kind: ServerKind, durability: string, workers = "1"): string[] {
  const words = durabilityWords(kind, durability);
  return kind === "coterie" ? [...words, "--workers", workers] : words;
}

function commandOf(options: ServerOptions, port: number, folder: string): [string, string[]] {
  const { kind, words, execArgv = [] } = options;
  if (kind === "redis") {
    const fixed = ["--port", String(port), "--bind", HOST, "--dir", folder, "--save", ""];
    return ["redis-server", [...fixed, ...words]];
  }
  const entry = join(options.root ?? ROOT, "bin", "coterie.ts");
  const fixed = [entry, "start", "--port", String(port), "--data", folder];
  return [process.execPath, [...execArgv, ...fixed, ...words]];
}

/**
 * The environment without settings of Coterie and of npm; the compile cache as `npm start`, by its
 * whole path: a server runs in a folder of its own.
 */
function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const cache = join(ROOT, "node_modules", ".cache", "coterie");
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_COMPILE_CACHE: cache };
  for (const name of Object.keys(env)) if (/^(COTERIE_|npm_)/.test(name)) delete env[name];
  return { ...env, ...more };
}

export class RunningServer {
  readonly name: string;
  readonly kind: ServerKind;
  readonly port: number;
  readonly folder: string;
  /** When the process was started, by `performance.now()`. */
  readonly startedAtMs: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #stderr = "";
  #hasEnded = false;

  constructor(options: ServerOptions, port: number, folder: string, cwd: string) {
    this.name = options.name;
    this.kind = options.kind;
    this.port = port;
    this.folder = folder;
    const [command, words] = commandOf(options, port, folder);
    this.startedAtMs = performance.now();
    this.#child = spawn(command, words, {
      cwd,
      env: environment(options.env ?? {}),
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child.stderr?.on("data", (chunk) => {
      this.#stderr = `${this.#stderr}${chunk}`.slice(-STDERR_KEPT);
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exited = promise;
    const ended = () => {
      this.#hasEnded = true;
      resolve();
    };
    this.#child.once("error", (error) => {
      this.#stderr += error.message;
      ended();
    });
    this.#child.once("exit", ended);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Throws if the server has ended by itself. */
  assertAlive(): void {
    if (this.#hasEnded) throw new Error(`${this.name} ended:\n${this.#stderr}`);
  }

  /** Resident memory now, bytes (Linux). */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1024;
  }

  /** CPU time of the whole process so far, all threads, ms (Linux; in steps of 10). */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  /** Waits for the first PONG; returns a connection for commands besides the load. */
  async ready(): Promise<ControlClient> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      this.assertAlive();
      try {
        const client = await ControlClient.connect(this.port);
        if ((await client.run("PING")) === "PONG") return client;
        client.close();
      } catch {
        // Not listening yet, or still loading.
      }
      if (performance.now() > deadline) throw new Error(`${this.name} does not answer PING`);
      await sleep(10);
    }
  }

  /** SIGTERM, and waits; what does not end in time is killed, and that is an error. */
  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
    const { signalCode } = this.#child;
    if (signalCode === "SIGKILL") throw new Error(`${this.name} did not stop:\n${this.#stderr}`);
  }

  async kill(): Promise<void> {
    this.killNow();
    await this.#exited;
  }

  killNow(): void {
    if (!this.#hasEnded) this.#child.kill("SIGKILL");
  }
}

/** Every server and folder of one benchmark. */
export class Servers {
  readonly #servers: RunningServer[] = [];
  readonly #folders: string[] = [];
  readonly #parent: string;
  #nextPort = PORTS_FROM + ((process.pid * 97) % (PORTS_TO - PORTS_FROM - 200));

  constructor(parent: string) {
    this.#parent = parent;
  }

  /** A new empty folder, removed at the end. */
  folder(): string {
    const path = mkdtempSync(join(this.#parent, "coterie-bench-"));
    this.#folders.push(path);
    return path;
  }

  /** Starts a server without waiting for it. */
  async launch(options: ServerOptions): Promise<RunningServer> {
    const cwd = this.folder();
    const folder = options.folder ?? join(cwd, "data");
    mkdirSync(folder, { recursive: true });
    const port = options.port ?? (await this.freePort());
    const server = new RunningServer(options, port, folder, cwd);
    this.#servers.push(server);
    return server;
  }

  /** Starts a server and waits until it answers PING. */
  async start(options: ServerOptions): Promise<{ server: RunningServer; client: ControlClient }> {
    const server = await this.launch(options);
    return { server, client: await server.ready() };
  }

  /** A port P with the ports that Coterie derives from it, all free now. */
  async freePort(): Promise<number> {
    for (let tries = 0; tries < 100; tries++) {
      const port = this.#nextPort;
      this.#nextPort += 100;
      if (this.#nextPort >= PORTS_TO) this.#nextPort = PORTS_FROM + 100;
      const free = await Promise.all(PORT_OFFSETS.map((offset) => isFree(port + offset)));
      if (free.every(Boolean)) return port;
    }
    throw new Error(`no free ports between ${PORTS_FROM} and ${PORTS_TO}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.kill()));
    this.closeNow();
  }

  /** As `close`, at the end of the process: nothing can be waited for. */
  closeNow(): void {
    for (const server of this.#servers) server.killNow();
    for (const folder of this.#folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host: HOST, exclusive: true });
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

/** Runs a benchmark with servers that are gone when it returns, throws or is interrupted. */
export async function withServers(run: (servers: Servers) => Promise<void>): Promise<void> {
  const servers = new Servers(process.env.BENCH_FOLDER ?? tmpdir());
  const atExit = () => servers.closeNow();
  process.on("exit", atExit);
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => process.exit(130));
  try {
    await run(servers);
  } finally {
    await servers.close();
    process.off("exit", atExit);
  }
}

/** A server to compare: part of its `ServerOptions`. */
export type ServerChoice = Pick<ServerOptions, "kind" | "name" | "root">;

/**
 * The servers of a `--servers` flag: `redis`, `coterie`, or `coterie:PATH` for another checkout.
 * The same one twice is an A/A run, which shows the noise of the machine. Without an installed
 * redis-server it is left out, with a word.
 */
export function serverChoices(words: readonly string[]): ServerChoice[] {
  const choices: ServerChoice[] = [];
  for (const word of words) {
    const [kind, root] = word.split(":");
    if (kind !== "coterie" && kind !== "redis") throw new Error(`no such server: ${word}`);
    if (kind === "redis" && redisVersion() === undefined) {
      process.stderr.write("redis-server is not installed: measuring without it\n");
      continue;
    }
    const same = choices.filter((choice) => choice.kind === kind).length;
    const name = same === 0 ? kind : `${kind} ${same + 1}`;
    choices.push({ kind, name, ...(root === undefined ? {} : { root: resolve(root) }) });
  }
  if (choices.length === 0) throw new Error("no server to measure");
  return choices;
}
