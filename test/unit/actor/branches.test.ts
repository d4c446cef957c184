/** Branches of the supervision tree: crash loops, escalation and restart windows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RESTART_POLICY, RestartWindow } from "../../../runtime/actor/supervision.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import type { Journal } from "./support.ts";
import { journal, testSystem } from "./support.ts";

const threeStrikes = { restartsMax: 2, withinMs: 1000, delayMs: 10, delayMsMax: 10 };

test("a crash loop escalates through the branch to the root, which stops everything", () => {
  const world = testSystem({ policy: { restartsMax: 0 } });
  const { system, settle, clock, rootFailures } = world;
  const lives: Journal[] = [];
  const calm: Journal[] = [];
  const supervisor = system.supervisor({ name: "vnodes" });
  const policy = threeStrikes;
  const cell = system.spawn(journal, { lives }, { name: "p7", supervisor, policy });
  const other = system.spawn(journal, { lives: calm }, { name: "calm" });
  for (let i = 0; i < 3; i++) {
    cell.ref.tell("crash", `boom ${i}`);
    settle();
    clock.advance(10);
    settle();
  }
  assert.equal(lives.length, 3);
  assert.equal(rootFailures.length, 1);
  assert.equal(rootFailures[0]?.code, "CRASH_LOOP");
  assert.match(rootFailures[0]?.message ?? "", /test\/vnodes\/p7 failed 3 times.*boom 2/);
  assert.equal(cell.phase, "stopped");
  assert.equal(other.phase, "stopped");
  assert.deepEqual(rootFailures[0]?.detail, { path: "test/vnodes/p7", failures: 3 });
  assert.equal(calm[0]?.stops[0]?.kind, "halted");
});

test("a branch that is restarted halts its children, begins all of them again and loses no message", () => {
  const { system, settle, clock, rootFailures } = testSystem();
  const lives: Journal[] = [];
  const calm: Journal[] = [];
  const supervisor = system.supervisor({ name: "vnodes" });
  const options = { supervisor, policy: { ...threeStrikes, restartsMax: 0 } };
  const cell = system.spawn(journal, { lives }, { name: "p7", ...options });
  const other = system.spawn(journal, { lives: calm }, { name: "calm", ...options });
  cell.ref.tell("crash", "boom");
  cell.ref.tell("note", "waited");
  system.runTurn();
  assert.equal(other.phase, "down");
  assert.equal(calm[0]?.stops[0]?.kind, "halted");
  other.ref.tell("note", "waited too");
  settle();
  clock.advance(10);
  settle();
  assert.deepEqual(lives[1]?.lines, ["waited"]);
  assert.deepEqual(calm[1]?.lines, ["waited too"]);
  assert.deepEqual(rootFailures, []);
});

test("a restart that was due before its branch went down does not begin a child in it", () => {
  const { system, settle, clock } = testSystem();
  const slow = { restartsMax: 5, withinMs: 1000, delayMs: 100, delayMsMax: 100 };
  const supervisor = system.supervisor({ name: "vnodes", policy: slow });
  const spawn = (name: string, restartsMax: number) =>
    system.spawn(
      journal,
      { lives: [] },
      { name, supervisor, policy: { ...threeStrikes, restartsMax } },
    );
  const bad = spawn("bad", 0);
  const other = spawn("other", 5);
  const crash = ({ ref }: typeof bad) => {
    ref.tell("crash", "boom");
    settle();
  };
  crash(bad);
  assert.equal(supervisor.phase, "running");
  crash(other);
  crash(other);
  crash(bad);
  assert.equal(supervisor.phase, "down");
  clock.advance(20);
  settle();
  assert.equal(other.phase, "down");
  clock.advance(100);
  settle();
  assert.equal(other.phase, "running");
  assert.equal(bad.phase, "running");
});

test("a branch that was restarted forgets its children's failures", () => {
  const { system, settle, clock } = testSystem();
  const supervisor = system.supervisor({ name: "vnodes" });
  const policy = { ...threeStrikes, restartsMax: 1 };
  const calm: Journal[] = [];
  system.spawn(journal, { lives: calm }, { name: "calm", supervisor });
  const { ref } = system.spawn(journal, { lives: [] }, { name: "p7", supervisor, policy });
  for (let failures = 0; failures < 3; failures++) {
    ref.tell("crash", "boom");
    settle();
    clock.advance(100);
    settle();
  }
  assert.equal(calm.length, 2);
});

test("siblings of a crashed actor notice nothing", () => {
  const { system, settle } = testSystem();
  const { ref } = system.spawn(journal, { lives: [] }, { name: "p7" });
  const calm: Journal[] = [];
  const other = system.spawn(journal, { lives: calm }, { name: "calm" });
  ref.tell("crash", "boom");
  other.ref.tell("note", "x");
  settle();
  assert.deepEqual(calm, [{ lines: ["x"], stops: [] }]);
});

test("one failure of each of many actors is no crash loop", () => {
  const { system, settle, rootFailures } = testSystem();
  const cells = Array.from({ length: 100 }, (_, i) =>
    system.spawn(journal, { lives: [] }, { name: `p${i}`, policy: threeStrikes }),
  );
  for (const { ref } of cells) ref.tell("crash", "the disk failed");
  settle();
  assert.equal(
    cells.every(({ phase }) => phase === "running"),
    true,
  );
  assert.deepEqual(rootFailures, []);
});

test("an actor spawned under a stopped branch is stopped", () => {
  const { system } = testSystem();
  const supervisor = system.supervisor({ name: "vnodes" });
  supervisor.stop();
  const cell = system.spawn(journal, { lives: [] }, { name: "late", supervisor });
  assert.equal(cell.phase, "stopped");
});

test("a restart window gives up at its bound, forgets old failures and delays within bounds", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4000), { maxLength: 40, size: "max" }), fc.nat(), (gaps, seed) => {
      const window = new RestartWindow(RESTART_POLICY);
      const random = seeded(seed);
      let nowMs = 0;
      const failures: number[] = [];
      for (const gap of gaps) {
        nowMs += gap;
        failures.push(nowMs);
        const recent = failures.filter((ms) => nowMs - ms < RESTART_POLICY.withinMs).length;
        const verdict = window.fail(nowMs, random);
        assert.equal(verdict.failures, recent);
        assert.equal(verdict.kind, recent > RESTART_POLICY.restartsMax ? "give up" : "restart");
        if (verdict.kind === "restart") {
          assert.equal(verdict.delayMs === 0, recent === 1);
          assert.ok(verdict.delayMs <= RESTART_POLICY.delayMsMax);
        }
      }
    }),
  );
});
