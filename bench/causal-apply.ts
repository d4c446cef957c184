/**
 * What a replica pays for the ops of others, and a start for its log: causal apply. One partition
 * makes the ops; fresh ones apply them, in order and out of it.
 */
import { systemClock } from "../runtime/base/clock.ts";
import { below, seeded } from "../runtime/base/prng.ts";
import { HybridClock } from "../runtime/causality/hlc.ts";
import { OpWriters } from "../runtime/causality/op.ts";
import { Partition } from "../runtime/table/partition.ts";
import { SlabPool } from "../runtime/table/slab-pool.ts";
import { TableBench } from "./table.ts";
import { CommandTemplate, inSequence, KEY, textOf } from "./workload.ts";

/** Ops that a fresh partition gets before the next one takes over. */
const OPS = 10_000;
const KEYS = 1000;
/** Ops of a group that arrives in reverse: all but the last to come are parked. */
const DISORDER = 8;

const pool = new SlabPool();
const clock = new HybridClock(systemClock);
const writers = new OpWriters();
const random = seeded(2);
const value = textOf(64);

let applied = 0;

function freshPartition(): Partition {
  return new Partition({
    pool,
    hashKey: { high: 7, low: 7 },
    origin: { high: random.u32(), low: random.u32() },
    clock,
    writers,
    sink: {
      take(_op, start, end) {
        applied = (applied + end - start) | 0;
      },
    },
  });
}

/** What one origin logged for a command with these numbers; made at first use. */
function opsOf(template: CommandTemplate, next: () => number): () => readonly Buffer[] {
  const ops: Buffer[] = [];
  return () => {
    if (ops.length === 0) {
      const source = new TableBench(1, (op, start, end) => {
        ops.push(Buffer.from(op.subarray(start, end)));
      });
      source.run(template, OPS, next);
    }
    return ops;
  };
}

const anyKey = () => below(random, KEYS);
const inserts = opsOf(new CommandTemplate("SET", KEY, value), inSequence(OPS));
const updates = opsOf(new CommandTemplate("SET", KEY, value), anyKey);
const fields = opsOf(new CommandTemplate("HSET", "hash", "field:############", value), anyKey);

/** Calls `take` with op after op, and a fresh partition after each `OPS`. */
function feed(
  ops: () => readonly Buffer[],
  iterations: number,
  take: (partition: Partition, ops: readonly Buffer[], count: number) => void,
): number {
  for (let left = iterations; left > 0; left -= OPS) {
    const partition = freshPartition();
    const count = Math.min(left, OPS);
    take(partition, ops(), count);
    if (partition.sequence !== count) throw new Error("every op is applied");
    applied = (applied + partition.table.keyCount) | 0;
    partition.table.heap.releaseAll();
  }
  return applied;
}

function replayAll(partition: Partition, ops: readonly Buffer[], count: number): void {
  for (let i = 0; i < count; i++) {
    const op = ops[i] as Buffer;
    partition.replay(op, 0, op.length);
  }
}

/** A start's replay of SETs of new keys. */
export function benchReplayInserts(iterations: number): number {
  return feed(inserts, iterations, replayAll);
}

/** A start's replay of SETs over 1000 keys. */
export function benchReplayUpdates(iterations: number): number {
  return feed(updates, iterations, replayAll);
}

/** A start's replay of HSETs over 1000 fields of one hash. */
export function benchReplayFields(iterations: number): number {
  return feed(fields, iterations, replayAll);
}

/** Ops of another replica, each when its turn has come. */
export function benchDeliverInOrder(iterations: number): number {
  return feed(updates, iterations, (partition, ops, count) => {
    for (let i = 0; i < count; i++) partition.deliver(ops[i] as Buffer);
  });
}

/** Ops of another replica in groups of eight that arrive in reverse. */
export function benchDeliverInDisorder(iterations: number): number {
  return feed(updates, iterations, (partition, ops, count) => {
    for (let from = 0; from < count; from += DISORDER) {
      const end = Math.min(count, from + DISORDER);
      for (let i = end - 1; i >= from; i--) partition.deliver(ops[i] as Buffer);
    }
  });
}
