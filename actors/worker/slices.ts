/**
 * Work that takes many turns, in slices: one slice a turn, whosever it is, in the order in which
 * they were added.
 */

export class Slices {
  readonly #beginTurn: () => void;
  readonly #waiting: (() => void)[] = [];

  /** `beginTurn`: called before each slice. */
  constructor(beginTurn: () => void) {
    this.#beginTurn = beginTurn;
  }

  /** Runs a slice in a later turn; what it leaves it adds again. */
  add(slice: () => void): void {
    this.#waiting.push(slice);
    if (this.#waiting.length === 1) setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#beginTurn();
    this.#waiting[0]?.();
    this.#waiting.shift();
    if (this.#waiting.length > 0) setImmediate(this.#run);
  };
}
