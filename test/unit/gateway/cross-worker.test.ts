/** The coordinator of transactions over workers: what it has done again, and what it forgets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CrossWorker, SETTLE_MS } from "../../../actors/gateway/cross-worker.ts";
import type { DispatchHost } from "../../../actors/gateway/dispatch-host.ts";
import { MESSAGE_COMMIT, MESSAGE_SYNC } from "../../../actors/gateway/messages.ts";
import type { Part } from "../../../actors/protocols/transactions.ts";
import type { Intent } from "../../../actors/worker/intent-codec.ts";
import type { Intents } from "../../../actors/worker/intents.ts";
import type { Participant } from "../../../actors/worker/participant.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { OP_IDS_MAX } from "../../../runtime/base/limits.ts";
import { pack, unpack } from "../../../runtime/codec/pack.ts";

const DONE = { kind: "reply", bytes: pack({ replies: [] }) } as const;
const YES = { kind: "reply", bytes: pack(true) } as const;
const NO = { kind: "reply", bytes: pack(false) } as const;
const FAILED = { kind: "failed", text: "the worker died" } as const;
const PARTS: readonly Part[] = [{ number: 0, keyspace: 0, partition: 8, entries: [] }];

function valueIn(bytes: Buffer): unknown {
  const unpacked = unpack(bytes);
  return unpacked.kind === "value" ? unpacked.value : undefined;
}

/** A coordinator, worker 0, beside an owner, worker 1, whose answers the test gives. */
class Coordinator {
  readonly clock = new ManualClock();
  readonly removed: string[] = [];
  /** Ids of transactions whose parts were asked for. */
  readonly commits: string[] = [];
  syncs = 0;
  /** Ids of transactions whose parts' op ids may be forgotten. */
  readonly forgotten: string[] = [];
  /** The syncs of its own log that it waits for. */
  readonly ownSyncs: ((isDurable: boolean) => void)[] = [];
  readonly cross: CrossWorker;
  #answers: { readonly kind: number; readonly answer: (outcome: unknown) => void }[] = [];

  /** `logged`: what its log holds of a life before. */
  constructor(logged: readonly Intent[] = []) {
    const host = {
      index: 0,
      config: { workers: 2 },
      nowMs: this.clock.now(),
      gates: {
        pendingBytes: 0,
        whenDurable: (_commit: number, done: () => void) => done(),
        settled: () => new Promise<boolean>((done) => void this.ownSyncs.push(done)),
      },
      exchange: {
        tell: () => undefined,
        request: (_worker: number, kind: number, bytes: Buffer) => this.#ask(kind, bytes),
      },
      ownerOf: () => 1,
      unpack: valueIn,
      beginTurn() {},
      schedule() {},
    } as unknown as DispatchHost;
    const intents = {
      put: () => 1,
      all: () => logged,
      remove: (ids: string[]) => void this.removed.push(...ids),
    } as unknown as Intents;
    const participant = {} as Participant;
    this.cross = new CrossWorker({
      host,
      participant,
      intents,
      timers: this.clock,
      onPoint: undefined,
    });
  }

  #ask(kind: number, bytes: Buffer): Promise<unknown> {
    if (kind === MESSAGE_COMMIT) this.commits.push((valueIn(bytes) as { id: string }).id);
    if (kind === MESSAGE_SYNC) {
      this.syncs++;
      const { forget } = valueIn(bytes) as { forget: readonly { readonly id: string }[] };
      this.forgotten.push(...forget.map(({ id }) => id));
    }
    return new Promise((resolve) => {
      this.#answers.push({ kind, answer: resolve });
    });
  }

  /** The owner answers what it was asked of this kind. */
  async answer(kind: number, outcome: unknown = kind === MESSAGE_SYNC ? YES : DONE): Promise<void> {
    const due = this.#answers.filter((one) => one.kind === kind);
    this.#answers = this.#answers.filter((one) => one.kind !== kind);
    for (const { answer } of due) answer(outcome);
    await this.rest();
  }

  /** What follows from what has happened. */
  async rest(): Promise<void> {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** The time comes at which what is done is settled. */
  async settle(): Promise<void> {
    this.clock.advance(SETTLE_MS);
    await this.rest();
  }

  /** A transaction that is done wholly. */
  async finish(id: string): Promise<void> {
    await this.cross.log(this.cross.claim(id), PARTS, 0);
    this.cross.done(id);
  }
}

test("what is done goes once its parts are durable", async () => {
  const at = new Coordinator();
  await at.finish("a");
  await at.settle();
  assert.deepEqual([at.syncs, at.removed], [1, []]);
  await at.answer(MESSAGE_SYNC);
  assert.deepEqual(at.removed, ["a"]);
});

