/** Commands over keys of several workers that are done where the keys are, without copies of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Outcome } from "../../../actors/gateway/exchange.ts";
import { MESSAGE_COMMIT, MESSAGE_SYNC } from "../../../actors/gateway/messages.ts";
import { encodeError } from "../../../actors/gateway/replies.ts";
import { KEYS_TOO_LARGE } from "../../../actors/worker/participant.ts";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import { pack } from "../../../runtime/codec/pack.ts";
import { keyOn } from "../../support/placement.ts";
import type { Plain } from "../../support/resp.ts";
import { until } from "../../support/until.ts";
import { intercept, NODE_PARTITIONS, WorkerNode } from "../../support/worker-node.ts";

/** Keys on all of three workers: four that are mostly lists, four sets, four strings, hashes, zsets. */
const KEYS = Array.from({ length: 20 }, (_, i) => `k${i}`);
const TYPES = KEYS.length / 4;
const SIDES = ["LEFT", "RIGHT", "left", "MIDDLE"];
const RUNS = 40;

class Commands {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  #of<T>(choices: readonly T[]): T {
    return choices[below(this.#random, choices.length)] as T;
  }

  /** A key that probably has this type. */
  #key(type: number): string {
    const group = below(this.#random, 4) === 0 ? below(this.#random, TYPES) : type;
    return KEYS[group * 4 + below(this.#random, 4)] as string;
  }

  /** A command of those that are done apart, or one that fills their keys. */
  next(): string[] {
    const word = String(below(this.#random, 6));
    switch (below(this.#random, 17)) {
      case 0:
        return ["RPUSH", this.#key(0), word, String(below(this.#random, 6))];
      case 1:
      case 9:
        return ["SADD", this.#key(1), "1", word, String(below(this.#random, 6))];
      case 2:
        return ["LMOVE", this.#key(0), this.#key(0), this.#of(SIDES), this.#of(SIDES)];
      case 3:
        return ["RPOPLPUSH", this.#key(0), this.#key(0)];
      case 4:
      case 5:
        return ["SMOVE", this.#key(1), this.#key(1), word];
      case 6:
        return ["MSETNX", this.#key(2), word, this.#key(2), "last", this.#key(2), word].slice(
          0,
          this.#of([7, 7, 7, 6]),
        );
      case 7:
        return this.#pop();
      case 8:
        return ["DEL", this.#of(KEYS)];
      case 10:
        return this.#of([
          ["HSET", this.#key(3), word, "v", "f", word],
          ["ZADD", this.#key(4), word, "m", "-0.1", word],
          ["PEXPIREAT", this.#of(KEYS), "99999999999999"],
        ]);
      case 11:
      case 12:
        return [this.#of(["RENAME", "RENAME", "RENAMENX"]), this.#of(KEYS), this.#of(KEYS)];
      default:
        return this.#combination();
    }
  }

  #combination(): string[] {
    const keys = Array.from({ length: 1 + below(this.#random, 3) }, () => this.#key(1));
    const name = this.#of(["SINTER", "SUNION", "SDIFF"]);
    switch (below(this.#random, 3)) {
      case 0:
        return [name, ...keys];
      case 1:
        return [`${name}STORE`, this.#key(1), ...keys];
      default: {
        const options = this.#of([[], ["LIMIT", "2"], ["LIMIT", "0"], ["LIMIT", "-1"], ["LIMIT"]]);
        const count = String(keys.length);
        return ["SINTERCARD", this.#of([count, count, count, "0", "3"]), ...keys, ...options];
      }
    }
  }

  #pop(): string[] {
    const keys = [this.#key(0), this.#key(0), this.#key(0)];
    const options = this.#of([[], [], ["COUNT", "2"], ["COUNT", "0"], ["COUNT"], ["TOTAL", "2"]]);
    return ["LMPOP", this.#of(["3", "3", "3", "0"]), ...keys, this.#of(SIDES), ...options];
  }
}

/** Replies, the members of sets in an order of their own: Redis promises none. */
function sorted(commands: readonly string[][], replies: readonly Plain[]): Plain[] {
  return replies.map((reply, i) => {
    const name = commands[i]?.[0] ?? "";
    if (name === "EXEC" && Array.isArray(reply)) return sorted(commands.slice(1), reply);
    const isSet = ["SINTER", "SUNION", "SDIFF"].includes(name) && Array.isArray(reply);
    return isSet ? [...reply].sort() : reply;
  });
}

/** What all keys hold. */
function looks(): string[][] {
  return KEYS.flatMap((key) => [
    ["LRANGE", key, "0", "-1"],
    ["SMISMEMBER", key, "0", "1", "2", "3", "4", "5"],
    ["GET", key],
    ["HGETALL", key],
    ["ZRANGE", key, "0", "-1", "WITHSCORES"],
    ["PEXPIRETIME", key],
  ]);
}

test("what is done apart over workers replies and leaves what one worker does, in MULTI and RESP3 too", async () => {
  await using one = await WorkerNode.start({ workers: 1 });
  await using three = await WorkerNode.start({ workers: 3 });
  for (let seed = 1; seed <= RUNS; seed++) {
    const random = seeded(seed);
    const commands = new Commands(random);
    using left = await one.connect();
    using right = await three.connect(seed % 3);
    const both = async (batch: readonly string[][]) => {
      const [expected, actual] = await Promise.all(
        [left, right].map(async (client) => sorted(batch, await client.pipeline(...batch))),
      );
      assert.deepEqual(actual, expected, `SEED=${seed}: ${JSON.stringify(batch)}`);
    };
    await both([["FLUSHALL"]]);
    if (seed % 2 === 0) await Promise.all([left.call("HELLO", "3"), right.call("HELLO", "3")]);
    for (let round = 0; round < 50; round++) {
      const batch = Array.from({ length: 1 + below(random, 4) }, () => commands.next());
      await both(below(random, 2) === 0 ? batch : [["MULTI"], ...batch, ["EXEC"]]);
    }
    await both(looks());
  }
});

/** Keys of the second and the third of three workers. */
const [HERE, THERE] = [1, 2].map((owner) => keyOn(owner, 3, "k", 0, NODE_PARTITIONS)) as [
  string,
  string,
];

test("nothing to move is nil in the protocol of the client", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  await client.call("HELLO", "3");
  const connection = [...(node.workers[0]?.clients.values() ?? [])][0]?.connection;
  assert.ok(connection);
  const fill = connection.fill.bind(connection);
  const filled: string[] = [];
  connection.fill = (place, bytes, gate) => {
    filled.push(bytes.toString("latin1"));
    fill(place, bytes, gate);
  };
  await client.call("LMOVE", HERE, THERE, "LEFT", "RIGHT");
  assert.deepEqual(filled, ["_\r\n"]);
});

test("SINTERCARD over several workers counts up to its limit", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  for (const key of [HERE, THERE]) await client.call("SADD", key, "a", "b", "c", "d");
  assert.equal(await client.call("SINTERCARD", "2", HERE, THERE, "LIMIT", "3"), 3);
  assert.equal(await client.call("SINTERCARD", "2", HERE, THERE), 4);
});

test("a command that would peek at what its own transaction flushes is refused", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  await client.call("RPUSH", HERE, "a");
  const move = ["LMOVE", HERE, THERE, "LEFT", "RIGHT"];
  const replies = await client.pipeline(["MULTI"], ["FLUSHALL"], move, ["EXEC"]);
  assert.match(JSON.stringify(replies.at(-1)), /cannot stand before/);
  const done = await client.pipeline(["MULTI"], move, ["DBSIZE"], ["FLUSHALL"], ["EXEC"]);
  assert.deepEqual(done.at(-1), ["a", 1, "OK"]);
});

const TOO_LARGE = pack({ replies: [encodeError(KEYS_TOO_LARGE)] });
const FAILED_PEEKS: readonly { what: string; outcome: Outcome; error: RegExp }[] = [
  { what: "is too large", outcome: { kind: "answer", bytes: TOO_LARGE }, error: /too large/ },
  { what: "is lost", outcome: { kind: "failed", text: "ERR gone" }, error: /ERR gone/ },
];
for (const { what, outcome, error } of FAILED_PEEKS) {
  test(`a command whose peek ${what} changes nothing and unlocks`, async () => {
    await using node = await WorkerNode.start({ workers: 3 });
    using client = await node.connect(0);
    await client.call("RPUSH", HERE, "a");
    const [worker] = node.workers;
    assert.ok(worker);
    const end = intercept(worker, (kind, _message, pass) => {
      return kind === MESSAGE_COMMIT ? Promise.resolve(outcome) : pass();
    });
    const refused = await client.call("RPOPLPUSH", HERE, THERE);
    assert.match(JSON.stringify(refused), error);
    end();
    assert.equal(await client.call("RPOPLPUSH", HERE, THERE), "a");
  });
}

const NO_ROOM: Outcome = { kind: "answer", bytes: pack(false) };
const UNSECURED: typeof FAILED_PEEKS = [
  { what: "has no room", outcome: NO_ROOM, error: /MISCONF the disk is full/ },
  { what: "died", outcome: { kind: "failed", text: "ERR gone" }, error: /TRYAGAIN/ },
];
for (const { what, outcome, error } of UNSECURED) {
  test(`nothing is logged where an owner ${what} before what it holds is durable`, async () => {
    await using node = await WorkerNode.start({ workers: 3 });
    using client = await node.connect(0);
    const [worker] = node.workers;
    assert.ok(worker);
    intercept(worker, (kind, _message, pass) => {
      return kind === MESSAGE_SYNC ? Promise.resolve(outcome) : pass();
    });
    const refused = await client.call("MSET", HERE, "a", THERE, "b");
    assert.match(JSON.stringify(refused), error);
    assert.deepEqual(await client.call("MGET", HERE, THERE), [null, null]);
  });
}

test("what was peeked at counts for nothing once a worker that had locked it has died", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  const [worker] = node.workers;
  assert.ok(worker);
  intercept(worker, (kind, _message, pass) => {
    if (kind === MESSAGE_COMMIT) worker.cross.workerDied(1);
    return pass();
  });
  const refused = await client.call("SINTER", HERE, THERE);
  assert.match(JSON.stringify(refused), /TRYAGAIN a worker thread of this transaction restarts/);
});

test("a transaction over several workers is done at one time: what expires meanwhile is there for all of it", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  const [worker] = node.workers;
  assert.ok(worker);
  const { intents } = worker;
  const put = intents.put.bind(intents);
  const logged: number[] = [];
  intents.put = (intent) => {
    logged.push(intent.nowMs);
    return put(intent);
  };
  const beganMs = node.clock.now();
  const secure = worker.cross.secure.bind(worker.cross);
  worker.cross.secure = async (claim) => {
    node.clock.advance(5000);
    for (const owner of node.workers) owner.beginTurn();
    await until(() => node.workers.every(({ nowMs }) => nowMs === node.clock.now()) || undefined);
    return secure(claim);
  };
  await client.call("RPUSH", HERE, "a");
  await client.call("PEXPIRE", HERE, "1000");
  const move = ["LMOVE", HERE, THERE, "LEFT", "LEFT"];
  const done = await client.pipeline(["MULTI"], ["EXISTS", HERE], move, ["EXEC"]);
  assert.deepEqual([done.at(-1), logged], [[1, "a"], [beganMs]]);
  assert.deepEqual(await client.pipeline(["EXISTS", HERE], ["LRANGE", THERE, "0", "-1"]), [
    0,
    ["a"],
  ]);
});

test("what throws before anything is logged is one error, and unlocks", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  const [worker] = node.workers;
  assert.ok(worker);
  const { cross } = worker;
  const { secure } = cross;
  cross.secure = () => Promise.reject(new Error("thrown by this test"));
  const failed = await client.call("MSET", HERE, "1", THERE, "1");
  assert.match(JSON.stringify(failed), /ERR internal error: the command was not executed/);
  cross.secure = secure;
  assert.equal(await client.call("MSET", HERE, "1", THERE, "1"), "OK");
});

test("a move counts as what it does, not as what it looks at", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  await client.call("RPUSH", HERE, "a");
  const counted = () => node.workers.reduce((sum, { stats }) => sum + stats.commands, 0);
  const before = counted();
  assert.equal(await client.call("LMOVE", HERE, THERE, "LEFT", "LEFT"), "a");
  assert.equal(counted() - before, 2);
});

test("a move between lists of two workers carries the element, whatever the lists hold", async () => {
  await using node = await WorkerNode.start({ workers: 3 });
  using client = await node.connect(0);
  const elements = Array.from({ length: 2000 }, (_, i) => `element ${i}`);
  await client.pipeline(["RPUSH", HERE, ...elements], ["RPUSH", THERE, ...elements]);
  const [worker] = node.workers;
  assert.ok(worker);
  const sizes: number[] = [];
  intercept(worker, async (_kind, message, pass) => {
    const outcome = await pass();
    sizes.push(message.length + (outcome.kind === "failed" ? 0 : outcome.bytes.length));
    return outcome;
  });
  assert.equal(await client.call("LMOVE", HERE, THERE, "LEFT", "RIGHT"), "element 0");
  assert.ok(Math.max(...sizes) < 1000, `messages of ${sizes} bytes`);
});
