/**
 * One random life of two or three replicas of a partition: commands, lost, repeated and reordered
 * ops, crashes, joins, skewed clocks; then the network heals, and what they hold is judged.
 *
 * Invariant: the same seed and options do the same things, whatever implementation is under test.
 */
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import {
  checkContext,
  checkHlc,
  checkLeftovers,
  checkMortality,
  checkReads,
  checkRetry,
  type History,
  judge,
} from "./checks.ts";
import type {
  Bytes,
  Made,
  MakeReplica,
  ModelCommand,
  NeutralMark,
  NeutralMutation,
  NeutralOp,
  ReplicaUnderTest,
} from "./harness.ts";
import { canonicalText, dotOf, HLC_EPOCH_MS } from "./harness.ts";
import { KEYS, Mix, MODES, type Mode, STEP_MS } from "./mix.ts";
import type { Seeds } from "./seeds.ts";
import {
  compareReads,
  compareStates,
  type Expected,
  expectCommand,
  expectMutations,
  follow,
} from "./shadow.ts";
import { ModelSubject } from "./subject.ts";

export interface ScenarioOptions {
  readonly replicas: 2 | 3;
  readonly make: MakeReplica;
  /** Drawn from the seed if not given. */
  readonly mode?: Mode;
  readonly steps?: number;
  /** Runs a model beside each replica, and compares them after every step. */
  readonly shadow?: boolean;
  /** A join survives a crash, as a vnode's does; the model's alone does not. */
  readonly durableJoins?: boolean;
}

export interface Outcome {
  /** "kind: detail"; empty: all held. A violation while it runs ends the scenario. */
  readonly violations: readonly string[];
  readonly mode: Mode;
  readonly ops: number;
}

/** Bound on clock skew either way, and a grace that is longer than twice it. */
const SKEW_STEPS = 3;
const GRACE_STEPS = 8;
export const SIBLINGS_IN_SCENARIO_MAX = 4;
const STEPS = 120;
/** Of a violation in a report: whole states are in some. */
const VIOLATION_CHARS_MAX = 2000;

/** Runs one scenario. Read its violations: it never throws for them. */
export function runScenario(seed: number, options: ScenarioOptions): Outcome {
  const scenario = new Scenario(seed, options);
  scenario.run();
  return scenario.outcome();
}

interface Member {
  readonly name: string;
  readonly subject: ReplicaUnderTest;
  readonly shadow: ModelSubject | undefined;
  readonly skewMs: number;
}

interface Message {
  readonly to: Member;
  readonly op: unknown;
  readonly neutral: NeutralOp;
}

class Scenario {
  readonly #random: Random;
  readonly #origins: Random;
  readonly #options: ScenarioOptions;
  readonly #mix: Mix;
  readonly #mode: Mode;
  readonly #members: readonly Member[];
  readonly #contexts: { key: Bytes; marks: readonly NeutralMark[] }[] = [];
  readonly #history: History = { ops: [], commands: new Map(), hlcs: new Map() };
  readonly #violations: string[] = [];
  #network: Message[] = [];
  #step = 0;

  constructor(seed: number, options: ScenarioOptions) {
    this.#random = seeded(seed);
    this.#origins = seeded(seed ^ 0x5eed);
    this.#options = options;
    this.#mix = new Mix(this.#random);
    this.#mode = options.mode ?? this.#mix.pick(MODES);
    const names = ["a", "b", "c"].slice(0, options.replicas);
    this.#members = names.map((name) => this.#member(name));
  }

