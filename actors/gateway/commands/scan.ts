/**
 * SCAN: the keys of a keyspace, partition after partition.
 *
 *   cursor = partition · 2^32 + position in the order of the keys' hashes; 0 begins and ends
 *
 * A page goes on through the partitions of one worker until it has looked at COUNT keys. On a direct
 * port the scan is of that worker's partitions, as of one node of a cluster.
 *
 * Invariant: a key that is there during the whole scan is returned at least once, whatever is added
 * and removed meanwhile, also over restarts: a cursor holds no state of the server.
 */
import { Glob } from "../../../runtime/base/glob.ts";
import { KEY_BYTES_MAX } from "../../../runtime/base/limits.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { firstPartitionOf } from "../../../runtime/ring/slots.ts";
import { partitionCommand } from "../../command.ts";
import {
  NOT_AN_INTEGER,
  PATTERN_TOO_COSTLY,
  PATTERN_TOO_LONG,
  SYNTAX_ERROR,
} from "../../vnode/commands/errors.ts";
import { INVALID_CURSOR, readCursor, SCAN_COUNT_DEFAULT } from "../../vnode/commands/scan.ts";
import { ABSENT, HASH, LIST, SET, STRING, ZSET } from "../../vnode/key-access.ts";
import type { Vnode } from "../../vnode/vnode.ts";
import type { WorkerView } from "../../worker/worker-view.ts";
import { RESTARTING } from "./live-keys.ts";

// limits:
/** Keys that one SCAN looks at, whatever COUNT says: the turn is everybody's. */
export const SCAN_KEYS_MAX = 10_000;
/** Partitions that one SCAN looks at: most may be empty. */
export const SCAN_PARTITIONS_MAX = 1024;

const POSITIONS = 2 ** 32;
const TYPES: ReadonlyMap<string, number> = new Map([
  ["string", STRING],
  ["list", LIST],
  ["set", SET],
  ["zset", ZSET],
  ["hash", HASH],
]);
/** A type that no key has. */
const NO_TYPE = -1;

/** The cursor of a position in a partition. */
export function cursorOf(partition: number, position: number): number {
  return partition * POSITIONS + position;
}

export function partitionOfCursor(cursor: number): number {
  return Math.floor(cursor / POSITIONS);
}

/** What a page is to hold. */
export interface ScanOptions {
  /** Keys that it looks at. */
  count: number;
  /** Null: everything matches. */
  pattern: Glob | null;
  /** ABSENT: every type. */
  type: number;
}

/** Reads MATCH, COUNT and TYPE; the error text if they cannot be read. */
function scanOptions(request: Request): ScanOptions | string {
  const options: ScanOptions = { count: SCAN_COUNT_DEFAULT, pattern: null, type: ABSENT };
  for (let i = 2; i < request.count; i += 2) {
    if (i + 1 >= request.count) return SYNTAX_ERROR;
    if (request.equalsIgnoreCase(i, "COUNT")) {
      if (!request.integer(i + 1)) return NOT_AN_INTEGER;
      if (request.integerValue < 1) return SYNTAX_ERROR;
      options.count = Math.min(request.integerValue, SCAN_KEYS_MAX);
    } else if (request.equalsIgnoreCase(i, "MATCH")) {
      if (request.length(i + 1) > KEY_BYTES_MAX) return PATTERN_TOO_LONG;
      const pattern = new Glob(request.bytesAt(i + 1));
      options.pattern = pattern.matchesAll ? null : pattern;
    } else if (request.equalsIgnoreCase(i, "TYPE")) {
      options.type = TYPES.get(request.text(i + 1).toLowerCase()) ?? NO_TYPE;
    } else return SYNTAX_ERROR;
  }
  return options;
}

const found = new Uint32Array(SCAN_KEYS_MAX);

/** Replies the keys of a vnode from a position on; returns how many, leaves the rest in `page`. */
function replyPage(
  vnode: Vnode,
  nowMs: number,
  page: { position: number; left: number },
  options: ScanOptions,
  reply: RespWriter,
): number {
  const { keys, records } = vnode.table;
  const { pattern, type } = options;
  page.position = keys.scan(page.position, page.left, found);
  page.left -= keys.scanned;
  let count = 0;
  for (let i = 0; i < keys.scanned; i++) {
    const ref = keys.scannedRefs[i] as number;
    const shown = vnode.key.view.openRecord(ref, nowMs);
    if (shown === ABSENT || (type !== ABSENT && type !== shown)) continue;
    const bytes = records.bytes(ref);
    const start = records.keyAt(ref);
    const end = start + records.keyLength(ref);
    if (pattern !== null && !pattern.matches(bytes, start, end)) continue;
    reply.bulk(bytes, start, end);
    count++;
  }
  return count;
}

