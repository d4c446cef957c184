/**
 * Positions: the element ids of a list. A position is bytes, and unsigned byte order is list order.
 *
 * Invariants: between two different positions there is always another one; no two ops ever make the
 * same position; a position made between two others lies between them on every replica for ever.
 *
 * A position is one or more levels of 26 bytes; a prefix comes before what extends it.
 *
 *     | ordinal 8 | origin 8 | counter 6 | index 4 | ordinal 8 | origin 8 | ...      all big-endian
 *       ^ where     ^ who made this level: the tie-break, so equal ordinals never meet as equals
 *
 * A push at either end is one level: the ordinal of the edge ± STRIDE_TOP, from the middle (2^63)
 * on, so 2^47 pushes fit each end. An insert halves the gap between its neighbours' ordinals; where
 * no ordinal is left it opens a level below its left neighbour. There, one-sided runs (always after
 * the element inserted last, or always before it) step by STRIDE_DEEP instead of halving; so only a
 * zigzag inside one gap opens a level, every 40 inserts. No position ends with ordinal 0: so there
 * is always room before the first one.
 *
 * What two origins insert concurrently at one spot may alternate, but keeps each one's own order.
 */
import { assert } from "../base/assert.ts";

/** Bytes of one level; a pushed position is exactly one. */
export const POSITION_LEVEL_BYTES = 26;
// limits:
/** Longest position: it is an element id, so it obeys KEY_BYTES_MAX. 2,520 levels. */
export const POSITION_BYTES_MAX = 2520 * POSITION_LEVEL_BYTES;

const ORDINAL_BYTES = 8;
const WORD = 0x1_0000_0000;
/** 2^16 as the low word: the distance of pushes. Small, for queues that never run empty. */
const STRIDE_TOP_LOW = 0x1_0000;
/** 2^40 as the high word: the distance of one-sided inserts below the top level. */
const STRIDE_DEEP_HIGH = 0x100;

/** Who makes a position: op (origin, counter) and the index of the element in the op. */
export interface PositionId {
  originHigh: number;
  originLow: number;
  /** The op's counter, below 2^48. */
  counter: number;
  /** Tells the elements of one op apart, below 2^32. */
  index: number;
}

/** A range of bytes that may be empty (`start === end`): no position, the end of the list. */
export interface PositionRange {
  bytes: Buffer;
  start: number;
  end: number;
}

/** A push: the edge that it is put beyond, and its id. One object serves many pushes. */
export interface PositionPush extends PositionId {
  /** The position at that end of the list; `edgeStart === edgeEnd`: the list is empty. */
  edge: Buffer;
  edgeStart: number;
  edgeEnd: number;
  /** True: before the first (LPUSH). False: after the last (RPUSH). */
  before: boolean;
}

const NOTHING = Buffer.alloc(0);
/** The ordinal that `chooseOrdinal` found: two numbers returned without an object. */
let ordinalHigh = 0;
let ordinalLow = 0;

/** Orders positions: negative, zero or positive. */
export function comparePositions(left: Buffer, right: Buffer): number {
  return left.compare(right);
}

/**
 * A new position between two neighbours (`left` < `right`), of which either may be missing.
 * Longer than its longer neighbour by two levels at most. `undefined`: it would pass
 * POSITION_BYTES_MAX, which takes some 100,000 inserts in a zigzag; the coordinator refuses it.
 */
export function positionBetween(
  left: Buffer | undefined,
  right: Buffer | undefined,
  id: Readonly<PositionId>,
): Buffer | undefined {
  const below = left ?? NOTHING;
  const above = right ?? NOTHING;
  const target = Buffer.allocUnsafe(
    Math.max(below.length, above.length) + 2 * POSITION_LEVEL_BYTES,
  );
  const written = writePosition(target, 0, below, 0, below.length, above, 0, above.length, id);
  return written === 0 ? undefined : Buffer.from(target.subarray(0, written));
}

/** `positionBetween` in place, without allocation: the bytes written at `at`; 0: over the bound. */
export function writePositionBetween(
  target: Buffer,
  at: number,
  left: Readonly<PositionRange>,
  right: Readonly<PositionRange>,
  id: Readonly<PositionId>,
): number {
  return writePosition(
    target,
    at,
    left.bytes,
    left.start,
    left.end,
    right.bytes,
    right.start,
    right.end,
    id,
  );
}

/**
 * Writes the position of a push at `at` and returns its bytes: POSITION_LEVEL_BYTES, save after
 * 2^47 pushes at one end of a list that was never empty. No allocation. `target` may be `edge`.
 */
export function writePushPosition(
  target: Buffer,
  at: number,
  push: Readonly<PositionPush>,
): number {
  const { edge, edgeStart, edgeEnd } = push;
  if (push.before) {
    return writePosition(target, at, NOTHING, 0, 0, edge, edgeStart, edgeEnd, push);
  }
  return writePosition(target, at, edge, edgeStart, edgeEnd, NOTHING, 0, 0, push);
}

/** Reads who made the position that ends at `end`: undoing a push asks whose an element is. */
export function readPositionId(source: Buffer, end: number, into: PositionId): void {
  into.originHigh = source.readUInt32BE(end - 18);
  into.originLow = source.readUInt32BE(end - 14);
  into.counter = source.readUIntBE(end - 10, 6);
  into.index = source.readUInt32BE(end - 4);
}

/**
 * Walks down the levels: copies those on which the new position must agree with a neighbour, and
 * ends with the first one that has room for an ordinal of its own.
 */
