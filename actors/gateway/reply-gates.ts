/**
 * From where on a connection's replies wait for a commit: gates, in the order of the bytes that
 * they hold back.
 *
 * Invariant: bytes behind a closed gate do not leave, whatever stands behind them.
 */

/** Whether a reply's commit is as durable as it must be. */
export interface Gates {
  isOpen(gate: number): boolean;
}

export class ReplyGates {
  // They keep their room: shifted and pushed arrays would be made anew with every commit.
  readonly #offsets: number[] = [];
  readonly #gates: number[] = [];
  #count = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether what comes last waits for this gate already. */
  holds(gate: number): boolean {
    return this.#count > 0 && this.#gates[this.#count - 1] === gate;
  }

  /** Holds back everything from this offset on. */
  add(gate: number, offset: number): void {
    this.#gates[this.#count] = gate;
    this.#offsets[this.#count++] = offset;
  }

  /** How many of `length` bytes may leave now. */
  free(gates: Gates, length: number): number {
    let open = 0;
    while (open < this.#count && gates.isOpen(this.#gates[open] as number)) open++;
    if (open > 0) this.#drop(open);
    return this.#count > 0 ? (this.#offsets[0] as number) : length;
  }

  /** Forgets the first of them. */
  #drop(open: number): void {
    for (let i = open; i < this.#count; i++) {
      this.#gates[i - open] = this.#gates[i] as number;
      this.#offsets[i - open] = this.#offsets[i] as number;
    }
    this.#count -= open;
  }

  /** So many bytes have left from the front. */
  sent(bytes: number): void {
    for (let i = 0; i < this.#count; i++) {
      this.#offsets[i] = (this.#offsets[i] as number) - bytes;
    }
  }
}
