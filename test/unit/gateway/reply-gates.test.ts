/** Which replies may leave, against the plainest rule: nothing from the first closed gate on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ReplyGates } from "../../../actors/gateway/reply-gates.ts";

test("no byte behind a closed gate leaves, and all before it do", () => {
  const steps = fc.array(
    fc.record({ replies: fc.nat(4), opens: fc.nat(3), bytes: fc.integer({ min: 1, max: 9 }) }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(steps, (lives) => {
      const gates = new ReplyGates();
      /** Replies that have not left: their bytes, and the commit that each waits for. */
      let waiting: { bytes: number; gate: number }[] = [];
      let [commit, open] = [0, 0];
      for (const { replies, opens, bytes } of lives) {
        for (let i = 0; i < replies; i++) {
          const offset = waiting.reduce((sum, reply) => sum + reply.bytes, 0);
          commit += i % 2;
          if (!gates.holds(commit)) gates.add(commit, offset);
          waiting.push({ bytes, gate: commit });
        }
        open = Math.min(commit, open + opens);
        const length = waiting.reduce((sum, reply) => sum + reply.bytes, 0);
        const closed = waiting.findIndex(({ gate }) => gate > open);
        const leaving = closed < 0 ? waiting : waiting.slice(0, closed);
        const freed = gates.free({ isOpen: (gate) => gate <= open }, length);
        assert.equal(
          freed,
          leaving.reduce((sum, reply) => sum + reply.bytes, 0),
        );
        gates.sent(freed);
        waiting = waiting.slice(leaving.length);
        assert.equal(gates.isEmpty, waiting.length === 0);
      }
    }),
    { numRuns: 300 },
  );
});
