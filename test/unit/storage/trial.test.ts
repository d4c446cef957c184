/** Which of two ways gives more is found by going both. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { Trial } from "../../../runtime/storage/trial.ts";

/** A trial whose rounds give so much each, in times that the test says. */
function rounds(trial = new Trial(), amount = 100) {
  let nowMs = 0;
  /** The part of so many rounds that went the second way. */
  return (count: number, tookMs: (isSecond: boolean) => number): number => {
    let second = 0;
    for (let i = 0; i < count; i++) {
      if (trial.isSecond) second++;
      nowMs += tookMs(trial.isSecond);
      trial.ended(nowMs, amount);
    }
    return second / count;
  };
}

test("the better way is gone most of the time, the other now and then", () => {
  const second = rounds()(20_000, (isSecond) => (isSecond ? 1 : 1.1));
  assert.ok(second > 0.9 && second < 1, `${second}`);
  const first = rounds()(20_000, (isSecond) => (isSecond ? 1.1 : 1));
  assert.ok(first < 0.1 && first > 0, `${first}`);
});

test("where both give the same, the first is gone", () => {
  const second = rounds()(20_000, () => 1);
  assert.ok(second > 0 && second < 0.2, `${second}`);
});

test("a difference of a tenth is found in rounds that vary by a half", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed);
    const noise = () => 0.75 + below(random, 500) / 1000;
    const second = rounds()(20_000, (isSecond) => (isSecond ? 1 : 1.1) * noise());
    assert.ok(second > 0.75, `seed ${seed}: ${second}`);
  }
});

test("when the other way gets better, it is gone soon", () => {
  const run = rounds();
  run(10_000, (isSecond) => (isSecond ? 1 : 1.2));
  run(3_000, (isSecond) => (isSecond ? 1.2 : 1));
  const second = run(10_000, (isSecond) => (isSecond ? 1.2 : 1));
  assert.ok(second < 0.1, `${second}`);
});

test("what is known of one load counts for nothing with another", () => {
  const trial = new Trial();
  rounds(trial)(10_000, (isSecond) => (isSecond ? 1 : 1.2));
  const second = rounds(trial, 1_000)(600, (isSecond) => (isSecond ? 1.2 : 1));
  assert.ok(second < 0.35, `${second}`);
  const similar = rounds(trial, 2_500)(600, (isSecond) => (isSecond ? 1.2 : 1));
  assert.ok(similar < 0.1, `${similar}`);
});

test("a long break in the middle of a comparison says little about the ways", () => {
  const took = (isSecond: boolean) => (isSecond ? 1 : 1.2);
  for (let before = 10_000; before < 10_500; before += 25) {
    const run = rounds();
    run(before, took);
    run(1, () => 100_000);
    run(1_000, took);
    const second = run(5_000, took);
    assert.ok(second > 0.8, `after ${before}: ${second}`);
  }
});

test("what a run leaves behind for the next one does not count", () => {
  let last = false;
  let inRun = 0;
  const second = rounds()(20_000, (isSecond) => {
    inRun = isSecond === last ? inRun + 1 : 0;
    last = isSecond;
    if (isSecond && inRun < 3) return 10;
    return isSecond ? 1 : 1.1;
  });
  assert.ok(second > 0.8, `${second}`);
});
