/**
 * The model's rules one by one, in the smallest story that shows each.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../runtime/base/prng.ts";
import type { CanonicalValue, Made, ModelReply, NeutralMark } from "../../model/harness.ts";
import { canonicalText, HLC_EPOCH_MS } from "../../model/harness.ts";
import { ModelSubject, makeModel } from "../../model/subject.ts";

const START = HLC_EPOCH_MS + 1_000_000;
const SECOND = 1000;

interface Story {
  readonly left: ModelSubject;
  readonly right: ModelSubject;
  /** Wall time in seconds since START; the story's to set. */
  seconds: number;
}

function story(): Story {
  const random = seeded(7);
  const make = makeModel();
  const [left, right] = ["left", "right"].map((name) =>
    make({ name, random, siblingsMax: 3, graceMs: 8 * SECOND }),
  );
  assert.ok(left instanceof ModelSubject && right instanceof ModelSubject);
  return { left, right, seconds: 0 };
}

function nowOf({ seconds }: Story): number {
  return START + seconds * SECOND;
}

/** Runs one command line; returns its reply. */
function run(tale: Story, subject: ModelSubject, line: string, opId?: string): ModelReply {
  return make(tale, subject, line, opId).reply;
}

function make(tale: Story, subject: ModelSubject, line: string, opId?: string): Made {
  const argv = line.split(" ").map((word) => (word.startsWith("+") ? at(word) : word));
  return subject.run(opId === undefined ? { argv } : { argv, opId }, nowOf(tale));
}

/** "+20" is the time 20 seconds after the start. */
function at(word: string): string {
  return String(START + Number(word) * SECOND);
}

function read(tale: Story, subject: ModelSubject, key: string): CanonicalValue {
  return subject.read(key, nowOf(tale));
}

function fields(tale: Story, subject: ModelSubject, key: string): readonly string[] {
  return read(tale, subject, key).elements.map(([element]) => element);
}

function values(tale: Story, subject: ModelSubject, key: string): readonly string[] {
  return read(tale, subject, key).elements.map(([, value]) => value);
}

function heal({ left, right }: Story): void {
  left.join(right);
  right.join(left);
  assert.equal(canonicalText(left.state()), canonicalText(right.state()));
}

test("a concurrent write survives a remove", () => {
  const tale = story();
  run(tale, tale.left, "SET cart milk");
  heal(tale);
  run(tale, tale.left, "DEL cart");
  run(tale, tale.right, "SET cart eggs");
  heal(tale);
  assert.equal(read(tale, tale.left, "cart").value, "eggs");
});

test("a member that is added again survives a concurrent remove", () => {
  const tale = story();
  run(tale, tale.left, "SADD s m");
  heal(tale);
  assert.equal(run(tale, tale.left, "SADD s m"), 0);
  assert.equal(run(tale, tale.right, "SREM s m"), 1);
  heal(tale);
  assert.deepEqual(fields(tale, tale.left, "s"), ["m"]);
});

test("counters made on both sides sum", () => {
  const tale = story();
  run(tale, tale.left, "INCRBY n 5");
  run(tale, tale.right, "INCRBY n 7");
  run(tale, tale.left, "HINCRBY h f 5");
  run(tale, tale.right, "HINCRBY h f 7");
  heal(tale);
  assert.equal(run(tale, tale.left, "INCRBY n 1"), 13);
  assert.equal(run(tale, tale.right, "HINCRBY h f 1"), 13);
  heal(tale);
  assert.equal(read(tale, tale.left, "n").value, "13");
  assert.deepEqual(values(tale, tale.left, "h"), ["13"]);
});

test("strings written on both sides do not sum, but keep what was added to the newer", () => {
  const tale = story();
  run(tale, tale.left, "SET n 100");
  tale.seconds = 1;
  run(tale, tale.right, "SET n 10");
  heal(tale);
  run(tale, tale.left, "INCRBY n 1");
  run(tale, tale.right, "INCRBY n 2");
  heal(tale);
  assert.equal(read(tale, tale.left, "n").value, "13");
});

test("integers are exact to the end of 64 bits, and refused past it", () => {
  const tale = story();
  run(tale, tale.left, "SET n 9223372036854775806");
  assert.equal(run(tale, tale.left, "INCRBY n 1"), "9223372036854775807");
  assert.deepEqual(run(tale, tale.left, "INCRBY n 1"), { error: "ERR" });
  assert.equal(read(tale, tale.left, "n").value, "9223372036854775807");
});

