/** Supervision: restarts, waiting messages and unknown outcomes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Later, Turn } from "../../../runtime/actor/actor.ts";
import type { Journal } from "./support.ts";
import { journal, outcomes, testSystem } from "./support.ts";

const soon = { timeoutMs: 100 };
const long = { timeoutMs: 60_000 };
const threeStrikes = { restartsMax: 2, withinMs: 1000, delayMs: 10, delayMsMax: 10 };

function supervised(policy = threeStrikes) {
  const world = testSystem();
  const lives: Journal[] = [];
  const supervisor = world.system.supervisor({ name: "vnodes" });
  const cell = world.system.spawn(journal, { lives }, { name: "p7", supervisor, policy });
  const rest = () => {
    world.settle();
    world.clock.advance(10);
    world.settle();
  };
  return { ...world, lives, supervisor, cell, ref: cell.ref, rest, ...outcomes() };
}

test("an actor that throws is started again with a new state and keeps its ref", () => {
  const { ref, settle, lives, cell, reports } = supervised();
  ref.tell("note", "before");
  ref.tell("crash", "boom");
  settle();
  ref.tell("note", "after");
  settle();
  assert.deepEqual(
    lives.map(({ lines }) => lines),
    [["before"], ["after"]],
  );
  assert.equal(cell.phase, "running");
  assert.equal(reports[0]?.kind === "failed" && reports[0].path, "test/vnodes/p7");
});

test("messages that wait behind a crash are handled by the next incarnation, in order", () => {
  const { ref, settle, lives, seen, note } = supervised();
  ref.tell("crash", "boom");
  ref.tell("note", "one");
  ref.ask("append", "two", soon, note("append"));
  settle();
  assert.deepEqual(lives[1]?.lines, ["one", "two"]);
  assert.deepEqual(seen, ["append 2"]);
});

test("the ask whose handler throws has an unknown outcome", () => {
  const { ref, settle, seen, note } = supervised();
  ref.ask("crashAsked", "half done", soon, note("ask"));
  settle();
  assert.deepEqual(seen, ["ask UNKNOWN_OUTCOME"]);
});

test("asks that wait for a later reply have an unknown outcome when their actor fails", () => {
  const { ref, settle, seen, note } = supervised();
  let held: Later<number> | undefined;
  const take = (later: Later<number>) => {
    held = later;
  };
  ref.ask("hold", take, long, note("hold"));
  settle();
  ref.tell("crash", "boom");
  settle();
  held?.answer(1);
  assert.deepEqual(seen, ["hold UNKNOWN_OUTCOME"]);
});

test("a reply that is computed by a dead incarnation is never sent", () => {
  const { system, ref, settle, seen, note, lives } = supervised();
  let done: (() => void) | undefined;
  const whenDone = (call: () => void) => {
    done = call;
  };
  ref.ask("durable", { whenDone }, long, note("durable"));
  ref.tell("crash", "boom");
  settle();
  done?.();
  assert.deepEqual(seen, ["durable UNKNOWN_OUTCOME"]);
  assert.equal(system.lateAnswers, 0);
  assert.equal(lives.length, 2);
});

test("timers and callbacks of a dead incarnation do nothing", () => {
  const { ref, settle, lives, clock } = supervised();
  let post: (() => void) | undefined;
  ref.tell("run", ({ lines }, turn) => {
    turn.after(5, () => lines.push("timer"));
    turn.post(() => lines.push("posted before the crash"));
    post = () => turn.post(() => lines.push("posted after the crash"));
    throw new Error("boom");
  });
  settle();
  post?.();
  clock.advance(10);
  settle();
  assert.deepEqual(lives[0]?.lines, []);
  assert.deepEqual(lives[1]?.lines, []);
});

test("stop is called once for each state, with the reason", () => {
  const { ref, settle, lives, cell } = supervised();
  ref.tell("crash", "boom");
  settle();
  cell.stop();
  cell.stop();
  assert.deepEqual(
    lives.map(({ stops }) => stops.map(({ kind }) => kind)),
    [["failed"], ["stopped"]],
  );
});

test("a stopped actor answers what waits with ACTOR_DOWN and refuses the rest", () => {
  const { ref, cell, settle, seen, note, supervisor } = supervised();
  ref.ask("append", "x", soon, note("waiting"));
  cell.stop();
  ref.ask("append", "y", soon, note("too late"));
  assert.equal(ref.tell("note", "z"), false);
  settle();
  assert.deepEqual(seen, ["waiting ACTOR_DOWN", "too late ACTOR_DOWN"]);
  assert.equal(cell.ready, undefined);
  assert.equal(supervisor.childCount, 0);
});

test("an actor that stops itself in a handler ends the turn there", () => {
  const { ref, cell, settle, lives } = supervised();
  ref.tell("run", () => cell.stop());
  ref.tell("note", "never");
  settle();
  assert.deepEqual(lives[0]?.lines, []);
  assert.equal(lives.length, 1);
});

test("an actor that kills itself is restarted and what its handler returns is not sent", () => {
  const { ref, settle, lives, seen, note } = supervised();
  const compute = (_state: Journal, turn: Turn) => {
    turn.kill(new Error("the journal failed"));
    return 7;
  };
  ref.ask("compute", compute, soon, note("compute"));
  settle();
  assert.equal(lives.length, 2);
  assert.deepEqual(seen, ["compute UNKNOWN_OUTCOME"]);
});

test("a stop that throws is reported and does not prevent the restart", () => {
  const { ref, settle, lives, cell, reports } = supervised();
  Object.assign(lives[0] as object, { stops: undefined });
  ref.tell("crash", "boom");
  settle();
  assert.equal(cell.phase, "running");
  assert.deepEqual(
    reports.map(({ kind }) => kind),
    ["failed", "stop threw"],
  );
});

test("the first restart is immediate and the next ones wait", () => {
  const { ref, scheduler, settle, lives, clock } = supervised();
  ref.tell("crash", "one");
  settle();
  assert.equal(lives.length, 2);
  ref.tell("crash", "two");
  settle();
  assert.equal(lives.length, 2);
  clock.advance(10);
  assert.equal(lives.length, 3);
  scheduler.settle();
});

test("messages wait during a delayed restart, up to the mailbox's bound", () => {
  const world = testSystem();
  const lives: Journal[] = [];
  const options = { name: "p7", policy: threeStrikes, bounds: { dataMax: 2 } };
  const { ref } = world.system.spawn(journal, { lives }, options);
  const { seen, note } = outcomes();
  ref.tell("crash", "one");
  world.settle();
  ref.tell("crash", "two");
  world.settle();
  ref.ask("append", "a", soon, note("a"));
  ref.ask("append", "b", soon, note("b"));
  ref.ask("append", "c", soon, note("c"));
  assert.deepEqual(seen, ["c OVERLOADED"]);
  world.clock.advance(10);
  world.settle();
  assert.deepEqual(seen, ["c OVERLOADED", "a 1", "b 2"]);
});

test("every ask ends exactly once, whatever crashes, stops and times out", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("append", "hold", "answer") },
    { weight: 1, arbitrary: fc.constantFrom("crash", "crashAsked", "fail") },
    { weight: 3, arbitrary: fc.constantFrom("step", "advance") },
    { weight: 1, arbitrary: fc.constantFrom("stop") },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const world = testSystem({ policy: threeStrikes });
      const cell = world.system.spawn(
        journal,
        { lives: [] },
        { name: "p7", bounds: { dataMax: 5 } },
      );
      const ends: number[] = [];
      const held: Later<number>[] = [];
      const done = () => {
        const ask = ends.push(0) - 1;
        return () => {
          ends[ask] = (ends[ask] ?? 0) + 1;
        };
      };
      for (const step of steps) {
        if (step === "append") cell.ref.ask("append", "x", { timeoutMs: 25 }, done());
        else if (step === "hold") cell.ref.ask("hold", (later) => held.push(later), soon, done());
        else if (step === "answer") held.pop()?.answer(1);
        else if (step === "crash") cell.ref.tell("crash", "boom");
        else if (step === "crashAsked") cell.ref.ask("crashAsked", "boom", soon, done());
        else if (step === "fail") cell.fail(new Error("direct"));
        else if (step === "step") world.scheduler.step();
        else if (step === "advance") world.clock.advance(10);
        else if (ends.length > 20) cell.stop();
      }
      world.settle();
      world.clock.advance(1000);
      world.settle();
      assert.deepEqual(
        ends.filter((times) => times !== 1),
        [],
      );
      assert.equal(world.system.openAsks, 0);
    }),
  );
});
