/**
 * States as bytes: a scan holds exactly its cut, and a loaded state is the one that was written.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { HASH, LIST, SET, ZSET } from "../../../runtime/causality/cell.ts";
import { emptyCellName } from "../../../runtime/causality/cell-name.ts";
import type { Partition } from "../../../runtime/table/partition.ts";
import { SnapshotScan } from "../../../runtime/table/snapshot-scan.ts";
import { StateLoader } from "../../../runtime/table/state-loader.ts";
import { ChunkMemory, STATE_CHUNK_BYTES_MAX } from "../../../runtime/table/state-writer.ts";
import { canonicalState } from "../../model/vnode-state.ts";
import {
  clearKey,
  loaded,
  newScan,
  removeCell,
  setElements,
  setStrings,
  stateOf,
  takeChunks,
  testPartition,
} from "../../support/partitions.ts";

const GOLDEN = new URL("../../golden/state-v1.bin", import.meta.url);
const SCORE = Buffer.from("c000000000000000", "hex");

test("a loaded state is the state that was written", () => {
  const { partition } = filled();
  const state = canonicalState(partition);
  const copy = loaded(stateOf(partition)).partition;

  assert.deepEqual(canonicalState(copy), state);
  assert.equal(copy.sequence, partition.sequence);
  assert.ok(copy.clock.last >= partition.clock.last);
});

test("chunks that were given back are filled again, and not those that are still read", () => {
  const { partition } = filled();
  const memory = new ChunkMemory();
  const scanned = () => {
    const scan = new SnapshotScan(partition, memory);
    while (scan.next(1000) === "going");
    const chunks: Buffer[] = [];
    for (let chunk = scan.take(); chunk !== undefined; chunk = scan.take()) chunks.push(chunk);
    return chunks;
  };
  const first = scanned();
  const [kept, ...others] = first;
  for (const chunk of others) memory.give(chunk);
  const bytes = Buffer.from(kept ?? "");
  const second = scanned();

  const again = new Set(second.map(({ buffer }) => buffer));
  assert.ok(others.every(({ buffer }) => again.has(buffer)));
  assert.deepEqual(kept, bytes);
  assert.deepEqual(canonicalState(loaded(second).partition), canonicalState(partition));
});

test("an empty partition has a state", () => {
  const { partition } = testPartition(1);
  const copy = loaded(stateOf(partition)).partition;

  assert.deepEqual(canonicalState(copy).cells, []);
});

test("a state holds the past of each origin, so that its log goes on from there", () => {
  const [left, right] = [testPartition(1), testPartition(2)];
  setStrings(left.partition, [["a", "1"]]);
  right.partition.deliver(left.ops[0] as Buffer);
  setStrings(right.partition, [["b", "2"]]);
  const chunks = stateOf(right.partition);
  setStrings(right.partition, [["b", "3"]]);
  const copy = loaded(chunks).partition;
  const last = right.ops.at(-1) as Buffer;
  copy.replay(last, 0, last.length);

  assert.deepEqual(canonicalState(copy), canonicalState(right.partition));
});

test("a scan holds its cut, whatever is written meanwhile", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    const { partition } = filled(40 + below(random, 60));
    if (seed % 2 === 0) partition.table.garbage.eagerItemsMax = 0;
    for (let round = 0; round < 3; round++) {
      const cut = canonicalState(partition);
      const scan = newScan(partition);
      while (scan.next(1 + below(random, 4)) === "going") {
        if (below(random, 3) > 0) change(partition, random);
        if (below(random, 3) === 0) partition.table.garbage.collect(1 + below(random, 3));
      }
      const copy = loaded(takeChunks(scan)).partition;
      assert.deepEqual(canonicalState(copy), cut, `seed ${seed}`);
    }
  }
});

test("a scan that was given up leaves the next one whole", () => {
  const { partition } = filled();
  const first = newScan(partition);
  first.next(3);
  first.abort();
  setStrings(partition, [["a", "changed"]]);
  assert.throws(() => newScan(partition), /one scan/);
  while (first.next(2) === "going");
  assert.equal(first.next(1), "aborted");
  assert.deepEqual(takeChunks(first), []);

  assert.deepEqual(canonicalState(loaded(stateOf(partition)).partition), canonicalState(partition));
});

test("a slice is bounded inside a large collection too", () => {
  const { partition } = testPartition(1);
  const members = Array.from({ length: 3000 }, (_, i) => [`member${i}`, ""] as const);
  setElements(partition, "set", SET, members);
  const scan = newScan(partition);
  let slices = 1;
  while (scan.next(100) === "going") slices++;

  assert.ok(slices >= 30, `${slices} slices`);
  assert.deepEqual(canonicalState(loaded(takeChunks(scan)).partition), canonicalState(partition));
});

test("a value larger than a chunk goes on in the next ones", () => {
  const { partition } = testPartition(1, { slabBytes: 8 * 1024 * 1024 });
  const large = "x".repeat(2.5 * STATE_CHUNK_BYTES_MAX);
  setStrings(partition, [
    ["before", "1"],
    ["large", large],
    ["zafter", "2"],
  ]);
  setElements(partition, "hash", HASH, [["field", large]]);
  const chunks = stateOf(partition);
  const copy = testPartition(2, { slabBytes: 8 * 1024 * 1024 });
  const loader = new StateLoader(copy.partition);
  for (const chunk of chunks) loader.chunk(chunk, 0, chunk.length);
  loader.finish();

  assert.ok(chunks.every((chunk) => chunk.length <= STATE_CHUNK_BYTES_MAX));
  assert.deepEqual(canonicalState(copy.partition), canonicalState(partition));
});

test("a state that lacks a chunk is not taken for whole", () => {
  const { partition } = filled(2000);
  const chunks = stateOf(partition);
  assert.ok(chunks.length >= 3);
  for (let missing = 0; missing < chunks.length; missing++) {
    const rest = chunks.filter((_, i) => i !== missing);
    assert.throws(() => loaded(rest), `without chunk ${missing}`);
  }
});

test("states of version 1 are read for ever", () => {
  const { partition } = filled(12, new ManualClock(1_800_000_000_000));
  const chunks = stateOf(partition);
  if (process.env.REWRITE === "1") writeFileSync(GOLDEN, Buffer.concat(chunks.flatMap(withLength)));
  const golden = readFileSync(GOLDEN);
  const read: Buffer[] = [];
  for (let at = 0; at < golden.length; ) {
    const length = golden.readUInt32LE(at);
    read.push(golden.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }

  assert.deepEqual(Buffer.concat(chunks), Buffer.concat(read), "the same state has the same bytes");
  assert.deepEqual(canonicalState(loaded(read).partition), canonicalState(partition));
});

function withLength(chunk: Buffer): Buffer[] {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(chunk.length);
  return [length, chunk];
}

/** Every form of a cell: plain and with siblings, adds, undos, registers and copies. */
function filled(keys = 20, clock?: ManualClock): { partition: Partition } {
  const options = clock === undefined ? {} : { clock };
  const [left, right] = [testPartition(1, options), testPartition(2, options)];
  const { partition } = left;
  for (let i = 0; i < keys; i++) {
    setStrings(partition, [[`key${i}`, `value${i}`]], i % 3 === 0 ? 1_900_000_000_000 + i : 0);
  }
  setElements(partition, "hash", HASH, [
    ["f", "1"],
    ["g", "2"],
  ]);
  setElements(partition, "hash", HASH, [["h", "3"]], 1_900_000_000_000);
  setElements(partition, "set", SET, [
    ["x", ""],
    ["y", ""],
  ]);
  setElements(partition, "zset", ZSET, [["member", SCORE]]);
  setElements(partition, "list", LIST, [["p", "1"]]);
  setStrings(partition, [["n", "5"]]);
  addTo(partition, "n", 3n);
  addTo(partition, "n", 0.5);
  setStrings(right.partition, [
    ["key1", "sibling"],
    ["n", "7"],
  ]);
  setElements(right.partition, "hash", HASH, [["f", "sibling"]]);
  setElements(right.partition, "zset", ZSET, [["member", SCORE]]);
  addTo(right.partition, "n", 4n);
  for (const op of right.ops) partition.deliver(op);
  addTo(partition, "n", 1n);
  return { partition };
}

