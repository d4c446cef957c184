/**
 * Replies of the server (RESP3) as JavaScript values.
 *
 * Invariant: what came as bytes comes out as text (UTF-8) or as bytes, as the caller chose; an
 * integer is exact: a number where that is safe, else a bigint.
 */
import { assert } from "../runtime/base/assert.ts";
import { CoterieError, type ErrorCode } from "../runtime/base/errors.ts";

/** A reply. `Text` is string or Buffer: how the server's byte strings are shown. */
export type Reply<Text extends string | Buffer> =
  | Text
  | string
  | number
  | bigint
  | boolean
  | null
  | CoterieError
  | readonly Reply<Text>[]
  | ReadonlyMap<Reply<Text>, Reply<Text>>;

/** Makes a value of a byte string, which is valid only during the call. */
export type Decode<Text> = (bytes: Buffer, start: number, end: number) => Text;

export const asText: Decode<string> = (bytes, start, end) => bytes.toString("utf8", start, end);
export const asBytes: Decode<Buffer> = (bytes, start, end) =>
  Buffer.from(bytes.subarray(start, end));

const CR = 13;

/** Reads whole replies out of a buffer. */
export class ReplyReader<Text extends string | Buffer> {
  readonly #decode: Decode<Text>;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  constructor(decode: Decode<Text>) {
    this.#decode = decode;
  }

  /** Reads from here next; the bytes hold whole replies. */
  open(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get isDone(): boolean {
    return this.#at >= this.#end;
  }

  /** The next reply, or undefined for a push message, which answers nothing. */
  next(): Reply<Text> | undefined {
    const isPush = this.#bytes[this.#at] === 62;
    const value = this.#value();
    return isPush ? undefined : value;
  }

  #value(): Reply<Text> {
    const type = String.fromCharCode(this.#bytes[this.#at] as number);
    const line = this.#line();
    switch (type) {
      case "+":
        return line;
      case "-":
        return replyError(line);
      case ":":
      case "(":
        return exactInteger(line);
      case "$":
        return this.#bulk(Number(line), 0);
      case "=":
        return this.#bulk(Number(line), "txt:".length);
      case "_":
        return null;
      case "#":
        return line === "t";
      case ",":
        return double(line);
      case "*":
      case "~":
      case ">":
        return this.#items(Number(line));
      case "%":
        return this.#map(Number(line));
      default:
        throw new CoterieError("FORMAT_UNKNOWN", `a reply has the unknown type ${type}`);
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf(CR, this.#at);
    assert(end > 0 && end < this.#end, "a message holds whole replies");
    const line = this.#bytes.toString("latin1", this.#at + 1, end);
    this.#at = end + 2;
    return line;
  }

  /** The first `skipped` bytes say the format of a verbatim text. */
  #bulk(length: number, skipped: number): Text | null {
    if (length < 0) return null;
    const start = this.#at;
    this.#at = start + length + 2;
    assert(this.#at <= this.#end, "a message holds whole replies");
    return this.#decode(this.#bytes, start + skipped, start + length);
  }

  #items(count: number): readonly Reply<Text>[] | null {
    if (count < 0) return null;
    const items: Reply<Text>[] = [];
    for (let i = 0; i < count; i++) items.push(this.#value());
    return items;
  }

  #map(count: number): ReadonlyMap<Reply<Text>, Reply<Text>> {
    const map = new Map<Reply<Text>, Reply<Text>>();
    for (let i = 0; i < count; i++) {
      const key = this.#value();
      map.set(key, this.#value());
    }
    return map;
  }
}

function exactInteger(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

function double(text: string): number {
  if (text === "inf") return Number.POSITIVE_INFINITY;
  return text === "-inf" ? Number.NEGATIVE_INFINITY : Number(text);
}

/** First words of error replies that mean more than "this command failed". */
const CODES: ReadonlyMap<string, ErrorCode> = new Map([
  ["UNKNOWN", "UNKNOWN_OUTCOME"],
  ["BUSY", "OVERLOADED"],
  ["TRYAGAIN", "ACTOR_DOWN"],
  ["MISCONF", "DISK_FULL"],
]);

/** An error reply as the error that says what can be done. `detail.word` is its first word. */
function replyError(text: string): CoterieError {
  const word = text.split(" ", 1)[0] ?? "";
  return new CoterieError(CODES.get(word) ?? "COMMAND_FAILED", text, { detail: { word } });
}
