/**
 * What workers keep on disk lives through crashes, faults, full disks and bit rot: nothing
 * acknowledged is lost, nothing is there in part, nothing deleted or expired comes back, nothing
 * unneeded stays; what is damaged is replaced or refused by its name.
 *
 *   SEEDS=1000 node --test test/simulation/storage.test.ts      (see test/model/seeds.ts)
 */
import { test } from "node:test";
import { seedsToTry } from "../model/seeds.ts";
import { liveThrough } from "./storage-world.ts";

// Every seed is a whole run: this many take some seconds.
test("whatever happens to a node, its data folder keeps what was promised and no more", async () => {
  const { from, seeds } = seedsToTry(6);
  for (let seed = from; seed < from + seeds; seed++) {
    await liveThrough(seed).catch((error: unknown) => {
      throw new Error(`SEED=${seed}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    });
  }
});
