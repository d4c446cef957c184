/**
 * The number that INCRBYFLOAT and HINCRBYFLOAT find stored, and its decimal sum with what they add.
 *
 * Stored numbers are read by the rules that hold for arguments: Redis has one reader for both.
 */
import { formatLongDouble } from "../../../runtime/base/number-text.ts";
import { sumOfDecimals, textOfSum } from "../../../runtime/causality/counter-add.ts";
import { Request } from "../../../runtime/codec/request.ts";
import type { Partition } from "../../../runtime/table/partition.ts";

export const WOULD_BE_INFINITE = "ERR increment would produce NaN or Infinity";

/** A register: what was read holds until the next reading. */
export class StoredFloat {
  readonly #stored = new Request();
  #text = "0";

  /** There is no number yet. */
  setZero(): void {
    this.#text = "0";
    this.#stored.floatValue = 0;
  }

  /** Reads a stored value; false: it is no number. */
  read(bytes: Buffer, start: number, end: number): boolean {
    const stored = this.#stored;
    stored.reset(bytes);
    stored.push(start, end);
    if (!stored.float(0)) return false;
    this.#text = stored.text(0);
    return true;
  }

  /** The sum with argument i, which the request has read as a float last; may be infinite or NaN. */
  plus(request: Request, i: number): number {
    return sumOfDecimals(
      [this.#text, request.text(i)],
      [this.#stored.floatValue, request.floatValue],
    );
  }

  /** That sum as text: with every digit, where no sums of other replicas must show it. */
  textOf(sum: number, request: Request, i: number, { isAlone }: Partition): string {
    return isAlone ? textOfSum([this.#text, request.text(i)], sum) : formatLongDouble(sum);
  }
}
