/**
 * Stateless CPU jobs that the pool runs on its own threads, and the entry that those threads load.
 *
 * Invariant: a job is a pure function of cloneable arguments: no state, files, clock or randomness.
 */
import { zstdCompressSync } from "node:zlib";
import { checksum } from "../base/hash.ts";

/** What a job answers: its value and the buffers that move with it instead of being copied. */
export interface JobResult<Value> {
  readonly value: Value;
  readonly transfer: readonly ArrayBuffer[];
}

/** Every job by name. */
export const jobs = {
  /**
   * Compresses a chunk (zstd, RFC 8878) for a snapshot; `checksum` is the CRC-32 of the compressed
   * bytes, so that a reader checks what it reads before it expands it.
   */
  checksumAndCompress({ bytes }: { readonly bytes: Uint8Array }) {
    const compressed = own(zstdCompressSync(bytes));
    return {
      value: { checksum: checksum(compressed), bytes: compressed },
      transfer: [compressed.buffer],
    };
  },
} as const;

export type Jobs = typeof jobs;
export type JobName = keyof Jobs;
export type JobArgs<Name extends JobName> = Parameters<Jobs[Name]>[0];
export type JobValue<Name extends JobName> = ReturnType<Jobs[Name]>["value"];

/** Bytes with a buffer of their own, which can be transferred. */
function own(bytes: Buffer): Buffer<ArrayBuffer> {
  const copy = Buffer.from(new ArrayBuffer(bytes.length));
  bytes.copy(copy);
  return copy;
}
