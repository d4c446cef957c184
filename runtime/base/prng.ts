/**
 * Randomness as an argument. This file and no other asks the machine for random bits.
 */
import { randomFillSync } from "node:crypto";

/** A source of random numbers; `seeded` ones replay exactly. */
export interface Random {
  /** An integer in [0, 2^32). */
  u32(): number;
}

/** An integer in [0, bound), bound ≤ 2^32. The bias is below 2^-20 for bounds below 4096. */
export function below(random: Random, bound: number): number {
  return Math.floor((random.u32() / 4294967296) * bound);
}

/** Deterministic generator (splitmix-style, 32 bits of state): one seed, one sequence. */
export function seeded(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0;
  return {
    u32() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (t ^ (t >>> 14)) >>> 0;
    },
  };
}

/** The machine's generator, read in batches. */
export function systemRandom(): Random {
  const batch = new Uint32Array(256);
  let next = batch.length;
  return {
    u32() {
      if (next === batch.length) {
        randomFillSync(batch);
        next = 0;
      }
      return batch[next++] as number;
    },
  };
}
