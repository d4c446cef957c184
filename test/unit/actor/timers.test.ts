/** Deadlines: order, removal and one timer for all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Expiring } from "../../../runtime/actor/timers.ts";
import { Deadlines, ManualScheduler } from "../../../runtime/actor/timers.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";

function expiring(expire: () => void): Expiring {
  return { deadlineMs: 0, deadlineOrder: 0, deadlineSlot: -1, expire };
}

test("deadlines expire by time, then by order of arming, and removed ones never", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), ms: fc.nat(5) }),
    fc.record({ kind: fc.constant("remove" as const), which: fc.nat(30) }),
    fc.record({ kind: fc.constant("advance" as const), ms: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const clock = new ManualClock();
      const deadlines = new Deadlines(clock, clock);
      const fired: number[] = [];
      const expected: number[] = [];
      const items: Expiring[] = [];
      let open: { id: number; at: number }[] = [];
      for (const step of steps) {
        if (step.kind === "add") {
          const id = items.length;
          items.push(expiring(() => fired.push(id)));
          deadlines.add(items[id] as Expiring, step.ms);
          open.push({ id, at: clock.monotonicMs() + step.ms });
        } else if (step.kind === "remove") {
          const item = items[step.which];
          if (item !== undefined) deadlines.remove(item);
          open = open.filter(({ id }) => id !== step.which);
        } else {
          clock.advance(step.ms);
          const due = open.filter(({ at }) => at <= clock.monotonicMs());
          due.sort((a, b) => a.at - b.at || a.id - b.id);
          expected.push(...due.map(({ id }) => id));
          open = open.filter(({ at }) => at > clock.monotonicMs());
        }
        assert.equal(deadlines.size, open.length);
        assert.deepEqual(fired, expected);
      }
    }),
  );
});

test("equal deadlines expire in the order of arming", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, clock);
  const fired: number[] = [];
  for (let i = 0; i < 10; i++) {
    const item = expiring(() => fired.push(i));
    deadlines.add(item, 5);
  }
  clock.advance(5);
  assert.deepEqual(fired, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("a deadline that is removed leaves at most one timer that finds nothing", () => {
  let timers = 0;
  const clock = new ManualClock();
  const counted = {
    after: (ms: number, run: () => void) => {
      timers++;
      return clock.after(ms, run);
    },
    soon: () => assert.fail("a deadline has its time"),
  };
  const deadlines = new Deadlines(clock, counted);
  for (let i = 0; i < 1000; i++) {
    const item = expiring(() => assert.fail("a removed deadline expired"));
    deadlines.add(item, 100);
    deadlines.remove(item);
    clock.advance(0.01);
  }
  clock.advance(1000);
  assert.equal(timers, 1);
});

test("what a scheduled function schedules waits for the next step", () => {
  const scheduler = new ManualScheduler();
  const ran: string[] = [];
  scheduler.soon(() => {
    ran.push("first");
    scheduler.soon(() => ran.push("third"));
  });
  scheduler.soon(() => ran.push("second"));
  scheduler.step();
  assert.deepEqual(ran, ["first", "second"]);
  scheduler.settle();
  assert.deepEqual(ran, ["first", "second", "third"]);
});
