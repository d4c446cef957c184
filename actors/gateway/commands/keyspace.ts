/** Commands over all keys of a keyspace, on every worker: KEYS, RANDOMKEY, DBSIZE, FLUSHDB … */
import { Glob } from "../../../runtime/base/glob.ts";
import { below } from "../../../runtime/base/prng.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { nodeCommand, sessionCommand } from "../../command.ts";
import { PATTERN_TOO_COSTLY, SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import { ABSENT } from "../../vnode/key-access.ts";
import type { WorkerView } from "../../worker/worker-view.ts";
import type { Client } from "../client.ts";
import { KeyNames, replyNames } from "./key-names.ts";
import { forEachKey, RESTARTING } from "./live-keys.ts";

/** Whether every partition of a keyspace that this worker owns serves. */
function isAllReady(worker: WorkerView, keyspace: number): boolean {
  const partitions = worker.config.keyspaces[keyspace]?.partitions ?? 0;
  for (let partition = 0; partition < partitions; partition++) {
    if (worker.ownerOf(keyspace, partition) !== worker.index) continue;
    if (!worker.isReady(keyspace, partition)) return false;
  }
  return true;
}

/** A worker's part of KEYS; null: it cannot tell now. */
interface KeysPart {
  readonly count: number;
  readonly names: Buffer;
  readonly isExhausted: boolean;
}

const keys = nodeCommand({
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
  collect(worker, request, keyspace): KeysPart | null {
    if (!isAllReady(worker, keyspace)) return null;
    const pattern = new Glob(request.bytesAt(1));
    const all = pattern.matchesAll;
    const names = new KeyNames();
    for (const vnode of worker.vnodes(keyspace)) {
      forEachKey(vnode, worker.nowMs, (bytes, start, end) => {
        if (all || pattern.matches(bytes, start, end)) names.add(bytes, start, end);
        return !pattern.exhausted;
      });
    }
    return { count: names.count, names: names.take(), isExhausted: pattern.exhausted };
  },
  answer(_client, _request, parts, reply) {
    if (parts.includes(null)) {
      reply.error(RESTARTING);
      return;
    }
    const all = parts as readonly KeysPart[];
    if (all.some(({ isExhausted }) => isExhausted)) {
      reply.error(PATTERN_TOO_COSTLY);
      return;
    }
    reply.array(all.reduce((sum, { count }) => sum + count, 0));
    for (const { names } of all) replyNames(asBuffer(names), reply);
  },
});

/** Packed bytes come back as a Uint8Array. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

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
