/** Requests between workers over real ports: each ends once, by a reply, a deadline or a death. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import {
  Exchange,
  NOT_THERE,
  OUTCOME_TIMED_OUT,
  OUTCOME_UNKNOWN,
  OVERLOADED,
} from "../../../actors/gateway/exchange.ts";
import { BatchPort, type BatchPortOptions } from "../../../runtime/thread/batch-port.ts";

const ASK = 1;
const REPLY = 2;

/** Two workers' exchanges in one thread, joined by real ports; worker 1 answers when told to. */
class Pair {
  openThrough = 0;
  moves = 0;
  readonly asked: { id: number; text: string }[] = [];
  readonly here: Exchange;
  readonly there: Exchange;
  readonly log: string[] = [];
  readonly portHere: BatchPort;
  readonly portThere: BatchPort;
  #moved: () => void = () => {};

  constructor(options: Partial<BatchPortOptions> = {}) {
    const gates = { isOpen: (gate: number) => gate <= this.openThrough };
    const moved = () => this.#moved();
    this.portHere = new BatchPort({
      ...options,
      onMessage: (_kind, id, buffer, start, end) => {
        this.here.answered(id, false, buffer, start, end);
      },
      onBatchEnd: moved,
    });
    this.portThere = new BatchPort({
      onMessage: (_kind, id, buffer, start, end) => {
        this.asked.push({ id, text: buffer.toString("latin1", start, end) });
      },
      onBatchEnd: moved,
    });
    const { port1, port2 } = new MessageChannel();
    this.portHere.attach(port1);
    this.portThere.attach(port2);
    this.here = new Exchange(() => this.portHere, gates, {
      moved: () => void this.moves++,
      behind: () => this.log.push("behind"),
    });
    this.there = new Exchange(() => this.portThere, gates, {
      moved: () => undefined,
      behind: () => undefined,
    });
  }

  ask(text: string, nowMs = 0, isBegun = false): void {
    this.here.ask(
      { worker: 1, kind: ASK, isBegun },
      text.length,
      (target, start) => start + target.write(text, start, "latin1"),
      nowMs,
      (buffer, start, end) => this.log.push(buffer.toString("latin1", start, end)),
      (failure) => this.log.push(failure),
    );
  }

  answer(id: number, text: string, gate = 0): void {
    this.there.reply(0, REPLY, id, Buffer.from(text), 0, text.length, gate);
  }

  /** Lets both sides have what was sent. */
  async deliver(): Promise<void> {
    this.portHere.flush();
    this.portThere.flush();
    await new Promise<void>((resolve) => {
      this.#moved = resolve;
    });
  }

  close(): void {
    this.portHere.peerDied();
    this.portThere.peerDied();
  }
}

test("a request ends by its reply, once", async () => {
  const pair = new Pair();
  pair.ask("a");
  pair.ask("b");
  await pair.deliver();
  assert.deepEqual(
    pair.asked.map(({ text }) => text),
    ["a", "b"],
  );
  for (const { id, text } of pair.asked) pair.answer(id, `${text}!`);
  pair.answer(pair.asked[0]?.id ?? 0, "again");
  await pair.deliver();
  assert.deepEqual(pair.log, ["a!", "b!"]);
  assert.equal(pair.here.size, 0);
  pair.close();
});

test("what has begun goes on, however much is under way", async () => {
  const pair = new Pair({ inFlightBytesMax: 100 });
  pair.ask("x".repeat(100));
  pair.ask("b");
  assert.deepEqual(pair.log, ["behind", OVERLOADED]);
  pair.log.length = 0;
  pair.ask("c", 0, true);
  await pair.deliver();
  assert.deepEqual(
    pair.asked.map(({ text }) => text.length),
    [100, 1],
  );
  pair.answer(pair.asked[1]?.id ?? 0, "c!");
  await pair.deliver();
  assert.equal(pair.log.at(-1), "c!");
  pair.close();
});

test("a reply waits for its commit", async () => {
  const pair = new Pair();
  pair.ask("a");
  pair.ask("b");
  await pair.deliver();
  const [a, b] = pair.asked;
  pair.answer(a?.id ?? 0, "gated", 5);
  pair.answer(b?.id ?? 0, "free");
  pair.there.release();
  await pair.deliver();
  assert.deepEqual(pair.log, ["free"]);
  pair.openThrough = 5;
  pair.there.release();
  await pair.deliver();
  assert.deepEqual(pair.log, ["free", "gated"]);
  pair.close();
});

test("the death of a worker ends each of its requests once, as unknown", async () => {
  const pair = new Pair();
  pair.ask("a");
  pair.ask("b");
  await pair.deliver();
  pair.here.workerDied(2);
  assert.deepEqual(pair.log, []);
  pair.portHere.peerDied();
  pair.here.workerDied(1);
  assert.deepEqual(pair.log, [OUTCOME_UNKNOWN, OUTCOME_UNKNOWN]);
  pair.here.workerDied(1);
  pair.ask("c");
  assert.deepEqual(pair.log.slice(2), [NOT_THERE]);
  assert.deepEqual(await pair.here.request(1, ASK, Buffer.from("d"), 0), {
    kind: "failed",
    text: NOT_THERE,
  });
  pair.close();
});

