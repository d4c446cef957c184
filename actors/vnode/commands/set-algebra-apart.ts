/**
 * Intersections, unions and differences of sets that are on several threads: by peeks (`Apart`), so
 * that sets are only asked for the members that matter. Results as in set-algebra.ts.
 */
import type { Commands } from "../../command.ts";
import { bulkIn, integerIn, itemsIn, words } from "./words.ts";

/** Sets on several threads, and how many members each has. */
export interface SetsApart {
  readonly keys: readonly Buffer[];
  readonly counts: readonly number[];
}

/** Peeks until there is a result. */
export type Rounds<Result> = Generator<Commands, Result, readonly Buffer[]>;
export type CombineApart = (sets: SetsApart) => Rounds<readonly Buffer[]>;

/** The members of the set at an index. */
function* membersApart({ keys }: SetsApart, index: number): Rounds<Buffer[]> {
  const [members] = (yield [words("SMEMBERS", keys[index] as Buffer)]) as [Buffer];
  return itemsIn(members).map((member) => bulkIn(member) as Buffer);
}

/** The first `most` of some members that all sets have at these indexes (or that none has). */
function* filterApart(
  { keys }: SetsApart,
  indexes: readonly number[],
  members: readonly Buffer[],
  isIn: boolean,
  most: number,
): Rounds<Buffer[]> {
  if (indexes.length === 0 || members.length === 0) return members.slice(0, most);
  const found = yield indexes.map((index) => [
    ...words("SMISMEMBER", keys[index] as Buffer),
    ...members,
  ]);
  const marks = found.map((reply) => itemsIn(reply).map((mark) => integerIn(mark) === 1));
  return members.filter((_, i) => marks.every((there) => there[i] === isIn)).slice(0, most);
}

/** Of any number of counts. */
export function smallestOf(counts: readonly number[]): number {
  return counts.reduce((least, count) => Math.min(least, count), Number.POSITIVE_INFINITY);
}

export function* intersectApart(sets: SetsApart, most: number): Rounds<readonly Buffer[]> {
  const { counts } = sets;
  const smallest = counts.indexOf(smallestOf(counts));
  const members = yield* membersApart(sets, smallest);
  const others = [...counts.keys()].filter((index) => index !== smallest);
  return yield* filterApart(sets, others, members, true, most);
}

export function* uniteApart({ keys }: SetsApart): Rounds<readonly Buffer[]> {
  const replies = yield keys.map((key) => words("SMEMBERS", key));
  const members = new Map<string, Buffer>();
  for (const item of replies.flatMap(itemsIn)) {
    const member = bulkIn(item) as Buffer;
    members.set(member.toString("latin1"), member);
  }
  return [...members.values()];
}

export function* subtractApart(sets: SetsApart): Rounds<readonly Buffer[]> {
  const { counts } = sets;
  const members = yield* membersApart(sets, 0);
  const others = [...counts.keys()].filter((index) => index > 0 && counts[index] !== 0);
  return yield* filterApart(sets, others, members, false, Number.POSITIVE_INFINITY);
}
