/** CLIENT PAUSE lasts as long as it was asked to, whatever is done to the wall clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pause } from "../../../actors/worker/pause.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";

for (const shiftMs of [-3_600_000, 0, 3_600_000]) {
  test(`a pause ends in time where the clock is set by ${shiftMs} ms`, () => {
    const clock = new ManualClock();
    const pause = new Pause({ clock, timers: clock, beginTurn() {} });
    let ended = 0;
    pause.set(clock.now() + 1000, false);
    pause.whenOver(() => void ended++);
    clock.shift(shiftMs);
    clock.advance(999);
    assert.deepEqual([pause.isOn, ended], [true, 0]);
    clock.advance(1);
    assert.deepEqual([pause.isOn, ended], [false, 1]);
  });
}
