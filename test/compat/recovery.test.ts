/**
 * Every client recovers by itself: after kill -9 of the server, and after a start with other
 * workers, when its slot map names ports that are gone or lacks ports that are there.
 *
 * Invariant: what a client was told is written is found by it afterwards, without its being made anew.
 */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { startServer, type TestServer } from "../support/server.ts";
import { freePort, keyOfEachPartition } from "./fleet.ts";
import * as ioredis from "./ioredis.ts";
import * as nodeRedis from "./node-redis.ts";

/** Two starts of a server, and clients that wait a little before they try again. */
const limit = { timeout: 60_000 };
/** Acknowledged writes that a writer makes before something happens, and after. */
const WRITES = 30;

/** A client as this file uses it. */
interface Subject {
  readonly name: string;
  readonly isCluster: boolean;
  /** Whether it looks for other nodes when one of its map does not come back. */
  readonly refreshes: boolean;
  connect(): Promise<unknown>;
  add(key: string, member: string): Promise<unknown>;
  members(key: string): Promise<Iterable<string>>;
  close(): void;
}

function subjectsAt(port: number): Subject[] {
  return [false, true].flatMap((isCluster) => [
    ...ioredis.versions.map((version) => ioredisSubject(version, port, isCluster)),
    ...nodeRedis.versions.map((version) => nodeRedisSubject(version, port, isCluster)),
  ]);
}

const kind = (isCluster: boolean) => (isCluster ? "as a cluster client" : "alone");

function ioredisSubject(version: ioredis.Version, port: number, isCluster: boolean): Subject {
  const client = ioredis.newClient(version, port, isCluster);
  client.on("error", () => {});
  return {
    name: `${version.name} ${kind(isCluster)}`,
    isCluster,
    refreshes: true,
    connect: () => client.connect(),
    add: (key, member) => client.sadd(key, member),
    members: (key) => client.smembers(key),
    close: () => client.disconnect(),
  };
}

function nodeRedisSubject(version: nodeRedis.Version, port: number, isCluster: boolean): Subject {
  const { newCluster, newSingle } = nodeRedis;
  const client = isCluster ? newCluster(version, port) : newSingle(version, port);
  return {
    name: `${version.name} ${kind(isCluster)}`,
    isCluster,
    // Version 5 waits for the nodes that it knows.
    refreshes: !version.name.includes("redis 5"),
    connect: () => client.connect(),
    add: (key, member) => client.sAdd(key, member),
    members: (key) => client.sMembers(key),
    close: () => client.destroy(),
  };
}

/** Adds to the sets of a client, one write after the other, whatever happens, until it is stopped. */
class Writer {
  readonly subject: Subject;
  /** Member by member: which were acknowledged. */
  readonly acknowledged: [key: string, member: string][] = [];
  readonly #keys: readonly string[];
  readonly #events = new EventEmitter();
  #sent = 0;
  #stopping = false;
  #ended: Promise<void> | undefined;

  constructor(subject: Subject) {
    this.subject = subject;
    // Every sixteenth partition: keys of every worker.
    this.#keys = keyOfEachPartition(`recovery ${subject.name}`).filter((_, i) => i % 16 === 0);
  }

  start(): void {
    this.#ended = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const member = String(this.#sent++);
      const key = this.#keys[this.#sent % this.#keys.length] ?? "";
      try {
        await this.subject.add(key, member);
        this.acknowledged.push([key, member]);
        this.#events.emit("acknowledged");
      } catch {
        // Unknown, or not sent. The next write waits until the client has a connection again.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  /** Waits for more acknowledged writes. */
  async more(count = WRITES): Promise<void> {
    const wanted = this.acknowledged.length + count;
    while (this.acknowledged.length < wanted) await once(this.#events, "acknowledged");
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#ended;
  }

  /** What was acknowledged and is not there. */
  async lost(): Promise<string[]> {
    const found = new Map<string, Set<string>>();
    for (const key of this.#keys) found.set(key, new Set(await this.subject.members(key)));
    const lost = this.acknowledged.filter(([key, member]) => !found.get(key)?.has(member));
    return lost.map(([key, member]) => `${key}: ${member}`);
  }
}

async function startedAt(workers: number): Promise<TestServer> {
  return startServer({ workers, port: await freePort(4) });
}

async function writersOf(subjects: readonly Subject[]): Promise<Writer[]> {
  await Promise.all(subjects.map((subject) => subject.connect()));
  const writers = subjects.map((subject) => new Writer(subject));
  for (const writer of writers) writer.start();
  await each(writers, (writer) => writer.more());
  return writers;
}

/** Does something with all writers at once; names those that are not done when time is up. */
async function each(writers: readonly Writer[], act: (writer: Writer) => Promise<void>) {
  const waiting = new Set(writers.map(({ subject }) => subject.name));
  const late = setTimeout(() => {
    process.stderr.write(`still waiting: ${[...waiting].join(", ")}\n`);
  }, limit.timeout / 2);
  try {
    await Promise.all(
      writers.map(async (writer) => {
        await act(writer);
        waiting.delete(writer.subject.name);
      }),
    );
  } finally {
    clearTimeout(late);
  }
}

async function assertNothingLost(writers: readonly Writer[]): Promise<void> {
  await each(writers, async (writer) => {
    await writer.more();
    await writer.stop();
    assert.deepEqual(await writer.lost(), [], writer.subject.name);
  });
}

for (const workers of [1, 3]) {
  const where = workers === 1 ? "one worker" : "three workers";
  test(`every client finds what was acknowledged after kill -9: ${where}`, limit, async () => {
    await using server = await startedAt(workers);
    const subjects = subjectsAt(server.port);
    try {
      const writers = await writersOf(subjects);
      const { port } = server;
      await server.kill9();
      await server.restart({ port });
      await assertNothingLost(writers);
    } finally {
      for (const subject of subjects) subject.close();
    }
  });
}

test("every cluster client finds workers that were added", limit, async () => {
  await using server = await startedAt(1);
  const subjects = subjectsAt(server.port).filter(({ isCluster }) => isCluster);
  try {
    const writers = await writersOf(subjects);
    await server.restart({ workers: 3 });
    assert.equal(server.directPorts.length, 3);
    await assertNothingLost(writers);
  } finally {
    for (const subject of subjects) subject.close();
  }
});

test(
  "a cluster client that refreshes its map finds its way when workers are gone",
  limit,
  async () => {
    await using server = await startedAt(3);
    const subjects = subjectsAt(server.port).filter((one) => one.isCluster && one.refreshes);
    try {
      const writers = await writersOf(subjects);
      await server.restart({ workers: 1 });
      assert.equal(server.directPorts.length, 1);
      await assertNothingLost(writers);
    } finally {
      for (const subject of subjects) subject.close();
    }
  },
);
