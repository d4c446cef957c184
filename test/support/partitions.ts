/**
 * Partitions for tests of the table: ops made by hand, without commands, journals and threads.
 */
import { ManualClock } from "../../runtime/base/clock.ts";
import { STRING } from "../../runtime/causality/cell.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import { Partition } from "../../runtime/table/partition.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import { SnapshotScan } from "../../runtime/table/snapshot-scan.ts";
import { loadState } from "../../runtime/table/state-loader.ts";
import { ChunkMemory } from "../../runtime/table/state-writer.ts";

const SLAB_BYTES = 256 * 1024;
const NOTHING = Buffer.alloc(0);
/** Orders elements as they lie in the golden state. */
const HASH_KEY = { high: 7, low: 0 };

/** A partition with the ops that it made or applied, in order. */
export interface TestPartition {
  readonly partition: Partition;
  readonly ops: Buffer[];
}

export interface TestPartitionOptions {
  readonly slabBytes?: number;
  readonly clock?: ManualClock;
}

/** An empty one whose origin has this id. */
export function testPartition(low: number, options: TestPartitionOptions = {}): TestPartition {
  const ops: Buffer[] = [];
  const partition = new Partition({
    pool: new SlabPool({ slabBytes: options.slabBytes ?? SLAB_BYTES }),
    hashKey: HASH_KEY,
    origin: { high: 0x0badcafe, low },
    clock: new HybridClock(options.clock ?? new ManualClock()),
    writers: new OpWriters(),
    sink: { take: (op, start, end) => void ops.push(Buffer.from(op.subarray(start, end))) },
  });
  return { partition, ops };
}

/** One op that sets strings; `until` 0: without expiry. */
export function setStrings(
  partition: Partition,
  pairs: readonly (readonly [string, string])[],
  until = 0,
): void {
  partition.begin();
  const { writer, mutations, table } = partition;
  for (const [name, text] of pairs) {
    const key = Buffer.from(name);
    const value = Buffer.from(text);
    writer.setHead(key, 0, key.length, STRING, 0, value, 0, value.length, until);
    const { covers } = table.op;
    mutations.setHead(key, 0, key.length, STRING, 0, value, 0, value.length, until, covers);
  }
  partition.finish();
}

/** One op that sets elements of a collection, which gets no head. */
export function setElements(
  partition: Partition,
  name: string,
  type: number,
  elements: readonly (readonly [string, string | Buffer])[],
  copyAt = 0,
): void {
  partition.begin();
  const { writer, mutations, table } = partition;
  const key = Buffer.from(name);
  for (const [elementName, text] of elements) {
    const element = Buffer.from(elementName);
    const value = typeof text === "string" ? Buffer.from(text) : text;
    const { covers } = table.op;
    const range = [element, 0, element.length, value, 0, value.length, copyAt] as const;
    writer.setElement(key, 0, key.length, type, ...range);
    mutations.setElement(key, 0, key.length, type, ...range, covers);
  }
  partition.finish();
}

/** One op that clears a key. */
export function clearKey(partition: Partition, name: string): void {
  partition.begin();
  const key = Buffer.from(name);
  partition.writer.clear(key, 0, key.length);
  partition.mutations.clear(key, 0, key.length, partition.table.op.covers);
  partition.finish();
}

/** One op that removes an element, or the head (no element). */
export function removeCell(partition: Partition, name: string, type: number, element?: string) {
  partition.begin();
  const key = Buffer.from(name);
  const elementName = element === undefined ? null : Buffer.from(element);
  const cell = {
    key,
    keyStart: 0,
    keyEnd: key.length,
    type,
    name: elementName,
    nameStart: 0,
    nameEnd: (elementName ?? NOTHING).length,
  };
  partition.writer.remove(cell);
  partition.mutations.remove(cell, partition.table.op.covers);
  partition.finish();
}

/** Chunks' memory of scans here, used again as a worker does. */
const memory = new ChunkMemory();

/** A new scan; `takeChunks` gives its chunks' memory back. */
export function newScan(partition: Partition): SnapshotScan {
  return new SnapshotScan(partition, memory);
}

/** Finishes a scan and returns its chunks. */
export function finishScan(scan: SnapshotScan, itemsMax = 1000): Buffer[] {
  let state = scan.next(itemsMax);
  while (state === "going") state = scan.next(itemsMax);
  if (state === "aborted") throw new Error("the scan was aborted");
  return takeChunks(scan);
}

/** Copies of a scan's chunks, which then has none. */
export function takeChunks(scan: SnapshotScan): Buffer[] {
  const chunks: Buffer[] = [];
  for (let chunk = scan.take(); chunk !== undefined; chunk = scan.take()) {
    chunks.push(Buffer.from(chunk));
    memory.give(chunk);
  }
  return chunks;
}

/** The whole state as bytes. */
export function stateOf(partition: Partition): Buffer[] {
  return finishScan(newScan(partition));
}

/** A new partition that holds a state. */
export function loaded(chunks: readonly Buffer[], low = 0x77): TestPartition {
  const made = testPartition(low);
  loadState(made.partition, chunks);
  return made;
}
