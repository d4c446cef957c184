/**
 * How a transaction over several workers is cut: into segments of commands that run in place, part
 * by part. Pure but for looking up who owns what.
 *
 * Invariant: a part is one partition's, whatever worker owns it, so that it can be done again with
 * another number of workers.
 */
import { assert } from "../../runtime/base/assert.ts";
import { keyIndexes } from "../command-table.ts";
import type { Part, PartEntry } from "../protocols/transactions.ts";
import { vnodeId } from "../vnode/vnode-id.ts";
import type { DispatchHost } from "./dispatcher.ts";
import { mergeReplies, type SplitKind } from "./replies.ts";
import type { Change } from "./scratch.ts";
import { argumentsOf, forEachPartition, hasKeys, reachesOthers, type Step } from "./steps.ts";

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

/** What a step does that has peeked at its keys (apart.ts). */
export interface Decision {
  readonly changes: readonly Step[];
  /** Null: what the only change replies. */
  readonly reply: Buffer | null;
}

interface PlannedStep {
  readonly index: number;
  /** Known before its pieces have run; null: what they reply. */
  readonly reply: Buffer | null;
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

/** Cuts steps into segments. `decided`: by place, the steps that are made of others. */
export function segmentsOf(
  host: DispatchHost,
  steps: readonly Step[],
  decided: ReadonlyMap<number, Decision> = new Map(),
): Segment[] {
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
    const plan = (one: Step) => planStep(host, segment, one, index, () => number++);
    const decision = decided.get(index);
    segment.steps.push(decision === undefined ? plan(step) : planned(index, decision, plan));
  });
  return segments;
}

function planned(
  index: number,
  { changes, reply }: Decision,
  plan: (step: Step) => PlannedStep,
): PlannedStep {
  const [first, ...others] = changes.map(plan);
  if (reply === null && first !== undefined && others.length === 0) return first;
  assert(reply !== null, "a step of several changes knows its reply");
  const pieces = [first, ...others].flatMap((change) => change?.pieces ?? []);
  return { index, reply, split: null, keyCount: 0, pieces };
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
  return { index, reply: null, split, keyCount: places.length, pieces };
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
  return segment.steps.map(({ index, reply, split, keyCount, pieces }) => {
    const found = pieces.map(({ part, entry, keys }) => {
      return { reply: replies.get(part)?.[entry] ?? NOTHING, keys };
    });
    if (found.some((piece) => piece.reply.length === 0)) return { index, reply: null };
    if (reply !== null) return { index, reply };
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

/** Changed keys as parts, one a partition. */
export function partsOf(changes: readonly Change[]): Part[] {
  const parts = new Map<string, Part & { entries: Part["entries"][number][] }>();
  for (const { keyspace, partition, key, content } of changes) {
    const name = `${keyspace}:${partition}`;
    const part = parts.get(name) ?? { number: parts.size, keyspace, partition, entries: [] };
    part.entries.push({ kind: "content", key, content });
    parts.set(name, part);
  }
  return [...parts.values()];
}

/** About how large parts are. */
export function bytesOf(parts: readonly Part[]): number {
  const sum = (buffers: readonly Buffer[]) => {
    return buffers.reduce((bytes, buffer) => bytes + buffer.length + 4, 0);
  };
  let bytes = 0;
  for (const { entries } of parts) {
    for (const entry of entries) {
      if (entry.kind === "command") bytes += sum(entry.args);
      else if (entry.content !== null) {
        const { value, names, values } = entry.content;
        bytes += entry.key.length + value.length + sum(names) + sum(values);
      }
    }
  }
  return bytes;
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
