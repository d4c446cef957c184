/**
 * How a transaction over several workers is cut: into segments of commands that run in place, part
 * by part, or all of it run beside the data (`gathers`), because a command needs the keys of
 * several partitions at once. Pure but for looking up who owns what.
 *
 * Invariant: a part is one partition's, whatever worker owns it, so that it can be done again with
 * another number of workers.
 */
import { keyIndexes } from "../command-table.ts";
import type { Part, PartEntry } from "../protocols/transactions.ts";
import { vnodeId } from "../vnode/vnode-id.ts";
import type { DispatchHost } from "./dispatcher.ts";
import { mergeReplies, type SplitKind } from "./replies.ts";
import {
  argumentsOf,
  forEachPartition,
  hasKeys,
  hasWholeGroups,
  reachesOthers,
  type Step,
} from "./steps.ts";

// limits:
/** Op ids that the parts of one transaction take on one vnode: each is one of OP_IDS_MAX. */
export const PART_IDS_MAX = 32;

/** A part that is being put together. */
interface OpenPart extends Part {
  readonly entries: PartEntry[];
}

/** Where a piece of a step's reply comes from. */
interface Piece {
  readonly part: OpenPart;
  readonly entry: number;
  /** Which of the step's keys these are. */
  readonly keys: readonly number[];
}

interface PlannedStep {
  readonly index: number;
  readonly split: SplitKind | null;
  readonly keyCount: number;
  readonly pieces: readonly Piece[];
}

/** Commands that run in place, then the ones without keys that come after them. */
export interface Segment {
  readonly parts: OpenPart[];
  readonly steps: PlannedStep[];
  /** Places of the steps that run on the client's worker, or on all. */
  readonly others: number[];
}

/** Whether a step needs the keys of several partitions in one place. */
export function gathers(host: DispatchHost, step: Step): boolean {
  const { command } = step.entry;
  if (command.scope !== "keys") return false;
  if (command.split !== undefined && hasWholeGroups(command, step.request)) return false;
  const partitions = new Set<number>();
  forEachPartition(host, step, (partition) => partitions.add(partition));
  return partitions.size > 1;
}

/** Cuts steps into segments. */
export function segmentsOf(host: DispatchHost, steps: readonly Step[]): Segment[] {
  const segments: Segment[] = [{ parts: [], steps: [], others: [] }];
  let number = 0;
  let isLookedAt = false;
  steps.forEach((step, index) => {
    let segment = segments.at(-1) as Segment;
    if (!hasKeys(step)) {
      segment.others.push(index);
      isLookedAt ||= reachesOthers(step);
      return;
    }
    // What is no look at the keys (PING, SELECT) may as well come after them.
    if (isLookedAt) {
      segment = { parts: [], steps: [], others: [] };
      segments.push(segment);
      isLookedAt = false;
    }
    segment.steps.push(planStep(host, segment, step, index, () => number++));
  });
  return segments;
}

function planStep(
  host: DispatchHost,
  segment: Segment,
  step: Step,
  index: number,
  nextNumber: () => number,
): PlannedStep {
  const { command } = step.entry;
  const { keyspace, request } = step;
  const places = keyIndexes(command, request);
  const byPartition = new Map<number, number[]>();
  let place = 0;
  forEachPartition(host, step, (partition) => {
    const keys = byPartition.get(partition);
    if (keys === undefined) byPartition.set(partition, [place++]);
    else keys.push(place++);
  });
  const isWhole = byPartition.size === 1;
  const width = command.keys?.step ?? 1;
  const pieces = [...byPartition].map(([partition, keys]) => {
    const indexes = isWhole ? null : argumentsAt(places, keys, width);
    const part = partOf(segment, keyspace, partition, nextNumber);
    part.entries.push({ kind: "command", args: argumentsOf(request, indexes) });
    return { part, entry: part.entries.length - 1, keys };
  });
  const split = isWhole || command.scope !== "keys" ? null : (command.split ?? null);
  return { index, split, keyCount: places.length, pieces };
}

/** The name, then some keys with what belongs to them. */
function argumentsAt(places: readonly number[], keys: readonly number[], width: number): number[] {
  const indexes = [0];
  for (const key of keys) {
    for (let i = 0; i < width; i++) indexes.push((places[key] as number) + i);
  }
  return indexes;
}

function partOf(
  segment: Segment,
  keyspace: number,
  partition: number,
  nextNumber: () => number,
): OpenPart {
  const known = segment.parts.find((p) => p.keyspace === keyspace && p.partition === partition);
  if (known !== undefined) return known;
  const part = { number: nextNumber(), keyspace, partition, entries: [] };
  segment.parts.push(part);
  return part;
}

/** The replies of a segment's steps from those of its parts; an empty one is not known any more. */
export function stepReplies(
  segment: Segment,
  replies: ReadonlyMap<Part, readonly Buffer[]>,
): { index: number; reply: Buffer | null }[] {
  return segment.steps.map(({ index, split, keyCount, pieces }) => {
    const found = pieces.map(({ part, entry, keys }) => {
      return { reply: replies.get(part)?.[entry] ?? NOTHING, keys };
    });
    if (found.some(({ reply }) => reply.length === 0)) return { index, reply: null };
    if (split === null) return { index, reply: found[0]?.reply ?? null };
    return { index, reply: mergeReplies(split, found, keyCount) };
  });
}

/** How many op ids parts take on the vnode that has most of them. */
export function opIdsOf(parts: readonly Part[]): number {
  const counts = new Map<number, number>();
  let most = 0;
  for (const part of parts) {
    const vnode = vnodeOfPart(part);
    const count = (counts.get(vnode) ?? 0) + 1;
    counts.set(vnode, count);
    most = Math.max(most, count);
  }
  return most;
}

/** Parts by the worker that owns them now. */
export function byWorker(host: DispatchHost, parts: readonly Part[]): Map<number, Part[]> {
  const workers = new Map<number, Part[]>();
  for (const part of parts) {
    const worker = host.ownerOf(part.keyspace, part.partition);
    const own = workers.get(worker);
    if (own === undefined) workers.set(worker, [part]);
    else own.push(part);
  }
  return workers;
}

/** Vnode ids by the worker that owns them now. */
export function vnodesByWorker(
  host: DispatchHost,
  vnodes: Iterable<number>,
): Map<number, number[]> {
  const workers = new Map<number, number[]>();
  for (const id of vnodes) {
    const worker = host.ownerOf(id >>> 16, id & 0xffff);
    const own = workers.get(worker);
    if (own === undefined) workers.set(worker, [id]);
    else own.push(id);
  }
  return workers;
}

/** The vnode of a part. */
export function vnodeOfPart({ keyspace, partition }: Part): number {
  return vnodeId(keyspace, partition);
}

const NOTHING = Buffer.alloc(0);
