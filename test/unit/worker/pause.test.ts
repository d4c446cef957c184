/** CLIENT PAUSE lasts as long as it was asked to, whatever is done to the wall clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "../../../actors/gateway/connection.ts";
import { Pause } from "../../../actors/worker/pause.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";

/** Somebody that is held back: the pause asks for no more. */
function newConnection(): Connection {
  return {} as Connection;
}

for (const shiftMs of [-3_600_000, 0, 3_600_000]) {
  test(`a pause ends in time where the clock is set by ${shiftMs} ms`, async () => {
    const clock = new ManualClock();
    const pause = new Pause({ clock, timers: clock, beginTurn() {} });
    let ended = 0;
    pause.set(clock.now() + 1000, false);
    pause.whenOver(newConnection(), () => void ended++);
    clock.shift(shiftMs);
    clock.advance(999);
    assert.deepEqual([pause.isOn, ended], [true, 0]);
    clock.advance(1);
    await Promise.resolve();
    assert.deepEqual([pause.isOn, ended], [false, 1]);
  });
}

test("who is held back, and not closed, goes on after what ends the pause, not within it", async () => {
  const clock = new ManualClock();
  const done: string[] = [];
  const pause = new Pause({ clock, timers: clock, beginTurn: () => void done.push("turn") });
  pause.set(clock.now() + 1000, false);
  const closed = newConnection();
  pause.whenOver(closed, () => void done.push("closed"));
  for (const name of ["first", "second"]) {
    pause.whenOver(newConnection(), () => void done.push(name));
  }
  pause.forget(closed);
  pause.set(0, false);
  assert.deepEqual([pause.isOn, done], [false, []]);
  await Promise.resolve();
  assert.deepEqual(done, ["turn", "first", "second"]);
});
