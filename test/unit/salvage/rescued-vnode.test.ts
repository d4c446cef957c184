/** A vnode that is salvaged applies what is next, and counts what it cannot apply. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RescuedVnode } from "../../../actors/salvage/rescued-vnode.ts";
import type { LooseSegment } from "../../../runtime/storage/loose-frames.ts";
import { canonicalState } from "../../model/vnode-state.ts";
import { setStrings, type TestPartition, testPartition } from "../../support/partitions.ts";

/** A partition and the ops that made it, one a key. */
function written(low: number, keys: readonly string[]): TestPartition {
  const made = testPartition(low);
  for (const key of keys) setStrings(made.partition, [[key, `of ${low}`]]);
  return made;
}

function rescued(known = 0): RescuedVnode {
  const { partition } = testPartition(99);
  return new RescuedVnode({ id: 1, partition, snapshotAtMs: undefined, known });
}

/** Ops as one segment of a frame. */
function offer(vnode: RescuedVnode, firstSequence: number, ops: readonly Buffer[]): boolean {
  const bytes = Buffer.concat(ops);
  let at = 0;
  const starts = ops.map((op) => {
    at += op.length;
    return at - op.length;
  });
  const segment: LooseSegment = {
    vnodeId: 1,
    firstSequence,
    lastSequence: firstSequence + ops.length - 1,
    previousFile: 0,
    previousOffset: 0,
    starts,
    ends: starts.map((start, i) => start + (ops[i] as Buffer).length),
  };
  return vnode.offer(segment, bytes);
}

test("ops that follow each other are applied, once", () => {
  const { partition, ops } = written(1, ["a", "b", "c"]);
  const vnode = rescued();
  assert.ok(offer(vnode, 1, ops.slice(0, 2)));
  assert.ok(offer(vnode, 2, ops.slice(1)));
  assert.ok(!offer(vnode, 1, ops));
  assert.deepEqual(canonicalState(vnode.partition), canonicalState(partition));
  assert.ok(vnode.isComplete);
});

test("ops behind a gap are counted, not applied, until the gap is filled", () => {
  const { partition, ops } = written(1, ["a", "b", "c", "d"]);
  const vnode = rescued();
  offer(vnode, 1, ops.slice(0, 1));
  offer(vnode, 3, ops.slice(2));
  const { through, known, behindGap, behindGapHlc } = vnode.outcome;
  assert.deepEqual([through, known, behindGap], [1, 4, 2]);
  assert.equal(behindGapHlc, partition.clock.last);
  assert.ok(!vnode.isComplete);
  assert.equal(vnode.keys, 1);
  // A later write must not be older than what was seen.
  assert.ok(vnode.partition.clock.last >= partition.clock.last);

  vnode.beginWalk();
  offer(vnode, 2, ops.slice(1));
  assert.deepEqual(vnode.outcome.behindGap, 0);
  assert.ok(vnode.isComplete);
});

test("an op that contradicts what was applied is counted, not taken for a repetition", () => {
  const kept = written(1, ["a", "b"]);
  const other = written(2, ["x", "y", "z"]);
  const vnode = rescued();
  offer(vnode, 1, kept.ops);
  offer(vnode, 1, other.ops.slice(0, 1));
  // It is next by its number, but not by its origin's.
  offer(vnode, 3, other.ops.slice(1, 2));
  assert.equal(vnode.outcome.contradicting, 2);
  assert.equal(vnode.keys, 2);
  assert.ok(!vnode.isComplete);
});

test("what a manifest says was there is missed", () => {
  const vnode = rescued(7);
  assert.ok(!vnode.isComplete);
  assert.deepEqual([vnode.outcome.through, vnode.outcome.known], [0, 7]);
});
