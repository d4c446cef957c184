/**
 * The servers of one file of these tests, and the ways in which a client reaches one: alone at the
 * gateway, as a cluster client that starts at the gateway, and at a direct port.
 *
 * Invariant: servers are started once a file, when a test first asks for them, and are gone, with
 * the clients that the file opened, when its tests have ended.
 */
import { connect, createServer } from "node:net";
import { after } from "node:test";
import { partitionShift, slotOf } from "../../runtime/ring/slots.ts";
import { startServer, type TestServer } from "../support/server.ts";

/** A client that waits for ever fails its test, not the run. */
export const TEST_TIMEOUT_MS = 30_000;

/** Numbers of workers that everything is tried with: one, and several that own different slots. */
export type Workers = 1 | 3;
export type Entry = "alone" | "gateway" | "direct";

/** Where a client connects, and as what. */
export interface Way {
  readonly workers: Workers;
  readonly entry: Entry;
  /** As the end of a test's name. */
  readonly name: string;
}

const ENTRY_NAMES: Readonly<Record<Entry, string>> = {
  alone: "alone",
  gateway: "as a cluster client from the gateway",
  direct: "as a cluster client from a direct port",
};

/** Every way; alone and cluster, one worker and three. */
export const ways: readonly Way[] = ([1, 3] as const).flatMap((workers) =>
  (["alone", "gateway", "direct"] as const).map((entry) => ({
    workers,
    entry,
    name: `${ENTRY_NAMES[entry]}, ${workers === 1 ? "one worker" : "three workers"}`,
  })),
);

/** The default's number. */
const PARTITIONS = 256;

const servers = new Map<Workers, Promise<TestServer>>();

/** The file's server with this many workers. */
export function serverOf(workers: Workers): Promise<TestServer> {
  let server = servers.get(workers);
  if (server === undefined) {
    server = startServer({ workers });
    servers.set(workers, server);
  }
  return server;
}

/** How often the file's server with this many workers has replied MOVED. */
export async function movedCount(workers: Workers): Promise<number> {
  const client = await (await serverOf(workers)).connect();
  const stats = String(await client.call("INFO", "errorstats"));
  client.destroy();
  return Number(/^errorstat_MOVED:count=(\d+)\r$/m.exec(stats)?.[1] ?? 0);
}

/** The port that a way starts at. */
export async function seedPort({ workers, entry }: Way): Promise<number> {
  const server = await serverOf(workers);
  // The last direct port: its worker owns only a part of the slots.
  return entry === "direct" ? (server.directPorts.at(-1) ?? 0) : server.port;
}

/** Names keys that share the slot of a tag. */
export function tagged(tag: string): (name: string) => string {
  return (name) => `{${tag}}:${name}`;
}

/** A key for each partition of a keyspace, in their order, so that neighbours share a worker. */
export function keyOfEachPartition(prefix: string): string[] {
  const found = new Map<number, string>();
  for (let i = 0; found.size < PARTITIONS; i++) {
    const key = `${prefix} ${i}`;
    const bytes = Buffer.from(key);
    const partition = slotOf(bytes, 0, bytes.length) >>> partitionShift(PARTITIONS);
    if (!found.has(partition)) found.set(partition, key);
  }
  return [...found].sort(([a], [b]) => a - b).map(([, key]) => key);
}

/** Ends what a file opened; clients first, so that none tries to reconnect. */
const endings: (() => unknown)[] = [];

/** Has something ended with the file's tests, before the servers. */
export function atEnd(end: () => unknown): void {
  endings.push(end);
}

after(async () => {
  await Promise.allSettled(endings.splice(0).map(async (end) => end()));
  for (const server of await Promise.allSettled(servers.values())) {
    if (server.status === "fulfilled") await server.value[Symbol.asyncDispose]();
  }
});

/** Ports below those that systems hand out, so that no outgoing connection takes one meanwhile. */
const PORTS_FROM = 20_000;
const PORTS_TO = 32_000;
const TRIES_MAX = 50;

/**
 * A gateway port P whose neighbours (P - 1 and, one a worker, P + 1 …) are free too: for a server
 * that comes back where it was.
 */
export async function freePort(workers: number, random = Math.random): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const port = PORTS_FROM + Math.floor(random() * (PORTS_TO - PORTS_FROM));
    const ports = Array.from({ length: workers + 2 }, (_, i) => port - 1 + i);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return port;
  }
  throw new Error("no row of free ports");
}

async function isFree(port: number): Promise<boolean> {
  if (await answers(port)) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once("error", () => resolve(false));
  server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
    server.close(() => resolve(true));
  });
  return promise;
}

/** A port shared by `reusePort` can look free. */
function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ port, host: "127.0.0.1" });
  const settle = (result: boolean) => {
    socket.destroy();
    resolve(result);
  };
  socket.once("connect", () => settle(true));
  socket.once("error", () => settle(false));
  return promise;
}
