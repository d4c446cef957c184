/**
 * Which slot, partition and worker a key belongs to: Redis Cluster's rules for slots (CRC16 of the
 * key, or of what stands between the first `{` and the next `}` if that is not empty), then equal
 * ranges of slots for partitions, and equal ranges of partitions for workers.
 */
import { SLOTS } from "../base/limits.ts";

const POLYNOMIAL = 0x1021;
const CRC16 = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  CRC16[byte] = crc;
}

const OPEN = 0x7b;
const CLOSE = 0x7d;

/** The slot of a key, 0 .. 16383. */
export function slotOf(key: Buffer, start: number, end: number): number {
  let from = start;
  let to = end;
  for (let open = start; open < end; open++) {
    if (key[open] !== OPEN) continue;
    let close = open + 1;
    while (close < end && key[close] !== CLOSE) close++;
    if (close < end && close > open + 1) {
      from = open + 1;
      to = close;
    }
    break;
  }
  let crc = 0;
  for (let at = from; at < to; at++) {
    crc = ((crc << 8) & 0xffff) ^ (CRC16[(crc >>> 8) ^ (key[at] as number)] as number);
  }
  return crc & (SLOTS - 1);
}

/** Bits to shift a slot by for its partition, of `partitions` (a power of two). */
export function partitionShift(partitions: number): number {
  return Math.log2(SLOTS / partitions);
}

/** The worker that owns a partition: equal ranges, so that slot maps stay short. */
export function workerOf(partition: number, partitions: number, workers: number): number {
  return Math.floor((partition * workers) / partitions);
}

/** First partition of a worker; that of `worker + 1` is the end of its range. */
export function firstPartitionOf(worker: number, partitions: number, workers: number): number {
  return Math.ceil((worker * partitions) / workers);
}
