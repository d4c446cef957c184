/**
 * Keyspaces that have several replicas: which conditional commands are refused, and how; and whose
 * partitions are alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import { guardConditionals, isConditional } from "../../../actors/gateway/conditional.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import type { WorkerRuntime } from "../../../actors/worker/worker-runtime.ts";
import { FakeNode } from "../../support/fake-worker.ts";
import type { TestClient } from "../../support/test-client.ts";
import { WorkerNode } from "../../support/worker-node.ts";

const THREE_NODES = [1, 2, 3].map((i) => ({
  name: `n${i}`,
  port: 0,
  host: `10.0.0.${i}`,
  bind: "127.0.0.1",
}));

/** The first worker of one of three nodes; keyspaces with three replicas but for the last. */
function threeReplicas(): Promise<WorkerNode> {
  const config = {
    nodes: THREE_NODES,
    keyspaces: {
      count: 3,
      default: { partitions: 16, replicas: 3 },
      overrides: { 1: { conditional: "refuse" }, 2: { replicas: 1 } },
    },
  };
  return WorkerNode.start({ config, node: "n1" });
}

const EXACT = ["SET k v IFEQ old", "SET k v EX 10 ifne old", "DELEX k IFEQ old", "DELEX k"];

const BEST_EFFORT = [
  "SET k v NX",
  "SET k v PX 1000 xx",
  "SETNX k v",
  "MSETNX k v",
  "HSETNX h f v",
  "GETDEL k",
  "RENAMENX k k",
  "COPY k k2",
  "EXPIRE k 10 GT",
  "PEXPIREAT k 10 nx",
  "LPUSHX l v",
  "LPOP l",
  "LMPOP 1 l LEFT",
  "LMOVE l l LEFT RIGHT",
  "SPOP s",
  "SMOVE s s m",
  "ZADD z NX CH 1 m",
  "ZADD z CH GT 1 m",
  "ZPOPMIN z",
  "WATCH k",
];

/** What only looks conditional. */
const PLAIN = [
  "SET NX IFEQ",
  "SET k NX EX 10 KEEPTTL",
  "SET k v GET",
  "EXPIRE k 10",
  "COPY k k2 REPLACE",
  "ZADD z CH 1 NX",
  "ZADD z 1 GT 2 LT",
  "LPUSH l v",
  "DEL k",
];

/** Whether a command was refused for what it promises. */
async function refusal(client: TestClient, command: string): Promise<string | null> {
  const reply = await client.call(...command.split(" "));
  const error = (reply as { error?: string } | null)?.error ?? "";
  return /mode "strong"/.test(error) ? error : null;
}

test("what promises an exact answer is refused where there are several replicas", async () => {
  await using node = await threeReplicas();
  using client = await node.connect();
  for (const index of ["0", "1"]) {
    await client.call("SELECT", index);
    for (const command of EXACT) {
      assert.match((await refusal(client, command)) ?? "", /^ERR keyspace \d is eventual/, command);
    }
  }
  const stats = node.workers[0]?.table.findName("delex")?.stats;
  assert.deepEqual([stats?.calls, stats?.rejected], [0, 4]);
});

test("best effort is done or refused as the keyspace says, and what only looks so is done", async () => {
  await using node = await threeReplicas();
  using client = await node.connect();
  for (const command of [...BEST_EFFORT, ...PLAIN]) {
    assert.equal(await refusal(client, command), null, command);
  }
  await client.call("SELECT", "1");
  for (const command of BEST_EFFORT) {
    const error = (await refusal(client, command)) ?? "";
    assert.match(error, /^ERR conditional commands are refused in keyspace 1/, command);
  }
  for (const command of PLAIN) assert.equal(await refusal(client, command), null, command);
});

test("a keyspace with one replica refuses none of it, beside others that do", async () => {
  await using node = await threeReplicas();
  using client = await node.connect();
  await client.call("SELECT", "2");
  for (const command of [...EXACT, ...BEST_EFFORT]) {
    assert.equal(await refusal(client, command), null, command);
  }
});

test("a refused command breaks the transaction that it was to be part of", async () => {
  await using node = await threeReplicas();
  using client = await node.connect();
  const replies = await client.pipeline(["MULTI"], ["SET", "a", "1"], ["DELEX", "k"], ["EXEC"]);
  assert.match(JSON.stringify(replies[3]), /EXECABORT/);
  assert.equal(await client.call("EXISTS", "a"), 0);
  const long = "k".repeat(65_536);
  const tooLong = await client.pipeline(["MULTI"], ["SET", "a", "1"], ["SET", long, "1"], ["EXEC"]);
  assert.match(JSON.stringify(tooLong[3]), /EXECABORT/);
});

test("a node whose keyspaces have one replica guards nothing", () => {
  const table = new CommandTable();
  guardConditionals(table, new FakeNode().config.keyspaces);
  assert.ok(table.entries.every(({ guard }) => guard === null));
});

test("no command with a condition is forgotten", () => {
  for (const { facts, fullName } of new CommandTable().entries) {
    const isOne =
      /(NX|PUSHX|POP|POPMIN|POPMAX|MOVE|POPLPUSH)$/.test(facts.name) ||
      (facts.flags.includes("write") && /\b(NX|XX|GT|LT|IFEQ)\b/.test(facts.syntax ?? ""));
    if (isOne) assert.ok(isConditional(fullName), fullName);
  }
});

test("only a partition of a keyspace with one replica is alone", async () => {
  await using node = await threeReplicas();
  const [worker] = node.workers as [WorkerRuntime];
  const vnodes = [0, 1, 2].map((keyspace) => worker.createVnode(vnodeId(keyspace, 0)));
  assert.deepEqual(
    vnodes.map(({ partition }) => partition.isAlone),
    [false, false, true],
  );
});
