/** Commands without keys inside EXEC over several workers, and the bounds of such a transaction. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NOT_THERE } from "../../../actors/gateway/exchange.ts";
import {
  MESSAGE_COMMIT,
  MESSAGE_EXEC,
  MESSAGE_PREPARE,
  MESSAGE_SYNC,
} from "../../../actors/gateway/messages.ts";
import type { ExecAnswer } from "../../../actors/protocols/transactions.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { Participant } from "../../../actors/worker/participant.ts";
import { keyOn, partitionOfKey, slotOfKey } from "../../support/placement.ts";
import { until } from "../../support/until.ts";
import { intercept, NODE_PARTITIONS, WorkerNode } from "../../support/worker-node.ts";

const partitionOf = (key: string) => partitionOfKey(key, NODE_PARTITIONS);
/** Keys of the two workers of a node. */
const HERE = keyOn(0, 2, "k", 0, NODE_PARTITIONS);
const THERE = keyOn(1, 2, "k", 0, NODE_PARTITIONS);

test("a transaction looks at a partition that it holds itself", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(1);
  const replies = await client.pipeline(
    ["MULTI"],
    ["SET", HERE, "v"],
    ["CLUSTER", "COUNTKEYSINSLOT", String(slotOfKey(HERE))],
    ["SET", THERE, "v"],
    ["EXEC"],
  );
  assert.deepEqual(replies.at(-1), ["OK", 1, "OK"]);
});

test("a client that was told UNKNOWN keeps its keyspace, whatever the rest of EXEC selects", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(0);
  using other = await node.connect(0);
  const [worker] = node.workers;
  assert.ok(worker);
  let failures = 0;
  intercept(worker, (kind, _message, pass) => {
    if (kind !== MESSAGE_COMMIT || failures++ > 0) return pass();
    return Promise.resolve({ kind: "failed", text: "UNKNOWN for this test" });
  });
  const parts = [["SET", HERE, "1"], ["SET", THERE, "1"], ["SELECT", "1"], ["DBSIZE"]]; // prettier-ignore
  const replies = await client.pipeline(["MULTI"], ...parts, ["SET", THERE, "2"], ["EXEC"]);
  assert.match(JSON.stringify(replies.at(-1)), /UNKNOWN/);

  // The rest is done once the owner is asked again.
  for (let got: unknown = null; got !== "2"; ) {
    node.clock.advance(300);
    got = await other.call("SELECT", "1").then(() => other.call("GET", THERE));
  }
  await client.call("SET", "later", "0");
  await other.call("SELECT", "0");
  assert.equal(await other.call("GET", "later"), "0");
});

test("owners make durable what they hold before what is done to it is logged", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(0);
  const [worker] = node.workers;
  assert.ok(worker);
  const { intents } = worker;
  const steps: unknown[] = [];
  let isDead = false;
  intercept(worker, (kind, _message, pass) => {
    steps.push(kind);
    if (isDead && kind === MESSAGE_SYNC) {
      return Promise.resolve({ kind: "failed", text: "the worker died" });
    }
    return pass();
  });
  const put = intents.put.bind(intents);
  intents.put = (intent) => {
    steps.push("intent");
    return put(intent);
  };
  await client.call("MSET", HERE, "1", THERE, "1");
  assert.deepEqual(steps, [MESSAGE_PREPARE, MESSAGE_SYNC, "intent", MESSAGE_COMMIT]);

  isDead = true;
  const refused = await client.call("MSET", HERE, "2", THERE, "2");
  assert.match(JSON.stringify(refused), /TRYAGAIN a worker thread of this transaction restarts/);
  assert.equal(await client.call("GET", HERE), "1");
  isDead = false;
  assert.equal(await client.call("MSET", HERE, "3", THERE, "3"), "OK");
});

