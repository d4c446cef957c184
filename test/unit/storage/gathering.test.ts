/** When a commit waits for writers who were just answered, and what that does to their throughput. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import { Gathering } from "../../../runtime/storage/gathering.ts";

/** What a journal tells: ops come, a sync of all that came ends. */
class Told {
  readonly gathering = new Gathering();
  #appended = 0;
  nowMs = 0;

  /** So much later so many ops come. */
  came(afterMs: number, ops: number): void {
    this.nowMs += afterMs;
    this.#appended += ops;
    this.gathering.look(this.nowMs, this.#appended);
  }

  /** A sync took so long; so many ops came meanwhile. */
  synced(syncMs: number, meanwhile = 0): void {
    this.gathering.began(this.#appended);
    this.came(syncMs, meanwhile);
    this.gathering.answered(this.nowMs, syncMs, this.#appended);
  }

  /** How long a commit waits now. */
  get waitMs(): number {
    return this.gathering.waitMs(this.nowMs);
  }
}

/** A load that twice as much is done of where commits wait: five ops were just answered. */
function waiting(syncMs: number): Told {
  const told = new Told();
  for (let i = 0; i < 200; i++) {
    told.came(told.waitMs > 0 ? 0 : syncMs, 5);
    told.synced(syncMs);
  }
  return told;
}

test("who was just answered is waited for, until all are back", () => {
  const told = waiting(8);
  assert.ok(!told.gathering.countsRounds);
  assert.equal(told.waitMs, 4, "half of a sync");
  told.came(1, 4);
  assert.equal(told.waitMs, 3, "one is missing, but not for longer than that in all");
  told.came(1, 1);
  assert.equal(told.waitMs, 0);
});

test("who came while the sync was in flight does not count as being back", () => {
  const told = waiting(8);
  told.came(0, 5);
  told.synced(8, 3);
  told.came(1, 4);
  assert.equal(told.waitMs, 3);
  told.came(1, 1);
  assert.equal(told.waitMs, 0);
});

test("a short sync waits as long as ops keep coming, half of it without and 2 ms in all", () => {
  const told = waiting(1);
  assert.ok(told.gathering.countsRounds);
  told.nowMs += 0.25;
  assert.equal(told.waitMs, 0.5, "since the waiting began");
  for (const afterMs of [0.25, 0.5, 0.5]) {
    told.came(afterMs, 1);
    assert.equal(told.waitMs, 0.5);
  }
  told.came(0.25, 0);
  assert.equal(told.waitMs, 0.25);
  told.came(0.125, 2);
  assert.equal(told.waitMs, 0, "all are back");
  const trickle = waiting(1);
  for (const afterMs of [0.5, 0.5, 0.5, 0.375]) trickle.came(afterMs, 1);
  assert.equal(trickle.waitMs, 0.125);
  trickle.nowMs += 0.125;
  assert.equal(trickle.waitMs, 0);
});

test("nobody is waited for for ever where the clock stands still", () => {
  const told = waiting(1);
  let looks = 0;
  while (told.waitMs > 0 && looks < 10_000) looks++;
  assert.ok(looks > 1_000 && looks < 10_000, `${looks} looks`);
  for (let i = 0; i < 5; i++) {
    told.came(1, 5);
    told.synced(1);
  }
  assert.ok(told.waitMs > 0, "the next time again");
});

test("who does not come back is not waited for again", () => {
  const told = waiting(1);
  assert.equal(told.waitMs, 0.5);
  told.nowMs += 0.5;
  assert.equal(told.waitMs, 0);
  told.came(0, 1);
  assert.equal(told.waitMs, 0);
});

test("nobody is waited for where that brings nothing", () => {
  const told = new Told();
  let waited = 0;
  for (let i = 0; i < 2_000; i++) {
    if (told.waitMs > 0) waited++;
    told.came(1, 5);
    told.synced(8);
  }
  assert.ok(waited > 0 && waited < 500, `tried in ${waited} of 2,000 syncs`);
});

test("nobody is waited for by a commit that has to be quick", () => {
  const told = waiting(8);
  told.gathering.forget();
  assert.equal(told.waitMs, 0);
});

test("a disk that hung is not waited for as long", () => {
  const told = waiting(8);
  told.came(0, 5);
  told.synced(5_000);
  assert.equal(Math.round(told.waitMs * 10), 48, "one long sync makes the next not much longer");
  const slow = waiting(3_000);
  assert.equal(slow.waitMs, 10, "at most");
  slow.came(0, 5);
  slow.synced(4);
  assert.equal(slow.waitMs, 2, "a short one is believed at once");
});

/** What a sync costs on the thread that asks for it: handing over, waking up, replies in two parts. */
const SYNC_COST_MS = 0.1;

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
  while (answered < clients * 1_000 * pipelineMax) {
    coming.sort((a, b) => a - b);
    const next = coming[0] ?? Number.POSITIVE_INFINITY;
    if (sync !== undefined && sync.endsMs <= Math.max(now, next)) {
      now = Math.max(now, sync.endsMs);
      const { ops, clients: length } = sync;
      sync = undefined;
      answered += ops;
      gathering.answered(now, syncMs, appended);
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
    gathering.began(appended);
    now += SYNC_COST_MS;
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
  for (let seed = 1; seed <= 40; seed++) {
    const random = seeded(seed);
    const load = {
      clients: 1 + below(random, 60),
      costMs: (1 + below(random, 100)) / 1000,
      syncMs: (1 + below(random, 100)) / (below(random, 2) === 0 ? 10 : 50),
      wayMs: below(random, 60) / 10,
      pipelineMax: below(random, 2) === 0 ? 1 : 1 + below(random, 20),
    };
    const ratio = throughput(true, load, seeded(seed)) / throughput(false, load, seeded(seed));
    assert.ok(ratio > 0.93, `seed ${seed}: ${ratio} with ${JSON.stringify(load)}`);
  }
});
