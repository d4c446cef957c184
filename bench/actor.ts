/**
 * What it costs to reach an actor: a plain call, direct dispatch through its cell, a told message
 * and an ask. Over 1024 actors in turn, as a gateway does with vnodes. Each case returns a
 * checksum of the states, so that no work can be left out.
 */
import type { ActorCell } from "../runtime/actor/actor.ts";
import { actor } from "../runtime/actor/actor.ts";
import { ask, local, protocol, tell, u32 } from "../runtime/actor/protocol.ts";
import { ActorSystem } from "../runtime/actor/system.ts";
import { systemClock, systemTimers } from "../runtime/base/clock.ts";
import { seeded } from "../runtime/base/prng.ts";

const ACTORS = 1024;
/** Messages a turn: what a pipelined batch brings. */
const BATCH = 64;

interface Adder {
  sum: number;
}

const addProtocol = protocol("add", {
  add: tell(1, u32),
  addAsked: ask(2, u32, u32),
  run: tell(3, local<() => void>()),
});

function add(state: Adder, value: number): number {
  state.sum = (Math.imul(state.sum, 31) + value) | 0;
  return state.sum;
}

const adder = actor({
  protocol: addProtocol,
  start: (): Adder => ({ sum: 0 }),
  on: {
    add: (state, value) => void add(state, value),
    addAsked: (state, value) => add(state, value),
    run: (_state, run) => run(),
  },
});

type AdderCell = ActorCell<(typeof addProtocol)["messages"], Adder>;

// Turns run when the case says so.
const system = new ActorSystem({
  name: "bench",
  clock: systemClock,
  timers: systemTimers,
  scheduler: { soon: () => undefined },
  random: seeded(1),
  onRootFailure: (error) => {
    throw error;
  },
});
const cells: AdderCell[] = [];
for (let i = 0; i < ACTORS; i++) cells.push(system.spawn(adder, undefined, { name: `a${i}` }));
const states: Adder[] = cells.map((cell) => cell.ready as Adder);

function sumOfStates(): number {
  let sum = 0;
  for (const state of states) sum = (sum + state.sum) | 0;
  return sum;
}

/** The same work without an actor: the floor. */
export function benchActorPlainCall(iterations: number): number {
  for (let i = 0; i < iterations; i++) add(states[i & (ACTORS - 1)] as Adder, i);
  return sumOfStates();
}

/** Direct dispatch, as the gateway's hot loop does it. */
export function benchActorDirectDispatch(iterations: number): number {
  for (let i = 0; i < iterations; i++) {
    const cell = cells[i & (ACTORS - 1)] as AdderCell;
    const state = cell.ready;
    if (state === undefined) throw new Error("the actor is ready");
    try {
      add(state, i);
    } catch (error) {
      cell.fail(error);
    }
  }
  return sumOfStates();
}

/** A message through the mailbox, 64 a turn. */
export function benchActorTell(iterations: number): number {
  for (let i = 0; i < iterations; ) {
    const end = Math.min(iterations, i + BATCH);
    for (; i < end; i++) (cells[i & (ACTORS - 1)] as AdderCell).ref.tell("add", i);
    system.runTurn();
  }
  return sumOfStates();
}

/** A request with its deadline and its reply through a callback, 64 a turn. */
export function benchActorAsk(iterations: number): number {
  const options = { timeoutMs: 1000 };
  let replies = 0;
  const done = () => void replies++;
  for (let i = 0; i < iterations; ) {
    const end = Math.min(iterations, i + BATCH);
    for (; i < end; i++) {
      (cells[i & (ACTORS - 1)] as AdderCell).ref.ask("addAsked", i, options, done);
    }
    system.runTurn();
  }
  if (replies !== iterations) throw new Error("every ask is answered");
  return sumOfStates();
}
