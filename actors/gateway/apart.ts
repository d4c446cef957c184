/**
 * Commands that need the keys of several partitions at once, over several workers. Most are done
 * where their keys are: they peek at them, and what they do then is commands on single keys (`Apart`
 * in command.ts). The others, and those that would peek at what their own transaction has written,
 * make all of it run on copies (scratch.ts).
 *
 * Invariant: what a peek has shown is still so when the changes are made: it is locked, and no
 * step before has written to it.
 */
import { assert } from "../../runtime/base/assert.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { Apart } from "../command.ts";
import { keyIndexes } from "../command-table.ts";
import type { Part } from "../protocols/transactions.ts";
import { KEYS_TOO_LARGE } from "../worker/participant.ts";
import { REPLY_BYTES_MAX } from "./connection.ts";
import { type Decision, type Segment, segmentsOf, stepReplies } from "./cross-plan.ts";
import type { DispatchHost } from "./dispatch-host.ts";
import { encodeError } from "./replies.ts";
import {
  forEachPartition,
  hasWholeGroups,
  noteStepError,
  reachesOthers,
  type Step,
  stepOf,
} from "./steps.ts";

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

/** The steps that need the keys of several partitions in one place. */
export function gatheringOf(host: DispatchHost, steps: readonly Step[]): ReadonlySet<Step> {
  return new Set(steps.filter((step) => gathers(host, step)));
}

/** Whether steps, some of them gathering, must run on copies of their keys. */
export function needsCopies(steps: readonly Step[], gathering: ReadonlySet<Step>): boolean {
  if (gathering.size === 0) return false;
  const written = new Set<string>();
  // FLUSHALL and its like may have changed any key.
  let isAnyWritten = false;
  for (const step of steps) {
    const names = namesOf(step);
    if (gathering.has(step)) {
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

/** A step that has not decided yet: what it asks for, and where the answers come. */
interface Undecided {
  readonly index: number;
  readonly step: Step;
  readonly reply: RespWriter;
  readonly rounds: ReturnType<Apart>;
  /** How many commands it has in this round. */
  peeks: number;
}

/** The peeks of a transaction that needs no copies: rounds, until every step has decided. */
export class Peeks {
  readonly decisions = new Map<number, Decision>();
  readonly #host: DispatchHost;
  #undecided: Undecided[] = [];
  #round: Step[] = [];
  #segment: Segment | undefined;

  constructor(
    host: DispatchHost,
    steps: readonly Step[],
    gathering: ReadonlySet<Step>,
    protocol: 2 | 3,
  ) {
    this.#host = host;
    steps.forEach((step, index) => {
      const apart = gathering.has(step) ? apartOf(step) : undefined;
      if (apart === undefined) return;
      step.entry.stats.calls++;
      const reply = new RespWriter({ bytesMax: REPLY_BYTES_MAX, bytesStart: 64 });
      reply.protocol = protocol;
      const rounds = apart(step.request, reply);
      this.#goOn({ index, step, reply, rounds, peeks: 0 }, []);
    });
  }

  /** What the owners are asked to run next; nothing: all is decided. */
  next(): readonly Part[] {
    [this.#segment] = segmentsOf(this.#host, this.#round) as [Segment];
    this.#round = [];
    return this.#segment.parts;
  }

  /** What they have replied. */
  take(replies: ReadonlyMap<Part, readonly Buffer[]>): void {
    const shown = stepReplies(this.#segment as Segment, replies).map(
      ({ reply }) => reply as Buffer,
    );
    const undecided = this.#undecided;
    this.#undecided = [];
    let at = 0;
    for (const one of undecided) {
      const end = at + one.peeks;
      this.#goOn(one, shown.slice(at, end));
      at = end;
    }
  }

  #decision(step: Step, changes: readonly Step[], reply: RespWriter): Decision {
    if (!reply.overflowed && reply.at === 0) return { changes, reply: null };
    const bytes = reply.overflowed ? encodeError(KEYS_TOO_LARGE) : reply.take();
    noteStepError(this.#host, step, bytes, 0, bytes.length);
    return { changes: reply.overflowed ? [] : changes, reply: bytes };
  }

  #goOn(one: Undecided, shown: readonly Buffer[]): void {
    const { index, step, reply, rounds } = one;
    const { done, value } = rounds.next(shown);
    const steps = value.map((words) => stepOf(this.#host, step.keyspace, words));
    if (done) {
      this.decisions.set(index, this.#decision(step, steps, reply));
      return;
    }
    assert(steps.length > 0, "a round of peeks has some");
    for (const peek of steps) this.#round.push(peek);
    this.#undecided.push({ ...one, peeks: steps.length });
  }
}