test("what is done stays where an owner does not say that its parts are durable", async () => {
  const at = new Coordinator();
  await at.finish("a");
  await at.settle();
  for (const outcome of [FAILED, NO]) {
    await at.answer(MESSAGE_SYNC, outcome);
    assert.deepEqual([at.removed, at.cross.openCount], [[], 1]);
    await at.settle();
  }
  await at.answer(MESSAGE_SYNC);
  assert.deepEqual([at.removed, at.cross.openCount], [["a"], 0]);
});

test("op ids are forgotten once it is durable that nobody asks for their parts again", async () => {
  const at = new Coordinator();
  await at.finish("a");
  await at.settle();
  await at.answer(MESSAGE_SYNC);
  await at.settle();
  assert.deepEqual([at.removed, at.forgotten, at.syncs], [["a"], [], 1]);
  // A full disk.
  at.ownSyncs.shift()?.(false);
  await at.rest();
  await at.settle();
  assert.deepEqual([at.forgotten, at.syncs], [[], 1]);
  at.ownSyncs.shift()?.(true);
  await at.rest();
  assert.deepEqual([at.forgotten, at.syncs], [["a"], 2]);
  // Who was not reached is told again.
  await at.answer(MESSAGE_SYNC, FAILED);
  await at.settle();
  at.ownSyncs.shift()?.(true);
  await at.rest();
  assert.deepEqual(at.forgotten, ["a", "a"]);
});

test("owners that died or have no room are told apart from those that are durable", async () => {
  const at = new Coordinator();
  for (const [outcome, secured] of [
    [YES, "secured"],
    [NO, "full"],
    [FAILED, "lost"],
  ] as const) {
    const claim = at.cross.claim("a");
    claim.workers.add(1);
    const asked = at.cross.secure(claim);
    await at.answer(MESSAGE_SYNC, outcome);
    assert.equal(await asked, secured);
  }
});

test("no more transactions are begun than their parts' op ids are remembered", async () => {
  const at = new Coordinator();
  const parts = PARTS.flatMap((part) => [part, { ...part, number: 1 }]);
  const fits = OP_IDS_MAX / 2 / 2 / parts.length;
  for (let i = 0; i < fits; i++) {
    assert.equal(at.cross.isFull, false);
    await at.cross.log(at.cross.claim(`t${i}`), parts, 0);
    at.cross.done(`t${i}`);
  }
  assert.equal(at.cross.isFull, true);
  for (let i = 0; i < fits && at.cross.isFull; i++) {
    await at.settle();
    await at.answer(MESSAGE_SYNC);
  }
  assert.equal(at.cross.isFull, false);
});

test("a worker that dies takes its promises to what is not logged yet with it", async () => {
  const at = new Coordinator();
  const [kept, lost] = [at.cross.claim("a"), at.cross.claim("b")];
  void at.cross.prepare(lost, 1, {} as Parameters<CrossWorker["prepare"]>[2]);
  at.cross.workerDied(1);
  assert.deepEqual([kept.isLost, lost.isLost], [false, true]);
});

test("a worker that starts is given what it is owed once the coordinator's own start is over", async () => {
  const at = new Coordinator([{ id: "a", nowMs: 0, parts: PARTS }]);
  void at.cross.start();
  at.cross.resolve(1, () => {});
  await at.rest();
  assert.deepEqual(at.commits, ["a"]);
  await at.answer(MESSAGE_COMMIT);
  assert.deepEqual(at.commits, ["a", "a"]);
});

test("a transaction whose parts are asked for again is kept, with their op ids, until they are there", async () => {
  const at = new Coordinator();
  await at.finish("a");
  let isGiven = false;
  at.cross.resolve(1, () => {
    isGiven = true;
  });
  await at.rest();
  await at.settle();
  // What is to be made durable is not there yet.
  assert.deepEqual([at.commits, at.syncs, isGiven], [["a"], 0, false]);

  await at.answer(MESSAGE_COMMIT);
  assert.ok(isGiven);
  await at.settle();
  await at.answer(MESSAGE_SYNC);
  assert.deepEqual(at.removed, ["a"]);
});

test("a transaction is kept whose parts are asked for again while they are made durable", async () => {
  const at = new Coordinator();
  await at.finish("a");
  await at.settle();
  at.cross.resolve(1, () => {});
  await at.rest();
  await at.answer(MESSAGE_SYNC);
  assert.deepEqual([at.commits, at.removed], [["a"], []]);
});

test("a worker that starts is not given what was settled while it was given others", async () => {
  const at = new Coordinator();
  await at.finish("a");
  await at.finish("b");
  at.cross.resolve(1, () => {});
  await at.rest();
  await at.settle();
  await at.answer(MESSAGE_SYNC);
  assert.deepEqual([at.commits, at.removed], [["a"], ["b"]]);

  await at.answer(MESSAGE_COMMIT);
  assert.deepEqual(at.commits, ["a"]);
});
