/**
 * Ranks picked at random: elements of a collection by their place in its order, each as likely as
 * any other.
 */
import { below, type Random } from "../../../runtime/base/prng.ts";

// limits:
/** Elements that a negative count (repetitions allowed) may ask for: they cost a reply each. */
export const RANDOM_PICKS_MAX = 1024 * 1024;

/** How many more ranks than wanted make it cheaper to draw again than to shuffle all. */
const SPARSE = 3;

/** `wanted` different ranks below `count`, in random order; wanted ≤ count. */
export function distinctRanks(random: Random, count: number, wanted: number): Iterable<number> {
  if (wanted * SPARSE < count) {
    const ranks = new Set<number>();
    while (ranks.size < wanted) ranks.add(below(random, count));
    return ranks;
  }
  const ranks = new Uint32Array(count);
  for (let i = 0; i < count; i++) ranks[i] = i;
  for (let i = 0; i < wanted; i++) {
    const other = i + below(random, count - i);
    const rank = ranks[other] as number;
    ranks[other] = ranks[i] as number;
    ranks[i] = rank;
  }
  return ranks.subarray(0, wanted);
}
