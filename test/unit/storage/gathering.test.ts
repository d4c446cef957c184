/** When a commit waits for writers who were just answered, and what that does to their throughput. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import { Gathering } from "../../../runtime/storage/gathering.ts";

/** Five of ten writers were answered after a sync of 10 ms; their next ops came after `backMs`. */
function answeredOnce(backMs: number, syncMs = 10): Gathering {
  const gathering = new Gathering();
  gathering.answered(0, syncMs, 5, 5);
  assert.equal(gathering.waitMs(0), 0, "nobody was seen to come back yet");
  gathering.look(backMs, 10);
  gathering.answered(20, syncMs, 5, 10);
  return gathering;
}

test("who comes back within half of a sync is waited for, until all are there", () => {
  const gathering = answeredOnce(2);
  assert.equal(gathering.waitMs(20), 5);
  gathering.look(21, 14);
  assert.equal(gathering.waitMs(21), 4, "one is missing");
  gathering.look(22, 15);
  assert.equal(gathering.waitMs(22), 0);
});

test("nobody waits for those who come back slowly, or while syncs are short", () => {
  assert.equal(answeredOnce(6).waitMs(20), 0);
  assert.equal(answeredOnce(0.1, 0.9).waitMs(20), 0);
});

test("who is not back by the next answer takes at least as long", () => {
  const gathering = new Gathering();
  gathering.answered(0, 10, 5, 5);
  gathering.answered(20, 10, 5, 9);
  gathering.look(21, 14);
  gathering.answered(40, 10, 5, 14);
  assert.equal(gathering.waitMs(40), 0, "20 ms once, 1 ms once: 16 ms are expected");
});

test("writers who went away are waited for once, and then when they came back for a while", () => {
  const gathering = answeredOnce(2);
  assert.equal(gathering.waitMs(25), 0, "half of a sync is over");
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    const nowMs = 40 + i * 20;
    gathering.answered(nowMs, 10, 1, 11 + i);
    waits.push(gathering.waitMs(nowMs));
    gathering.look(nowMs + 1, 12 + i);
  }
  assert.deepEqual(waits, [0, 0, 0, 0, 0, 0, 0, 5]);
});

test("nobody is waited for by a commit that has to be quick", () => {
  const gathering = answeredOnce(2);
  gathering.forget();
  assert.equal(gathering.waitMs(20), 0);
});

test("a disk that hung is not waited for as long", () => {
  const gathering = answeredOnce(2);
  gathering.look(21, 15);
  gathering.answered(5_030, 5_000, 5, 15);
  assert.equal(gathering.waitMs(5_030), 6, "one long sync makes the next not much longer");
  const slow = answeredOnce(2, 3_000);
  assert.equal(slow.waitMs(20), 10, "at most");
  slow.look(21, 15);
  slow.answered(40, 5, 5, 15);
  assert.equal(slow.waitMs(40), 2.5, "a short one is believed at once");
});

interface Load {
  readonly clients: number;
  /** Of an op, on the one thread. */
  readonly costMs: number;
  readonly syncMs: number;
  /** Longest way of an answer to a client and of its next op back. */
  readonly wayMs: number;
  /** Most ops that a client sends at once. */
  readonly pipelineMax: number;
}

/** Ops a ms of clients that write, wait for the sync, and write again. */
function throughput(gathers: boolean, load: Load, random: Random): number {
  const { clients, costMs, syncMs, wayMs, pipelineMax } = load;
  const gathering = new Gathering();
  const part = () => below(random, 1000) / 1000;
  let now = 0;
  let appended = 0;
  let answered = 0;
  let coming = Array.from({ length: clients }, () => part() * wayMs);
  let collected = { clients: 0, ops: 0 };
  let sync: { endsMs: number; clients: number; ops: number } | undefined;
  while (answered < clients * 200 * pipelineMax) {
    coming.sort((a, b) => a - b);
    const next = coming[0] ?? Number.POSITIVE_INFINITY;
    if (sync !== undefined && sync.endsMs <= Math.max(now, next)) {
      now = Math.max(now, sync.endsMs);
      const { ops, clients: length } = sync;
      sync = undefined;
      answered += ops;
      gathering.answered(now, syncMs, ops, appended);
      const back = now;
      coming = [...coming, ...Array.from({ length }, () => back + part() * wayMs)];
    } else if (next <= now + 1) {
      const ops = 1 + below(random, pipelineMax);
      now = Math.max(now, next) + costMs * ops;
      coming.shift();
      appended += ops;
      collected = { clients: collected.clients + 1, ops: collected.ops + ops };
      gathering.look(now, appended);
    } else now = Math.min(next, sync?.endsMs ?? next);
    if (sync !== undefined || collected.ops === 0) continue;
    const waitMs = gathers ? gathering.waitMs(now) : 0;
    if (waitMs > 0) {
      // Nothing comes in the meantime: the timer ends the waiting.
      const soonest = Math.min(...coming, Number.POSITIVE_INFINITY);
      if (soonest > now + waitMs) now += waitMs;
      else continue;
    }
    sync = { endsMs: now + syncMs, ...collected };
    collected = { clients: 0, ops: 0 };
  }
  return answered / now;
}

test("on a slow disk, clients that were two groups are one: nearly twice the throughput", () => {
  const load = { clients: 50, costMs: 0.01, syncMs: 5, wayMs: 0.2, pipelineMax: 1 };
  const ratio = throughput(true, load, seeded(1)) / throughput(false, load, seeded(1));
  assert.ok(ratio > 1.6 && ratio < 2, `${ratio}`);
});

test("whatever clients and disks are like, gathering never takes much", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const load = {
      clients: 1 + below(random, 60),
      costMs: (1 + below(random, 100)) / 1000,
      syncMs: (1 + below(random, 100)) / 10,
      wayMs: below(random, 60) / 10,
      pipelineMax: below(random, 2) === 0 ? 1 : 1 + below(random, 20),
    };
    const ratio = throughput(true, load, seeded(seed)) / throughput(false, load, seeded(seed));
    assert.ok(ratio > 0.93, `seed ${seed}: ${ratio} with ${JSON.stringify(load)}`);
  }
});