  run(): void {
    const steps = this.#options.steps ?? STEPS;
    for (this.#step = 1; this.#step <= steps; this.#step++) {
      this.#act();
      if (this.#violations.length > 0) return;
    }
    this.#heal();
    if (this.#violations.length > 0) return;
    const now = HLC_EPOCH_MS + this.#step * STEP_MS;
    const subjects = this.#members.map(({ subject }) => subject);
    const fresh = this.#member("z").subject;
    this.#violations.push(...judge(subjects, fresh, this.#history, { mode: this.#mode, now }));
  }

  outcome(): Outcome {
    const violations = this.#violations;
    return { violations, mode: this.#mode, ops: this.#history.ops.length };
  }

  #member(name: string): Member {
    const settings = {
      name,
      siblingsMax: SIBLINGS_IN_SCENARIO_MAX,
      graceMs: GRACE_STEPS * STEP_MS,
    };
    const subject = this.#options.make({ ...settings, random: this.#origins });
    // a shadow draws no origins of its own: it takes those of its subject
    const shadow = this.#options.shadow
      ? new ModelSubject({ ...settings, random: seeded(0) })
      : undefined;
    shadow?.adoptOrigin(subject.origin());
    const skewMs = (below(this.#random, 2 * SKEW_STEPS + 1) - SKEW_STEPS) * STEP_MS;
    return { name, subject, shadow, skewMs };
  }

  #now(member: Member): number {
    return HLC_EPOCH_MS + this.#step * STEP_MS + 10 * STEP_MS + member.skewMs;
  }

  #act(): void {
    const member = this.#mix.pick(this.#members);
    const dice = this.#mix.below(100);
    if (dice < 50) this.#command(member);
    else if (dice < 76) this.#deliver();
    else if (dice < 86) this.#makeDurable(member);
    else if (dice < 89) this.#crash(member);
    else if (dice < 94) this.#join(member, this.#mix.pick(this.#members));
    else if (dice < 97) this.#readAt(member, this.#mix.key(), this.#mix.below(30));
    else member.subject.background();
    if (this.#mode === "mortal") this.#note(checkMortality(member.subject, this.#now(member)));
  }

  #command(member: Member): void {
    const now = this.#now(member);
    const { subject } = member;
    if (this.#mode === "raw" || this.#mode === "clears") {
      const mutations = this.#mix.raw(this.#mode, this.#step, now, subject.state());
      this.#mutate(member, mutations, now);
      return;
    }
    if (this.#mix.chance(0.1)) this.#undo(member, now);
    else if (this.#mix.chance(0.15)) this.#sweep(member, this.#mix.key(), now);
    else if (this.#mode === "contexts" && this.#mix.chance(0.3)) {
      const key = this.#mix.pick(["a", "b"]);
      this.#contexts.push({ key, marks: subject.readContext(key) });
    } else {
      const command = this.#draw(member, now);
      if (command !== undefined) this.#run(member, command, now);
      else this.#mutate(member, this.#mix.birth(this.#step, now), now);
    }
  }

  #draw({ subject }: Member, now: number): ModelCommand | undefined {
    if (this.#mode === "counters") return this.#mix.counting(this.#step);
    if (this.#mode === "large") {
      return this.#mix.large(now, (key) => subject.read(key, now).type);
    }
    if (this.#mode === "mortal") {
      return this.#mix.mortal(this.#step, now, subject.read("a", now).type !== null);
    }
    if (this.#mode !== "contexts") return this.#mix.command(this.#step, now);
    const command = this.#mix.stringWrite(this.#step, now);
    const [name = "", key = ""] = command.argv;
    const known = this.#contexts.filter((context) => context.key === key);
    if (known.length === 0 || !["SET", "DEL"].includes(name) || this.#mix.chance(0.3)) {
      return command;
    }
    return { ...command, context: this.#mix.pick(known).marks };
  }

  #run(member: Member, command: ModelCommand, now: number): void {
    const { subject, shadow } = member;
    const key = command.argv[1] ?? "";
    const value = subject.read(key, now);
    const before = isNative(command) ? subject.state() : undefined;
    const wanted = shadow && expectCommand(shadow, command, now);
    const made = subject.run(command, now);
    const op = this.#made(member, made, wanted, command);
    if (before !== undefined) {
      this.#note(checkRetry(this.#history, before, command, made));
      this.#note(checkContext(before, subject.state(), command, SIBLINGS_IN_SCENARIO_MAX));
    }
    // a command of the large mode may bring elements of another key
    if (op !== undefined && command.context === undefined && this.#mode !== "large") {
      this.#note(checkLeftovers(value, subject.read(key, now), subject.state(), command));
    }
  }

  #mutate(member: Member, mutations: readonly NeutralMutation[], now: number): void {
    const wanted = member.shadow && expectMutations(member.shadow, mutations);
    this.#made(member, member.subject.mutate(mutations, now), wanted);
  }

  #undo(member: Member, now: number): Omit<Message, "to"> | undefined {
    const wanted = member.shadow && expectMutations(member.shadow, member.shadow.planUndo());
    const made = member.subject.undo(now);
    const neutral = this.#made(member, made, wanted);
    return neutral && { op: made.op, neutral };
  }

  #sweep(member: Member, key: Bytes, now: number): void {
    const wanted =
      member.shadow && expectMutations(member.shadow, member.shadow.planSweep(key, now));
    this.#made(member, member.subject.sweep(key, now), wanted);
  }

  /** Records an op, lets the shadow follow, and sends it to some of the others. */
  #made(
    member: Member,
    made: Made,
    wanted: Expected | undefined,
    command?: ModelCommand,
  ): NeutralOp | undefined {
    const { subject, shadow } = member;
    if (shadow && wanted) this.#note(follow(shadow, subject, made, wanted));
    this.#compare(member);
    if (made.op === undefined) return undefined;
    const op = subject.exportOp(made.op);
    this.#note(checkHlc(this.#history, op));
    const dot = dotOf(op.origin, op.counter);
    this.#history.ops.push({ op, own: made.op });
    this.#history.hlcs.set(dot, op.hlc);
    if (command !== undefined) this.#history.commands.set(dot, command);
    for (const to of this.#members) {
      if (to !== member && this.#mix.chance(0.75)) {
        this.#network.push({ to, op: made.op, neutral: op });
      }
    }
    return op;
  }

  #deliver(): void {
    if (this.#network.length === 0) return;
    const [message] = this.#network.splice(this.#mix.below(this.#network.length), 1);
    if (message === undefined) return;
    this.#hand(message);
    if (this.#mix.chance(0.1)) this.#hand(message);
    if (this.#mix.chance(0.05)) this.#network.push(message);
  }

  /** Some ops go through the neutral form and back: it must lose nothing. */
  #hand({ to, op, neutral }: Message): void {
    to.subject.deliver(this.#mix.chance(0.1) ? to.subject.importOp(neutral) : op);
    to.shadow?.deliver(neutral);
    this.#compare(to);
  }

  #makeDurable({ subject, shadow }: Member): void {
    subject.makeDurable();
    shadow?.makeDurable();
  }

  #crash(member: Member): void {
    const { subject, shadow } = member;
    subject.crash();
    shadow?.crash();
    shadow?.adoptOrigin(subject.origin());
    this.#compare(member);
  }

  #join(member: Member, peer: Member): void {
    if (peer === member) return;
    member.subject.join(peer.subject);
    if (peer.shadow !== undefined) member.shadow?.join(peer.shadow);
    if (this.#options.durableJoins) member.shadow?.makeDurable();
    this.#compare(member);
  }

  #readAt(member: Member, key: Bytes, laterSteps: number): void {
    const now = this.#now(member);
    const soon = now + laterSteps * STEP_MS;
    this.#note(checkReads(member.subject, key, now, soon));
    for (const time of [now, soon]) {
      if (member.shadow) this.#note(compareReads(member.shadow, member.subject, key, time));
    }
  }

