/** KEYS slice by slice: whole, in its place, others served meanwhile, no work for who is gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KEYS_SLICE_KEYS } from "../../../actors/gateway/commands/keyspace.ts";
import { until } from "../../support/until.ts";
import { WorkerNode } from "../../support/worker-node.ts";

/** Slices of KEYS that a node's workers have done. */
function slicesOf(node: WorkerNode): number {
  const runs = node.workers.map(({ table }) => table.findName("keys")?.stats.latency?.count ?? 0);
  return runs.reduce((sum, count) => sum + count, 0);
}

function sorted(reply: unknown): string[] {
  assert.ok(Array.isArray(reply), JSON.stringify(reply));
  return (reply as string[]).toSorted();
}

for (const workers of [1, 3]) {
  test(`KEYS answers every key while others are served between its slices (${workers} workers)`, async () => {
    await using node = await WorkerNode.start({ workers });
    using client = await node.connect();
    using other = await node.connect();
    const count = 12 * KEYS_SLICE_KEYS;
    const names = node.fill(count);
    const asked = client.call("KEYS", "*");
    let isAnswered = false;
    void asked.then(() => {
      isAnswered = true;
    });
    let served = 0;
    while (!isAnswered) {
      assert.equal(await other.call("PING"), "PONG");
      served++;
    }
    assert.deepEqual(sorted(await asked), names);
    const slices = slicesOf(node);
    assert.ok(slices >= count / KEYS_SLICE_KEYS, `${slices} slices`);
    assert.ok(served >= 5, `${served} commands were served during ${slices} slices`);
    assert.deepEqual(
      sorted(await client.call("KEYS", "key:1234?")),
      names.filter((name) => /^key:1234\d$/.test(name)),
    );
  });

  test(`what a client sends after KEYS is done after it (${workers} workers)`, async () => {
    await using node = await WorkerNode.start({ workers });
    using client = await node.connect();
    const names = node.fill(5 * KEYS_SLICE_KEYS);
    const replies = await client.pipeline(
      ["KEYS", "*"],
      ["FLUSHALL"],
      ["SET", "a", "1"],
      ["KEYS", "*"],
    );
    assert.deepEqual(sorted(replies[0]), names);
    assert.deepEqual(replies.slice(1), ["OK", "OK", ["a"]]);
  });
}

test("a key that stays is answered once, whatever comes and goes between the slices", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect();
  using other = await node.connect(1);
  const names = node.fill(8 * KEYS_SLICE_KEYS);
  const asked = client.call("KEYS", "key:*");
  let isAnswered = false;
  void asked.then(() => {
    isAnswered = true;
  });
  for (let i = 0; !isAnswered; i++) {
    const pairs = Array.from({ length: 500 }, (_, k) => [`new:${i}:${k}`, "v"]).flat();
    await other.pipeline(["MSET", ...pairs], ["DEL", ...pairs.filter((_, k) => k % 3 === 0)]);
  }
  assert.deepEqual(sorted(await asked), names);
});

test("KEYS in a transaction is of that moment, on one worker and on several", async () => {
  for (const workers of [1, 2]) {
    await using node = await WorkerNode.start({ workers });
    using client = await node.connect();
    const names = node.fill(2 * KEYS_SLICE_KEYS);
    const replies = await client.pipeline(
      ["MULTI"],
      ["SET", "key:0", "w"],
      ["KEYS", "*"],
      ["EXEC"],
    );
    const [set, keys] = replies[3] as [string, string[]];
    assert.equal(set, "OK");
    assert.deepEqual(sorted(keys), names);
  }
});

test("nobody works on for a client that is gone", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using other = await node.connect();
  const count = 30 * KEYS_SLICE_KEYS;
  node.fill(count);
  const client = await node.connect();
  const [worker] = node.workers;
  client.send(["KEYS", "*"]);
  await until(() => slicesOf(node) >= 3 || undefined);
  client.reset();
  await until(() => worker?.clients.size === 1 || undefined);
  await other.call("PING");
  const slices = slicesOf(node);
  assert.ok(slices < count / KEYS_SLICE_KEYS, `${slices} slices`);
  for (let i = 0; i < 20; i++) await other.call("PING");
  assert.ok(slicesOf(node) <= slices + 2, "at most what was under way");
});

