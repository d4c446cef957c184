/** Looking ahead in a pipeline: it finds the keys, and no command does anything else for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { KeyCommand } from "../../../actors/command.ts";
import { CommandTable } from "../../../actors/command-table.ts";
import { KEY_AHEAD_BYTES_MAX, LookAhead } from "../../../actors/gateway/look-ahead.ts";
import type { Vnode } from "../../../actors/vnode/vnode.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import { PARSED, RespReader } from "../../../runtime/codec/resp-reader.ts";
import { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { KEYS_AHEAD_MAX, KeysAhead } from "../../../runtime/table/keys-ahead.ts";
import type { MemoryTable } from "../../../runtime/table/memory-table.ts";
import { encodeCommand } from "../../support/resp.ts";
import { TestPartitions } from "../../support/test-partitions.ts";

function lookAheadOf({ pool, executor, vnodes }: TestPartitions): LookAhead {
  const findVnode = (keyspace: number, partition: number) => {
    return vnodes.get(vnodeId(keyspace, partition));
  };
  return new LookAhead({ pool, executor, findVnode });
}

function vnodeOfKey(
  { executor, vnodes }: TestPartitions,
  bytes: Buffer,
  start: number,
  end: number,
): Vnode {
  return vnodes.get(vnodeId(0, executor.partitionOf(0, bytes, start, end))) as Vnode;
}

/** Runs every command of a pipeline, looking ahead before some. Returns what was replied. */
function runPipeline(partitions: TestPartitions, bytes: Buffer, looks: () => boolean): unknown[] {
  const ahead = lookAheadOf(partitions);
  const reader = new RespReader();
  const replies: unknown[] = [];
  for (let at = 0; at < bytes.length; at = reader.next) {
    if (looks()) assert.ok(ahead.look(bytes, at, bytes.length, 0) > at);
    assert.equal(reader.parse(bytes, at, bytes.length), PARSED);
    replies.push(partitions.runParsed(reader));
  }
  return replies;
}

/** Few keys, so that commands meet; values of many lengths, so that records move. */
function someCommand(random: Random): string[] {
  const key = `k${below(random, 12)}`;
  const value = "v".repeat(below(random, 90));
  const commands = [
    ["SET", key, value],
    ["SET", key, value],
    ["GET", key],
    ["GET", key],
    ["APPEND", key, value],
    ["DEL", key],
    ["GETDEL", key],
    ["RENAME", key, `k${below(random, 12)}`],
    ["PEXPIRE", key, String(below(random, 3) - 1)],
    ["HSET", key, "f", value],
    ["TYPE", key],
    ["MSET", key, value, `k${below(random, 12)}`, value],
    ["ECHO", key],
  ];
  return commands[below(random, commands.length)] as string[];
}

test("a pipeline does and replies the same, wherever it is looked ahead", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seeded(seed);
      const commands = Array.from({ length: 120 }, () => someCommand(random));
      const bytes = Buffer.concat(commands.map(encodeCommand));
      const [plain, looked] = [new TestPartitions(), new TestPartitions()];

      const expected = runPipeline(plain, bytes, () => false);
      const replies = runPipeline(looked, bytes, () => below(random, 3) === 0);

      assert.deepEqual(replies, expected);
      assert.deepEqual(looked.ops, plain.ops);
    }),
  );
});

test("the keys of the next commands are found, and recalled in their order", () => {
  const partitions = new TestPartitions();
  const names = Array.from({ length: KEYS_AHEAD_MAX + 3 }, (_, i) => `key:${i}`);
  for (const name of names) partitions.run("SET", name, name);
  const bytes = Buffer.concat(names.map((name) => encodeCommand(["GET", name])));
  const ahead = lookAheadOf(partitions);
  const keys = KeysAhead.of(partitions.pool);

  for (let time = 0; time < 2; time++) {
    const stop = ahead.look(bytes, 0, bytes.length, 0);

    const reader = new RespReader();
    for (let i = 0, at = 0; i < names.length; i++, at = reader.next) {
      assert.equal(at < stop, i < KEYS_AHEAD_MAX);
      assert.equal(reader.parse(bytes, at, bytes.length), PARSED);
      const [start, end] = [reader.request.starts[1] as number, reader.request.ends[1] as number];
      const { table } = vnodeOfKey(partitions, bytes, start, end).partition;
      const ref = keys.recall(table.keys, bytes, start, end);
      assert.equal(ref !== 0, i < KEYS_AHEAD_MAX, names[i]);
      if (ref === 0) continue;
      assert.equal(keys.hash, table.hashOf(bytes, start, end));
      assert.equal(table.find(bytes, start, end), ref);
    }
  }
});

