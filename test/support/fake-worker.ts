/**
 * A node's workers in this process, without threads, sockets and a journal: for tests of commands on
 * sessions, workers and clients. Partitions are real (TestPartitions), connections are real, what
 * carries them is not; commands over workers run one worker after the other, in one turn.
 */
import assert from "node:assert/strict";
import type { Slice } from "../../actors/command.ts";
import { CommandTable, unknownCommand } from "../../actors/command-table.ts";
import { boundInput, Logins } from "../../actors/gateway/authentication.ts";
import { Client, type Router } from "../../actors/gateway/client.ts";
import {
  Connection,
  type ConnectionHost,
  type Transport,
} from "../../actors/gateway/connection.ts";
import { Pipelines } from "../../actors/gateway/pipelines.ts";
import { everySlice, replySlices } from "../../actors/gateway/sliced.ts";
import { SlotMap } from "../../actors/gateway/slot-map.ts";
import { wrongArguments } from "../../actors/vnode/commands/errors.ts";
import type { Executor } from "../../actors/vnode/executor.ts";
import type { Vnode } from "../../actors/vnode/vnode.ts";
import { vnodeId } from "../../actors/vnode/vnode-id.ts";
import { Parameters } from "../../actors/worker/parameters.ts";
import { defineParameters } from "../../actors/worker/redis-parameters.ts";
import { WorkerStats } from "../../actors/worker/worker-stats.ts";
import type { WorkerView } from "../../actors/worker/worker-view.ts";
import { type Random, seeded } from "../../runtime/base/prng.ts";
import { pack, unpack } from "../../runtime/codec/pack.ts";
import type { Request } from "../../runtime/codec/request.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { embeddedConfig } from "../../runtime/config/embedded.ts";
import type { ClientsConfig, NodeConfig } from "../../runtime/config.ts";
import { workerOf } from "../../runtime/ring/slots.ts";
import type { SlabPool } from "../../runtime/table/slab-pool.ts";
import { encodeCommand, type Plain, plain, type Reply, ReplyReader } from "./resp.ts";
import { TestPartitions } from "./test-partitions.ts";

/** As TestPartitions have them. */
const PARTITIONS = 16;
const KEYSPACES = 2;

export interface FakeNodeOptions {
  readonly workers?: number;
  readonly password?: string;
  /** What the node announces. */
  readonly host?: string;
  readonly allowsTestCommands?: boolean;
}

export class FakeWorker implements WorkerView {
  readonly index: number;
  readonly config: NodeConfig;
  readonly nodeId = "00112233445566aa";
  readonly version = "0.1.0";
  readonly startedAtMs: number;
  readonly random: Random;
  readonly stats = new WorkerStats();
  readonly logins: Logins;
  readonly process;
  readonly parameters = new Parameters();
  readonly table = new CommandTable();
  readonly slots: SlotMap;
  readonly clients = new Map<number, Client>();
  readonly limits: { -readonly [Name in keyof ClientsConfig]: ClientsConfig[Name] };
  readonly persistence = {
    opsSinceSnapshot: 5,
    snapshotsRunning: 0,
    snapshotsTaken: 2,
    lastSnapshotAtMs: 1_700_000_000_000,
    journalBytes: 4096,
    isRefusing: false,
  };
  readonly partitions: TestPartitions;
  memoryBytes = 1000;
  readonly memoryLimit = { bytesMax: 1_000_000, isReached: false };
  /** What commands had this worker do. */
  readonly done: string[] = [];
  /** Partitions whose vnodes restart. */
  readonly restarting = new Set<number>();

  constructor(
    options: FakeNodeOptions,
    index: number,
    config: NodeConfig,
    partitions: TestPartitions,
  ) {
    this.index = index;
    this.config = config;
    this.partitions = partitions;
    this.startedAtMs = partitions.clock.now();
    this.random = seeded(index + 1);
    const { clock } = partitions;
    this.logins = new Logins({ clock, timers: clock, beginTurn: () => {} });
    this.limits = { ...config.clients };
    const directPorts = Array.from({ length: config.workers }, (_, worker) => 7380 + worker);
    this.slots = new SlotMap({ config, nodeId: this.nodeId, directPorts });
    this.process = {
      pid: 4242,
      platform: "linux",
      arch: "x64",
      runtime: "24.0.0",
      executable: "/usr/bin/node",
      machineMemoryBytes: 2 ** 34,
      allowsTestCommands: options.allowsTestCommands ?? false,
      rssBytes: () => 5000,
      cpuMicroseconds: () => ({ user: 1_500_000, system: 250_000 }),
    };
    defineParameters(this.parameters, config, {
      setMemoryMax: (bytes) => this.done.push(`memory ${bytes}`),
      limits: this.limits,
    });
  }

