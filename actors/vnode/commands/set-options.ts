/**
 * The options of SET and GETEX: parsed into one register, so that a SET with a TTL costs no object.
 */

import type { Request } from "../../../runtime/codec/request.ts";
import { NameTable } from "../../../runtime/codec/request.ts";
import {
  MILLISECONDS,
  SECONDS,
  type TimeUnit,
  UNIX_MILLISECONDS,
  UNIX_SECONDS,
} from "./expiry-time.ts";

export const NX = 1;
export const XX = 2;
export const IFEQ = 4;
export const IFNE = 8;
export const RETURN_OLD = 16;
export const KEEPTTL = 32;
export const PERSIST = 64;
const EX = 128;
const PX = 256;
const EXAT = 512;
const PXAT = 1024;

/** Options of which one excludes the others. */
const CONDITIONS = NX | XX | IFEQ | IFNE;
const TIMES = EX | PX | EXAT | PXAT;
const EXPIRIES = TIMES | KEEPTTL | PERSIST;
/** Options that an argument follows. */
const WITH_ARGUMENT = TIMES | IFEQ | IFNE;

export const SET_WORDS = new NameTable<number>();
export const GETEX_WORDS = new NameTable<number>();
for (const [word, flag] of [
  ["EX", EX],
  ["PX", PX],
  ["EXAT", EXAT],
  ["PXAT", PXAT],
] as const) {
  SET_WORDS.add(word, flag);
  GETEX_WORDS.add(word, flag);
}
SET_WORDS.add("NX", NX);
SET_WORDS.add("XX", XX);
SET_WORDS.add("IFEQ", IFEQ);
SET_WORDS.add("IFNE", IFNE);
SET_WORDS.add("GET", RETURN_OLD);
SET_WORDS.add("KEEPTTL", KEEPTTL);
GETEX_WORDS.add("PERSIST", PERSIST);

export class SetOptions {
  flags = 0;
  /** The argument with the time; 0: none. */
  timeIndex = 0;
  unit: TimeUnit = SECONDS;
  /** The argument that IFEQ or IFNE compares with. */
  operandIndex = 0;

  /** Reads the options from argument `first` on. False: a syntax error. */
  parse(request: Request, first: number, words: NameTable<number>): boolean {
    this.flags = 0;
    this.timeIndex = 0;
    for (let i = first; i < request.count; i++) {
      const flag = words.find(request, i);
      if (flag === undefined || this.#isExcluded(flag)) return false;
      this.flags |= flag;
      if ((flag & WITH_ARGUMENT) === 0) continue;
      i++;
      if (i === request.count) return false;
      if (flag & TIMES) {
        this.timeIndex = i;
        this.unit = unitOf(flag);
      } else this.operandIndex = i;
    }
    return true;
  }

  /** Whether an option before rules this one out. The same one may come again: the last counts. */
  #isExcluded(flag: number): boolean {
    const others = this.flags & ~flag;
    if (flag & CONDITIONS) return (others & CONDITIONS) !== 0;
    return (flag & EXPIRIES) !== 0 && (others & EXPIRIES) !== 0;
  }
}

function unitOf(flag: number): TimeUnit {
  switch (flag) {
    case EX:
      return SECONDS;
    case PX:
      return MILLISECONDS;
    case EXAT:
      return UNIX_SECONDS;
    default:
      return UNIX_MILLISECONDS;
  }
}
