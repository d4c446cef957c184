/**
 * The op ids that a vnode remembers, with what their smallest try answered: a retried call is
 * answered from here instead of executed again (design 5, "Retry-safe").
 *
 * Part of the replicated state: every replica that applied the ops has the same entries. A call
 * that was executed on two sides has several tries; all but the smallest dot's are taken back, by
 * the mutations that each try keeps for it.
 */
import { OP_IDS_MAX } from "../base/limits.ts";
import type { Dot } from "../causality/cell.ts";
import { formatOriginId, type Origins } from "../causality/origins.ts";

/** The id of a call: its client's session and its number there. */
export interface OpId {
  readonly high: number;
  readonly low: number;
  readonly sequence: number;
}

/** One execution of a call. */
export interface Try extends Dot {
  /** The mutations that take it back, as an op holds them; empty: nothing can be. */
  readonly undo: Buffer;
}

/** One retry-safe call. */
export interface RememberedCall extends OpId {
  /** What the try with the smallest dot answered. */
  readonly reply: Buffer;
  readonly hlc: number;
  /** By dot, smallest first. */
  readonly tries: readonly Try[];
}

export class OpIds {
  /** By "session:sequence", oldest first. */
  readonly calls = new Map<string, RememberedCall>();

  readonly #origins: Origins;

  constructor(origins: Origins) {
    this.#origins = origins;
  }

  /** The remembered call, or undefined. */
  find(high: number, low: number, sequence: number): RememberedCall | undefined {
    return this.calls.get(nameOf({ high, low, sequence }));
  }

  /** Notes a call with one or more of its tries, as an op or another replica's table has it. */
  add(call: RememberedCall): void {
    const name = nameOf(call);
    const known = this.calls.get(name);
    if (known !== undefined) {
      this.calls.set(name, this.#merged(known, call));
      return;
    }
    this.calls.set(name, call);
    if (this.calls.size > OP_IDS_MAX) this.#dropOldest();
  }

  /** Forgets a call that nobody will try again. */
  forget(id: OpId): void {
    this.calls.delete(nameOf(id));
  }

  /** Calls with several tries, by name: someone must take back all but the first of each. */
  doubles(): RememberedCall[] {
    const doubles = [...this.calls].filter(([, call]) => call.tries.length > 1);
    return doubles.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, call]) => call);
  }

  #merged(a: RememberedCall, b: RememberedCall): RememberedCall {
    const tries = [...a.tries];
    for (const one of b.tries) {
      if (!tries.some((t) => t.slot === one.slot && t.counter === one.counter)) tries.push(one);
    }
    tries.sort((x, y) => this.#origins.compare(x.slot, y.slot) || x.counter - y.counter);
    const [first] = tries;
    const isMine = a.tries.some((t) => t.slot === first?.slot && t.counter === first?.counter);
    const { reply, hlc } = isMine ? a : b;
    return { high: a.high, low: a.low, sequence: a.sequence, reply, hlc, tries };
  }

  #dropOldest(): void {
    for (const name of this.calls.keys()) {
      this.calls.delete(name);
      return;
    }
  }
}

function nameOf({ high, low, sequence }: OpId): string {
  return `${formatOriginId(high, low)}:${sequence}`;
}