  get executor(): Executor {
    return this.partitions.executor;
  }

  get pool(): SlabPool {
    return this.partitions.pool;
  }

  get nowMs(): number {
    return this.partitions.clock.now();
  }

  *vnodes(keyspace: number): Iterable<Vnode> {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const vnode = this.findVnode(keyspace, partition);
      if (vnode !== undefined) yield vnode;
    }
  }

  findVnode(keyspace: number, partition: number): Vnode | undefined {
    const isHere = this.ownerOf(keyspace, partition) === this.index;
    if (!isHere || !this.isReady(keyspace, partition)) return undefined;
    return this.partitions.vnodes.get(vnodeId(keyspace, partition));
  }

  isReady(keyspace: number, partition: number): boolean {
    return !this.restarting.has(vnodeId(keyspace, partition));
  }

  ownerOf(_keyspace: number, partition: number): number {
    return workerOf(partition, PARTITIONS, this.config.workers);
  }

  flush(keyspace: number | undefined): void {
    this.done.push(`flush ${keyspace ?? "all"}`);
  }

  snapshot(): void {
    this.done.push("snapshot");
  }

  setSweeping(isOn: boolean): void {
    this.done.push(`sweep ${isOn}`);
  }

  shutdown(): void {
    this.done.push("shutdown");
  }

  pause(untilMs: number, writesOnly: boolean): void {
    this.done.push(`pause ${untilMs} ${writesOnly}`);
  }
}

/** A client's end of a connection. */
export class TestClient {
  readonly client: Client;
  readonly connection: Connection;
  /** The server has closed the connection. */
  isClosed = false;
  readonly #replies = new ReplyReader();

  constructor(client: Client, make: (transport: Transport) => Connection, localAddress: string) {
    this.client = client;
    this.connection = make({
      send: (buffer, start, end) => {
        this.#replies.push(Buffer.from(buffer.subarray(start, end)));
        return true;
      },
      pause() {},
      resume() {},
      close: () => {
        this.isClosed = true;
      },
      destroy: () => {
        this.isClosed = true;
      },
      remoteAddress: `127.0.0.1:${40_000 + client.id}`,
      localAddress,
    });
    client.connection = this.connection;
  }

  /** Sends a command and answers what came back; undefined: nothing. */
  send(...args: (string | Buffer)[]): Reply | undefined {
    const bytes = encodeCommand(args);
    this.connection.receive(bytes, bytes.length);
    this.connection.flush();
    return this.#replies.next();
  }

  /** Sends words parted by spaces, and answers the reply as a natural value. */
  read(...args: (string | Buffer)[]): Plain {
    const [first] = args;
    const words = args.length === 1 && typeof first === "string" ? first.split(" ") : args;
    const reply = this.send(...words);
    assert.notEqual(reply, undefined, `${words.join(" ")} replies`);
    return plain(reply as Reply);
  }

  /** The reply, which must be text. */
  text(...args: string[]): string {
    const value = this.read(...args);
    assert.equal(typeof value, "string");
    return value as string;
  }
}

/** A whole node. */
export class FakeNode {
  readonly partitions = new TestPartitions();
  readonly config: NodeConfig;
  readonly workers: readonly FakeWorker[];
  readonly #side = new RespWriter({ bytesMax: 1 << 26 });
  #nextClient = 1;

  constructor(options: FakeNodeOptions = {}) {
    const { workers = 1, password, host } = options;
    const keyspaces = { count: KEYSPACES, default: { partitions: PARTITIONS } };
    const machine = { cores: 4, memoryBytes: 2 ** 34 };
    this.config = embeddedConfig(
      {
        workers,
        memory: 64 * 1024 * 1024,
        config: { keyspaces },
        ...(password === undefined ? {} : { password }),
        ...(host === undefined ? {} : { host, bind: "127.0.0.1" }),
      },
      { folder: "/data", machine },
    );
    this.workers = Array.from(
      { length: workers },
      (_, index) => new FakeWorker(options, index, this.config, this.partitions),
    );
  }

