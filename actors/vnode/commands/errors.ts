/** Error texts that several commands share: Redis 7.2's, to the byte. */
import { KEY_BYTES_MAX } from "../../../runtime/base/limits.ts";

export const SYNTAX_ERROR = "ERR syntax error";
export const NOT_AN_INTEGER = "ERR value is not an integer or out of range";
export const NOT_A_FLOAT = "ERR value is not a valid float";
export const WOULD_OVERFLOW = "ERR increment or decrement would overflow";
export const NO_SUCH_KEY = "ERR no such key";
export const INDEX_OUT_OF_RANGE = "ERR index out of range";

/** "wrong number of arguments", for commands whose arity a number cannot say. */
export function wrongArguments(command: string): string {
  return `ERR wrong number of arguments for '${command.toLowerCase()}' command`;
}

/** A count to pop is negative or no integer. */
export const OUT_OF_RANGE = "ERR value is out of range, must be positive";
/** An integer has no negative: -2^63. */
export const OUT_OF_LONG_RANGE =
  "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
/** More random elements were asked for than one reply takes. */
export const TOO_MANY = "ERR value is out of range";
export const BAD_NUMKEYS = "ERR numkeys should be greater than 0";
/** Ours: element names have Redis's values' size there, the size of a key here. */
export const NAME_TOO_LONG = "ERR hash fields and members of sets are 65535 bytes at most";
/** Ours: a pattern would take too many steps (runtime/base/glob.ts). */
export const PATTERN_TOO_COSTLY = "ERR the pattern takes too many steps to match here; simplify it";
/** Ours: it would be compiled anew in each of many turns. */
export const PATTERN_TOO_LONG = `ERR a pattern is longer than ${KEY_BYTES_MAX} bytes, and no key is: shorten it`;
