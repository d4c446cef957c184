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
  readonly #offsets: number[] = [];
  readonly #gates: number[] = [];

  get isEmpty(): boolean {
    return this.#gates.length === 0;
  }

  /** Whether what comes last waits for this gate already. */
  holds(gate: number): boolean {
    const last = this.#gates.length - 1;
    return last >= 0 && this.#gates[last] === gate;
  }

  /** Holds back everything from this offset on. */
  add(gate: number, offset: number): void {
    this.#gates.push(gate);
    this.#offsets.push(offset);
  }

  /** How many of `length` bytes may leave now. */
  free(gates: Gates, length: number): number {
    while (this.#gates.length > 0 && gates.isOpen(this.#gates[0] as number)) {
      this.#gates.shift();
      this.#offsets.shift();
    }
    return this.#offsets[0] ?? length;
  }

  /** So many bytes have left from the front. */
  sent(bytes: number): void {
    for (let i = 0; i < this.#offsets.length; i++) {
      this.#offsets[i] = (this.#offsets[i] as number) - bytes;
    }
  }
}