test("an origin's part of a sum stays within 64 bits too", () => {
  const tale = story();
  run(tale, tale.left, "INCRBY n -9223372036854775807");
  heal(tale);
  run(tale, tale.left, "INCRBY n 9223372036854775807");
  assert.deepEqual(run(tale, tale.left, "INCRBY n 9223372036854775807"), { error: "ERR" });
});

test("floats sum in the order of the origins, whatever order they arrive in", () => {
  const tale = story();
  run(tale, tale.left, "INCRBYFLOAT n 0.1");
  heal(tale);
  const ops = [
    make(tale, tale.left, "INCRBYFLOAT n 0.2"),
    make(tale, tale.right, "INCRBYFLOAT n 0.7"),
  ];
  tale.left.deliver(ops[1]?.op);
  tale.right.deliver(ops[0]?.op);
  assert.equal(read(tale, tale.left, "n").value, read(tale, tale.right, "n").value);
  heal(tale);
});

test("an expired head decides the type: its key is absent, not the one below it", () => {
  const tale = story();
  run(tale, tale.left, "HSET k f v");
  tale.seconds = 1;
  run(tale, tale.right, "SET k v PXAT +10");
  heal(tale);
  assert.equal(read(tale, tale.left, "k").type, "string");
  tale.seconds = 10;
  assert.equal(read(tale, tale.left, "k").type, null);
  assert.equal(run(tale, tale.left, "HSET k g w"), 1);
  assert.deepEqual(fields(tale, tale.left, "k"), ["g"]);
});

test("without a head the lowest type number is shown", () => {
  const tale = story();
  run(tale, tale.left, "HSET k f v");
  run(tale, tale.left, "HSET k g v");
  run(tale, tale.right, "SADD k m");
  heal(tale);
  const head = { key: "k", type: "head", element: "" } as const;
  tale.left.mutate([{ kind: "remove", cell: head }], nowOf(tale));
  assert.equal(read(tale, tale.left, "k").type, "set");
});

test("a collection made on both sides keeps the latest expiry of its heads", () => {
  const tale = story();
  run(tale, tale.left, "HSET k f v");
  run(tale, tale.left, "PEXPIREAT k +50");
  tale.seconds = 1;
  run(tale, tale.right, "HSET k g v");
  heal(tale);
  assert.equal(read(tale, tale.right, "k").until, START + 50 * SECOND);
});

test("a string's expiry is that of what is shown, not of an older sibling", () => {
  const tale = story();
  run(tale, tale.left, "SET k old PXAT +50");
  tale.seconds = 1;
  run(tale, tale.right, "SET k new");
  heal(tale);
  assert.equal(read(tale, tale.left, "k").until, null);
});

test("an element whose head was removed meanwhile dies by its own copy", () => {
  const tale = story();
  run(tale, tale.left, "HSET k f v");
  run(tale, tale.left, "PEXPIREAT k +50");
  heal(tale);
  run(tale, tale.left, "HDEL k f");
  run(tale, tale.right, "HSET k g v");
  heal(tale);
  assert.deepEqual(fields(tale, tale.left, "k"), ["g"]);
  assert.equal(read(tale, tale.left, "k").until, START + 50 * SECOND);
  tale.seconds = 50;
  assert.equal(read(tale, tale.left, "k").type, null);
  tale.seconds = 60;
  tale.left.sweep("k", nowOf(tale));
  assert.deepEqual(tale.left.state().cells, []);
});

test("a write that takes hidden heads away keeps elements whose copy has passed", () => {
  const tale = story();
  run(tale, tale.right, "SET k hidden");
  tale.seconds = 1;
  run(tale, tale.left, "HSET k f v");
  run(tale, tale.left, "PEXPIREAT k +50");
  run(tale, tale.left, "HSET k f v");
  run(tale, tale.left, "PERSIST k");
  heal(tale);
  tale.seconds = 100;
  run(tale, tale.left, "HSET k g v");
  assert.deepEqual(fields(tale, tale.left, "k"), ["f", "g"]);
  const heads = tale.left.state().cells.find(({ cell }) => cell.type === "head");
  assert.equal(heads?.versions.length, 1);
});

