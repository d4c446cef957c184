/**
 * The next commands of a client's pipeline, parsed before the first of them runs: so what they need can
 * be looked for together (decision 0063).
 *
 * Who runs only some of them resets the reader and parses the rest again.
 */
import { Request } from "./request.ts";
import { PARSED, type RespReader } from "./resp-reader.ts";

export class Pipeline {
  count = 0;
  /** Of each command, where the next one starts. */
  readonly ends: Int32Array;
  readonly #requests: Request[];

  /** Room for so many. */
  constructor(countMax: number) {
    this.ends = new Int32Array(countMax);
    this.#requests = Array.from({ length: countMax }, () => new Request());
  }

  /** Valid until `clear`, or the next `fill`. */
  at(i: number): Request {
    return this.#requests[i] as Request;
  }

  /** Lets go of the bytes in which the commands lie. */
  clear(): void {
    for (let i = 0; i < this.count; i++) (this.#requests[i] as Request).reset();
    this.count = 0;
  }

  /** Takes the command that the reader has just parsed, and those of buffer[.., end) behind it. */
  fill(reader: RespReader, buffer: Buffer, end: number): void {
    this.count = 0;
    do {
      const i = this.count++;
      this.ends[i] = reader.next;
      this.#requests[i] = reader.swap(this.#requests[i] as Request);
    } while (this.count < this.ends.length && reader.parse(buffer, reader.next, end) === PARSED);
  }
}
