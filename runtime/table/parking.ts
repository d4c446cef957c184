/**
 * Ops from elsewhere that wait for their past (design 4.3): not acknowledged, not durable, may be
 * dropped at any time.
 *
 * Invariant: an op is here once, under its origin's slot and its counter.
 */

export class Parking {
  count = 0;
  readonly #bySlot = new Map<number, Map<number, Buffer>>();

  /** Keeps an op. The bytes must be its own. */
  put(slot: number, counter: number, op: Buffer): void {
    let ops = this.#bySlot.get(slot);
    if (ops === undefined) {
      ops = new Map();
      this.#bySlot.set(slot, ops);
    }
    if (!ops.has(counter)) this.count++;
    ops.set(counter, op);
  }

  get(slot: number, counter: number): Buffer | undefined {
    return this.#bySlot.get(slot)?.get(counter);
  }

  drop(slot: number, counter: number): void {
    const ops = this.#bySlot.get(slot);
    if (ops === undefined || !ops.delete(counter)) return;
    this.count--;
    if (ops.size === 0) this.#bySlot.delete(slot);
  }

  /** Origins of which an op waits. */
  slots(): number[] {
    return [...this.#bySlot.keys()];
  }

  /** Drops what has been applied by now. */
  dropKnown(applied: readonly number[]): void {
    for (const [slot, ops] of this.#bySlot) {
      for (const counter of ops.keys()) {
        if (counter <= (applied[slot] as number)) this.drop(slot, counter);
      }
    }
  }
}
