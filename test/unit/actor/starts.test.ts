/** Starts that fail, wait, or are abandoned. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Journal } from "./support.ts";
import { journal, outcomes, testSystem } from "./support.ts";

const long = { timeoutMs: 60_000 };
const threeStrikes = { restartsMax: 2, withinMs: 1000, delayMs: 10, delayMsMax: 10 };

/** A `start` whose promises a test settles by hand. */
function manualStart() {
  const running: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const start = () =>
    new Promise<void>((resolve, reject) => void running.push({ resolve, reject }));
  return { running, start };
}

/** Lets promises that are settled run their reactions. */
async function reactions(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

test("a start that throws counts as a failure", () => {
  const world = testSystem({ policy: { ...threeStrikes } });
  let tries = 0;
  const start = () => {
    if (++tries < 3) throw new Error("not yet");
  };
  const lives: Journal[] = [];
  const cell = world.system.spawn(journal, { lives, start }, { name: "p7" });
  assert.equal(cell.phase, "down");
  world.settle();
  world.clock.advance(10);
  assert.equal(tries, 3);
  assert.equal(cell.phase, "running");
  assert.equal(world.reports.length, 2);
});

test("a start that always fails ends at the root handler", () => {
  const world = testSystem({ policy: threeStrikes });
  const start = () => {
    throw new Error("no such folder");
  };
  const cell = world.system.spawn(journal, { lives: [], start }, { name: "p7" });
  const { seen, note } = outcomes();
  cell.ref.ask("append", "x", long, note("append"));
  for (let i = 0; i < 5; i++) {
    world.settle();
    world.clock.advance(10);
  }
  assert.match(world.rootFailures[0]?.message ?? "", /failed 3 times.*no such folder/);
  assert.deepEqual(seen, ["append ACTOR_DOWN"]);
});

test("messages wait for an async start", async () => {
  const { system, settle } = testSystem();
  const { running, start } = manualStart();
  const lives: Journal[] = [];
  const cell = system.spawn(journal, { lives, start }, { name: "p7" });
  cell.ref.tell("note", "early");
  settle();
  assert.equal(cell.phase, "starting");
  assert.equal(cell.ready, undefined);
  running[0]?.resolve();
  await reactions();
  assert.equal(cell.ready, undefined);
  settle();
  assert.deepEqual(lives[0]?.lines, ["early"]);
  assert.equal(cell.ready, lives[0]);
});

test("an async start that rejects counts as a failure", async () => {
  const { system, settle, reports } = testSystem();
  const { running, start } = manualStart();
  const cell = system.spawn(journal, { lives: [], start }, { name: "p7" });
  running[0]?.reject(new Error("torn"));
  await reactions();
  assert.equal(cell.phase, "down");
  settle();
  assert.equal(running.length, 2);
  running[1]?.resolve();
  await reactions();
  assert.equal(cell.phase, "running");
  assert.equal(reports.length, 1);
});

test("a restart waits for an abandoned start to settle and gives its state back", async () => {
  const { system, settle } = testSystem();
  const { running, start } = manualStart();
  const lives: Journal[] = [];
  const cell = system.spawn(journal, { lives, start }, { name: "p7" });
  cell.fail(new Error("killed while it starts"));
  settle();
  assert.equal(running.length, 1);
  running[0]?.resolve();
  await reactions();
  assert.equal(lives[0]?.stops[0]?.kind, "failed");
  assert.equal(running.length, 2);
  running[1]?.resolve();
  await reactions();
  assert.equal(cell.ready, lives[1]);
});

test("stopping a system waits for starts under way and gives their state back", async () => {
  const { system } = testSystem();
  const { running, start } = manualStart();
  const lives: Journal[] = [];
  system.spawn(journal, { lives, start }, { name: "p7" });
  let stopped = false;
  const done = system.stop().then(() => {
    stopped = true;
  });
  await reactions();
  assert.equal(stopped, false);
  running[0]?.resolve();
  await done;
  assert.deepEqual(lives[0]?.stops, [{ kind: "stopped" }]);
});
