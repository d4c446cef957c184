/**
 * Counts the replies in the bytes of a connection, however they are cut: RESP2, without keeping or
 * decoding what they say.
 *
 * Invariant: counting allocates nothing but for the first error reply, whose text is kept.
 */

const LF = 10;
const MINUS = 45;
const TYPE_BULK = 36; // $
const TYPE_ARRAY = 42; // *
const TYPE_ERROR = 45; // -
const ERROR_TEXT_MAX = 200;

export class ReplyCounter {
  nulls = 0;
  errors = 0;
  firstError = "";
  /** Type of the line being read; 0: at its beginning. */
  #type = 0;
  /** Number in the line, and whether it is negative. */
  #number = 0;
  #isNegative = false;
  /** Bytes missing of a bulk's body, its line end included. */
  #body = 0;
  /** Items missing of the arrays around. */
  #items = 0;

  /** Whole replies that end in the first `length` bytes of a chunk. */
  count(chunk: Uint8Array, length: number): number {
    let replies = 0;
    let at = 0;
    while (at < length) {
      if (this.#body > 0) {
        const taken = Math.min(this.#body, length - at);
        this.#body -= taken;
        at += taken;
        if (this.#body === 0) replies += this.#endItem();
      } else if (this.#type === 0) {
        this.#type = chunk[at++] as number;
        this.#number = 0;
        this.#isNegative = false;
        if (this.#type === TYPE_ERROR && this.errors++ === 0) this.#keepError(chunk, at, length);
      } else {
        const byte = chunk[at++] as number;
        if (byte === LF) replies += this.#endLine();
        else if (byte === MINUS) this.#isNegative = true;
        else if (byte >= 48 && byte <= 57) this.#number = this.#number * 10 + byte - 48;
      }
    }
    return replies;
  }

  /** Replies that end with this line: 1 or 0. */
  #endLine(): number {
    const type = this.#type;
    this.#type = 0;
    if (type === TYPE_BULK || type === TYPE_ARRAY) {
      if (this.#isNegative) this.nulls++;
      else if (type === TYPE_BULK) {
        this.#body = this.#number + 2;
        return 0;
      } else if (this.#number > 0) {
        this.#items += this.#number - (this.#items > 0 ? 1 : 0);
        return 0;
      }
    }
    return this.#endItem();
  }

  #endItem(): number {
    if (this.#items > 0) this.#items--;
    return this.#items === 0 ? 1 : 0;
  }

  #keepError(chunk: Uint8Array, from: number, length: number): void {
    const end = Math.min(length, from + ERROR_TEXT_MAX);
    this.firstError =
      Buffer.from(chunk.subarray(from, end)).toString("latin1").split("\r")[0] ?? "";
  }
}
