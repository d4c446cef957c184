/** Commands over all keys of a keyspace, on every worker: KEYS, RANDOMKEY, DBSIZE, FLUSHDB … */
import { GLOB_STEPS_MAX, Glob } from "../../../runtime/base/glob.ts";
import { KEY_BYTES_MAX } from "../../../runtime/base/limits.ts";
import { below } from "../../../runtime/base/prng.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { firstPartitionOf } from "../../../runtime/ring/slots.ts";
import { nodeCommand, type Slice, sessionCommand, slicedCommand } from "../../command.ts";
import { PATTERN_TOO_COSTLY, PATTERN_TOO_LONG, SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import { ABSENT } from "../../vnode/key-access.ts";
import type { WorkerView } from "../../worker/worker-view.ts";
import type { Client } from "../client.ts";
import { REPLY_BYTES_MAX } from "../connection.ts";
import { asBuffer } from "../replies.ts";
import { RESTARTING } from "./live-keys.ts";
import { cursorOf, partitionOfCursor, replyKeys } from "./scan.ts";

/** Whether every partition of a keyspace that this worker owns serves. */
function isAllReady(worker: WorkerView, keyspace: number): boolean {
  const partitions = worker.config.keyspaces[keyspace]?.partitions ?? 0;
  for (let partition = 0; partition < partitions; partition++) {
    if (worker.ownerOf(keyspace, partition) !== worker.index) continue;
    if (!worker.isReady(keyspace, partition)) return false;
  }
  return true;
}

// limits:
/** Keys that one slice of KEYS looks at, and those between two looks at its other bounds. */
export const KEYS_SLICE_KEYS = 2_048;
const KEYS_STEP_KEYS = 128;
/** Bytes of a slice's names, and steps of matching them beyond what is free. */
export const KEYS_SLICE_BYTES = 256 * 1024;
export const KEYS_SLICE_GLOB_STEPS = 256 * 1024;

function failedSlice(error: string): Slice {
  return { items: Buffer.alloc(0), count: 0, rest: null, error };
}

/** The place at which this worker's walk begins or goes on; null: it has no (more) partitions. */
function ownCursor(worker: WorkerView, keyspace: number, cursor: number): number | null {
  return worker.ownerOf(keyspace, partitionOfCursor(cursor)) === worker.index ? cursor : null;
}

/** One slice of KEYS pattern; behind the first slice [cursor, steps that the pattern may still take]. */
function keysSlice(worker: WorkerView, request: Request, keyspace: number): Slice {
  const partitions = worker.config.keyspaces[keyspace]?.partitions ?? 0;
  const isFirst = request.count === 2;
  const first = firstPartitionOf(worker.index, partitions, worker.config.workers);
  const begin = isFirst ? cursorOf(first, 0) : integerAt(request, 2);
  const steps = isFirst ? GLOB_STEPS_MAX : integerAt(request, 3);
  if (request.length(1) > KEY_BYTES_MAX) return failedSlice(PATTERN_TOO_LONG);
  const pattern = new Glob(request.bytesAt(1), steps);
  const options = { count: KEYS_STEP_KEYS, pattern: pattern.matchesAll ? null : pattern };
  const names = new RespWriter({ bytesMax: REPLY_BYTES_MAX, bytesStart: 4096 });
  let count = 0;
  let cursor = ownCursor(worker, keyspace, begin);
  for (let looked = 0; cursor !== null && looked < KEYS_SLICE_KEYS; looked += KEYS_STEP_KEYS) {
    if (!worker.isReady(keyspace, partitionOfCursor(cursor))) return failedSlice(RESTARTING);
    const step = replyKeys(worker, keyspace, cursor, { ...options, type: ABSENT }, names);
    if (pattern.exhausted) return failedSlice(PATTERN_TOO_COSTLY);
    count += step.count;
    cursor = step.cursor === 0 ? null : ownCursor(worker, keyspace, step.cursor);
    if (names.at > KEYS_SLICE_BYTES || steps - pattern.budget > KEYS_SLICE_GLOB_STEPS) break;
  }
  const rest = cursor === null ? null : [String(cursor), String(pattern.budget)];
  return { items: names.take(), count, rest, error: null };
}

/** An argument of our own. */
function integerAt(request: Request, i: number): number {
  return request.integer(i) ? request.integerValue : 0;
}

const keys = slicedCommand({
  name: "KEYS",
  arity: 2,
  flags: ["readonly"],
  group: "generic",
  since: "1.0.0",
  summary: "Returns all key names that match a pattern.",
  complexity:
    "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
  syntax: "pattern",
  categories: ["dangerous"],
  isPerWorker: true,
  slice: keysSlice,
});

/** Keys of a keyspace on this worker, those that have just expired included. */
function countKeys(worker: WorkerView, keyspace: number): number {
  let count = 0;
  for (const { partition } of worker.vnodes(keyspace)) count += partition.table.keyCount;
  return count;
}

const dbSize = nodeCommand({
  name: "DBSIZE",
  arity: 1,
  flags: ["readonly", "fast"],
  group: "server",
  since: "1.0.0",
  summary: "Returns the number of keys in the database.",
  complexity: "O(P) with P being the number of partitions",
  categories: ["keyspace"],
  isPerWorker: true,
  collect: (worker, _request, keyspace) => countKeys(worker, keyspace),
  answer(_client, _request, parts, reply) {
    reply.integer((parts as readonly number[]).reduce((sum, count) => sum + count, 0));
  },
});

// limits:
/** Expired keys that RANDOMKEY passes by before it says that there is none. */
export const RANDOM_KEY_TRIES_MAX = 100;

/** A live key of this worker, each as likely as another; null: none was found. */
function randomKey(worker: WorkerView, keyspace: number, count: number): Buffer | null {
  if (count === 0) return null;
  for (let tries = 0; tries < RANDOM_KEY_TRIES_MAX; tries++) {
    let rank = below(worker.random, count);
    for (const { partition, key } of worker.vnodes(keyspace)) {
      const { table } = partition;
      if (rank >= table.keyCount) {
        rank -= table.keyCount;
        continue;
      }
      const ref = table.keyOrder.at(table.keyRoot, rank);
      if (key.view.openRecord(ref, worker.nowMs) === ABSENT) break;
      const at = table.records.keyAt(ref);
      const name = table.records.bytes(ref).subarray(at, at + table.records.keyLength(ref));
      return Buffer.from(name);
    }
  }
  return null;
}

const random = nodeCommand({
  name: "RANDOMKEY",
  arity: 1,
  flags: ["readonly"],
  group: "generic",
  since: "1.0.0",
  summary: "Returns a random key name from the database.",
  complexity: "O(P + log(N)) with P partitions and N keys in one",
  isPerWorker: true,
  /** How many keys there are here, and one of them. */
  collect(worker, _request, keyspace): readonly [number, Buffer | null] {
    const count = countKeys(worker, keyspace);
    return [count, randomKey(worker, keyspace, count)];
  },
  answer(client, _request, parts, reply) {
    const found = (parts as readonly (readonly [number, Uint8Array | null])[]).filter(
      ([, name]) => name !== null,
    );
    const total = found.reduce((sum, [count]) => sum + count, 0);
    let rank = total === 0 ? 0 : below(client.worker.random, total);
    for (const [count, name] of found) {
      rank -= count;
      if (rank >= 0 || name === null) continue;
      reply.bulk(asBuffer(name), 0, name.length);
      return;
    }
    reply.nil();
  },
});

/** Whether FLUSHDB's or FLUSHALL's one option is right; else the error is replied. */
function isFlush(request: Request, reply: RespWriter): boolean {
  const isRight =
    request.count === 1 ||
    (request.count === 2 &&
      (request.equalsIgnoreCase(1, "ASYNC") || request.equalsIgnoreCase(1, "SYNC")));
  if (!isRight) reply.error(SYNTAX_ERROR);
  return isRight;
}

/** A part is null where a worker could not flush; others may have. */
function answerFlush(
  _client: Client,
  _request: Request,
  parts: readonly unknown[],
  reply: RespWriter,
): void {
  if (parts.includes(null)) reply.error(RESTARTING);
  else reply.ok();
}

const flushDb = nodeCommand({
  name: "FLUSHDB",
  arity: -1,
  flags: ["write"],
  group: "server",
  since: "1.0.0",
  summary: "Removes all keys from the current database.",
  complexity: "O(N) where N is the number of keys in the selected database",
  syntax: "[ASYNC | SYNC]",
  categories: ["keyspace", "dangerous"],
  isPerWorker: true,
  check: (_client, request, reply) => isFlush(request, reply),
  collect(worker, _request, keyspace) {
    if (!isAllReady(worker, keyspace)) return null;
    worker.flush(keyspace);
    return true;
  },
  answer: answerFlush,
});

const flushAll = nodeCommand({
  name: "FLUSHALL",
  arity: -1,
  flags: ["write"],
  group: "server",
  since: "1.0.0",
  summary: "Removes all keys from all databases.",
  complexity: "O(N) where N is the total number of keys in all databases",
  syntax: "[ASYNC | SYNC]",
  categories: ["keyspace", "dangerous"],
  isPerWorker: true,
  check: (_client, request, reply) => isFlush(request, reply),
  collect(worker) {
    if (!worker.config.keyspaces.every(({ index }) => isAllReady(worker, index))) return null;
    worker.flush(undefined);
    return true;
  },
  answer: answerFlush,
});

const swapDb = sessionCommand({
  name: "SWAPDB",
  arity: 3,
  flags: ["write", "fast"],
  group: "server",
  since: "4.0.0",
  summary: "Refused: a keyspace keeps its number.",
  complexity: "O(1)",
  syntax: "index1 index2",
  categories: ["keyspace", "dangerous"],
  execute(client, _request, reply) {
    if (client.isDirect) reply.error("ERR SWAPDB is not allowed in cluster mode");
    else
      reply.error("ERR SWAPDB is not supported: a keyspace keeps its number, and its guarantees");
  },
});

export const keyspaceCommands = [keys, random, dbSize, flushDb, flushAll, swapDb];
