/**
 * Random scenarios hold for the model, and notice every rule of it that is broken on purpose.
 * `SEEDS` and `SEED` (seeds.ts) say which seeds; a violation names its own.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BREAKS, type Break } from "../model/breaks.ts";
import { MODES, type Mode } from "../model/mix.ts";
import { runScenario, type ScenarioOptions, searchViolation } from "../model/scenario.ts";
import { seedsToTry } from "../model/seeds.ts";
import { makeLazyModel, makeModel } from "../model/subject.ts";

const seeds = seedsToTry(16);
/** Of searches that cost more, or of which there are many. */
const fewSeeds = seedsToTry(6);

for (const replicas of [2, 3] as const) {
  for (const mode of MODES) {
    test(`${replicas} replicas converge to what the surviving ops leave (${mode})`, () => {
      assert.equal(searchViolation({ replicas, make: makeModel(), mode }, seeds), undefined);
    });

    test(`${replicas} replicas converge if only some clear lazily (${mode})`, () => {
      assert.equal(searchViolation({ replicas, make: makeLazyModel(), mode }, fewSeeds), undefined);
    });
  }
}

test("a model beside each replica agrees with it after every step", () => {
  const options = { replicas: 3, make: makeModel(), shadow: true } as const;
  assert.equal(searchViolation(options, seeds), undefined);
});

for (const mode of MODES) {
  test(`a model that clears at once agrees with one that clears lazily (${mode})`, () => {
    const make = makeLazyModel(undefined, false);
    const options = { replicas: 3, make, mode, shadow: true, durableJoins: true } as const;
    assert.equal(searchViolation(options, fewSeeds), undefined);
  });
}

test("the same seed does the same things", () => {
  const options = { replicas: 3, make: makeModel("covered") } as const;
  for (let seed = 1; seed < 10; seed++) {
    assert.deepEqual(runScenario(seed, options), runScenario(seed, options));
  }
});

/** Where each broken rule shows by itself, and as what. */
const NOTICED: Readonly<Record<Break, readonly [Mode, RegExp]>> = {
  covered: ["raw", /lost write|diverged|not the replay/],
  "own-uncovered": ["raw", /dead write back/],
  "clear-last": ["mortal", /lost write/],
  adds: ["counters", /diverged|wrong adds/],
  "adds-again": ["counters", /diverged|not the replay|wrong adds/],
  uncaused: ["raw", /diverged|not the replay|lost write/],
  join: ["raw", /not the replay|dead write back|diverged/],
  origin: ["raw", /not the replay|diverged|lost write|clock/],
  register: ["raw", /diverged|wrong version/],
  "context-own": ["contexts", /context covers unseen/],
  "context-marks": ["contexts", /acked add lost/],
  "context-unapplied": ["contexts", /diverged|not the replay/],
  "sibling-guard": ["contexts", /sibling guard/],
  "undo-adds": ["counters", /wrong adds/],
  "undo-missing": ["counters", /not exact/],
  "undo-makes": ["counters", /counter not exact/],
  "undo-join": ["counters", /diverged/],
  "op-ids": ["counters", /retry executed again/],
  "own-copy": ["mortal", /undead element/],
  "no-copy": ["mortal", /undead element/],
  latest: ["mortal", /beside a model/],
  birth: ["mortal", /beside a model/],
  "expired-head": ["raw", /type turns with time/],
  "hidden-kept": ["commands", /hidden cells stay/],
  "head-kept": ["mortal", /left over/],
  "clear-missing": ["commands", /dead key back|hidden cells stay/],
  "local-sweep": ["commands", /not the replay|diverged|lost write/],
  count: ["commands", /count mismatch/],
  "cut-own": ["clears", /beside a model/],
  "cut-forget": ["clears", /beside a model/],
  "cut-restart": ["clears", /beside a model/],
  "cut-join": ["clears", /beside a model/],
  "cut-snapshot": ["clears", /beside a model/],
  "cut-touch": ["clears", /beside a model/],
  "cut-count": ["clears", /count mismatch/],
  hlc: ["counters", /clock went back/],
};

/** Rules that only another implementation can tell: one that does without what they are about. */
const NEEDS_SHADOW: readonly Break[] = [
  "latest",
  "birth",
  ...(Object.keys(BREAKS) as Break[]).filter((name) => name.startsWith("cut-")),
];

function brokenScenario(broken: Break, shadow: boolean): ScenarioOptions {
  const [mode] = NOTICED[broken];
  const lazy = broken.startsWith("cut-");
  const make = lazy ? makeLazyModel(broken, false) : makeModel(broken);
  return { replicas: 3, make, mode, shadow, durableJoins: lazy };
}

for (const [name, rule] of Object.entries(BREAKS)) {
  test(`the scenarios notice when ${rule}`, () => {
    const broken = name as Break;
    const [, kind] = NOTICED[broken];
    const shadow = NEEDS_SHADOW.includes(broken);
    const found = new Set<string>();
    for (let seed = 1; seed <= 400; seed++) {
      const [violation] = runScenario(seed, brokenScenario(broken, shadow)).violations;
      if (violation === undefined) continue;
      if (shadow || kind.test(violation)) return;
      found.add(violation.slice(0, 60));
    }
    assert.fail(`${broken} goes unnoticed; seen: ${[...found]}`);
  });
}

test("a model beside a broken replica notices it within a few scenarios", () => {
  for (const broken of Object.keys(BREAKS) as Break[]) {
    const violation = searchViolation(brokenScenario(broken, true), { from: 1, seeds: 150 });
    assert.ok(violation !== undefined, `${broken} goes unnoticed beside a model`);
  }
});