  #compare({ subject, shadow }: Member): void {
    if (shadow !== undefined) this.#note(compareStates(shadow, subject));
  }

  #note(violation: string | undefined): void {
    if (violation !== undefined) this.#violations.push(`${violation} (step ${this.#step})`);
  }

  /** Half of the scenarios heal by joins, the others from logs; then double tries are undone. */
  #heal(): void {
    for (const message of this.#network) this.#hand(message);
    this.#network = [];
    // no joins after logs: they would hide what an order of delivery left behind
    if (this.#mix.chance(0.5)) this.#joinAll();
    else this.#replayAll();
    for (let round = 0; round < 100 && this.#violations.length === 0; round++) {
      const member = this.#mix.pick(this.#members);
      const undo = this.#undo(member, this.#now(member));
      if (undo === undefined) break;
      for (const to of this.#members) if (to !== member) this.#hand({ to, ...undo });
    }
    for (const member of this.#members) for (const key of KEYS) this.#readAt(member, key, 0);
  }

  /** As often as it takes: a join may free a parked op, which nobody else has then. */
  #joinAll(): void {
    for (let round = 0; round < 10; round++) {
      const applied = this.#members.map(({ subject }) => canonicalText(subject.state().applied));
      if (new Set(applied).size === 1) return;
      for (const member of this.#members) {
        for (const peer of this.#members) this.#join(member, peer);
      }
    }
  }

  /** Every op ever made goes to everybody, in an order of its own. */
  #replayAll(): void {
    for (const to of this.#members) {
      const ops = [...this.#history.ops];
      while (ops.length > 0) {
        const [made] = ops.splice(this.#mix.below(ops.length), 1);
        if (made === undefined) continue;
        to.subject.deliver(made.own);
        to.shadow?.deliver(made.op);
      }
      this.#compare(to);
    }
  }
}

/** Whether a command says what only a native client can. */
function isNative({ opId, context }: ModelCommand): boolean {
  return opId !== undefined || context !== undefined;
}

/** Runs many seeds; returns the first violation as a line that names its seed, or undefined. */
export function searchViolation(
  options: ScenarioOptions,
  { from, seeds }: Seeds,
): string | undefined {
  for (let seed = from; seed < from + seeds; seed++) {
    const found = violationOf(seed, options);
    if (found !== undefined) return `SEED=${seed} ${found.slice(0, VIOLATION_CHARS_MAX)}`;
  }
  return undefined;
}

function violationOf(seed: number, options: ScenarioOptions): string | undefined {
  try {
    const { violations, mode } = runScenario(seed, options);
    return violations.length === 0 ? undefined : `(${mode}): ${violations[0]}`;
  } catch (error) {
    return `threw ${error instanceof Error ? error.stack : error}`;
  }
}
