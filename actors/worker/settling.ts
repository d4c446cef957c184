/**
 * Commands that wait for passes: a key under a cut is judged before a command sees it
 * (runtime/table/garbage.ts), and where that is more than a turn should take on, in slices between
 * turns, while other keys are served.
 *
 * Invariant: who waits is called back once, in a turn of its own.
 */
import type { MemoryTable } from "../../runtime/table/memory-table.ts";

/** Elements judged in one slice: a millisecond or two. */
const SLICE_ITEMS = 1_000;

export interface SettlingOptions {
  /** Runs a function in a turn of its own. */
  soon(run: () => void): void;
}

export class Settling {
  readonly #options: SettlingOptions;
  readonly #waiting = new Map<MemoryTable, (() => void)[]>();

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /** Calls back when nothing in this table is under a cut any more. */
  whenOver(table: MemoryTable, done: () => void): void {
    const waiting = this.#waiting.get(table);
    if (waiting !== undefined) {
      waiting.push(done);
      return;
    }
    this.#waiting.set(table, [done]);
    this.#next(table);
  }

  #next(table: MemoryTable): void {
    this.#options.soon(() => {
      if (table.hasCuts) {
        table.garbage.collect(SLICE_ITEMS);
        this.#next(table);
        return;
      }
      const waiting = this.#waiting.get(table) ?? [];
      this.#waiting.delete(table);
      for (const done of waiting) done();
    });
  }
}