test("a transaction that finds no room for its intent, if only at last, is refused and unlocks", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(0);
  const [worker] = node.workers;
  assert.ok(worker);
  const { cross, gates } = worker;
  const secure = cross.secure.bind(cross);
  let pendingBytes = 0;
  Object.defineProperty(gates, "pendingBytes", { get: () => pendingBytes });
  cross.secure = (claim) => {
    pendingBytes = 2 ** 30;
    return secure(claim);
  };
  const set = () => client.call("MSET", HERE, "1", THERE, "1");
  for (const _when of ["logging", "beginning"]) {
    assert.match(JSON.stringify(await set()), /BUSY too many transactions/);
    assert.deepEqual(
      node.workers.map(({ locks }) => locks.size),
      [0, 0],
    );
  }
  cross.secure = secure;
  pendingBytes = 0;
  assert.equal(await set(), "OK");
});

test("what is no look at the keys cuts no transaction, and what is cuts it into some parts only", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(0);
  const transaction = (step: string, times: number) => [
    ["MULTI"],
    ["SET", HERE, "v"],
    ...Array.from({ length: times }, () => [["INCR", THERE], [step]]).flat(),
    ["EXEC"],
  ];
  const done = (await client.pipeline(...transaction("PING", 33))).at(-1) as unknown[];
  assert.deepEqual(done.slice(-2), [33, "PONG"]);
  const vnode = node.workers[1]?.findVnode(0, partitionOf(THERE));
  assert.equal(vnode?.partition.opIds.calls.size, 1);

  const refused = (await client.pipeline(...transaction("DBSIZE", 33))).at(-1);
  assert.match(JSON.stringify(refused), /commands about all keys .* more than 32 parts/);
  assert.equal(await client.call("GET", THERE), "33");
  const fits = (await client.pipeline(...transaction("DBSIZE", 32))).at(-1) as unknown[];
  assert.deepEqual(fits.slice(-2), [65, 2]);
});

test("a transaction that waits for a partition runs in its order then", async () => {
  await using node = await WorkerNode.start({ workers: 1 });
  using client = await node.connect();
  const [worker] = node.workers;
  assert.ok(worker);
  const locked = [vnodeId(0, partitionOf("a"))];
  worker.locks.lock(locked, { holder: "another", coordinator: 0 }, worker.nowMs, () => {});
  const [session] = await client.call("PING").then(() => [...worker.clients.values()]);
  const replies = client.pipeline(
    ["MULTI"],
    ["SET", "a", "1"],
    ["FLUSHALL"],
    ["SET", "a", "2"],
    ["DBSIZE"],
    ["EXEC"],
    ["GET", "a"],
  );
  await until(() => session?.connection?.isBlocked || undefined);
  worker.beginTurn();
  worker.locks.release("another");
  assert.deepEqual((await replies).slice(-2), [["OK", "OK", "OK", 1], "2"]);
});

test("replies keep the protocol that their command was sent in", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(0);
  await client.call("PING");
  const connection = [...(node.workers[0]?.clients.values() ?? [])][0]?.connection;
  assert.ok(connection);
  const fill = connection.fill.bind(connection);
  const filled: string[] = [];
  connection.fill = (place, bytes, gate) => {
    filled.push(bytes.toString("latin1", 0, 1));
    fill(place, bytes, gate);
  };
  await client.pipeline(["CLIENT", "LIST"], ["HELLO", "3"]);
  await client.call("CLIENT", "LIST");
  assert.deepEqual(filled, ["$", "="]);
});

test("all replies of a transaction on another worker have a bound together", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(0);
  await client.call("SET", THERE, "x".repeat(100));
  const [, owner] = node.workers;
  assert.ok(owner);
  const get = { keyspace: 0, args: [Buffer.from("GET"), Buffer.from(THERE)] };
  const vnodes = [vnodeId(0, partitionOf(THERE))];
  const message = { protocol: 2 as const, vnodes, steps: [get, get, get], watched: [] };
  const answer = await new Promise<ExecAnswer>((resolve) => {
    owner.beginTurn();
    const participant = new Participant(owner, 250);
    participant.serve(MESSAGE_EXEC, message, (found) => resolve(found as ExecAnswer));
  });
  assert.ok(answer.kind === "done");
  const starts = answer.replies.map((reply) => reply.toString().slice(0, 4));
  assert.deepEqual(starts, ["$100", "$100", "-ERR"]);
});

