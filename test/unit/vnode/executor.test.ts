/** The executor: what a command, or a transaction, that throws takes with it. */
import assert from "node:assert/strict";
import { test } from "node:test";
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
