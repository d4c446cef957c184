/**
 * Which slot, partition and worker a key belongs to: Redis Cluster's rules for slots (CRC16 of the
 * key, or of what stands between the first `{` and the next `}` if that is not empty), then equal
 * ranges of slots for partitions, and equal ranges of partitions for workers.
 */
import { SLOTS } from "../base/limits.ts";

const POLYNOMIAL = 0x1021;
/** Remainders of a byte, and of a byte with one, two and three zero bytes behind it. */
const CRC16 = new Uint16Array(256);
const CRC16_1 = new Uint16Array(256);
const CRC16_2 = new Uint16Array(256);
const CRC16_3 = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  CRC16[byte] = crc;
}
for (let byte = 0; byte < 256; byte++) {
  CRC16_1[byte] = step(CRC16[byte] as number, 0);
  CRC16_2[byte] = step(CRC16_1[byte] as number, 0);
  CRC16_3[byte] = step(CRC16_2[byte] as number, 0);
}

const OPEN = 0x7b;
const CLOSE = 0x7d;

/** The slot of a key, 0 .. 16383: of its hash tag if it has one. */
export function slotOf(key: Buffer, start: number, end: number): number {
  let crc = 0;
  let at = start;
  // Four bytes a step: each waits for one look-up of the step before, not for four.
  for (; at + 4 <= end; at += 4) {
    const a = key[at] as number;
    const b = key[at + 1] as number;
    const c = key[at + 2] as number;
    const d = key[at + 3] as number;
    if (a === OPEN || b === OPEN || c === OPEN || d === OPEN) break;
    crc =
      (CRC16_3[(crc >>> 8) ^ a] as number) ^
      (CRC16_2[(crc & 0xff) ^ b] as number) ^
      (CRC16_1[c] as number) ^
      (CRC16[d] as number);
  }
  for (; at < end; at++) {
    const byte = key[at] as number;
    if (byte === OPEN) return slotFromBrace(key, at, end, crc);
    crc = step(crc, byte);
  }
  return crc & (SLOTS - 1);
}

/** The slot of a key whose first brace opens at `open`, with the remainder of what precedes it. */
function slotFromBrace(key: Buffer, open: number, end: number, before: number): number {
  let close = open + 1;
  while (close < end && key[close] !== CLOSE) close++;
  const isTag = close < end && close > open + 1;
  let crc = isTag ? 0 : before;
  const to = isTag ? close : end;
  for (let at = isTag ? open + 1 : open; at < to; at++) crc = step(crc, key[at] as number);
  return crc & (SLOTS - 1);
}

function step(crc: number, byte: number): number {
  return ((crc << 8) & 0xffff) ^ (CRC16[(crc >>> 8) ^ byte] as number);
}

/** Bits to shift a slot by for its partition, of `partitions` (a power of two). */
export function partitionShift(partitions: number): number {
  return Math.log2(SLOTS / partitions);
}

/** The worker that owns a partition: equal ranges, so that slot maps stay short. */
export function workerOf(partition: number, partitions: number, workers: number): number {
  return ((partition * workers) / partitions) | 0;
}

/** First partition of a worker; that of `worker + 1` is the end of its range. */
export function firstPartitionOf(worker: number, partitions: number, workers: number): number {
  return Math.ceil((worker * partitions) / workers);
}
