/**
 * Commands on the memory table through the executor, as a worker runs them: partition found, key
 * found, op built, table changed, reply written. Without sockets, and with a log that only adds up
 * what it gets (the journal's cost is wal.ts's). Keys are redis-benchmark's, drawn at random.
 */
import type { LeafCommand } from "../actors/command.ts";
import { CommandTable } from "../actors/command-table.ts";
import { Executor } from "../actors/vnode/executor.ts";
import { Vnode } from "../actors/vnode/vnode.ts";
import { vnodeId } from "../actors/vnode/vnode-id.ts";
import { systemClock } from "../runtime/base/clock.ts";
import { below, type Random, seeded } from "../runtime/base/prng.ts";
import { HybridClock } from "../runtime/causality/hlc.ts";
import { OpWriters } from "../runtime/causality/op.ts";
import type { Request } from "../runtime/codec/request.ts";
import { PARSED, RespReader } from "../runtime/codec/resp-reader.ts";
import { RespWriter } from "../runtime/codec/resp-writer.ts";
import { SlabPool } from "../runtime/table/slab-pool.ts";
import { CommandTemplate, KEY, textOf } from "./workload.ts";

const PARTITIONS = 256;
const KEYS = 100_000;
/** Fields, members and elements of the collections. */
const ELEMENTS = 100_000;
/** Commands of a turn: replies are then written out, and time is read. */
const TURN = 64;

/** Takes the ops that commands make. */
export type OnOp = (op: Buffer, start: number, end: number) => void;

/** Vnodes with an executor over them, and nothing around. */
export class TableBench {
  readonly random: Random = seeded(1);
  readonly executor: Executor;
  readonly #vnodes: (Vnode | undefined)[] = [];
  readonly #commands = new CommandTable();
  readonly #reply = new RespWriter({ bytesMax: 1 << 26 });

  constructor(partitions: number, onOp: OnOp) {
    const pool = new SlabPool();
    const clock = new HybridClock(systemClock);
    const writers = new OpWriters();
    const { random } = this;
    const log = {
      append: (_vnode: number, _sequence: number, op: Buffer, start: number, end: number) => {
        onOp(op, start, end);
      },
    };
    const lookups = { keyspaceHits: 0, keyspaceMisses: 0 };
    const vnode = (keyspace: number, partition: number) => {
      const known = this.#vnodes[partition];
      if (known !== undefined) return known;
      const id = vnodeId(keyspace, partition);
      const origin = { high: random.u32(), low: random.u32() };
      const shared = {
        pool,
        hashKey: { high: 7, low: 7 },
        isAlone: true,
        clock,
        writers,
        log,
        random,
        unsynced: null,
        lookups,
      };
      const made = new Vnode({ id, origin, ...shared });
      this.#vnodes[partition] = made;
      return made;
    };
    this.executor = new Executor({ vnode }, [partitions]);
  }

  /** Runs a command so many times with these numbers; returns a checksum of its replies. */
  run(template: CommandTemplate, times: number, next: () => number): number {
    const reader = new RespReader();
    const input = Buffer.alloc(template.bytes.length);
    template.write(input, 0, 0);
    if (reader.parse(input, 0, input.length) !== PARSED) throw new Error(reader.error);
    const { request } = reader;
    const command = this.#commands.find(request)?.command;
    if (command?.scope !== "key") throw new Error("commands on one key only");
    return this.#loop(command, template, request, times, next);
  }

  #loop(
    command: LeafCommand & { readonly scope: "key" },
    template: CommandTemplate,
    request: Request,
    times: number,
    next: () => number,
  ): number {
    const { executor } = this;
    const reply = this.#reply;
    const { bytes } = request;
    const start = request.starts[1] as number;
    const end = request.ends[1] as number;
    let sum = 0;
    for (let i = 0; i < times; i++) {
      if (i % TURN === 0) {
        sum = (sum + reply.at) | 0;
        reply.reset();
        executor.nowMs = systemClock.now();
      }
      template.write(bytes, 0, next());
      const partition = executor.partitionOf(0, bytes, start, end);
      executor.runOnKey(command, 0, partition, request, reply);
    }
    if (reply.buffer[0] === 45) throw new Error(reply.buffer.toString("latin1", 0, 80));
    return (sum + reply.at) | 0;
  }
}

