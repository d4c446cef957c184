/**
 * Commands that need the keys of several partitions at once, over several workers. Some are done where
 * their keys are, whatever the size of what these hold: PREPARE peeks at the keys, and what the command
 * does then is commands on single keys (`Apart` in command.ts). The others, and those that would peek
 * at what their own transaction has written, make all of it run on copies (scratch.ts).
 *
 * Invariant: what a peek has shown is still so when the changes are made: it is locked, and no
 * step before has written to it.
 */
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { Apart } from "../command.ts";
import { type CommandEntry, keyIndexes } from "../command-table.ts";
import type { Part } from "../protocols/transactions.ts";
import { REPLY_BYTES_MAX } from "./connection.ts";
import { type Decision, type Segment, segmentsOf, stepReplies } from "./cross-plan.ts";
import type { DispatchHost } from "./dispatch-host.ts";
import { forEachPartition, hasWholeGroups, reachesOthers, requestOf, type Step } from "./steps.ts";

/** Whether a step needs the keys of several partitions in one place. */
function gathers(host: DispatchHost, step: Step): boolean {
  const { command } = step.entry;
  if (command.scope !== "keys") return false;
  if (command.split !== undefined && hasWholeGroups(command, step.request)) return false;
  const partitions = new Set<number>();
  forEachPartition(host, step, (partition) => partitions.add(partition));
  return partitions.size > 1;
}

function apartOf({ entry, request }: Step): Apart | undefined {
  const { command } = entry;
  return command.scope === "keys" && hasWholeGroups(command, request) ? command.apart : undefined;
}

/** Whether steps must run on copies of their keys. */
export function needsCopies(host: DispatchHost, steps: readonly Step[]): boolean {
  if (!steps.some((step) => gathers(host, step))) return false;
  const written = new Set<string>();
  // FLUSHALL and its like may have changed any key.
  let isAnyWritten = false;
  for (const step of steps) {
    const names = namesOf(step);
    if (gathers(host, step)) {
      const isStale = isAnyWritten || names.some((name) => written.has(name));
      if (isStale || apartOf(step) === undefined) return true;
    }
    isAnyWritten ||= reachesOthers(step);
    if (step.entry.isWrite) for (const name of names) written.add(name);
  }
  return false;
}

function namesOf({ entry, request, keyspace }: Step): string[] {
  return keyIndexes(entry.command, request).map((index) => {
    return `${keyspace}:${request.bytesAt(index).toString("latin1")}`;
  });
}

/** A step that peeks, and which of all peeks are its own. */
interface PeekingStep {
  readonly index: number;
  readonly step: Step;
  readonly apart: Apart;
  readonly firstPeek: number;
  readonly endPeek: number;
}

/** The peeks of a transaction that needs no copies. */
export class Peeks {
  readonly #host: DispatchHost;
  readonly #steps: PeekingStep[] = [];
  readonly #segment: Segment;

  constructor(host: DispatchHost, steps: readonly Step[]) {
    this.#host = host;
    const peeks: Step[] = [];
    steps.forEach((step, index) => {
      const apart = gathers(host, step) ? apartOf(step) : undefined;
      if (apart === undefined) return;
      const firstPeek = peeks.length;
      peeks.push(...apart.peeks(step.request).map((words) => this.#stepOf(words, step.keyspace)));
      this.#steps.push({ index, step, apart, firstPeek, endPeek: peeks.length });
    });
    [this.#segment] = segmentsOf(host, peeks) as [Segment];
  }

  #stepOf(words: readonly Buffer[], keyspace: number): Step {
    const request = requestOf(words);
    return { entry: this.#host.table.find(request) as CommandEntry, request, keyspace };
  }

  /** What the owners are asked to run. */
  get parts(): readonly Part[] {
    return this.#segment.parts;
  }

  /** What the steps do, by their places, after what the parts have replied. */
  decide(
    replies: ReadonlyMap<Part, readonly Buffer[]>,
    protocol: 2 | 3,
  ): ReadonlyMap<number, Decision> {
    const shown = stepReplies(this.#segment, replies).map(({ reply }) => reply as Buffer);
    const decisions = new Map<number, Decision>();
    for (const { index, step, apart, firstPeek, endPeek } of this.#steps) {
      const reply = new RespWriter({ bytesMax: REPLY_BYTES_MAX, bytesStart: 64 });
      reply.protocol = protocol;
      step.entry.stats.calls++;
      const changes = apart
        .changes(step.request, shown.slice(firstPeek, endPeek), reply)
        .map((words) => this.#stepOf(words, step.keyspace));
      decisions.set(index, { changes, reply: reply.at === 0 ? null : reply.take() });
    }
    return decisions;
  }
}
