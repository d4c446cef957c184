/**
 * The prologue of a state: all that is no cell (origins, how far and after what they were applied,
 * op ids, clock), written and read. Grammar: docs/formats/state.md.
 */
import { assert } from "../base/assert.ts";
import type { RememberedCall, Try } from "./op-ids.ts";
import type { Partition } from "./partition.ts";
import type { StateReader } from "./state-reader.ts";
import type { StateWriter } from "./state-writer.ts";

export const STATE_FORMAT = 1;

/** Writes all that is no cell: it stands before the cells. */
export function writePrologue(writer: StateWriter, partition: Partition): void {
  const { origins, opIds } = partition;
  writer.room(64);
  writer.byte(STATE_FORMAT);
  writer.u64(partition.sequence);
  writer.u64(partition.clock.last);
  writer.number(0); // retirement number, until the cluster brings it
  writer.number(0); // the largest retirement number whose marks were freed
  writer.u64(0); // take-over token that was promised
  writer.number(0); // epoch
  writer.number(origins.count);
  for (let slot = 0; slot < origins.count; slot++) {
    writer.room(16);
    writer.u32(origins.low(slot));
    writer.u32(origins.high(slot));
    writer.number(origins.applied[slot] as number);
  }
  for (let slot = 0; slot < origins.count; slot++) writePast(writer, partition, slot);
  writer.room(8);
  writer.number(opIds.calls.size);
  for (const { high, low, sequence, hlc, reply, tries } of opIds.calls.values()) {
    writer.room(64 + reply.length);
    writer.u32(low);
    writer.u32(high);
    writer.number(sequence);
    writer.u64(hlc);
    writer.range(reply, 0, reply.length);
    writer.number(tries.length);
    for (const { slot, counter, undo } of tries) {
      writer.room(32 + undo.length);
      writer.number(slot);
      writer.number(counter);
      writer.range(undo, 0, undo.length);
    }
  }
  writer.flush();
}

/** An origin's past: its length, and where it is not simply all that has been applied. */
function writePast(writer: StateWriter, { origins, past }: Partition, own: number): void {
  const vector = past.of(own);
  let length = vector.length;
  while (length > 0 && vector[length - 1] === 0) length--;
  const isLess = (slot: number) => slot !== own && vector[slot] !== origins.applied[slot];
  let count = 0;
  for (let slot = 0; slot < length; slot++) if (isLess(slot)) count++;
  writer.room(16 + count * 12);
  writer.number(length);
  writer.number(count);
  for (let slot = 0; slot < length; slot++) {
    if (!isLess(slot)) continue;
    writer.number(slot);
    writer.number(vector[slot] as number);
  }
}

/** Reads a prologue into an empty partition. */
export function readPrologue(reader: StateReader, partition: Partition): void {
  const { origins, clock, table, opIds } = partition;
  assert(reader.byte() === STATE_FORMAT, "a state has a known format");
  partition.sequence = reader.u64();
  table.op.sequence = partition.sequence;
  clock.observe(reader.u64());
  const isRetired = reader.number() !== 0 || reader.number() !== 0;
  assert(!isRetired, "no origin has been retired yet");
  reader.u64();
  reader.number();
  const count = reader.number();
  for (let slot = 0; slot < count; slot++) {
    const low = reader.u32();
    const high = reader.u32();
    assert(origins.intern(high, low) === slot, "a state names each origin once");
    origins.applied[slot] = reader.number();
  }
  for (let slot = 0; slot < count; slot++) readPast(reader, partition, slot);
  for (let left = reader.number(); left > 0; left--) opIds.add(readCall(reader));
}

function readPast(reader: StateReader, { origins, past }: Partition, own: number): void {
  const vector = Float64Array.from(origins.applied.slice(0, reader.number()));
  if (own < vector.length) vector[own] = 0;
  for (let left = reader.number(); left > 0; left--) {
    const slot = reader.number();
    vector[slot] = reader.number();
  }
  past.set(own, vector);
}

function readCall(reader: StateReader): RememberedCall {
  const low = reader.u32();
  const high = reader.u32();
  const sequence = reader.number();
  const hlc = reader.u64();
  const reply = reader.bytes();
  const tries: Try[] = [];
  for (let left = reader.number(); left > 0; left--) {
    tries.push({ slot: reader.number(), counter: reader.number(), undo: reader.bytes() });
  }
  return { high, low, sequence, hlc, reply, tries };
}
