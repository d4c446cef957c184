/**
 * node-redis 5 and 6, alone and as cluster clients, behind the types of node-redis 5.
 *
 * Invariant: a client that was opened here is connected when it is handed out, and is ended with the
 * file's tests.
 */
import { createClient as createClient5, createCluster as createCluster5 } from "redis5";
import { createClient as createClient6, createCluster as createCluster6 } from "redis6";
import { atEnd, seedPort, type Way, ways } from "./fleet.ts";

/** A version of the package, with the protocol that it is told to speak. */
export interface Version {
  readonly name: string;
  readonly createClient: typeof createClient5;
  readonly createCluster: typeof createCluster5;
  readonly protocol: 2 | 3;
}

// Version 6 has version 5's interface; its declarations differ in their defaults.
const V5 = { createClient: createClient5, createCluster: createCluster5 };
const V6 = {
  createClient: createClient6 as unknown as typeof createClient5,
  createCluster: createCluster6 as unknown as typeof createCluster5,
};

export const versions: readonly Version[] = [
  { name: "node-redis 5 with RESP2", ...V5, protocol: 2 },
  { name: "node-redis 5 with RESP3", ...V5, protocol: 3 },
  { name: "node-redis 6 with RESP2", ...V6, protocol: 2 },
  { name: "node-redis 6 with RESP3", ...V6, protocol: 3 },
];

export interface Setup {
  readonly name: string;
  readonly version: Version;
  readonly way: Way;
}

/** Every version by every way. */
export const setups: readonly Setup[] = versions.flatMap((version) =>
  ways.map((way) => ({ name: `${version.name} ${way.name}`, version, way })),
);

const HOST = "127.0.0.1";

export type Single = ReturnType<typeof newSingle>;
export type Cluster = ReturnType<typeof newCluster>;

/** What a client alone may be told. */
export interface Options {
  readonly database?: number;
  readonly name?: string;
}

// `RESP` is given as 2 for the types' sake: replies are told apart by them, and asked for here in
// forms that both protocols have.
function respOf({ protocol }: Version): { readonly RESP: 2 } {
  return { RESP: protocol as 2 };
}

/** A new client alone, not connected yet. */
export function newSingle(version: Version, port: number, options: Options = {}) {
  const client = version.createClient({
    ...respOf(version),
    ...options,
    socket: { host: HOST, port, reconnectStrategy: 20 },
  });
  // Without a listener a lost connection would end the process.
  client.on("error", () => {});
  atEnd(() => client.destroy());
  return client;
}

// Of version 6: looks for a new map soon after a node is lost. Version 5 does not know it.
const refreshSoon = { topologyRefreshOnReconnectionAttemptStrategy: 100 };

/** A new cluster client, not connected yet. */
export function newCluster(version: Version, port: number) {
  const client = version.createCluster({
    ...respOf(version),
    rootNodes: [{ socket: { host: HOST, port } }],
    defaults: { socket: { reconnectStrategy: 20 } },
    ...refreshSoon,
  });
  client.on("error", () => {});
  atEnd(() => client.destroy());
  return client;
}

export async function openSingle(version: Version, port: number, options?: Options) {
  return newSingle(version, port, options).connect();
}

export async function openCluster(version: Version, port: number) {
  const client = newCluster(version, port);
  await client.connect();
  return client;
}

/** What both kinds have: every command that names keys. */
export type Client = Single | Cluster;

export function isCluster(client: Client): client is Cluster {
  return "masters" in client;
}

/** A new connected client. */
export async function openClient({ version, way }: Setup): Promise<Client> {
  const port = await seedPort(way);
  return way.entry === "alone" ? openSingle(version, port) : openCluster(version, port);
}

const shared = new Map<string, Promise<Client>>();

/** The connected client that the tests of a setup share. */
export function sharedClient(setup: Setup): Promise<Client> {
  let client = shared.get(setup.name);
  if (client === undefined) {
    client = openClient(setup);
    shared.set(setup.name, client);
  }
  return client;
}
