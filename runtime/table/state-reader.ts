/**
 * Reads the pieces that a state's chunks are made of, one after the other.
 *
 * Invariant: a number that does not end inside its chunk is a broken assertion.
 */
import { assert } from "../base/assert.ts";
import { readF64, readU32, readU64, VarintReader } from "../base/bytes.ts";

export class StateReader {
  /** End of the chunk. */
  end = 0;
  #source: Buffer = Buffer.alloc(0);
  readonly #varint = new VarintReader();

  open(source: Buffer, start: number, end: number): void {
    this.#source = source;
    this.#varint.at = start;
    this.end = end;
  }

  /** Where the next piece begins. */
  get at(): number {
    return this.#varint.at;
  }

  set at(at: number) {
    this.#varint.at = at;
  }

  byte(): number {
    return this.#source[this.#varint.at++] as number;
  }

  number(): number {
    const value = this.#varint.read(this.#source, this.end);
    assert(value >= 0, "a number ends inside its chunk");
    return value;
  }

  u32(): number {
    this.#varint.at += 4;
    return readU32(this.#source, this.#varint.at - 4);
  }

  u64(): number {
    this.#varint.at += 8;
    return readU64(this.#source, this.#varint.at - 8);
  }

  f64(): number {
    this.#varint.at += 8;
    return readF64(this.#source, this.#varint.at - 8);
  }

  /** A copy of bytes that follow their length. */
  bytes(): Buffer {
    const length = this.number();
    const start = this.#varint.at;
    this.#varint.at = start + length;
    return Buffer.from(this.#source.subarray(start, start + length));
  }
}
