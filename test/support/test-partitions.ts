/**
 * Commands against real vnodes in this process, without sockets, threads and files: for tests of
 * commands. The log keeps every op, so that a test can replay them.
 */
import assert from "node:assert/strict";
import type { Command } from "../../actors/command.ts";
import { CommandTable, keyIndexes } from "../../actors/command-table.ts";
import type { Client } from "../../actors/gateway/client.ts";
import { wrongArguments } from "../../actors/vnode/commands/errors.ts";
import { Executor } from "../../actors/vnode/executor.ts";
import { Vnode } from "../../actors/vnode/vnode.ts";
import { vnodeId } from "../../actors/vnode/vnode-id.ts";
import { ManualClock } from "../../runtime/base/clock.ts";
import { seeded } from "../../runtime/base/prng.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import type { Request } from "../../runtime/codec/request.ts";
import { PARSED, RespReader } from "../../runtime/codec/resp-reader.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import { loadState } from "../../runtime/table/state-loader.ts";
import { stateOf } from "./partitions.ts";
import { encodeCommand, type Plain, plain, type Reply, ReplyReader } from "./resp.ts";

const PARTITIONS = 16;
/** Small: a slab is cleared when it is made, and tests make partitions by the hundred. */
const SLAB_BYTES = 256 * 1024;
const table = new CommandTable();
/** For session commands that only reply: HELP, and a container without its subcommand. */
const NO_CLIENT = Object.create(null) as Client;

export class TestPartitions {
  readonly clock = new ManualClock();
  readonly ops: { vnode: number; op: Buffer }[] = [];
  readonly pool = new SlabPool({ slabBytes: SLAB_BYTES });
  readonly executor: Executor;
  readonly vnodes = new Map<number, Vnode>();
  /** The vnode with this id, made if there is none. */
  readonly vnodeOf: (id: number) => Vnode;
  /** Keys opened to be read. */
  readonly lookups = { keyspaceHits: 0, keyspaceMisses: 0 };
  protocol: 2 | 3 = 2;

  readonly #isAlone: boolean;

  /** `isAlone`: they have no other replica. */
  constructor(seed = 1, isAlone = false) {
    this.#isAlone = isAlone;
    const random = seeded(seed);
    const { pool } = this;
    const clock = new HybridClock(this.clock);
    const writers = new OpWriters();
    const log = {
      append: (vnode: number, _sequence: number, op: Buffer, start: number, end: number) => {
        this.ops.push({ vnode, op: Buffer.from(op.subarray(start, end)) });
      },
    };
    this.vnodeOf = (id) => {
      const known = this.vnodes.get(id);
      if (known !== undefined) return known;
      const origin = { high: random.u32(), low: random.u32() };
      const { lookups } = this;
      const shared = {
        pool,
        hashKey: { high: 7, low: 7 },
        isAlone,
        clock,
        writers,
        log,
        random,
        unsynced: null,
        lookups,
      };
      const made = new Vnode({ id, origin, ...shared });
      this.vnodes.set(id, made);
      return made;
    };
    const vnode = (keyspace: number, partition: number) =>
      this.vnodeOf(vnodeId(keyspace, partition));
    this.executor = new Executor({ vnode }, [PARTITIONS, PARTITIONS]);
  }

  /** Runs one command and answers its decoded reply. Throws for commands of unknown name. */
  run(...args: (string | Buffer)[]): Reply {
    const reader = new RespReader();
    const bytes = encodeCommand(args);
    if (reader.parse(bytes, 0, bytes.length) !== PARSED) throw new Error(reader.error);
    return this.runParsed(reader.request);
  }

  /** As `run`, for a command that was parsed. */
  runParsed(request: Request): Reply {
    const entry = table.find(request);
    if (entry === undefined) throw new Error(`no command ${request.text(0)}`);
    const { command } = entry;
    const reply = new RespWriter({ bytesMax: 1 << 30 });
    reply.protocol = this.protocol;
    if (entry.accepts(request.count)) this.#execute(command, request, reply);
    else reply.error(wrongArguments(command.name));
    const replies = new ReplyReader();
    replies.push(reply.take());
    const decoded = replies.next();
    if (decoded === undefined) throw new Error("a command replies once");
    return decoded;
  }

  #execute(command: Command, request: Request, reply: RespWriter): void {
    this.executor.nowMs = this.clock.now();
    if (command.scope === "keys") {
      this.executor.runOnKeys(command, 0, request, reply);
    } else if (command.scope === "key") {
      const [i] = keyIndexes(command, request);
      if (i === undefined) throw new Error("a key command names its key");
      const partition = this.executor.partitionOfArgument(0, request, i);
      this.executor.runOnKey(command, 0, partition, request, reply);
    } else if (command.scope === "session") {
      command.execute(NO_CLIENT, request, reply);
    } else throw new Error("other commands need a worker");
  }

  /** The reply as natural values (see `plain`). */
  read(...args: (string | Buffer)[]): Plain {
    return plain(this.run(...args));
  }

  /** As after a restart: partitions of the same contents and time, under origins of their own. */
  restarted(seed: number): TestPartitions {
    const other = new TestPartitions(seed, this.#isAlone);
    other.clock.advance(this.clock.now() - other.clock.now());
    for (const [id, { partition }] of this.vnodes) {
      loadState(other.vnodeOf(id).partition, stateOf(partition));
    }
    return other;
  }

  /** Fresh partitions with the same time, to which every op of these was replayed from the log. */
  replayed(): TestPartitions {
    const other = new TestPartitions(0x5eed, this.#isAlone);
    other.clock.advance(this.clock.now() - other.clock.now());
    other.protocol = this.protocol;
    for (const { vnode, op } of this.ops) {
      const { partition } = other.vnodeOf(vnode);
      partition.replay(op, 0, op.length);
    }
    return other;
  }

  /** Fails unless each of these commands replies the same before and after a replay of the log. */
  assertReplays(...reads: (readonly (string | Buffer)[])[]): void {
    const other = this.replayed();
    for (const args of reads) {
      assert.deepEqual(other.run(...args), this.run(...args), `replayed ${args.join(" ")}`);
    }
  }
}

/** Gives each side the ops that the other made. */
export function heal(left: TestPartitions, right: TestPartitions): void {
  const made = [...left.ops];
  for (const { vnode, op } of [...right.ops]) left.vnodeOf(vnode).partition.deliver(op);
  for (const { vnode, op } of made) right.vnodeOf(vnode).partition.deliver(op);
}
