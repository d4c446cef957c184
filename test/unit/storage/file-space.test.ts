/** Which old files are needed, and who pins them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FileSpace } from "../../../runtime/storage/file-space.ts";
import { journalFileName } from "../../../runtime/storage/journal-format.ts";

function file(number: number, uses: Record<number, number>, worker = 0) {
  return {
    name: journalFileName({ boot: 1, worker, number }),
    vnodes: Uint32Array.from(Object.keys(uses), Number),
    sequences: Float64Array.from(Object.values(uses)),
  };
}

const nameOf = (number: number, worker = 0) => file(number, {}, worker).name;

test("a file is unneeded once snapshots cover every vnode in it", () => {
  const space = new FileSpace();
  space.add(file(1, { 1: 10, 2: 5 }));
  space.snapshotTaken(1, 10);
  assert.deepEqual(space.unneeded(), []);
  assert.deepEqual(space.oldestPins(), [2]);
  space.snapshotTaken(2, 4);
  assert.deepEqual(space.unneeded(), []);
  space.snapshotTaken(2, 6);
  assert.deepEqual(space.unneeded(), [nameOf(1)]);
  space.remove(nameOf(1));
  assert.deepEqual(space.names(), []);
});

test("no file goes before an older one of its journal", () => {
  const space = new FileSpace();
  space.add(file(2, { 1: 20 }));
  space.add(file(1, { 1: 10, 9: 1 }));
  space.add(file(1, { 1: 10 }, 1));
  space.snapshotTaken(1, 20);
  assert.deepEqual(space.unneeded(), [nameOf(1, 1)]);
});

test("what keeps a file is also what keeps the older ones of its journal", () => {
  const space = new FileSpace();
  space.add(file(1, { 1: 10, 2: 3 }));
  space.add(file(2, { 3: 7 }));
  space.add(file(3, { 4: 1 }));
  space.add(file(1, { 5: 1 }, 1));
  space.snapshotTaken(2, 3);
  assert.deepEqual(space.pinsThrough(nameOf(2)), [1, 3]);
  for (const vnode of [1, 3]) space.snapshotTaken(vnode, 10);
  assert.deepEqual(space.pinsThrough(nameOf(2)), []);
  assert.deepEqual(space.unneeded(), [nameOf(1), nameOf(2)]);
});

test("every op of an unneeded file is in a snapshot of its vnode", () => {
  const uses = fc.dictionary(fc.constantFrom("1", "2", "3"), fc.integer({ min: 1, max: 50 }));
  const snapshots = fc.array(fc.tuple(fc.constantFrom(1, 2, 3), fc.nat(50)));
  fc.assert(
    fc.property(fc.array(uses, { maxLength: 6 }), snapshots, (files, taken) => {
      const space = new FileSpace();
      files.forEach((use, i) => {
        space.add(file(i + 1, use));
      });
      const covered = new Map<number, number>();
      for (const [vnode, sequence] of taken) {
        space.snapshotTaken(vnode, sequence);
        covered.set(vnode, Math.max(sequence, covered.get(vnode) ?? 0));
      }
      const whole = files.map((use) =>
        Object.entries(use).every(([vnode, last]) => last <= (covered.get(Number(vnode)) ?? 0)),
      );
      const prefix = whole.includes(false) ? whole.indexOf(false) : whole.length;
      assert.equal(space.unneeded().length, prefix);
    }),
  );
});
