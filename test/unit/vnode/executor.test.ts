/** The executor: what a command, or a transaction, that throws takes with it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyCommand } from "../../../actors/command.ts";
import { CommandTable } from "../../../actors/command-table.ts";
import { requestOf } from "../../../actors/gateway/steps.ts";
import { Executor } from "../../../actors/vnode/executor.ts";
import type { Vnode } from "../../../actors/vnode/vnode.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { slotOf } from "../../../runtime/ring/slots.ts";
import { TestPartitions } from "../../support/test-partitions.ts";

/** Keys in partitions of their own, and the ids of those. */
const [A, B, C] = ["a", "b", "c"] as const;

function idOf(key: string): number {
  return slotOf(Buffer.from(key), 0, key.length) >>> 10;
}

function abandoned({ executor }: TestPartitions): number[] {
  return executor.abandon().map(({ id }) => id);
}

test("a transaction that throws takes nothing with it that it did not touch", () => {
  const partitions = new TestPartitions();
  partitions.run("SET", A, "1");
  const { executor } = partitions;
  executor.beginTransaction();
  partitions.run("SET", B, "2");
  partitions.run("SET", C, "3");

  assert.deepEqual(abandoned(partitions), [idOf(B), idOf(C)]);
});

test("a command that throws takes nothing with it that the one before touched", () => {
  const partitions = new TestPartitions();
  partitions.run("MSET", A, "1", B, "2");
  partitions.run("SET", C, "3");
  assert.deepEqual(abandoned(partitions), [idOf(C)]);

  const { executor } = partitions;
  executor.beginTransaction();
  partitions.run("SET", A, "1");
  executor.endTransaction();
  partitions.run("SET", C, "3");
  assert.deepEqual(abandoned(partitions), [idOf(C)]);

  partitions.run("MSET", A, "1", B, "2");
  assert.deepEqual(abandoned(partitions), []);
});

test("a command that finds no vnode takes nothing with it", () => {
  const partitions = new TestPartitions();
  let isThere = true;
  const vnode = (keyspace: number, partition: number) => {
    if (!isThere) throw new Error("no memory for a vnode");
    return partitions.vnodeOf(vnodeId(keyspace, partition));
  };
  const executor = new Executor({ vnode }, [16]);
  const run = (key: string) => {
    const request = requestOf(["GET", key].map((arg) => Buffer.from(arg)));
    const { command } = new CommandTable().findName("get") ?? assert.fail();
    executor.runOnKey(
      command as KeyCommand,
      0,
      idOf(key),
      request,
      new RespWriter({ bytesMax: 99 }),
    );
  };
  run(A);
  isThere = false;
  assert.throws(() => run(B), /no memory/);
  assert.deepEqual(executor.abandon(), []);
});

test("a transaction that has flushed vnodes takes back every one of them", () => {
  const partitions = new TestPartitions();
  for (const key of [A, B]) partitions.run("SET", key, "1");
  const { executor } = partitions;
  executor.beginTransaction();
  for (const key of [A, B]) executor.flush(partitions.vnodeOf(idOf(key)));
  assert.deepEqual(abandoned(partitions), [idOf(A), idOf(B)]);
});

test("a partition that is alone keeps the past of no origin but its own", () => {
  let db = new TestPartitions(1, true);
  for (let start = 2; start < 12; start++) {
    db.run("SET", "key", String(start));
    db = db.restarted(start);
    db.run("SET", "key", String(start));
  }
  const [{ partition }] = [...db.vnodes.values()] as [Vnode];
  const { past, origins } = partition;
  const lengths = Array.from({ length: origins.count }, (_, slot) => past.of(slot).length);
  assert.equal(origins.count, 11);
  assert.deepEqual(lengths, [...new Array(10).fill(0), 11]);
});
