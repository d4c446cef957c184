/**
 * Intersections, unions and differences of sets that are on several threads: by peeks (`Apart`), so
 * that sets are only asked for the members that matter. Results as in set-algebra.ts.
 */
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { Commands } from "../../command.ts";
import { bulkIn, integerIn, isError, itemsIn } from "../../gateway/replies.ts";
import { HeldMembers } from "./held-members.ts";
import { words } from "./words.ts";

/** Sets on several threads, and how many members each has. */
export interface SetsApart {
  readonly keys: readonly Buffer[];
  readonly counts: readonly number[];
}

/** Peeks until there is a result. */
export type Rounds<Result> = Generator<Commands, Result, readonly Buffer[]>;
/** Null: more members than can be held in memory. */
export type CombineApart = (sets: SetsApart) => Rounds<readonly Buffer[] | null>;

// limits:
/** Members that are asked for in one round. */
const GROUP_MEMBERS = 65_536;
/** Members that are sent in one message take about this much, each some bytes more than its own. */
const PIECE_BYTES = 4 * 1024 * 1024;
const PIECE_ITEM_BYTES = 64;

/** As `readSets` in set-algebra.ts. */
export function* readSetsApart(
  request: Request,
  first: number,
  end: number,
  reply: RespWriter,
): Rounds<SetsApart | undefined> {
  const keys: Buffer[] = [];
  for (let i = first; i < end; i++) keys.push(request.bytesAt(i));
  const counts = yield keys.map((key) => words("SCARD", key));
  const error = counts.find(isError);
  if (error === undefined) return { keys, counts: counts.map(integerIn) };
  reply.raw(error, 0, error.length);
  return undefined;
}

/** The members of the sets at some indexes; null: there are too many. */
function* membersApart(
  { keys }: SetsApart,
  indexes: readonly number[],
  held = new HeldMembers(),
): Rounds<Buffer[] | null> {
  const replies = yield indexes.map((index) => words("SMEMBERS", keys[index] as Buffer));
  const members: Buffer[] = [];
  for (const reply of replies) {
    for (const item of itemsIn(reply)) {
      const member = bulkIn(item) as Buffer;
      if (!held.add(member.length)) return null;
      members.push(member);
    }
  }
  return members;
}

/** The sets that have members, in groups of a bounded number of these, or one by one. */
function groupsOf({ counts }: SetsApart): number[][] {
  const groups: number[][] = [];
  let left = 0;
  counts.forEach((count, index) => {
    if (count === 0) return;
    if (left < count) {
      groups.push([]);
      left = GROUP_MEMBERS;
    }
    groups.at(-1)?.push(index);
    left -= count;
  });
  return groups;
}

/** Of some members those that a set has (or has not). They are sent in pieces of a bounded size. */
function* filterApart(
  { keys }: SetsApart,
  index: number,
  members: readonly Buffer[],
  isIn: boolean,
): Rounds<Buffer[]> {
  const kept: Buffer[] = [];
  for (let at = 0; at < members.length; ) {
    const piece: Buffer[] = [];
    for (let bytes = 0; at < members.length && bytes < PIECE_BYTES; at++) {
      const member = members[at] as Buffer;
      piece.push(member);
      bytes += member.length + PIECE_ITEM_BYTES;
    }
    const [reply] = (yield [[...words("SMISMEMBER", keys[index] as Buffer), ...piece]]) as [Buffer];
    itemsIn(reply).forEach((mark, i) => {
      if ((integerIn(mark) === 1) === isIn) kept.push(piece[i] as Buffer);
    });
  }
  return kept;
}

export function* intersectApart(sets: SetsApart, most: number): Rounds<readonly Buffer[] | null> {
  const { counts } = sets;
  const order = [...counts.keys()].sort((a, b) => (counts[a] as number) - (counts[b] as number));
  const [smallest = 0, ...others] = order;
  let members = yield* membersApart(sets, [smallest]);
  if (members === null) return null;
  for (const index of others) members = yield* filterApart(sets, index, members, true);
  return members.slice(0, most);
}

export function* uniteApart(sets: SetsApart): Rounds<readonly Buffer[] | null> {
  const members = new Map<string, Buffer>();
  const held = new HeldMembers();
  for (const group of groupsOf(sets)) {
    const own = yield* membersApart(sets, group, held);
    if (own === null) return null;
    for (const member of own) members.set(member.toString("latin1"), member);
  }
  return [...members.values()];
}

export function* subtractApart(sets: SetsApart): Rounds<readonly Buffer[] | null> {
  const { counts } = sets;
  let members = yield* membersApart(sets, [0]);
  if (members === null) return null;
  for (let index = 1; index < counts.length; index++) {
    if (counts[index] !== 0) members = yield* filterApart(sets, index, members, false);
  }
  return members;
}
