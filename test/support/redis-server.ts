/**
 * A real redis-server for differential tests: started in a temporary folder, reached by a socket
 * file (no port), ended by its own process handle.
 *
 * Invariant: when `stop` has resolved, process and folder are gone.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeCommand, type Reply, ReplyReader } from "./resp.ts";
import { TestClient } from "./test-client.ts";

const SOCKET = "socket";

/** Says why a differential test is skipped; undefined where redis-server is on the PATH. */
export function redisServerMissing(): string | undefined {
  const found = spawnSync("redis-server", ["--version"]).status === 0;
  return found ? undefined : "redis-server is not installed";
}

export class RedisServer {
  /** As "7.0.15". */
  readonly version: string;
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #folder: string;
  readonly #replies = new ReplyReader();
  readonly #waiting: ((reply: Reply) => void)[] = [];

  constructor(child: ChildProcess, socket: Socket, folder: string, version: string) {
    this.version = version;
    this.#child = child;
    this.#socket = socket;
    this.#folder = folder;
    socket.on("data", (chunk) => {
      this.#replies.push(chunk);
      for (const reply of this.#replies.all()) this.#waiting.shift()?.(reply);
    });
  }

  /** Sends one command; calls may overlap and are answered in order. */
  run(...args: (string | Buffer)[]): Promise<Reply> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#socket.write(encodeCommand(args));
    });
  }

  /** A connection of its own. */
  async connect(): Promise<TestClient> {
    return new TestClient(await connected(join(this.#folder, SOCKET)));
  }

  async stop(): Promise<void> {
    this.#socket.destroy();
    if (this.#child.exitCode === null) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Starts a server with an empty database and these configuration arguments. */
export async function startRedisServer(...config: string[]): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), "coterie-redis-"));
  const path = join(folder, SOCKET);
  const args = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder, ...config];
  const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise<void>((resolve, reject) => {
    let text = "";
    child.once("exit", () => reject(new Error(`redis-server ended:\n${text}`)));
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (/ready to accept connections/i.test(text)) resolve();
    });
  });
  const socket = await connected(path);
  const version = /v=([0-9.]+)/.exec(spawnSync("redis-server", ["--version"]).stdout.toString());
  return new RedisServer(child, socket, folder, version?.[1] ?? "unknown");
}

async function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, "connect");
  return socket;
}
