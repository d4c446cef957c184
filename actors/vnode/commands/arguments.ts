/**
 * Arguments that many commands read the same way: integers within bounds, index ranges, numkeys.
 *
 * A reader leaves its value in the request (`integerValue`), or an error in the reply and says
 * false. Error texts are Redis 7.2's, to the byte.
 */
import { KEY_BYTES_MAX } from "../../../runtime/base/limits.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { NAME_TOO_LONG, NOT_AN_INTEGER, OUT_OF_LONG_RANGE, OUT_OF_RANGE } from "./errors.ts";

/** Two to the 31st: the high half of -2^63, which Redis's ranges from -LONG_MAX leave out. */
const LOWEST_HIGH = -0x80000000;

/** Reads argument i as an integer. */
export function readInteger(request: Request, i: number, reply: RespWriter): boolean {
  if (request.integer(i)) return true;
  reply.error(NOT_AN_INTEGER);
  return false;
}

/** Reads argument i as an integer that is not below `least`; `message` says so otherwise. */
export function readAtLeast(
  request: Request,
  i: number,
  least: number,
  message: string,
  reply: RespWriter,
): boolean {
  if (request.integer(i) && request.integerValue >= least) return true;
  reply.error(message);
  return false;
}

/** Reads argument i as a count of elements to pop: not negative. */
export function readCount(request: Request, i: number, reply: RespWriter): boolean {
  return readAtLeast(request, i, 0, OUT_OF_RANGE, reply);
}

/** Reads argument i as an integer whose negative is one too. */
export function readSigned(request: Request, i: number, reply: RespWriter): boolean {
  if (!readInteger(request, i, reply)) return false;
  if (request.integerHigh !== LOWEST_HIGH || request.integerLow !== 0) return true;
  reply.error(OUT_OF_LONG_RANGE);
  return false;
}

/** An index that may count from the end (-1: the last), as one from the start; may be < 0. */
export function fromStart(index: number, count: number): number {
  return index < 0 ? index + count : index;
}

/** Whether names of elements from argument `first` on, every `step`, fit; the error is replied. */
export function namesFit(
  request: Request,
  first: number,
  step: number,
  reply: RespWriter,
): boolean {
  for (let i = first; i < request.count; i += step) {
    if (request.length(i) > KEY_BYTES_MAX) {
      reply.error(NAME_TOO_LONG);
      return false;
    }
  }
  return true;
}
