/** The hybrid clock: stamps rise, whatever is done to the wall clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { HybridClock, hlcWallMs } from "../../../runtime/causality/hlc.ts";

const YEAR_MS = 365 * 24 * 3_600_000;

test("stamps follow the wall clock, and rise where it stands or is set back", () => {
  const wall = new ManualClock();
  const clock = new HybridClock(wall);
  let last = 0;
  for (const ms of [0, 1, 0, 0, -3_600_000, 0, 5, 2 * 3_600_000]) {
    wall.shift(ms);
    const stamp = clock.next();
    assert.ok(stamp > last);
    last = stamp;
  }
  assert.equal(hlcWallMs(last), wall.now());
});

test("stamps rise by ones after a wall clock that was wrong by decades, and after a restart", () => {
  const wall = new ManualClock();
  const clock = new HybridClock(wall);
  wall.shift(90 * YEAR_MS);
  const wrong = clock.next();
  assert.equal(clock.next(), wrong + 1);
  wall.shift(-90 * YEAR_MS);
  assert.equal(clock.next(), wrong + 2);

  const restarted = new HybridClock(wall);
  restarted.observe(clock.last);
  assert.equal(restarted.next(), wrong + 3);
  assert.ok(Number.isSafeInteger(wrong + 2 ** 39));
});