test("the expiry of a collection without a head makes one that carries it", () => {
  const tale = story();
  run(tale, tale.left, "HSET k f v");
  heal(tale);
  run(tale, tale.left, "HDEL k f");
  run(tale, tale.right, "HSET k g v");
  heal(tale);
  assert.equal(run(tale, tale.left, "PEXPIREAT k +50"), 1);
  assert.equal(read(tale, tale.left, "k").until, START + 50 * SECOND);
  assert.equal(run(tale, tale.left, "PERSIST k"), 1);
  assert.equal(read(tale, tale.left, "k").until, null);
});

test("a write with a context replaces what was read and leaves a newer add as a sibling", () => {
  const tale = story();
  run(tale, tale.left, "SET k 1");
  const marks: readonly NeutralMark[] = tale.left.readContext("k");
  run(tale, tale.left, "INCRBY k 1");
  tale.left.run({ argv: ["SET", "k", "9"], context: marks }, nowOf(tale));
  assert.deepEqual(read(tale, tale.left, "k").siblings, ["2", "9"]);
  const all = tale.left.readContext("k");
  tale.left.run({ argv: ["SET", "k", "10"], context: all }, nowOf(tale));
  assert.deepEqual(read(tale, tale.left, "k").siblings, ["10"]);
});

test("a write with a context that would leave too many siblings is refused", () => {
  const tale = story();
  const set = (value: string) =>
    tale.left.run({ argv: ["SET", "k", value], context: [] }, nowOf(tale)).reply;
  assert.deepEqual(["1", "2", "3"].map(set), ["OK", "OK", "OK"]);
  assert.deepEqual(set("4"), { error: "TOOMANYSIBLINGS" });
  assert.equal(run(tale, tale.left, "SET k 5"), "OK");
  assert.deepEqual(read(tale, tale.left, "k").siblings, ["5"]);
});

test("a call that was executed on both sides stays once, and is answered the same", () => {
  const tale = story();
  const ids = ["1", "2", "3"].map((sequence) => `00000000c11e0001:${sequence}`);
  for (const subject of [tale.left, tale.right]) {
    run(tale, subject, "INCRBY n 5", ids[0]);
    run(tale, subject, "RPUSH l v", ids[1]);
  }
  heal(tale);
  assert.equal(read(tale, tale.left, "n").value, "10");
  while (tale.left.undo(nowOf(tale)).op !== undefined);
  while (tale.right.undo(nowOf(tale)).op !== undefined);
  heal(tale);
  assert.equal(read(tale, tale.left, "n").value, "5");
  assert.deepEqual(values(tale, tale.left, "l"), ["v"]);
  assert.equal(run(tale, tale.right, "INCRBY n 5", ids[0]), 5);
  assert.equal(run(tale, tale.right, "INCRBY n 1", ids[2]), 6);
});

test("a list keeps the order of pushes and inserts", () => {
  const tale = story();
  run(tale, tale.left, "RPUSH l c d");
  assert.equal(run(tale, tale.left, "LPUSH l b a"), 4);
  assert.equal(run(tale, tale.left, "LINSERT l AFTER b bb"), 5);
  assert.equal(run(tale, tale.left, "LINSERT l BEFORE a 0"), 6);
  assert.equal(run(tale, tale.left, "LSET l -1 D"), "OK");
  assert.equal(run(tale, tale.left, "LREM l 0 c"), 1);
  assert.deepEqual(values(tale, tale.left, "l"), ["0", "a", "b", "bb", "D"]);
  assert.equal(run(tale, tale.left, "RPOP l"), "D");
});

test("removing the last element leaves nothing of the key", () => {
  const tale = story();
  run(tale, tale.left, "SADD s a b");
  assert.equal(run(tale, tale.left, "SREM s a b"), 2);
  assert.deepEqual(tale.left.state().cells, []);
});

test("a key that expired is swept after the grace, by an op", () => {
  const tale = story();
  run(tale, tale.left, "SET k v PXAT +10");
  tale.seconds = 17;
  assert.equal(tale.left.sweep("k", nowOf(tale)).op, undefined);
  tale.seconds = 18;
  const { op } = tale.left.sweep("k", nowOf(tale));
  assert.deepEqual(tale.left.exportOp(op).mutations, [{ kind: "clear", key: "k" }]);
});
