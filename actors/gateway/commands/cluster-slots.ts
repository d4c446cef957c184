/**
 * CLUSTER subcommands about the keys of slots. A slot has no index of its own: its keys are found by
 * going through its partition. On a direct port only the slots of that worker have keys, as on a node
 * of a Redis Cluster: tools take who shows keys of a slot for one of its owners.
 */
import { SLOTS } from "../../../runtime/base/limits.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { slotOf } from "../../../runtime/ring/slots.ts";
import { nodeCommand, partitionCommand } from "../../command.ts";
import { NOT_AN_INTEGER, SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import type { WorkerView } from "../../worker/worker-view.ts";
import { forEachKey } from "./live-keys.ts";

const COMPLEXITY = "O(N) where N is the number of keys in the slot's partition";

/** The slot at argument 2, or -1 with the error replied. */
function slotAt(request: Request, reply: RespWriter, refusal: string): number {
  if (!request.integer(2)) {
    reply.error(NOT_AN_INTEGER);
    return -1;
  }
  const slot = request.integerValue;
  if (slot >= 0 && slot < SLOTS) return slot;
  reply.error(refusal);
  return -1;
}

/** The partition of a slot; -1 where a direct port shows none of its keys. */
function shownPartition({ slots, index }: WorkerView, slot: number, isDirect: boolean): number {
  return isDirect && slots.workerOf(slot) !== index ? -1 : slots.partitionOf(slot);
}

/** Calls back with the names of a slot's keys until it answers false. */
function forEachKeyOf(
  worker: WorkerView,
  slot: number,
  visit: (bytes: Buffer, start: number, end: number) => boolean,
): void {
  const vnode = worker.findVnode(0, worker.slots.partitionOf(slot));
  if (vnode === undefined) return;
  forEachKey(vnode, worker.nowMs, (bytes, start, end) =>
    slotOf(bytes, start, end) === slot ? visit(bytes, start, end) : true,
  );
}

const countKeysInSlot = partitionCommand({
  name: "CLUSTER|COUNTKEYSINSLOT",
  arity: 3,
  flags: ["stale"],
  group: "cluster",
  since: "3.0.0",
  summary: "Returns the number of keys in a hash slot.",
  complexity: COMPLEXITY,
  syntax: "slot",
  route(worker, request, reply, _keyspace, isDirect) {
    const slot = slotAt(request, reply, "ERR Invalid slot");
    if (slot < 0) return -1;
    const partition = shownPartition(worker, slot, isDirect);
    if (partition < 0) reply.integer(0);
    return partition;
  },
  execute(worker, _keyspace, _partition, request, reply) {
    request.integer(2);
    let count = 0;
    forEachKeyOf(worker, request.integerValue, () => {
      count++;
      return true;
    });
    reply.integer(count);
  },
});

const getKeysInSlot = partitionCommand({
  name: "CLUSTER|GETKEYSINSLOT",
  arity: 4,
  flags: ["stale"],
  group: "cluster",
  since: "3.0.0",
  summary: "Returns the key names in a hash slot.",
  complexity: COMPLEXITY,
  syntax: "slot count",
  route(worker, request, reply, _keyspace, isDirect) {
    const refusal = "ERR Invalid slot or number of keys";
    const slot = slotAt(request, reply, refusal);
    if (slot < 0) return -1;
    if (!request.integer(3)) {
      reply.error(NOT_AN_INTEGER);
      return -1;
    }
    if (request.integerValue < 0) {
      reply.error(refusal);
      return -1;
    }
    const partition = shownPartition(worker, slot, isDirect);
    if (partition < 0) reply.array(0);
    return partition;
  },
  execute(worker, _keyspace, _partition, request, reply) {
    request.integer(3);
    const limit = request.integerValue;
    request.integer(2);
    const mark = reply.openArray();
    let count = 0;
    if (limit > 0) {
      forEachKeyOf(worker, request.integerValue, (bytes, start, end) => {
        reply.bulk(bytes, start, end);
        return ++count < limit;
      });
    }
    reply.closeArray(mark, count);
  },
});

/** What CLUSTER SLOT-STATS asks for. */
interface SlotStatsQuery {
  readonly first: number;
  readonly last: number;
  readonly limit: number;
  /** 0: by slot; 1 and -1: by keys, rising or falling. */
  readonly order: 0 | 1 | -1;
}

/** Reads SLOTSRANGE or ORDERBY; the error text if it cannot be read. */
function slotStatsQuery(request: Request): SlotStatsQuery | string {
  if (request.equalsIgnoreCase(2, "SLOTSRANGE")) {
    if (request.count !== 5) return SYNTAX_ERROR;
    const ends = [3, 4].map((i) => (request.integer(i) ? request.integerValue : -1));
    const [first = -1, last = -1] = ends;
    if (ends.some((slot) => slot < 0 || slot >= SLOTS)) return "ERR Invalid or out of range slot";
    if (first > last)
      return `ERR Start slot number ${first} is greater than end slot number ${last}`;
    return { first, last, limit: SLOTS, order: 0 };
  }
  if (!request.equalsIgnoreCase(2, "ORDERBY") || request.count < 4) return SYNTAX_ERROR;
  if (!request.equalsIgnoreCase(3, "KEY-COUNT")) {
    return "ERR Unrecognized sort metric for ORDERBY.";
  }
  let limit = SLOTS;
  let order: 1 | -1 = -1;
  for (let i = 4; i < request.count; i++) {
    if (request.equalsIgnoreCase(i, "ASC")) order = 1;
    else if (request.equalsIgnoreCase(i, "DESC")) order = -1;
    else if (request.equalsIgnoreCase(i, "LIMIT") && i + 1 < request.count) {
      if (!request.integer(++i)) return NOT_AN_INTEGER;
      limit = request.integerValue;
      if (limit < 1 || limit > SLOTS)
        return `ERR Limit has to lie in between 1 and ${SLOTS} (maximum number of slots).`;
    } else return SYNTAX_ERROR;
  }
  return { first: 0, last: SLOTS - 1, limit, order };
}

const slotStats = nodeCommand({
  name: "CLUSTER|SLOT-STATS",
  arity: -4,
  flags: ["stale", "loading"],
  group: "cluster",
  since: "8.2.0",
  summary: "Returns the number of keys of slots.",
  complexity: "O(N) where N is the number of keys",
  isPerWorker: true,
  syntax: "<SLOTSRANGE start-slot end-slot | ORDERBY metric [LIMIT limit] [ASC | DESC]>",
  check(_client, request, reply) {
    const query = slotStatsQuery(request);
    if (typeof query === "string") reply.error(query);
    return typeof query !== "string";
  },
  /** Slots with keys and their counts, one after the other. */
  collect(worker, request) {
    const query = slotStatsQuery(request);
    const counts = new Map<number, number>();
    if (typeof query === "string") return [];
    for (const vnode of worker.vnodes(0)) {
      if (vnode.partitionNumber < worker.slots.partitionOf(query.first)) continue;
      if (vnode.partitionNumber > worker.slots.partitionOf(query.last)) break;
      forEachKey(vnode, worker.nowMs, (bytes, start, end) => {
        const slot = slotOf(bytes, start, end);
        counts.set(slot, (counts.get(slot) ?? 0) + 1);
        return true;
      });
    }
    return [...counts].flat();
  },
  answer({ worker, isDirect }, request, parts, reply) {
    const query = slotStatsQuery(request);
    if (typeof query === "string") return;
    const counts = new Float64Array(SLOTS);
    for (const part of parts as readonly (readonly number[])[]) {
      for (let i = 0; i + 1 < part.length; i += 2)
        counts[part[i] as number] = part[i + 1] as number;
    }
    const { limit, order } = query;
    const own = isDirect ? worker.slots.owners[worker.index] : undefined;
    const first = Math.max(query.first, own?.first ?? 0);
    const last = Math.min(query.last, own?.last ?? SLOTS - 1);
    const shown = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
    const keysOf = (slot: number) => counts[slot] as number;
    if (order !== 0) shown.sort((a, b) => order * (keysOf(a) - keysOf(b)) || a - b);
    const count = Math.min(limit, shown.length);
    reply.array(count);
    for (const slot of shown.slice(0, count)) {
      reply.array(2);
      reply.integer(slot);
      reply.map(1);
      reply.bulkText("key-count");
      reply.integer(keysOf(slot));
    }
  },
});

export const slotSubcommands = [countKeysInSlot, getKeysInSlot, slotStats];