test("a pattern's steps are bounded over all slices", async () => {
  await using node = await WorkerNode.start();
  using client = await node.connect();
  const name = "a".repeat(2_000);
  for (let i = 0; i < 1_500; i++) client.send(["SET", `${name}:${i}`, "v"]);
  await client.take(1_500);
  const costly = await client.call("KEYS", `*${"a".repeat(20)}b`);
  assert.deepEqual(costly, {
    error: "ERR the pattern takes too many steps to match here; simplify it",
  });
  assert.ok(slicesOf(node) > 2, `${slicesOf(node)} slices`);
  assert.deepEqual(await client.call("KEYS", "b*"), []);
});

test("a pattern that is longer than any key is refused: it would be compiled in every slice", async () => {
  await using node = await WorkerNode.start();
  using client = await node.connect();
  const error = "ERR a pattern is longer than 65535 bytes, and no key is: shorten it";
  const long = "a".repeat(65_536);
  assert.deepEqual(await client.call("KEYS", long), { error });
  assert.deepEqual(await client.call("SCAN", "0", "MATCH", long), { error });
  assert.deepEqual(await client.call("KEYS", long.slice(1)), []);
  assert.deepEqual(await client.call("SCAN", "0", "COUNT", "9", "MATCH", long.slice(1)), ["0", []]);
});

test("only the first slice is refused where too much is under way", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  using client = await node.connect();
  node.fill(6 * KEYS_SLICE_KEYS);
  const exchange = node.workers[0]?.exchange ?? assert.fail();
  const ask = exchange.ask.bind(exchange);
  const begun: boolean[] = [];
  exchange.ask = (what, ...rest) => {
    begun.push(what.isBegun);
    ask(what, ...rest);
  };
  await client.call("KEYS", "*");
  assert.ok(begun.length > 2, `${begun.length} slices`);
  assert.deepEqual(begun, [false, ...begun.slice(1).map(() => true)]);
});

test("a worker does one slice a turn, however many clients ask, here and there", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  const names = node.fill(6 * KEYS_SLICE_KEYS);
  const clients = await Promise.all([0, 0, 0, 1, 1, 1].map((worker) => node.connect(worker)));
  const before = node.workers.map(({ stats }) => stats.turns);
  const replies = await Promise.all(clients.map((client) => client.call("KEYS", "*")));
  for (const reply of replies) assert.deepEqual(sorted(reply), names);
  node.workers.forEach(({ stats, table }, i) => {
    const slices = table.findName("keys")?.stats.latency?.count ?? 0;
    const turns = stats.turns - (before[i] as number);
    assert.ok(slices >= 3 * clients.length, `${slices} slices`);
    // The first slice of a client of the worker's own is in the turn that it asks in.
    assert.ok(slices <= turns + clients.length, `${slices} slices in ${turns} turns`);
  });
  for (const client of clients) client.destroy();
});

test("a look at all keys of another worker shows nothing that is not durable there", async () => {
  await using node = await WorkerNode.start({ workers: 2 });
  const names = node.fill(100);
  using client = await node.connect();
  using other = await node.connect();
  const [, there] = node.workers;
  assert.ok(there);
  const { gates } = there;
  const gate = 99;
  let isDurable = false;
  gates.gateOfAll = () => gate;
  gates.isOpen = (asked) => asked !== gate || isDurable;
  const cursor = String(8 * 2 ** 32);
  for (const command of [["KEYS", "*"], ["SCAN", cursor, "COUNT", "1000"], ["DBSIZE"]]) {
    isDurable = false;
    let isAnswered = false;
    const asked = client.call(...command).then((reply) => {
      isAnswered = true;
      return reply;
    });
    for (let i = 0; i < 20; i++) await other.call("PING");
    assert.equal(isAnswered, false, command[0]);
    isDurable = true;
    there.onDurable();
    const reply = await asked;
    if (command[0] === "KEYS") assert.deepEqual(sorted(reply), names);
  }
});
