/**
 * The commands of a transaction as steps: which keyspace and partitions each touches, and how one
 * runs within a transaction of this thread.
 *
 * Invariant: a SELECT among the steps counts for those after it.
 */
import { Request } from "../../runtime/codec/request.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { slotOf } from "../../runtime/ring/slots.ts";
import type { CommandFacts } from "../command-facts.ts";
import { type CommandEntry, keyIndexes } from "../command-table.ts";
import { vnodeId } from "../vnode/vnode-id.ts";
import { beginRun } from "../worker/worker-stats.ts";
import type { Client, QueuedCommand, WatchedKey } from "./client.ts";
import type { DispatchHost } from "./dispatcher.ts";

const MINUS = 0x2d;

export interface Step {
  readonly entry: CommandEntry;
  readonly request: Request;
  readonly keyspace: number;
}

/** What is to be done for a client as one. */
export interface Job {
  readonly client: Client;
  readonly steps: readonly Step[];
  readonly watched: readonly WatchedKey[];
  /** The reply is an array of the steps' replies. */
  readonly isMulti: boolean;
}

/** A request of arguments that lie each in a buffer of its own. */
export function requestOf(args: readonly Buffer[]): Request {
  const request = new Request();
  request.reset(Buffer.concat(args));
  let at = 0;
  for (const arg of args) {
    request.push(at, at + arg.length);
    at += arg.length;
  }
  return request;
}

/** A command given as its arguments. */
export function stepOf(host: DispatchHost, keyspace: number, args: readonly Buffer[]): Step {
  const request = requestOf(args);
  return { keyspace, request, entry: host.table.find(request) as CommandEntry };
}

/** Copies of a request's arguments, or of those at `indexes`. */
export function argumentsOf(request: Request, indexes: readonly number[] | null): Buffer[] {
  const args: Buffer[] = [];
  const count = indexes === null ? request.count : indexes.length;
  for (let i = 0; i < count; i++) args.push(request.bytesAt(indexes?.[i] ?? i));
  return args;
}

/** The queued commands as steps. */
export function stepsOf(
  host: DispatchHost,
  client: Client,
  queue: readonly QueuedCommand[],
): Step[] {
  let { keyspace } = client;
  return queue.map((queued) => {
    const request = new Request();
    request.reset(queued.bytes);
    for (let i = 0; i < queued.starts.length; i++) {
      request.push(queued.starts[i] as number, queued.ends[i] as number);
    }
    const entry = host.table.find(request) as CommandEntry;
    const step = { entry, request, keyspace };
    if (entry.command.name === "SELECT") keyspace = selected(host, client, request) ?? keyspace;
    return step;
  });
}

/** The keyspace that a SELECT will select; undefined: it will fail. */
function selected(host: DispatchHost, client: Client, request: Request): number | undefined {
  const index = request.integer(1) ? request.integerValue : -1;
  const isValid = index >= 0 && index < host.config.keyspaces.length;
  return isValid && (!client.isDirect || index === 0) ? index : undefined;
}

/** Whether a step's keys say where it runs. A bad number of keys (SINTERCARD 0) may leave it none. */
export function hasKeys({ entry, request }: Step): boolean {
  const { command } = entry;
  return (
    command.scope === "key" || (command.scope === "keys" && keyIndexes(command, request).length > 0)
  );
}

/** Whether a step without keys has work on other workers. */
export function reachesOthers({ entry }: Step): boolean {
  const { scope } = entry.command;
  return scope === "node" || scope === "sliced" || scope === "partition";
}

/** Calls back with the partition (and the slot) of each of a step's keys. */
export function forEachPartition(
  host: DispatchHost,
  { entry, request, keyspace }: Step,
  onKey: (partition: number, slot: number, index: number) => void,
): void {
  for (const index of keyIndexes(entry.command, request)) {
    const start = request.starts[index] as number;
    const end = request.ends[index] as number;
    const slot = slotOf(request.bytes, start, end);
    onKey(host.executor.partitionOfSlot(keyspace, slot), slot, index);
  }
}

/** Whether every key has what belongs to it (MSET's values); if not, the command only says so. */
export function hasWholeGroups({ keys }: CommandFacts, request: Request): boolean {
  return keys === undefined || keys.last >= 0 || (request.count - keys.first) % keys.step === 0;
}

/** Ids of the vnodes that steps touch by their keys. */
export function vnodesOf(host: DispatchHost, steps: readonly Step[]): Set<number> {
  const vnodes = new Set<number>();
  for (const step of steps) {
    if (!hasKeys(step)) continue;
    forEachPartition(host, step, (partition) => vnodes.add(vnodeId(step.keyspace, partition)));
  }
  return vnodes;
}

/** The worker that owns a vnode. */
export function workerOfVnode(host: DispatchHost, vnode: number): number {
  return host.ownerOf(vnode >>> 16, vnode & 0xffff);
}

/** Runs a step whose keys, if it has any, are on this thread, inside `executor.beginTransaction`. */
export function runStep(
  host: DispatchHost,
  { entry, request, keyspace }: Step,
  reply: RespWriter,
): void {
  const { command } = entry;
  const { executor, clock } = host;
  const beganMs = beginRun(entry.stats, clock);
  if (command.scope === "key") {
    const keyAt = command.keys?.first ?? 1;
    const partition = executor.partitionOfArgument(keyspace, request, keyAt);
    executor.runOnKey(command, keyspace, partition, request, reply);
  } else if (command.scope === "keys") {
    executor.runOnKeys(command, keyspace, request, reply);
  }
  host.stats.endRun(entry.stats, clock, beganMs);
}

/** Counts the error that a step has replied in these bytes, if it is one. */
export function noteStepError(
  { stats }: DispatchHost,
  { entry }: Step,
  reply: Buffer,
  start: number,
  end: number,
): void {
  if (reply[start] !== MINUS || end <= start) return;
  entry.stats.failed++;
  stats.noteError(reply.toString("latin1", start + 1, end).trimEnd());
}

/** The mark of a key of this thread, for WATCH: no other state of the key ever has it. */
export function markOfKey(host: DispatchHost, keyspace: number, key: Buffer): string {
  const partition = host.executor.partitionOf(keyspace, key, 0, key.length);
  const vnode = host.vnodesHere.vnode(keyspace, partition);
  vnode.key.nowMs = host.nowMs;
  vnode.key.openKey(key, 0, key.length);
  // Marks name origins by their places in this incarnation's table.
  const { originHigh, originLow } = vnode.partition;
  return `${originHigh}:${originLow}/${vnode.key.watchMark()}`;
}
