/**
 * A model beside a replica under test: it takes the replica's own ops, and must hold the same state
 * after every step, plan the same mutations and see the same values.
 *
 * Plans are compared in a normal form (what each cell loses and gets), so that an implementation
 * may say `clear` where the model says five removals.
 */
import { isDeepStrictEqual } from "node:util";
import type { Bytes, Made, ModelCommand, NeutralMutation, ReplicaUnderTest } from "./harness.ts";
import { areSame, canonicalText, cellName, compareDots } from "./harness.ts";
import type { ModelReplica } from "./replica.ts";
import type { ModelSubject } from "./subject.ts";

/** What the model says that a step must make, before the replica takes it. */
export interface Expected {
  readonly reply: string | undefined;
  readonly mutations: string;
  /** Whether there is an op at all. */
  readonly changes: boolean;
}

export function expectCommand(shadow: ModelSubject, command: ModelCommand, now: number): Expected {
  const { reply, mutations } = shadow.plan(command, now);
  return expected(shadow, mutations, canonicalText(reply));
}

export function expectMutations(
  shadow: ModelSubject,
  mutations: readonly NeutralMutation[],
): Expected {
  return expected(shadow, mutations, undefined);
}

/** Compares what was made, and lets the shadow take it. Returns what differs. */
export function follow(
  shadow: ModelSubject,
  subject: ReplicaUnderTest,
  made: Made,
  { reply, mutations, changes }: Expected,
): string | undefined {
  const answer = canonicalText(made.reply);
  if (reply !== undefined && answer !== reply) return `reply: ${answer} for ${reply}`;
  if (made.op === undefined) return changes ? `no op for: ${mutations}` : undefined;
  const op = subject.exportOp(made.op);
  const form = normalForm(shadow.replica, op.mutations);
  if (form !== mutations) return `mutations: ${form} for ${mutations}`;
  const next = (shadow.replica.applied.get(op.origin) ?? 0) + 1;
  if (op.counter !== next) return `op counter: ${op.counter} for ${next}`;
  const past = shadow.replica.pastOf(op.origin);
  if (!areSame(op.past, past)) return `past: ${canonicalText(op.past)} for ${canonicalText(past)}`;
  shadow.replica.apply(op);
  return undefined;
}

/** Compares the whole state. */
export function compareStates(shadow: ModelSubject, subject: ReplicaUnderTest): string | undefined {
  const [got, want] = [subject.state(), shadow.state()];
  if (isDeepStrictEqual(got, want)) return undefined;
  return `state: ${canonicalText(got)} for ${canonicalText(want)}`;
}

/** Compares what readers of a key see. */
export function compareReads(
  shadow: ModelSubject,
  subject: ReplicaUnderTest,
  key: Bytes,
  now: number,
): string | undefined {
  const [got, want] = [subject.read(key, now), shadow.read(key, now)];
  if (areSame(got, want)) return undefined;
  return `read of ${key}: ${canonicalText(got)} for ${canonicalText(want)}`;
}

function expected(
  { replica }: ModelSubject,
  mutations: readonly NeutralMutation[],
  reply: string | undefined,
): Expected {
  const form = normalForm(replica, mutations);
  return { reply, mutations: form, changes: form !== "[]" };
}

/** What each cell loses and gets, in the order of the cells. What changes nothing is left out. */
function normalForm(replica: ModelReplica, mutations: readonly NeutralMutation[]): string {
  const effects = new Map<string, string>();
  for (const mutation of mutations) {
    if (mutation.kind !== "clear") continue;
    for (const [name, { versions }] of replica.cellsOf(mutation.key)) {
      effects.set(name, `removes ${[...versions.keys()].sort(compareDots)}`);
    }
  }
  for (const mutation of mutations) {
    if (mutation.kind === "clear") continue;
    const name = cellName(mutation.cell);
    const effect = effectOf(replica, mutation);
    if (effect !== undefined) effects.set(name, effect);
  }
  return JSON.stringify([...effects].sort(([left], [right]) => (left < right ? -1 : 1)));
}

function effectOf(
  replica: ModelReplica,
  mutation: Exclude<NeutralMutation, { kind: "clear" }>,
): string | undefined {
  const { cell } = mutation;
  const versions = replica.cellsOf(cell.key).get(cellName(cell))?.versions ?? new Map();
  const here = [...versions.keys()];
  const dropped = (covers: readonly string[] | undefined) =>
    (covers === undefined ? here : here.filter((dot) => covers.includes(dot))).sort(compareDots);
  switch (mutation.kind) {
    case "remove": {
      const dots = dropped(mutation.covers);
      return dots.length === 0 ? undefined : `removes ${dots}`;
    }
    case "set": {
      const { type, value, counter = null, until, copy = null, covers } = mutation;
      const got = [type, value, counter, until === undefined ? "-" : until, copy];
      return `removes ${dropped(covers)} sets ${JSON.stringify(got)}`;
    }
    case "expire":
      return `expires ${[...mutation.dots].sort(compareDots)} at ${mutation.at}`;
    case "add":
      return `adds ${mutation.number} ${mutation.delta} to ${mutation.dot}`;
    case "undo":
      return `undoes ${mutation.undone}: ${mutation.delta} of ${mutation.dot}`;
  }
}
