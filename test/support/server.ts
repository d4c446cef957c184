/**
 * A real Coterie server for tests: a process of its own on free ports, its data in a temporary
 * folder.
 *
 * Invariant: whatever was started here is ended by its own pid, and its folder removed, when
 * `[Symbol.asyncDispose]` has resolved (`await using server = await startServer()`), also when a
 * test throws; a test run that dies takes its servers with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodePorts } from "../../runtime/config.ts";
import { environment, ROOT } from "./command-line.ts";
import { TestClient } from "./test-client.ts";

const ENTRY = join(ROOT, "bin", "coterie.ts");
const HOST = "127.0.0.1";
/** Longest time from start to banner, and from SIGTERM to the end. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

export interface ServerOptions {
  /** Default: 1. */
  readonly workers?: number;
  /** Default: "os". */
  readonly durability?: "always" | "interval" | "os";
  /** The gateway's; default: every port a free one. */
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** More flags. */
  readonly words?: readonly string[];
  /** Sections of a configuration file, such as `{ clients: { max: 3 } }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Flags for Node itself. */
  readonly execArgv?: readonly string[];
  /** What runs the command that follows it, in its own place (`exec`): the pid must be the same. */
  readonly through?: (server: TestServer) => readonly string[];
}

/** How a server ended. */
export interface ServerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Banner {
  readonly event: string;
  readonly pid: number;
  readonly ports: NodePorts;
}

const running = new Set<ChildProcess>();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(1));
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class TestServer {
  /** The folder that the process runs in; its data are in `data`. */
  readonly folder: string;
  readonly data: string;
  /** What it printed to stderr, over restarts. */
  stderr = "";
  /** What it printed to stdout since its last start. */
  stdout = "";
  #options: ServerOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<ServerEnd> | undefined;
  #banner: Banner | undefined;
  readonly #clients = new Set<TestClient>();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.folder = mkdtempSync(join(tmpdir(), "coterie-server-"));
    this.data = join(this.folder, "data");
  }

  /** Of the process that runs now. */
  get pid(): number {
    return this.#started.pid;
  }

  /** The gateway's. */
  get port(): number {
    return this.#started.ports.gateway;
  }

  get directPorts(): readonly number[] {
    return this.#started.ports.direct;
  }

  get adminPort(): number {
    return this.#started.ports.admin;
  }

  /** How the process ended, once it has. */
  get ended(): Promise<ServerEnd> {
    if (this.#ended === undefined) throw new Error("the server was not started");
    return this.#ended;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && running.has(this.#child);
  }

  get #started(): Banner {
    if (this.#banner === undefined) throw new Error(`the server does not run: ${this.stderr}`);
    return this.#banner;
  }

  /** Starts the process and waits until it serves. */
  async start(): Promise<void> {
    const { workers = 1, durability = "os", port = 0 } = this.#options;
    const { env, words = [], execArgv = [], through } = this.#options;
    this.#writeConfig();
    const flags = ["--port", String(port), "--data", this.data, "--log-format", "json"];
    const more = ["--workers", String(workers), "--durability", durability, ...words];
    const own = [process.execPath, ...execArgv, ENTRY, "start", ...flags, ...more];
    const [command = "", ...args] = [...(through?.(this) ?? []), ...own];
    const child = spawn(command, args, {
      cwd: this.folder,
      env: environment(env),
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    this.#child = child;
    this.#banner = undefined;
    const { promise, resolve } = Promise.withResolvers<ServerEnd>();
    this.#ended = promise;
    child.once("exit", (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
    child.stderr?.on("data", (chunk) => {
      this.stderr += chunk;
    });
    this.#banner = await this.#waitForBanner(child, promise);
  }

  #writeConfig(): void {
    const { config } = this.#options;
    if (config === undefined) return;
    const nodes = [{ name: "n1", host: HOST, port: 0 }];
    const text = JSON.stringify({ cluster: "coterie", nodes, ...config });
    writeFileSync(join(this.folder, "cluster.config.json"), text);
  }

  async #waitForBanner(child: ChildProcess, end: Promise<ServerEnd>): Promise<Banner> {
    const { promise, resolve, reject } = Promise.withResolvers<Banner>();
    const late = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`no banner after ${START_TIMEOUT_MS} ms: ${this.stderr}`));
    }, START_TIMEOUT_MS);
    this.stdout = "";
    child.stdout?.on("data", (chunk) => {
      this.stdout += chunk;
      const banner = bannerIn(this.stdout);
      if (banner !== undefined) resolve(banner);
    });
    void end.then(({ code, signal }) => {
      reject(new Error(`the server ended (${code ?? signal}) before its banner: ${this.stderr}`));
    });
    try {
      return await promise;
    } finally {
      clearTimeout(late);
    }
  }

  /** A client of the gateway, or of another port; closed with the server. */
  async connect(port = this.port): Promise<TestClient> {
    const client = await TestClient.connect(port, HOST);
    this.#clients.add(client);
    return client;
  }

  /** Ends the process as a crash would. */
  async kill9(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
    this.#closeClients();
  }

  /** Ends the process in order; by force if it takes too long. */
  async stop(): Promise<ServerEnd> {
    const late = setTimeout(() => this.#child?.kill("SIGKILL"), STOP_TIMEOUT_MS);
    this.#child?.kill("SIGTERM");
    const end = await this.ended;
    clearTimeout(late);
    this.#closeClients();
    return end;
  }

  /** Starts again on the same data, ports anew, after `stop` or `kill9`; first stops if needed. */
  async restart(changes: Partial<ServerOptions> = {}): Promise<void> {
    if (this.isRunning) await this.stop();
    this.#options = { ...this.#options, ...changes };
    await this.start();
  }

  #closeClients(): void {
    for (const client of this.#clients) client.destroy();
    this.#clients.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended !== undefined) await this.kill9();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The line that says where a server listens, once all of it has come. */
function bannerIn(text: string): Banner | undefined {
  for (const line of text.split("\n").slice(0, -1)) {
    if (!line.startsWith("{")) continue;
    const event = JSON.parse(line) as Banner;
    if (event.event === "started") return event;
  }
  return undefined;
}

/** Starts a server and waits until it serves. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const server = new TestServer(options);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}
