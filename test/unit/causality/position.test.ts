/**
 * Positions: an order that always has room, that nobody shares, and that stays short.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  comparePositions,
  POSITION_BYTES_MAX,
  POSITION_LEVEL_BYTES,
  type PositionId,
  positionBetween,
  readPositionId,
  writePositionBetween,
  writePushPosition,
} from "../../../runtime/causality/position.ts";

const EMPTY = Buffer.alloc(0);

/** An op maker: every call is the next op of that origin. */
function origin(number: number): () => PositionId {
  let counter = 0;
  return () => ({ originHigh: number, originLow: 7, counter: ++counter, index: 0 });
}

function between(left: Buffer | undefined, right: Buffer | undefined, id: PositionId): Buffer {
  const position = positionBetween(left, right, id);
  assert.ok(position);
  return position;
}

function levels(position: Buffer): number {
  return position.length / POSITION_LEVEL_BYTES;
}

/** Inserts at an index of a list in list order. */
function insertAt(list: Buffer[], index: number, id: PositionId): Buffer {
  const position = between(list[index - 1], list[index], id);
  list.splice(index, 0, position);
  return position;
}

function assertOrdered(list: readonly Buffer[]): void {
  for (const [index, position] of list.entries()) {
    const next = list[index + 1];
    if (next !== undefined) assert.ok(comparePositions(position, next) < 0, `order at ${index}`);
  }
}

test("random inserts keep the order of the list and stay short", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 400 }), (spots) => {
      const list: Buffer[] = [];
      const makers = [origin(1), origin(0xffffffff)];
      for (const spot of spots) {
        const make = makers[spot % 2] as () => PositionId;
        insertAt(list, spot % (list.length + 1), make());
      }
      assertOrdered(list);
      assert.ok(Math.max(...list.map(levels)) <= 3);
    }),
  );
});

test("there is room between any two positions, whatever their ordinals", () => {
  const ordinal = fc.constantFrom(0n, 1n, 2n, 3n, 1n << 63n, (1n << 64n) - 2n, (1n << 64n) - 1n);
  const level = fc.record({ ordinal, maker: fc.constantFrom(0, 1, 0xffffffff) });
  const position = fc
    .array(level, { minLength: 1, maxLength: 4 })
    .filter((list) => list.at(-1)?.ordinal !== 0n)
    .map((list) => Buffer.concat(list.map((each) => levelOf(each.ordinal, each.maker))));
  const edge = fc.option(position, { nil: undefined });
  const id = { originHigh: 5, originLow: 0, counter: 2 ** 48 - 1, index: 2 ** 32 - 1 };
  fc.assert(
    fc.property(edge, edge, (one, other) => {
      const swap = one !== undefined && other !== undefined && comparePositions(one, other) > 0;
      const [left, right] = swap ? [other, one] : [one, other];
      fc.pre(left === undefined || right === undefined || comparePositions(left, right) < 0);
      const made = between(left, right, id);
      if (left !== undefined) assert.ok(comparePositions(left, made) < 0);
      if (right !== undefined) assert.ok(comparePositions(made, right) < 0);
      assert.notEqual(made.readBigUInt64BE(made.length - POSITION_LEVEL_BYTES), 0n);
      assert.ok(levels(made) <= Math.max(levels(left ?? EMPTY), levels(right ?? EMPTY)) + 2);
    }),
    { numRuns: 2000 },
  );
});

function levelOf(ordinal: bigint, maker: number): Buffer {
  const bytes = Buffer.alloc(POSITION_LEVEL_BYTES);
  bytes.writeBigUInt64BE(ordinal, 0);
  bytes.writeUInt32BE(maker, 8);
  return bytes;
}

test("pushes at either end take one level, however many", () => {
  const make = origin(3);
  const list = [between(undefined, undefined, make())];
  for (let i = 0; i < 3000; i++) {
    list.push(between(list.at(-1), undefined, make()));
    list.unshift(between(undefined, list[0], make()));
  }
  assertOrdered(list);
  assert.ok(list.every((position) => position.length === POSITION_LEVEL_BYTES));
});

test("a push next to an insert that opened levels takes one level again", () => {
  const make = origin(3);
  const first = between(undefined, undefined, make());
  const second = Buffer.from(first);
  second.writeUInt32BE(4, 8); // a concurrent push: the same ordinal, another origin
  const inserted = between(first, second, make());
  assert.equal(levels(inserted), 2);
  assert.equal(levels(between(undefined, first, make())), 1);
  assert.equal(levels(between(inserted, undefined, make())), 1);
});

test("a pushed position is what positionBetween makes, written in place", () => {
  const id = { originHigh: 0xdeadbeef, originLow: 0xffffffff, counter: 2 ** 47, index: 9 };
  const edge = between(undefined, undefined, origin(1)());
  for (const before of [true, false]) {
    for (const [start, end] of [
      [0, 0],
      [11, 11 + edge.length],
    ] as const) {
      const target = Buffer.alloc(100, 0xee);
      edge.copy(target, 11);
      const edges = { edge: target, edgeStart: start, edgeEnd: end };
      const bytes = writePushPosition(target, 50, { ...id, ...edges, before });
      const known = start === end ? undefined : edge;
      const wanted = between(before ? undefined : known, before ? known : undefined, id);
      assert.deepEqual(target.subarray(50, 50 + bytes), wanted);
      assert.equal(target[50 + bytes], 0xee);
    }
  }
});