let made: TableBench | undefined;
let logged = 0;

const value = textOf(64);
const set = new CommandTemplate("SET", KEY, value);
const get = new CommandTemplate("GET", KEY);
const miss = new CommandTemplate("GET", "gone:############");
const expiring = new CommandTemplate("SET", "soon:############", value, "EX", "10000");
const increment = new CommandTemplate("INCR", "count:############");
const setField = new CommandTemplate("HSET", "hash", "field:############", value);
const getField = new CommandTemplate("HGET", "hash", "field:############");
const addMember = new CommandTemplate("SADD", "set", "member:############");
const hasMember = new CommandTemplate("SISMEMBER", "set", "member:############");
const addScore = new CommandTemplate("ZADD", "sorted", "############", "member:1");
const push = new CommandTemplate("RPUSH", "list", "element:############");
const pop = new CommandTemplate("LPOP", "list");

/** The table with everything in it that the cases read. */
function bench(): TableBench {
  if (made !== undefined) return made;
  made = new TableBench(PARTITIONS, (_op, start, end) => {
    logged = (logged + end - start) | 0;
  });
  const fill = (template: CommandTemplate, count: number) => {
    let next = 0;
    made?.run(template, count, () => next++);
  };
  fill(set, KEYS);
  fill(increment, KEYS);
  fill(setField, ELEMENTS);
  fill(addMember, ELEMENTS);
  fill(push, ELEMENTS);
  return made;
}

function atRandom(template: CommandTemplate, iterations: number, count: number): number {
  const all = bench();
  return (all.run(template, iterations, () => below(all.random, count)) + logged) | 0;
}

/** SET of one of 100 000 keys: 64 bytes over 64 bytes. */
export function benchTableSet(iterations: number): number {
  return atRandom(set, iterations, KEYS);
}

/** GET of one of 100 000 keys. */
export function benchTableGet(iterations: number): number {
  return atRandom(get, iterations, KEYS);
}

/** GET of keys that are not there. */
export function benchTableGetMiss(iterations: number): number {
  return atRandom(miss, iterations, KEYS);
}

/** SET with an expiry. */
export function benchTableSetExpiring(iterations: number): number {
  return atRandom(expiring, iterations, KEYS);
}

/** INCR of one of 100 000 counters. */
export function benchTableIncrement(iterations: number): number {
  return atRandom(increment, iterations, KEYS);
}

/** HSET of one of the 100 000 fields of a hash. */
export function benchTableHashSet(iterations: number): number {
  return atRandom(setField, iterations, ELEMENTS);
}

/** HGET of one of the 100 000 fields of a hash. */
export function benchTableHashGet(iterations: number): number {
  return atRandom(getField, iterations, ELEMENTS);
}

/** SADD of one of 100 000 members that the set has: found, not added. */
export function benchTableSetAdd(iterations: number): number {
  return atRandom(addMember, iterations, ELEMENTS);
}

/** SISMEMBER of one of the 100 000 members of a set. */
export function benchTableSetHas(iterations: number): number {
  return atRandom(hasMember, iterations, ELEMENTS);
}

/** RPUSH and LPOP of a list of 100 000 elements: two commands an operation. */
export function benchTableListMove(iterations: number): number {
  const pushed = atRandom(push, iterations, ELEMENTS);
  return (pushed + atRandom(pop, iterations, 1)) | 0;
}

/** ZADD of a new score for a member of a sorted set. */
export function benchTableSortedSetAdd(iterations: number): number {
  return atRandom(addScore, iterations, 1_000_000);
}
