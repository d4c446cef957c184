/** Steps of the wall clock: found once, and no reason to end or to keep what is being waited for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../runtime/base/clock.ts";
import {
  ClockSteps,
  movedDeadline,
  movedPast,
  STEP_MS_MIN,
} from "../../../runtime/base/clock-steps.ts";

const HOUR = 3_600_000;

test("a step is found once, and time that passes is none", () => {
  const clock = new ManualClock();
  const steps = new ClockSteps(clock);
  clock.advance(10 * HOUR);
  assert.equal(steps.take(), 0);
  for (const ms of [HOUR, -HOUR, STEP_MS_MIN, -STEP_MS_MIN]) {
    clock.shift(ms);
    clock.advance(100);
    assert.equal(steps.take(), ms);
    assert.equal(steps.take(), 0);
  }
  clock.shift(STEP_MS_MIN - 1);
  assert.equal(steps.take(), 0);
});

test("a deadline comes as far from the step as it would have come without", () => {
  const timeoutMs = 5000;
  for (const stepMs of [HOUR, -HOUR]) {
    // Taken 2 s before the step, and right after it.
    const nowMs = 10 * HOUR + stepMs;
    const before = movedDeadline(10 * HOUR + 3000, { nowMs, stepMs, timeoutMs });
    assert.ok(before > nowMs && before <= nowMs + timeoutMs, `${stepMs}`);
    assert.equal(movedDeadline(nowMs + timeoutMs, { nowMs, stepMs, timeoutMs }), nowMs + timeoutMs);
  }
  const times = { nowMs: 1000, stepMs: 0, timeoutMs };
  assert.deepEqual(
    [999, 1000, 1001].map((at) => movedDeadline(at, times)),
    [999, 1000, 1001],
  );
});

test("what is past stays past, by as much as the step lets tell", () => {
  assert.equal(movedPast(1000, 2000, 0), 1000);
  assert.equal(movedPast(1000, HOUR + 2000, HOUR), HOUR + 1000);
  assert.equal(movedPast(HOUR + 1500, HOUR + 2000, HOUR), HOUR + 1500);
  assert.equal(movedPast(2 * HOUR, HOUR, -HOUR), HOUR);
});