test("what was found is not recalled for other bytes, elsewhere, or after a change", () => {
  const partitions = new TestPartitions();
  partitions.run("SET", "{t}a", "1");
  partitions.run("SET", "{t}b", "2");
  const bytes = encodeCommand(["GET", "{t}a"]);
  const start = bytes.indexOf("{t}a");
  const end = start + 4;
  const { table } = vnodeOfKey(partitions, bytes, start, end).partition;
  const keys = KeysAhead.of(partitions.pool);
  const ahead = lookAheadOf(partitions);
  const recall = (source = bytes) => keys.recall(table.keys, source, start, end);

  ahead.look(bytes, 0, bytes.length, 0);
  assert.notEqual(recall(), 0);
  assert.equal(recall(Buffer.from(bytes.toString().replace("{t}a", "{t}b"))), 0);
  partitions.run("SET", "{t}b", "longer, so that its record moves");
  assert.equal(recall(), 0);

  ahead.look(bytes, 0, bytes.length, 0);
  assert.notEqual(recall(), 0);
  partitions.run("DEL", "{t}b");
  assert.equal(recall(), 0);

  ahead.look(bytes, 0, bytes.length, 0);
  partitions.run("SET", "{t}c", "new");
  assert.equal(recall(), 0);

  ahead.look(bytes, 0, bytes.length, 0);
  assert.notEqual(recall(), 0);
  ahead.forget();
  assert.equal(recall(), 0);

  ahead.look(bytes, 0, bytes.length, 0);
  table.reset();
  assert.equal(recall(), 0);
});

test("what was found in one keyspace is not recalled in another", () => {
  const partitions = new TestPartitions();
  partitions.run("SET", "key", "in the first");
  const reader = new RespReader();
  const bytes = encodeCommand(["SET", "key", "in the second"]);
  reader.parse(bytes, 0, bytes.length);
  const { command } = new CommandTable().find(reader.request) as { command: KeyCommand };
  const [start, end] = [reader.request.starts[1] as number, reader.request.ends[1] as number];
  const { executor } = partitions;
  const partition = executor.partitionOf(1, bytes, start, end);
  executor.runOnKey(command, 1, partition, reader.request, new RespWriter({ bytesMax: 1024 }));
  const [first, second] = [0, 1].map((keyspace) => {
    return partitions.vnodeOf(vnodeId(keyspace, partition)).table;
  }) as [MemoryTable, MemoryTable];
  assert.equal(first.keys.changes, second.keys.changes);

  lookAheadOf(partitions).look(bytes, 0, bytes.length, 0);

  const found = second.find(bytes, start, end);
  assert.equal(second.records.valueLength(found), "in the second".length);
});

test("what is no command, not all here, or not served is looked past", () => {
  const partitions = new TestPartitions();
  const ahead = lookAheadOf(partitions);
  const bytes = encodeCommand(["GET", "served by nobody"]);
  assert.equal(ahead.look(bytes, 0, bytes.length, 0), bytes.length);
  assert.equal(ahead.look(bytes, 0, bytes.length - 1, 0), 1);
  assert.equal(ahead.look(Buffer.from("PING\r\n"), 0, 6, 0), 1);
});

test("an argument that is long for a key is not looked up, and the next one is", () => {
  const partitions = new TestPartitions();
  const long = "k".repeat(KEY_AHEAD_BYTES_MAX + 1);
  for (const name of [long, "short"]) partitions.run("SET", name, "v");
  const commands = [long, "short"].map((name) => encodeCommand(["GET", name]));
  const bytes = Buffer.concat(commands);
  const ahead = lookAheadOf(partitions);
  const keys = KeysAhead.of(partitions.pool);

  assert.equal(ahead.look(bytes, 0, bytes.length, 0), bytes.length);

  for (const name of [long, "short"]) {
    const start = bytes.indexOf(name);
    const { table } = vnodeOfKey(partitions, bytes, start, start + name.length).partition;
    const isFound = keys.recall(table.keys, bytes, start, start + name.length) !== 0;
    assert.equal(isFound, name === "short");
  }
});
