/**
 * ioredis 5 and 6, alone and as cluster clients, behind the types of ioredis 5.
 *
 * Invariant: a client that was opened here is connected when it is handed out, and is ended with the
 * file's tests.
 */
import {
  Cluster as Cluster5,
  type ClusterOptions,
  Redis as Redis5,
  type RedisOptions,
} from "ioredis5";
import { Cluster as Cluster6, Redis as Redis6 } from "ioredis6";
import { atEnd, seedPort, type Way, ways } from "./fleet.ts";

/** A client of either version. Commands of one node alone are reached through `isCluster`. */
export type Client = Redis5 | Cluster5;

/** A version of the package, with what it speaks. */
export interface Version {
  readonly name: string;
  readonly Redis: typeof Redis5;
  readonly Cluster: typeof Cluster5;
  readonly options: Readonly<Record<string, unknown>>;
}

// Version 6 has version 5's interface and more: its declarations differ only in generic parameters.
const V6 = {
  Redis: Redis6 as unknown as typeof Redis5,
  Cluster: Cluster6 as unknown as typeof Cluster5,
};

export const versions: readonly Version[] = [
  { name: "ioredis 5", Redis: Redis5, Cluster: Cluster5, options: {} },
  { name: "ioredis 6 with RESP3", ...V6, options: { protocol: 3 } },
  { name: "ioredis 6 with RESP2", ...V6, options: { protocol: 2 } },
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

/** What both kinds of client take. */
export type Options = Pick<RedisOptions & ClusterOptions, "enableAutoPipelining" | "keyPrefix"> &
  Pick<RedisOptions, "db" | "connectionName">;

/** A new client of a version, not connected yet. */
export function newClient(
  { Redis, Cluster, options }: Version,
  port: number,
  isCluster: boolean,
  more: Options = {},
): Client {
  const { db: _db, connectionName: _connectionName, ...both } = more;
  const client = isCluster
    ? new Cluster([{ host: HOST, port }], { ...both, redisOptions: options, lazyConnect: true })
    : new Redis({ ...options, ...more, host: HOST, port, lazyConnect: true });
  atEnd(() => client.disconnect());
  return client;
}

/** A new connected client. */
export async function openClient({ version, way }: Setup, more?: Options): Promise<Client> {
  const port = await seedPort(way);
  const client = newClient(version, port, way.entry !== "alone", more);
  await client.connect();
  return client;
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
