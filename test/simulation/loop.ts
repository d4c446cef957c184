/**
 * The order of things in a simulated process: calls on the disk return one at a time, in an order
 * that the seed chooses; everything else that is due runs in between.
 */
import assert from "node:assert/strict";
import { below, type Random } from "../../runtime/base/prng.ts";

/** More steps than any wait needs: then it hangs. */
const STEPS_MAX = 200_000;

export class SimLoop {
  readonly #random: Random;
  readonly #waiting: (() => void)[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** For the disk: a call's result is due. */
  readonly schedule = (run: () => void): void => void this.#waiting.push(run);

  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /** One call returns, if any is under way; then all that follows from it runs. */
  async step(): Promise<void> {
    const [run] = this.#waiting.splice(below(this.#random, this.#waiting.length), 1);
    run?.();
    await new Promise((resolve) => setImmediate(resolve));
  }

  async steps(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.step();
  }

  /** Goes on until the condition holds. */
  async until(condition: () => boolean, what: string): Promise<void> {
    for (let i = 0; !condition(); i++) {
      assert.ok(i < STEPS_MAX, `${what} never came`);
      await this.step();
    }
  }

  /** Goes on until the promise is settled, or whatever ends the wait. */
  async run(promise: Promise<unknown>, isOver: () => boolean, what: string): Promise<void> {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    await this.until(() => isSettled || isOver(), what);
    if (isSettled) await promise;
  }

  /** Goes on until nothing is under way; timers do not fire by themselves. */
  async settle(): Promise<void> {
    // What waits for a later turn may begin another call.
    for (let quiet = 0; quiet < 3; quiet = this.isIdle ? quiet + 1 : 0) await this.step();
  }
}
