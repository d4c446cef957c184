/**
 * Transactions over several workers through every kind of death: done wholly or not at all, and what
 * was acknowledged stays.
 *
 *   SEEDS=1000 node --test test/simulation/transactions.test.ts      (see test/model/seeds.ts)
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seedsToTry } from "../model/seeds.ts";
import { type Deeds, TransactionsWorld } from "./transactions-world.ts";

test("what belongs together on several workers stays together, whoever dies", async () => {
  const { from, seeds } = seedsToTry(10);
  const sums: Deeds = { acked: 0, unknown: 0, read: 0, kills: 0 };
  for (let seed = from; seed < from + seeds; seed++) {
    const world = new TransactionsWorld(seed);
    await world.run().catch((error: unknown) => {
      throw new Error(`SEED=${seed}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    });
    for (const name of Object.keys(sums) as (keyof Deeds)[]) sums[name] += world.deeds[name];
  }
  for (const [name, sum] of Object.entries(sums)) assert.ok(sum > 0, `some are ${name}`);
});