function addTo(partition: Partition, name: string, delta: bigint | number): void {
  const key = Buffer.from(name);
  const { table, mutations } = partition;
  const cell = { key, keyStart: 0, keyEnd: key.length, type: 1, name: null };
  const range = { ...cell, nameStart: 0, nameEnd: 0 };
  const [version] = mutations.cells.versions(table.find(key, 0, key.length));
  assert.ok(version !== undefined);
  partition.begin();
  partition.writer.add(range, partition.originDot(version.slot, version.counter), delta);
  mutations.add(range, version, delta);
  partition.finish();
}

/** An INCR of a plain counter, in place. */
function countUp(partition: Partition): void {
  const { table, mutations } = partition;
  const key = Buffer.from("zcount");
  if (table.find(key, 0, key.length) === 0) setStrings(partition, [["zcount", "1"]]);
  const [version] = mutations.cells.versions(table.find(key, 0, key.length));
  assert.ok(version !== undefined);
  const cell = { ...emptyCellName(), key, keyEnd: key.length, type: 1 };
  partition.begin();
  const { high, low } = partition.originDot(version.slot, version.counter);
  partition.writer.addInteger(cell, high, low, version.counter, 0, 1);
  mutations.addInteger(cell, version.slot, version.counter, 0, 1);
  partition.finish();
}

function change(partition: Partition, random: ReturnType<typeof seeded>): void {
  const dice = below(random, 13);
  if (dice === 12) {
    countUp(partition);
    return;
  }
  const key = `key${below(random, 30)}`;
  if (dice < 3) setStrings(partition, [[key, `changed${below(random, 1000)}`]]);
  else if (dice < 4) removeCell(partition, key, 1);
  else if (dice < 6) setElements(partition, "hash", HASH, [[`f${below(random, 9)}`, "changed"]]);
  else if (dice < 7) removeCell(partition, "hash", HASH, `f${below(random, 9)}`);
  else if (dice < 8) setElements(partition, "zset", ZSET, [[`m${below(random, 9)}`, SCORE]]);
  else if (dice < 9) clearKey(partition, ["hash", "set", "zset", key][below(random, 4)] as string);
  else if (dice < 10) setElements(partition, key, SET, [[`m${below(random, 3)}`, ""]]);
  else if (dice < 11) setElements(partition, "list", LIST, [[`p${below(random, 99)}`, "v"]]);
  else setStrings(partition, [["hash", "a string over it"]]);
}
