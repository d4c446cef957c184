/** Mailboxes: lanes, bounds and order, against a plain model. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Mailbox, Ring } from "../../../runtime/actor/mailbox.ts";

test("a ring keeps order through growth, wrapping and release", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(40), fc.constant("drain" as const))), (steps) => {
      const ring = new Ring<number>();
      const model: number[] = [];
      let next = 0;
      for (const step of steps) {
        if (step === "drain") {
          while (model.length > 0) assert.equal(ring.shift(), model.shift());
        } else if (step % 2 === 0) {
          for (let i = 0; i < step; i++) {
            ring.push(next);
            model.push(next++);
          }
        } else {
          for (let i = 0; i < step; i++) assert.equal(ring.shift(), model.shift());
        }
        assert.equal(ring.size, model.length);
      }
    }),
  );
});

test("control overtakes data and each lane keeps its order", () => {
  const mailbox = new Mailbox<string>({ controlMax: 8, dataMax: 8 }, () => false);
  mailbox.offer("data", "d1");
  mailbox.offer("control", "c1");
  mailbox.offer("data", "d2");
  mailbox.offer("control", "c2");
  const taken = [mailbox.take(), mailbox.take(), mailbox.take(), mailbox.take(), mailbox.take()];
  assert.deepEqual(taken, ["c1", "c2", "d1", "d2", undefined]);
});

test("a full lane refuses and counts while the other still takes", () => {
  const mailbox = new Mailbox<number>({ controlMax: 1, dataMax: 2 }, () => false);
  assert.deepEqual(
    [1, 2, 3].map((n) => mailbox.offer("data", n)),
    [true, true, false],
  );
  assert.equal(mailbox.offer("control", 4), true);
  assert.equal(mailbox.offer("control", 5), false);
  assert.equal(mailbox.refused, 2);
  assert.equal(mailbox.size, 3);
});

test("a reply finds room in a full mailbox", () => {
  const mailbox = new Mailbox<string>({ controlMax: 1, dataMax: 1 }, () => false);
  mailbox.offer("control", "c");
  mailbox.offerReserved("reply");
  assert.equal(mailbox.size, 2);
});

test("a full lane drops messages whose asker has given up, and keeps the order of the others", () => {
  const dead = new Set<number>();
  const mailbox = new Mailbox<number>({ controlMax: 1, dataMax: 4 }, (n) => dead.has(n));
  for (const n of [1, 2, 3, 4]) mailbox.offer("data", n);
  dead.add(1).add(3);
  mailbox.noteDead();
  assert.equal(mailbox.offer("data", 5), true);
  assert.equal(mailbox.offer("data", 6), true);
  assert.equal(mailbox.offer("data", 7), false);
  assert.deepEqual([mailbox.take(), mailbox.take(), mailbox.take(), mailbox.take()], [2, 4, 5, 6]);
});