test("an insert in place is what positionBetween makes", () => {
  const make = origin(1);
  const [left, right] = [between(undefined, undefined, make()), EMPTY];
  const next = between(left, undefined, make());
  const bytes = Buffer.concat([left, next]);
  const target = Buffer.alloc(60);
  const id = make();
  const written = writePositionBetween(
    target,
    3,
    { bytes, start: 0, end: left.length },
    { bytes, start: left.length, end: bytes.length },
    id,
  );
  assert.deepEqual(target.subarray(3, 3 + written), between(left, next, id));
  assert.equal(right.length, 0);
});

test("one-sided inserts at one spot open one level, not one each", () => {
  for (const after of [true, false]) {
    const make = origin(1);
    const list = [between(undefined, undefined, make())];
    insertAt(list, 1, make());
    for (let i = 0; i < 3000; i++) insertAt(list, after ? list.length - 1 : 1, make());
    assertOrdered(list);
    assert.ok(Math.max(...list.map(levels)) <= 2);
  }
});

test("a zigzag of inserts at one spot opens a level every forty inserts", () => {
  const make = origin(1);
  const list = [between(undefined, undefined, make())];
  insertAt(list, 1, make());
  let index = 1;
  let deepest = 0;
  for (let i = 1; i <= 400; i++) {
    deepest = Math.max(deepest, levels(insertAt(list, index, make())));
    if (i % 2 === 0) index++;
    // the gap between two levels of the top is 2^16: the first level comes after 16 inserts
    assert.ok(deepest <= 2 + i / 40, `${deepest} levels after ${i} inserts`);
  }
  assertOrdered(list);
});

test("random inserts deepen a list by the logarithm of its length", () => {
  const make = origin(1);
  const list: Buffer[] = [];
  let state = 1;
  for (let i = 0; i < 20_000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    insertAt(list, Math.floor((state / 2 ** 32) * (list.length + 1)), make());
  }
  assertOrdered(list);
  assert.ok(Math.max(...list.map(levels)) <= 3);
});

test("concurrent inserts at one spot never collide and keep each origin's order", () => {
  const steps = fc.array(fc.constantFrom("after", "before", "zigzag"), { maxLength: 60 });
  fc.assert(
    fc.property(steps, steps, steps, (...plans) => {
      const base = [between(undefined, undefined, origin(9)())];
      insertAt(base, 1, origin(8)());
      const all = new Set(base.map((position) => position.toString("hex")));
      for (const [number, plan] of plans.entries()) {
        const list = [...base];
        const make = origin(number);
        let index = 1;
        for (const step of plan) {
          const position = insertAt(list, index, make());
          assert.ok(!all.has(position.toString("hex")));
          all.add(position.toString("hex"));
          if (step === "after" || (step === "zigzag" && index % 2 === 0)) index++;
        }
        assertOrdered(list);
      }
    }),
  );
});

test("an insert between concurrent equals is possible for both origins, again and again", () => {
  const makers = [origin(1), origin(2)];
  let [left, right]: (Buffer | undefined)[] = [undefined, undefined];
  for (let round = 0; round < 50; round++) {
    const made = makers.map((make) => between(left, right, make())).sort(comparePositions);
    const [first, second] = made;
    assert.ok(first && second && comparePositions(first, second) < 0);
    if (left !== undefined) assert.ok(comparePositions(left, first) < 0);
    if (right !== undefined) assert.ok(comparePositions(second, right) < 0);
    [left, right] = [first, second];
  }
});

test("a neighbour's deeper levels bind only under a common prefix", () => {
  const left = Buffer.concat([levelOf(5n, 1), levelOf(9n, 1)]);
  for (const right of [levelOf(5n, 2), levelOf(6n, 1)]) {
    const deeper = Buffer.concat([right, levelOf(3n, 1)]);
    assert.equal(levels(between(left, deeper, origin(1)())), 2);
  }
});

test("a position over the bound is refused, not made", () => {
  const left = Buffer.concat(
    Array.from({ length: POSITION_BYTES_MAX / POSITION_LEVEL_BYTES }, () => levelOf(1n, 1)),
  );
  const right = Buffer.from(left);
  right.writeUInt32BE(2, right.length - POSITION_LEVEL_BYTES + 8);
  const id = origin(1)();
  assert.equal(positionBetween(left, right, id), undefined);
  assert.equal(levels(between(left, undefined, id)), 1);
});

test("a position names the op that made it", () => {
  const id = { originHigh: 1, originLow: 2 ** 32 - 1, counter: 2 ** 48 - 1, index: 2 ** 32 - 1 };
  const position = between(between(undefined, undefined, origin(1)()), undefined, id);
  const read = { originHigh: 0, originLow: 0, counter: 0, index: 0 };
  readPositionId(position, position.length, read);
  assert.deepEqual(read, id);
});
