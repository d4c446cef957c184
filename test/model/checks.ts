/**
 * What must hold: after every step at its coordinator, and of all replicas in the end.
 *
 * Each check knows the design, not the implementation: it reads canonical states and neutral ops.
 */
import type {
  Bytes,
  CanonicalState,
  CanonicalValue,
  Dot,
  Made,
  ModelCommand,
  NeutralOp,
  ReplicaUnderTest,
} from "./harness.ts";
import { areSame, canonicalText, cellName, dotOf, originOf } from "./harness.ts";
import { KEYS, type Mode, STEP_MS } from "./mix.ts";
import { expectedCells } from "./oracle.ts";

/** Everything that was made in a scenario, lost in a crash or not. */
export interface History {
  /** In the order of their making, which is a causal order. */
  readonly ops: { readonly op: NeutralOp; readonly own: unknown }[];
  readonly commands: Map<Dot, ModelCommand>;
  readonly hlcs: Map<Dot, number>;
}

/** An op's stamp is larger than all that it follows: else an older write wins over it. */
export function checkHlc({ hlcs }: History, op: NeutralOp): string | undefined {
  const seen = { ...op.past, [op.origin]: op.counter - 1 };
  const after = Object.entries(seen).every(
    ([origin, counter]) => op.hlc > (hlcs.get(dotOf(origin, counter)) ?? 0),
  );
  return after ? undefined : `clock went back: ${canonicalText(op)}`;
}

/** A repeated id is answered as the first try was, and executed no more. */
export function checkRetry(
  { commands }: History,
  before: CanonicalState,
  { opId }: ModelCommand,
  made: Made,
): string | undefined {
  const known = before.opIds.find(({ id }) => id === opId);
  if (opId === undefined || known === undefined) return undefined;
  const same = canonicalText(made.reply) === canonicalText(known.reply);
  if (made.op === undefined && same) return undefined;
  return `retry executed again: ${opId} ${known.tries.map((dot) => commands.get(dot)?.argv)}`;
}

/**
 * A write with a context drops only what the context holds with the same adds, and is refused if it
 * would leave too many siblings.
 */
export function checkContext(
  before: CanonicalState,
  after: CanonicalState,
  { argv, context }: ModelCommand,
  siblingsMax: number,
): string | undefined {
  if (context === undefined) return undefined;
  const [old, left] = [headsIn(before, argv[1]), headsIn(after, argv[1])];
  for (const version of old) {
    if (left.some(({ dot }) => dot === version.dot)) continue;
    const mark = context.find(({ dot }) => dot === version.dot);
    const adds = Object.fromEntries(version.adds.map(({ origin, counter }) => [origin, counter]));
    if (mark === undefined) return `context covers unseen: ${version.dot}`;
    if (canonicalText(mark.adds) !== canonicalText(adds)) return `acked add lost: ${version.dot}`;
  }
  const grown = left.length > siblingsMax && left.length > old.length;
  return grown ? `sibling guard: ${left.length} siblings` : undefined;
}

function headsIn(state: CanonicalState, key: Bytes | undefined) {
  return state.cells.find(({ cell }) => cell.key === key && cell.type === "head")?.versions ?? [];
}

/** What a plain write leaves of its key: nothing hidden, nothing of its former life. */
export function checkLeftovers(
  before: CanonicalValue,
  after: CanonicalValue,
  state: CanonicalState,
  { argv }: ModelCommand,
): string | undefined {
  const [name = "", key = "", ...args] = argv;
  const cells = state.cells.filter(({ cell }) => cell.key === key);
  if (["PEXPIREAT", "PERSIST"].includes(name)) return undefined;
  if (after.type === null) {
    return cells.length === 0 ? undefined : `left over after ${argv}: ${canonicalText(cells)}`;
  }
  if (before.type === null && after.elements.length > args.length) {
    return `dead key back: ${argv} makes ${after.elements.length} elements`;
  }
  const hidden = cells.filter(({ cell }) => cell.type !== "head" && cell.type !== after.type);
  return hidden.length === 0
    ? undefined
    : `hidden cells stay after ${argv}: ${canonicalText(hidden)}`;
}

/** Time alone takes away; and a count is the number of what is listed. */
export function checkReads(
  subject: ReplicaUnderTest,
  key: Bytes,
  now: number,
  soon: number,
): string | undefined {
  const [early, late] = [subject.read(key, now), subject.read(key, soon)];
  for (const { type, count, elements } of [early, late]) {
    const listed = type === null ? 0 : type === "string" ? 1 : elements.length;
    if (count !== listed) return `count mismatch: ${count} for ${listed} of ${key}`;
  }
  if (late.type === null) return undefined;
  if (early.type !== late.type) return `type turns with time: ${early.type} to ${late.type}`;
  const names = new Set(early.elements.map(([element]) => element));
  const back = late.elements.find(([element]) => !names.has(element));
  return back === undefined ? undefined : `undead element: ${back[0]} of ${key}`;
}

