/** Actor systems: turns, order, overload, deadlines and direct dispatch. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Later, Self } from "../../../runtime/actor/actor.ts";
import { actor } from "../../../runtime/actor/actor.ts";
import { ROUND_MESSAGES_MAX, TURN_MESSAGES_MAX } from "../../../runtime/actor/system.ts";
import { CoterieError } from "../../../runtime/base/errors.ts";
import type { Journal, JournalArgs } from "./support.ts";
import { journal, journalProtocol, outcomes, testSystem } from "./support.ts";

const soon = { timeoutMs: 100 };

function oneJournal() {
  const world = testSystem();
  const lives: Journal[] = [];
  const cell = world.system.spawn(journal, { lives }, { name: "journal" });
  return { ...world, lives, cell, ref: cell.ref, ...outcomes() };
}

test("an actor with a synchronous start is ready when spawn returns", () => {
  const { cell, lives } = oneJournal();
  assert.equal(cell.ready, lives[0]);
  assert.equal(cell.phase, "running");
  assert.equal(cell.path, "test/journal");
});

test("messages to one actor run in the order they were sent, control first", () => {
  const { ref, settle, lives } = oneJournal();
  ref.tell("note", "a");
  ref.tell("note", "b");
  ref.tell("urgent", "c");
  settle();
  assert.deepEqual(lives[0]?.lines, ["c", "a", "b"]);
});

test("an ask is answered once with what its handler returned", () => {
  const { ref, settle, seen, note } = oneJournal();
  ref.ask("append", "x", soon, note("first"));
  ref.ask("append", "y", soon, note("second"));
  assert.deepEqual(seen, []);
  settle();
  assert.deepEqual(seen, ["first 1", "second 2"]);
});

test("a request is an ask as a promise", async () => {
  const { ref, settle, cell } = oneJournal();
  const reply = ref.request("append", "x", soon);
  settle();
  assert.equal(await reply, 1);
  cell.stop();
  await assert.rejects(ref.request("append", "x", soon), { code: "ACTOR_DOWN" });
});

test("a turn sends what its handlers send in the same turn", () => {
  const { system, scheduler, lives } = { ...oneJournal() };
  const other: Journal[] = [];
  const second = system.spawn(journal, { lives: other }, { name: "second" });
  const first = system.spawn(journal, { lives }, { name: "first" });
  first.ref.tell("run", () => void second.ref.tell("note", "from first"));
  scheduler.step();
  assert.deepEqual(other[0]?.lines, ["from first"]);
});

test("a turn ends at its budget and continues after other input", () => {
  let ends = 0;
  const { system, scheduler } = testSystem({ onTurnEnd: () => void ends++ });
  const lives: Journal[] = [];
  const { ref } = system.spawn(journal, { lives }, { name: "journal" });
  for (let i = 0; i < TURN_MESSAGES_MAX + 1; i++) ref.tell("note", String(i));
  scheduler.step();
  assert.equal(lives[0]?.lines.length, TURN_MESSAGES_MAX);
  scheduler.step();
  assert.equal(lives[0]?.lines.length, TURN_MESSAGES_MAX + 1);
  assert.equal(ends, 2);
});

test("a flooded actor does not starve its neighbour", () => {
  const { system, scheduler } = testSystem();
  const order: string[] = [];
  const flood = system.spawn(journal, { lives: [] }, { name: "flood" });
  const calm = system.spawn(journal, { lives: [] }, { name: "calm" });
  for (let i = 0; i < 4 * ROUND_MESSAGES_MAX; i++) {
    flood.ref.tell("run", () => void order.push("flood"));
  }
  calm.ref.tell("run", () => void order.push("calm"));
  scheduler.step();
  assert.equal(order.indexOf("calm"), ROUND_MESSAGES_MAX);
});

test("runTurn drains at once, and does nothing inside a turn", () => {
  const { system, ref, lives, settle } = oneJournal();
  const others: Journal[] = [];
  const other = system.spawn(journal, { lives: others }, { name: "other" });
  ref.tell("note", "now");
  system.runTurn();
  assert.deepEqual(lives[0]?.lines, ["now"]);
  ref.tell("run", ({ lines }) => {
    other.ref.tell("note", "after");
    system.runTurn();
    lines.push(`other has ${others[0]?.lines.length}`);
  });
  settle();
  assert.deepEqual(lives[0]?.lines, ["now", "other has 0"]);
  assert.deepEqual(others[0]?.lines, ["after"]);
});

test("a full data lane answers OVERLOADED at once and still takes control", () => {
  const { system, settle } = testSystem();
  const lives: Journal[] = [];
  const bounds = { dataMax: 2 };
  const cell = system.spawn(journal, { lives }, { name: "journal", bounds });
  const { seen, note } = outcomes();
  assert.equal(cell.ref.tell("note", "a"), true);
  assert.equal(cell.ref.tell("note", "b"), true);
  assert.equal(cell.ref.tell("note", "c"), false);
  cell.ref.ask("append", "d", soon, note("append"));
  cell.ref.ask("size", "", soon, note("size"));
  assert.deepEqual(seen, ["append OVERLOADED"]);
  settle();
  assert.deepEqual(seen, ["append OVERLOADED", "size 0"]);
  assert.deepEqual(lives[0]?.lines, ["a", "b"]);
  assert.equal(cell.refused, 2);
});

test("an ask that waits past its deadline ends as TIMEOUT and is never begun", () => {
  const { clock, ref, settle, lives, seen, note } = oneJournal();
  ref.ask("append", "late", { timeoutMs: 50 }, note("append"));
  clock.advance(50);
  assert.deepEqual(seen, ["append TIMEOUT"]);
  settle();
  assert.deepEqual(lives[0]?.lines, []);
  assert.deepEqual(seen, ["append TIMEOUT"]);
});

test("an ask whose reply comes too late ends as TIMEOUT, and the late reply is only counted", () => {
  const { system, clock, ref, settle, seen, note } = oneJournal();
  let held: Later<number> | undefined;
  ref.ask(
    "hold",
    (later) => {
      held = later;
    },
    { timeoutMs: 50 },
    note("hold"),
  );
  settle();
  assert.deepEqual(seen, []);
  clock.advance(50);
  held?.answer(7);
  assert.deepEqual(seen, ["hold TIMEOUT"]);
  assert.equal(system.lateAnswers, 1);
  assert.equal(system.openAsks, 0);
});

test("a later reply is sent when what it waits for is done", () => {
  const { ref, settle, seen, note } = oneJournal();
  const waiters: ((error?: CoterieError) => void)[] = [];
  const sync = { whenDone: (done: (error?: CoterieError) => void) => void waiters.push(done) };
  ref.ask("durable", sync, soon, note("first"));
  ref.ask("durable", sync, soon, note("second"));
  ref.tell("note", "x");
  settle();
  assert.deepEqual(seen, []);
  waiters[1]?.();
  waiters[0]?.(new CoterieError("DISK_FAILED", "the sync failed"));
  assert.deepEqual(seen, ["second 1", "first DISK_FAILED"]);
});

test("a handler refuses with an operating error and lives on", () => {
  const { system, settle } = testSystem();
  const strict = actor({
    protocol: journalProtocol,
    start: (args: JournalArgs) => journal.start(args, {} as Self) as Journal,
    on: {
      ...journal.on,
      append: (_state, _line, turn) => turn.refuse(new CoterieError("DISK_FULL", "no space left")),
    },
  });
  const cell = system.spawn(strict, { lives: [] }, { name: "strict" });
  const { seen, note } = outcomes();
  cell.ref.ask("append", "x", soon, note("append"));
  settle();
  assert.deepEqual(seen, ["append DISK_FULL"]);
  assert.equal(cell.phase, "running");
});

test("an actor asks another and gets the outcome in a turn of its own", () => {
  const { system, settle, lives, ref } = oneJournal();
  const asker = system.spawn(journal, { lives: [] }, { name: "asker" });
  const got: string[] = [];
  asker.ref.tell("run", (_state, turn) => {
    turn.ask(ref, "append", "x", soon, (outcome) => {
      got.push(outcome.kind, String(asker.ready));
    });
  });
  settle();
  // Not ready within its own turn: nothing dispatches directly into it.
  assert.deepEqual(got, ["reply", "undefined"]);
  assert.deepEqual(lives[0]?.lines, ["x"]);
});

test("a timer runs in a turn of its actor unless it was cancelled", () => {
  const { clock, ref, settle, lives } = oneJournal();
  ref.tell("run", ({ lines }, turn) => {
    turn.after(10, () => lines.push("ten"));
    turn.after(20, () => lines.push("cancelled")).cancel();
    turn.after(30, () => fired.cancel());
    const fired = turn.after(30, () => lines.push("cancelled after it fired"));
    turn.after(30, () => lines.push("thirty"));
  });
  settle();
  clock.advance(10);
  assert.deepEqual(lives[0]?.lines, []);
  settle();
  assert.deepEqual(lives[0]?.lines, ["ten"]);
  clock.advance(20);
  settle();
  assert.deepEqual(lives[0]?.lines, ["ten", "thirty"]);
});

test("an asker's callback that throws is reported and hurts nobody else", () => {
  const { ref, settle, reports, cell } = oneJournal();
  ref.ask("append", "x", soon, () => {
    throw new Error("careless");
  });
  settle();
  assert.equal(reports[0]?.kind, "callback threw");
  assert.equal(cell.phase, "running");
});

test("direct dispatch is open while nothing waits and closed while something does", () => {
  const { cell, ref, settle, lives } = oneJournal();
  cell.ready?.lines.push("direct");
  ref.tell("note", "message");
  assert.equal(cell.ready, undefined);
  settle();
  assert.equal(cell.ready, lives[0]);
  assert.deepEqual(lives[0]?.lines, ["direct", "message"]);
});

test("direct dispatch never re-enters a handler", () => {
  const { cell, ref, settle } = oneJournal();
  const during: unknown[] = [];
  ref.tell("run", () => void during.push(cell.ready));
  ref.ask("durable", { whenDone: (done) => done() }, soon, () => during.push(cell.ready));
  settle();
  assert.deepEqual(during, [undefined, undefined]);
  assert.notEqual(cell.ready, undefined);
});

test("direct calls and messages together keep the order in which they were made", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("call", "step", "message"), { maxLength: 60, size: "max" }),
      (steps) => {
        const { cell, ref, scheduler, settle, lives } = oneJournal();
        const expected: string[] = [];
        steps.forEach((kind, i) => {
          if (kind === "step") scheduler.step();
          else {
            expected.push(String(i));
            if (kind === "call" && cell.ready !== undefined) cell.ready.lines.push(String(i));
            else ref.tell("note", String(i));
          }
        });
        settle();
        assert.deepEqual(lives[0]?.lines, expected);
      },
    ),
  );
});

test("a direct call that throws ends the incarnation as a handler would", () => {
  const { cell, settle, lives, reports } = oneJournal();
  cell.fail(new Error("in place"));
  assert.equal(cell.ready, undefined);
  assert.equal(lives[0]?.stops[0]?.kind, "failed");
  settle();
  assert.equal(cell.ready, lives[1]);
  assert.equal(reports.length, 1);
});

test("the same inputs give the same order of everything", () => {
  const run = (seed: number[]): string[] => {
    const world = testSystem();
    const log: string[] = [];
    const cells = ["a", "b", "c"].map((name) =>
      world.system.spawn(journal, { lives: [] }, { name }),
    );
    for (const n of seed) {
      const from = cells[n % 3];
      const to = cells[(n >> 2) % 3];
      from?.ref.tell("run", (_state, turn) => {
        log.push(`${turn.path} ${n}`);
        turn.after(n % 7, () => log.push(`timer ${turn.path} ${n}`));
        if (n % 11 === 0) throw new Error(`crash ${n}`);
        if (to)
          turn.ask(to.ref, "append", "", { timeoutMs: n % 5 }, (o) => log.push(`${o.kind} ${n}`));
      });
      if (n % 4 === 0) world.scheduler.step();
      world.clock.advance(n % 3);
    }
    world.settle();
    world.clock.advance(5_000);
    world.settle();
    return log;
  };
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { maxLength: 80, size: "max" }), (seed) => {
      assert.deepEqual(run(seed), run(seed));
    }),
  );
});
