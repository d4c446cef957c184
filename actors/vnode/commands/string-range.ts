/**
 * A range of a string's bytes or bits as GETRANGE and BITCOUNT take it: two positions, the last one
 * included, counted from the end if negative. One register, so that a range costs no object.
 */
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { NOT_AN_INTEGER } from "./errors.ts";

export class StringRange {
  /** After `resolve`: the positions, from > to if the range is empty. */
  from = 0;
  to = -1;
  #first = 0;
  #last = -1;
  #isReversed = false;

  /** The whole string. */
  reset(): void {
    this.#first = 0;
    this.#last = -1;
    this.#isReversed = false;
  }

  /** Reads arguments i and i + 1; false if they are no integers: the error is in the reply. */
  read(request: Request, i: number, reply: RespWriter): boolean {
    if (!request.integer(i)) {
      reply.error(NOT_AN_INTEGER);
      return false;
    }
    const { integerHigh, integerLow } = request;
    this.#first = request.integerValue;
    if (!request.integer(i + 1)) {
      reply.error(NOT_AN_INTEGER);
      return false;
    }
    this.#last = request.integerValue;
    // By halves: near ±2^63 different numbers are the same double.
    const isGreater =
      integerHigh > request.integerHigh ||
      (integerHigh === request.integerHigh && integerLow > request.integerLow);
    this.#isReversed = this.#first < 0 && this.#last < 0 && isGreater;
    return true;
  }

  /** Applies the range to a string of this length. False: it is empty. */
  resolve(length: number): boolean {
    const first = this.#first;
    const last = this.#last;
    this.from = Math.max(0, first < 0 ? length + first : first);
    this.to = Math.min(length - 1, Math.max(0, last < 0 ? length + last : last));
    return !this.#isReversed && this.from <= this.to;
  }
}