  /** A new connection to a worker, on the gateway's port or on its direct one. */
  connect(
    options: {
      readonly worker?: number;
      readonly isDirect?: boolean;
      readonly localAddress?: string;
      readonly router?: Router;
    } = {},
  ): TestClient {
    const worker = this.workers[options.worker ?? 0] as FakeWorker;
    const client = new Client({
      id: this.#nextClient++,
      worker,
      router: options.router ?? NO_ROUTER,
      isDirect: options.isDirect ?? false,
      isAuthenticated: this.config.security.password === undefined,
      nowMs: worker.nowMs,
    });
    worker.clients.set(client.id, client);
    const pipelines = new Pipelines(worker);
    const host: ConnectionHost = {
      limits: worker.limits,
      gates: { isOpen: () => true },
      dispatch: (connection, request) => this.#dispatch(connection, request),
      mayRun: () => true,
      runParsed: (connection, buffer, end) => pipelines.run(connection, buffer, end),
      flushLater() {},
      closed: (connection) => void worker.clients.delete(connection.client.id),
    };
    const make = (transport: Transport) => new Connection(client, transport, host, this.#side);
    const made = new TestClient(client, make, options.localAddress ?? "127.0.0.1:7379");
    boundInput(client);
    return made;
  }

  #dispatch(connection: Connection, request: Request): void {
    const { client } = connection;
    const worker = client.worker as FakeWorker;
    const entry = worker.table.find(request);
    const reply = connection.reply();
    const start = reply.at;
    if (entry === undefined) reply.error(unknownCommand(request));
    else if (!entry.accepts(request.count)) reply.error(wrongArguments(entry.fullName));
    else if (!client.isAuthenticated && !entry.needsNoAuth) {
      reply.error("NOAUTH Authentication required.");
    } else {
      client.lastCommand = entry.fullName;
      entry.stats.calls++;
      worker.stats.commands++;
      this.#run(client, worker, request, reply);
    }
    if (reply.buffer[start] === 45)
      worker.stats.noteError(reply.buffer.toString("latin1", start + 1));
    connection.endReply(reply, 0);
  }

  #run(client: Client, worker: FakeWorker, request: Request, reply: RespWriter): void {
    const command = worker.table.find(request)?.command;
    const { keyspace, isDirect } = client;
    const { executor } = this.partitions;
    executor.nowMs = worker.nowMs;
    switch (command?.scope) {
      case "session":
        command.execute(client, request, reply);
        return;
      case "partition": {
        const partition = command.route(worker, request, reply, keyspace, isDirect);
        if (partition < 0) return;
        const owner = this.workers[worker.ownerOf(keyspace, partition)] as FakeWorker;
        command.execute(owner, keyspace, partition, request, reply);
        return;
      }
      case "node": {
        if (command.check !== undefined && !command.check(client, request, reply)) return;
        const asked = isDirect && command.isPerWorker ? [worker] : this.workers;
        const parts = asked.map((one) => {
          const caller = one === worker ? client.id : 0;
          const part = command.collect(one, request, keyspace, caller);
          return one === worker ? part : packed(part);
        });
        command.answer(client, request, parts, reply);
        return;
      }
      case "sliced": {
        const { slice } = command;
        const asked = isDirect && command.isPerWorker ? [worker] : this.workers;
        const slices = asked.flatMap((one) =>
          everySlice(request, (next) => packed(slice(one, next, keyspace)) as Slice),
        );
        replySlices(slices, reply);
        return;
      }
      case "key": {
        const at = command.keys?.first ?? 1;
        const from = request.starts[at] as number;
        const to = request.ends[at] as number;
        const partition = executor.partitionOf(keyspace, request.bytes, from, to);
        executor.runOnKey(command, keyspace, partition, request, reply);
        return;
      }
      case "keys":
        executor.runOnKeys(command, keyspace, request, reply);
        return;
      default:
        assert.fail("a command has a scope");
    }
  }
}

/** A value as it arrives from another thread. */
function packed(value: unknown): unknown {
  const result = unpack(pack(value));
  assert.equal(result.kind, "value");
  return result.kind === "value" ? result.value : undefined;
}

const NO_ROUTER: Router = {
  execute: () => assert.fail("this test has no transactions"),
  watch: () => assert.fail("this test watches nothing"),
};
