/**
 * Which seeds a search tries: a moderate number, or what the environment says.
 *
 *   SEEDS=3000 node --test test/simulation/vnode.test.ts           many: from 1 on
 *   SEED=4711 node --test test/simulation/vnode.test.ts            the one that failed
 *   SEED=3001 SEEDS=3000 node --test test/simulation/vnode.test.ts   from there on
 *
 * `--test-name-pattern` picks one of a file's searches.
 */

export interface Seeds {
  readonly from: number;
  readonly seeds: number;
}

/** The seeds to try, `count` of them where nobody says more. */
export function seedsToTry(count: number): Seeds {
  const { SEED, SEEDS } = process.env;
  const seeds = Number(SEEDS ?? (SEED === undefined ? count : 1));
  return { from: Number(SEED ?? 1), seeds };
}