function writePosition(
  target: Buffer,
  at: number,
  left: Buffer,
  leftStart: number,
  leftEnd: number,
  right: Buffer,
  rightStart: number,
  rightEnd: number,
  id: Readonly<PositionId>,
): number {
  let leftAt = leftStart;
  let rightAt = rightStart;
  let to = at;
  for (;;) {
    if (to - at >= POSITION_BYTES_MAX) return 0;
    const hasLeft = leftAt < leftEnd;
    const hasRight = rightAt < rightEnd;
    if (chooseOrdinal(to === at, left, hasLeft ? leftAt : -1, right, hasRight ? rightAt : -1)) {
      return writeLevel(target, to, ordinalHigh, ordinalLow, id) - at;
    }
    if (hasLeft) {
      copyLevel(left, leftAt, target, to);
      // below a level that is smaller than the right neighbour's, the right neighbour binds no more
      if (hasRight && sameLevel(left, leftAt, right, rightAt)) rightAt += POSITION_LEVEL_BYTES;
      else rightAt = rightEnd;
      leftAt += POSITION_LEVEL_BYTES;
    } else if (isFloor(right, rightAt)) {
      copyLevel(right, rightAt, target, to);
      rightAt += POSITION_LEVEL_BYTES;
      assert(rightAt < rightEnd, "a position never ends with ordinal 0");
    } else {
      writeLevel(target, to, 0, 0, id);
      rightAt = rightEnd;
    }
    to += POSITION_LEVEL_BYTES;
  }
}

/** Finds an ordinal strictly between those at two offsets (-1: no neighbour); false: no room. */
function chooseOrdinal(
  top: boolean,
  left: Buffer,
  leftAt: number,
  right: Buffer,
  rightAt: number,
): boolean {
  const lowHigh = leftAt < 0 ? 0 : readWord(left, leftAt);
  const lowLow = leftAt < 0 ? 0 : readWord(left, leftAt + 4);
  const highHigh = rightAt < 0 ? WORD : readWord(right, rightAt);
  const highLow = rightAt < 0 ? 0 : readWord(right, rightAt + 4);
  const borrow = highLow < lowLow ? 1 : 0;
  const gapHigh = highHigh - lowHigh - borrow;
  const gapLow = highLow - lowLow + borrow * WORD;
  if (gapHigh < 0 || (gapHigh === 0 && gapLow < 2)) return false;

  const strideHigh = top ? 0 : STRIDE_DEEP_HIGH;
  const strideLow = top ? STRIDE_TOP_LOW : 0;
  const oneSided = leftAt < 0 !== rightAt < 0;
  if (oneSided && (gapHigh > strideHigh || (gapHigh === strideHigh && gapLow > strideLow))) {
    if (leftAt >= 0) addOrdinal(lowHigh, lowLow, strideHigh, strideLow);
    else addOrdinal(lowHigh, lowLow, gapHigh - strideHigh, gapLow - strideLow);
  } else {
    addOrdinal(
      lowHigh,
      lowLow,
      Math.floor(gapHigh / 2),
      (gapHigh % 2) * (WORD / 2) + (gapLow >>> 1),
    );
  }
  return true;
}

/** The sum of two ordinals, below 2^64; the low words may be off by a carry or a borrow. */
function addOrdinal(high: number, low: number, moreHigh: number, moreLow: number): void {
  const sum = low + moreLow;
  const carry = sum >= WORD ? 1 : sum < 0 ? -1 : 0;
  ordinalLow = sum - carry * WORD;
  ordinalHigh = high + moreHigh + carry;
}

function writeLevel(
  target: Buffer,
  at: number,
  high: number,
  low: number,
  id: Readonly<PositionId>,
): number {
  const { counter } = id;
  const counterHigh = Math.floor(counter / WORD);
  writeWord(target, at, high);
  writeWord(target, at + 4, low);
  writeWord(target, at + 8, id.originHigh);
  writeWord(target, at + 12, id.originLow);
  target[at + 16] = counterHigh >>> 8;
  target[at + 17] = counterHigh;
  writeWord(target, at + 18, counter % WORD);
  writeWord(target, at + 22, id.index);
  return at + POSITION_LEVEL_BYTES;
}

/** A u32, big-endian, without Buffer's checks: three times as fast. */
function writeWord(target: Buffer, at: number, word: number): void {
  target[at] = word >>> 24;
  target[at + 1] = word >>> 16;
  target[at + 2] = word >>> 8;
  target[at + 3] = word;
}

function copyLevel(source: Buffer, from: number, target: Buffer, to: number): void {
  for (let i = 0; i < POSITION_LEVEL_BYTES; i++) target[to + i] = source[from + i] as number;
}

function sameLevel(left: Buffer, leftAt: number, right: Buffer, rightAt: number): boolean {
  for (let i = 0; i < POSITION_LEVEL_BYTES; i++) {
    if (left[leftAt + i] !== right[rightAt + i]) return false;
  }
  return true;
}

/** Ordinal 0: a level that only makes room below a position whose ordinal is 1. */
function isFloor(source: Buffer, at: number): boolean {
  for (let i = 0; i < ORDINAL_BYTES; i++) if (source[at + i] !== 0) return false;
  return true;
}

function readWord(source: Buffer, at: number): number {
  return (
    (source[at] as number) * 0x100_0000 +
    (((source[at + 1] as number) << 16) |
      ((source[at + 2] as number) << 8) |
      (source[at + 3] as number))
  );
}
