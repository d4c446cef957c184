/**
 * A system whose time and turns move only when a test says so.
 */
import type { Later, Outcome, Pending, StopReason, Turn } from "../../../runtime/actor/actor.ts";
import { actor } from "../../../runtime/actor/actor.ts";
import type { ActorReport } from "../../../runtime/actor/cell.ts";
import { ask, local, protocol, tell, text, u32 } from "../../../runtime/actor/protocol.ts";
import type { SystemOptions } from "../../../runtime/actor/system.ts";
import { ActorSystem } from "../../../runtime/actor/system.ts";
import { ManualScheduler } from "../../../runtime/actor/timers.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import type { CoterieError } from "../../../runtime/base/errors.ts";
import { seeded } from "../../../runtime/base/prng.ts";

export interface TestSystem {
  readonly system: ActorSystem;
  readonly clock: ManualClock;
  readonly scheduler: ManualScheduler;
  readonly reports: ActorReport[];
  readonly rootFailures: CoterieError[];
  /** Runs everything that is due now. */
  settle(): void;
}

export function testSystem(options: Partial<SystemOptions> = {}): TestSystem {
  const clock = new ManualClock();
  const scheduler = new ManualScheduler();
  const reports: ActorReport[] = [];
  const rootFailures: CoterieError[] = [];
  const system = new ActorSystem({
    name: "test",
    clock,
    timers: clock,
    scheduler,
    random: seeded(1),
    onRootFailure: (error) => rootFailures.push(error),
    onReport: (report) => reports.push(report),
    ...options,
  });
  const settle = () => {
    if (!scheduler.settle()) throw new Error("the system does not come to rest");
  };
  return { system, clock, scheduler, reports, rootFailures, settle };
}

export const journalProtocol = protocol("journal", {
  append: ask(1, text, u32),
  note: tell(2, text),
  urgent: tell(3, text, { lane: "control" }),
  durable: ask(4, local<Pending>(), u32),
  hold: ask(5, local<(later: Later<number>) => void>(), u32),
  crash: tell(6, text),
  crashAsked: ask(7, text, u32),
  size: ask(8, text, u32, { lane: "control" }),
  compute: ask(10, local<(state: Journal, turn: Turn) => number>(), u32),
  run: tell(9, local<(state: Journal, turn: Turn) => void>()),
});

export interface Journal {
  readonly lines: string[];
  readonly stops: StopReason[];
}

export interface JournalArgs {
  /** Every state that a start made, newest last. */
  readonly lives: Journal[];
  /** Runs within each start: may throw, may be async. */
  readonly start?: () => void | Promise<void>;
}

/** A small actor that remembers lines. */
export const journal = actor({
  protocol: journalProtocol,
  start({ lives, start }: JournalArgs): Journal | Promise<Journal> {
    const live = () => {
      const state: Journal = { lines: [], stops: [] };
      lives.push(state);
      return state;
    };
    const begun = start?.();
    return begun instanceof Promise ? begun.then(live) : live();
  },
  on: {
    append: ({ lines }, line) => lines.push(line),
    note({ lines }, line) {
      if (line === "") return;
      lines.push(line);
    },
    urgent({ lines }, line) {
      lines.push(line);
    },
    durable: ({ lines }, pending, turn) => turn.later(pending, () => lines.length),
    hold(_state, take, turn) {
      const later = turn.later<number>();
      take(later);
      return later;
    },
    crash(_state, message) {
      throw new Error(message);
    },
    crashAsked({ lines }, message) {
      lines.push(message);
      throw new Error(message);
    },
    size: ({ lines }) => lines.length,
    compute: (state, compute, turn) => compute(state, turn),
    run: (state, run, turn) => run(state, turn),
  },
  stop: ({ stops }, reason) => void stops.push(reason),
});

/** Collects outcomes of asks by name. */
export function outcomes(): {
  readonly seen: string[];
  note(name: string): (outcome: Outcome<unknown>) => void;
} {
  const seen: string[] = [];
  return {
    seen,
    note: (name) => (outcome) => {
      const what = outcome.kind === "reply" ? String(outcome.value) : outcome.error.code;
      seen.push(`${name} ${what}`);
    },
  };
}