test("a command that a timed-out transaction was in the way of runs at the time that it is then", async () => {
  await using node = await WorkerNode.start({ workers: 1 });
  using client = await node.connect();
  const [worker] = node.workers;
  assert.ok(worker);
  const { locks } = worker;
  const [a, b] = ["a", "b"].map((key) => vnodeId(0, partitionOf(key))) as [number, number];
  locks.lock([a], { holder: "first", coordinator: 0 }, worker.nowMs, () => {});
  locks.lock([b], { holder: "holds", coordinator: 0 }, worker.nowMs, () => {});
  locks.lock([a, b], { holder: "times out", coordinator: 0 }, worker.nowMs, () => {});
  node.clock.advance(2000);
  const set = client.call("SET", "a", "v", "PX", "3000");
  await until(() => locks.waiting === 2 || undefined);
  locks.release("first");
  assert.equal(locks.waiting, 2);
  node.clock.advance(4000);
  assert.equal(await set, "OK");
  assert.equal(await client.call("EXISTS", "a"), 1);
});

test("an error inside EXEC counts like one outside, wherever the command ran", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(0);
  const free = keyOn(1, 2, "free", 0, NODE_PARTITIONS);
  await client.call("MSET", HERE, "v", THERE, "v");
  const pushHere = ["LPUSH", HERE, "x"];
  const pushThere = ["LPUSH", THERE, "x"];
  const ways: [steps: string[][], wrongTypes: number, others: number][] = [
    [[pushHere, ["GET", HERE], ["INCR", HERE]], 1, 1],
    [[pushThere], 1, 0],
    [[pushHere, pushThere], 2, 0],
    // Runs on copies of its keys.
    [[["COPY", HERE, free], pushThere], 1, 0],
    // Peeks at its keys first.
    [[["SINTER", HERE, THERE]], 1, 0],
    [
      [
        ["GET", HERE],
        ["SELECT", "99"],
      ],
      0,
      1,
    ],
    [
      [
        ["GET", HERE],
        ["KEYS", `${"*a".repeat(200)}b`],
        ["CONFIG", "SET", "none", "1"],
      ],
      0,
      1,
    ],
  ];
  for (const [steps, wrongTypes, others] of ways) {
    await client.call("CONFIG", "RESETSTAT");
    await client.pipeline(["MULTI"], ...steps, ["EXEC"]);
    const info = String(await client.call("INFO", "everything"));
    const count = (pattern: RegExp) =>
      [...info.matchAll(pattern)].reduce((sum, [, text]) => sum + Number(text), 0);
    assert.deepEqual(
      [
        count(/errorstat_WRONGTYPE:count=([0-9]+)/g),
        count(/errorstat_ERR:count=([0-9]+)/g),
        count(/total_error_replies:([0-9]+)/g),
        count(/failed_calls=([0-9]+)/g),
      ],
      [wrongTypes, others, wrongTypes + others, wrongTypes + others],
      steps.join(),
    );
  }
});

test("a command of all workers that one of them was not asked is unknown, a look is refused", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect(0);
  await client.call("SET", HERE, "v");
  const exchange = node.workers[0]?.exchange ?? assert.fail();
  const ask = exchange.ask.bind(exchange);
  exchange.ask = (...all) => all[5](NOT_THERE);
  const notByAll =
    "UNKNOWN a worker did not answer, or restarts: the others have executed the command; send it again";
  assert.deepEqual(await client.call("FLUSHALL"), { error: notByAll });
  assert.equal(await client.call("EXISTS", HERE), 0);
  assert.deepEqual(await client.call("DBSIZE"), { error: NOT_THERE });
  exchange.ask = ask;
  assert.equal(await client.call("FLUSHALL"), "OK");
});