/**
 * Replies the names of a page; returns the next cursor (0: the keyspace ends; else maybe another
 * worker's) and how many names they are. Ends before a partition that does not serve.
 */
export function replyKeys(
  worker: WorkerView,
  keyspace: number,
  from: number,
  options: ScanOptions,
  reply: RespWriter,
): { cursor: number; count: number } {
  const partitions = worker.config.keyspaces[keyspace]?.partitions ?? 0;
  const page = { position: from % POSITIONS, left: options.count };
  let partition = partitionOfCursor(from);
  let count = 0;
  for (let looked = 0; looked < SCAN_PARTITIONS_MAX && page.left > 0; looked++) {
    if (!worker.isReady(keyspace, partition)) {
      return { cursor: cursorOf(partition, page.position), count };
    }
    const vnode = worker.findVnode(keyspace, partition);
    if (vnode === undefined) page.position = 0;
    else count += replyPage(vnode, worker.nowMs, page, options, reply);
    if (page.position !== 0) return { cursor: cursorOf(partition, page.position), count };
    partition++;
    if (partition === partitions) return { cursor: 0, count };
    if (worker.ownerOf(keyspace, partition) !== worker.index) break;
  }
  return { cursor: cursorOf(partition, 0), count };
}

const scan = partitionCommand({
  name: "SCAN",
  arity: -2,
  flags: ["readonly"],
  group: "generic",
  since: "2.8.0",
  summary: "Iterates over the key names in the database.",
  complexity:
    "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
  syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
  route(worker, request, reply, keyspace, isDirect) {
    const cursor = readCursor(request, 1);
    const options = cursor < 0 ? INVALID_CURSOR : scanOptions(request);
    if (typeof options === "string") {
      reply.error(options);
      return -1;
    }
    const partitions = worker.config.keyspaces[keyspace]?.partitions ?? 0;
    const { workers } = worker.config;
    let partition = partitionOfCursor(cursor);
    if (isDirect && cursor === 0) partition = firstPartitionOf(worker.index, partitions, workers);
    const isOver = isDirect && worker.ownerOf(keyspace, partition) !== worker.index;
    if (partition < partitions && !isOver) return partition;
    // The end of this worker's partitions; or no cursor of ours: as Redis, no error.
    reply.array(2);
    reply.bulkText("0");
    reply.array(0);
    return -1;
  },
  execute(worker, keyspace, partition, request, reply) {
    const options = scanOptions(request);
    if (typeof options === "string") return;
    if (!worker.isReady(keyspace, partition)) {
      reply.error(RESTARTING);
      return;
    }
    // The next cursor stands before the keys and is known after them.
    const page = new PageWriter(reply);
    const from = cursorOf(partition, readCursor(request, 1) % POSITIONS);
    const { cursor, count } = replyKeys(worker, keyspace, from, options, reply);
    if (options.pattern?.exhausted) page.fail(PATTERN_TOO_COSTLY);
    else page.end(cursor, count);
  },
});

/** Writes [cursor, [keys]] where the cursor is known last: the keys are moved behind it. */
class PageWriter {
  readonly #reply: RespWriter;
  readonly #start: number;
  readonly #items: number;

  constructor(reply: RespWriter) {
    this.#reply = reply;
    this.#start = reply.mark();
    reply.array(2);
    this.#items = reply.openArray();
  }

  end(cursor: number, count: number): void {
    const reply = this.#reply;
    reply.closeArray(this.#items, count);
    if (reply.overflowed) return;
    const items = Buffer.from(reply.buffer.subarray(this.#items, reply.at));
    reply.rewind(this.#start);
    reply.array(2);
    reply.bulkText(String(cursor));
    reply.raw(items, 0, items.length);
  }

  fail(error: string): void {
    this.#reply.rewind(this.#start);
    this.#reply.error(error);
  }
}

export const scanCommands = [scan];
