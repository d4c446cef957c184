/** Names of keys between threads: one buffer, each name behind its length as a varint. */
import { copyBytes, VarintReader, varintBytes, writeVarint } from "../../../runtime/base/bytes.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";

// limits:
/** First size of a buffer for names. */
export const NAMES_BYTES_START = 4096;

/** Collects names; `take` gives them packed. */
export class KeyNames {
  count = 0;
  #buffer = Buffer.allocUnsafe(NAMES_BYTES_START);
  #at = 0;

  add(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    const needed = this.#at + varintBytes(length) + length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, this.#at);
      this.#buffer = grown;
    }
    const at = writeVarint(this.#buffer, this.#at, length);
    this.#at = copyBytes(this.#buffer, at, bytes, start, end);
    this.count++;
  }

  take(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }
}

/** Replies each name in a packed buffer as a bulk. */
export function replyNames(packed: Buffer, reply: RespWriter): void {
  const reader = new VarintReader();
  while (reader.at < packed.length) {
    const length = reader.read(packed, packed.length);
    reply.bulk(packed, reader.at, reader.at + length);
    reader.at += length;
  }
}