test("a request past its deadline is unknown, and its late reply is dropped", async () => {
  const pair = new Pair();
  pair.ask("a", 1000);
  await pair.deliver();
  pair.here.expire(30_999);
  assert.deepEqual(pair.log, []);
  pair.here.expire(31_000);
  assert.deepEqual(pair.log, [OUTCOME_TIMED_OUT]);
  pair.answer(pair.asked[0]?.id ?? 0, "late");
  await pair.deliver();
  assert.deepEqual(pair.log, [OUTCOME_TIMED_OUT]);
  pair.close();
});

test("a request ends in time where the wall clock is set", async () => {
  const pair = new Pair();
  pair.ask("a", 1000);
  await pair.deliver();
  pair.here.expire(3_601_000, 3_600_000);
  pair.here.expire(3_630_999);
  assert.deepEqual(pair.log, []);
  pair.here.expire(3_631_000);
  assert.deepEqual(pair.log, [OUTCOME_TIMED_OUT]);

  pair.ask("b", 3_700_000);
  pair.here.expire(100_000, -3_600_000);
  pair.here.expire(129_999);
  assert.equal(pair.log.length, 1);
  pair.here.expire(130_000);
  assert.equal(pair.log.length, 2);
  pair.close();
});

test("a turn follows requests that end without a reply: clients may wait for their end", async () => {
  const pair = new Pair();
  pair.ask("a");
  const { moves } = pair;
  pair.here.expire(29_999);
  assert.equal(pair.moves, moves);
  pair.here.expire(30_000);
  assert.equal(pair.moves, moves + 1);
  pair.here.workerDied(1);
  assert.equal(pair.moves, moves + 2);
  pair.close();
});

test("who has much to do is behind until it has read some of it", async () => {
  const pair = new Pair({ inFlightBytesMax: 400 });
  pair.ask("a");
  assert.ok(!pair.here.isBehind);
  pair.ask("x".repeat(200));
  assert.ok(pair.here.isBehind);
  assert.deepEqual(pair.log, ["behind"]);
  await pair.deliver();
  pair.portThere.flush();
  await pair.deliver();
  assert.ok(!pair.here.isBehind);
  pair.close();
});

test("what must be done makes who does it fall behind, too", async () => {
  const pair = new Pair({ inFlightBytesMax: 400 });
  const outcome = pair.here.request(1, ASK, Buffer.alloc(150), 0);
  assert.ok(!pair.here.isBehind);
  pair.here.tell(1, ASK, Buffer.alloc(50));
  assert.ok(pair.here.isBehind);
  assert.deepEqual(pair.log, ["behind"]);
  pair.here.workerDied(1);
  await outcome;
  pair.close();
});

test("nobody waits for a worker that restarts before it has answered something", async () => {
  const pair = new Pair({ inFlightBytesMax: 400 });
  pair.portHere.peerDied();
  pair.here.workerDied(1);
  const { port1, port2 } = new MessageChannel();
  pair.portHere.attach(port1);
  pair.ask("x".repeat(200));
  assert.ok(!pair.here.isBehind);
  pair.ask("y".repeat(200));
  pair.ask("z");
  assert.deepEqual(pair.log, [OVERLOADED]);

  pair.portThere.peerDied();
  pair.portThere.attach(port2); // it has recovered
  await pair.deliver();
  pair.answer(pair.asked[0]?.id ?? 0, "done");
  await pair.deliver();
  pair.ask("x".repeat(200));
  assert.ok(pair.here.isBehind);
  assert.deepEqual(pair.log, [OVERLOADED, "done", "behind"]);
  pair.close();
});

test("nobody waits for a worker that let a deadline pass before it has answered something", async () => {
  const pair = new Pair({ inFlightBytesMax: 400 });
  pair.ask("x".repeat(200), 1000);
  assert.ok(pair.here.isBehind);
  pair.here.expire(31_000);
  assert.ok(!pair.here.isBehind);
  pair.ask("a", 31_000);
  await pair.deliver();
  pair.answer(pair.asked.at(-1)?.id ?? 0, "awake");
  await pair.deliver();
  pair.ask("y".repeat(300), 31_000);
  assert.ok(pair.here.isBehind);
  pair.close();
});

test("too much under way is refused, but not what must be done", async () => {
  const pair = new Pair({ inFlightBytesMax: 100 });
  pair.ask("x".repeat(200));
  pair.ask("a");
  assert.deepEqual(pair.log, ["behind", OVERLOADED]);
  assert.equal(pair.here.overloads, 1);
  const outcome = pair.here.request(1, ASK, Buffer.from("must"), 0);
  await pair.deliver();
  assert.equal(pair.asked.at(-1)?.text, "must");
  pair.answer(pair.asked.at(-1)?.id ?? 0, "done");
  await pair.deliver();
  assert.deepEqual(await outcome, { kind: "answer", bytes: Buffer.from("done") });
  pair.close();
});
