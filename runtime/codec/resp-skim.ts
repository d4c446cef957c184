/**
 * Skims the commands of a pipeline that are plain enough to need no parser: where each ends, and
 * where its first argument lies. For guesses at what will be asked; what runs is what RespReader
 * reads.
 */

// limits:
/** Arguments of a command that is skimmed, its name counted: one digit. */
export const SKIMMED_ARGUMENTS_MAX = 9;
/** Digits of an argument's length. */
const LENGTH_DIGITS_MAX = 9;

const CR = 13;
const STAR = 42;
const DOLLAR = 36;
const ZERO = 48;

export class RespSkim {
  /** The first argument behind the name of the command last skimmed. */
  argumentStart = 0;
  argumentEnd = 0;

  /** Where the command at `start` ends; -1: it is not plain, has no argument, or is not all here. */
  next(buffer: Buffer, start: number, end: number): number {
    if (start + 4 > end || buffer[start] !== STAR || buffer[start + 2] !== CR) return -1;
    const count = (buffer[start + 1] as number) - ZERO;
    if (count < 2 || count > SKIMMED_ARGUMENTS_MAX) return -1;
    let at = start + 4;
    for (let i = 0; i < count; i++) {
      if (buffer[at] !== DOLLAR) return -1;
      const digitsAt = at + 1;
      const digitsMax = Math.min(end, digitsAt + LENGTH_DIGITS_MAX);
      let length = 0;
      for (at = digitsAt; at < digitsMax; at++) {
        const digit = (buffer[at] as number) - ZERO;
        if (digit < 0 || digit > 9) break;
        length = length * 10 + digit;
      }
      if (at === digitsAt || buffer[at] !== CR) return -1;
      // Behind the length, and behind the bytes, is a line end.
      at += 2;
      if (at + length + 2 > end) return -1;
      if (i === 1) {
        this.argumentStart = at;
        this.argumentEnd = at + length;
      }
      at += length + 2;
    }
    return at;
  }
}