/** What all replicas must hold after they have healed. */
export function judge(
  subjects: readonly ReplicaUnderTest[],
  fresh: ReplicaUnderTest,
  history: History,
  { mode, now }: { readonly mode: Mode; readonly now: number },
): readonly string[] {
  const states = subjects.map((subject) => subject.state());
  const [first] = states;
  const [subject] = subjects;
  if (first === undefined || subject === undefined) return [];
  if (states.some((state) => !areSame(state, first))) {
    return [`diverged: ${states.map(canonicalText).join(" | ")}`];
  }
  const found = [
    checkReplay(first, fresh, history),
    checkOracle(first, history),
    ["contexts", "raw", "clears"].includes(mode) ? undefined : checkOrigins(first),
    mode === "counters" ? checkCounters(subject, first, history, now) : undefined,
    ...KEYS.map((key) => checkReads(subject, key, now, now + 10 * STEP_MS)),
    mode === "mortal" ? (checkMortality(subject, now) ?? checkFreed(subject, now)) : undefined,
  ];
  return found.filter((violation) => violation !== undefined);
}

/** A new replica that takes the surviving ops, once each, in their order, holds the same. */
function checkReplay(
  state: CanonicalState,
  fresh: ReplicaUnderTest,
  { ops }: History,
): string | undefined {
  for (const { op, own } of ops) {
    if ((state.applied[op.origin] ?? 0) >= op.counter) fresh.deliver(own);
  }
  const replayed = fresh.state();
  if (areSame(state, replayed)) return undefined;
  return `not the replay: ${canonicalText(state)} for ${canonicalText(replayed)}`;
}

function checkOracle(state: CanonicalState, { ops }: History): string | undefined {
  const expected = expectedCells(
    ops.map(({ op }) => op),
    state.applied,
  );
  if (areSame(expected, state.cells)) return undefined;
  const flat = (cells: CanonicalState["cells"]) =>
    new Map(
      cells.flatMap(({ cell, versions }) =>
        versions.map((version) => [`${cellName(cell)} ${version.dot}`, version] as const),
      ),
    );
  const [held, due] = [flat(state.cells), flat(expected)];
  for (const [name, version] of due) {
    const found = held.get(name);
    if (found === undefined) return `lost write: ${name}`;
    if (canonicalText(found.adds) !== canonicalText(version.adds)) return `wrong adds: ${name}`;
    if (canonicalText(found) !== canonicalText(version)) return `wrong version: ${name}`;
  }
  return `dead write back: ${[...held.keys()].filter((name) => !due.has(name))}`;
}

/** Without contexts no cell holds two versions of one origin. */
function checkOrigins(state: CanonicalState): string | undefined {
  for (const { cell, versions } of state.cells) {
    const origins = new Set(versions.map(({ dot }) => originOf(dot)));
    if (origins.size < versions.length) return `two siblings of one origin: ${cellName(cell)}`;
  }
  return undefined;
}

/** Counters are the sum of the surviving increments, lists hold each surviving push; an id once. */
function checkCounters(
  subject: ReplicaUnderTest,
  state: CanonicalState,
  { ops, commands }: History,
  now: number,
): string | undefined {
  const ids = new Set<string>();
  const sums = { n: 0, h: 0 };
  const pushed: Bytes[] = [];
  for (const { op } of ops) {
    const command = commands.get(dotOf(op.origin, op.counter));
    if (command === undefined || (state.applied[op.origin] ?? 0) < op.counter) continue;
    if (command.opId !== undefined && ids.has(command.opId)) continue;
    if (command.opId !== undefined) ids.add(command.opId);
    const [name = "", , ...args] = command.argv;
    if (name === "INCRBY") sums.n += Number(args[0]);
    else if (name === "HINCRBY") sums.h += Number(args[1]);
    else pushed.push(...args);
  }
  const n = Number(subject.read("n", now).value ?? 0);
  const h = Number(subject.read("h", now).elements[0]?.[1] ?? 0);
  const listed = subject.read("l", now).elements.map(([, value]) => value);
  if (n !== sums.n || h !== sums.h) {
    return `counter not exact: ${n} and ${h} for ${sums.n} and ${sums.h}`;
  }
  const [got, want] = [listed, pushed].map((values) => canonicalText([...values].sort()));
  return got === want ? undefined : `list not exact: ${got} for ${want}`;
}

/** Where every collection has a TTL, nothing outlives the last of them. */
export function checkMortality(subject: ReplicaUnderTest, now: number): string | undefined {
  const { type, elements } = subject.read("a", now + 1000 * STEP_MS);
  return type === null ? undefined : `undead element: ${canonicalText(elements)}`;
}

/** And in the end nothing of them is left in memory. */
function checkFreed(subject: ReplicaUnderTest, now: number): string | undefined {
  const end = now + 1000 * STEP_MS;
  for (let round = 0; round < 3; round++) subject.sweep("a", end);
  const { cells } = subject.state();
  return cells.length === 0 ? undefined : `not freed: ${canonicalText(cells)}`;
}
