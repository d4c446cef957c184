/**
 * What outlives every crash of a simulation: the test's own record of what each vnode held after
 * each of its ops, which of them were promised to be durable, and which belong together.
 */
import assert from "node:assert/strict";
import type { Partition } from "../../runtime/table/partition.ts";
import { canonicalState } from "../model/vnode-state.ts";

/** A vnode's state after one op. */
interface Entry {
  readonly state: string;
}

interface History {
  /** By sequence; the first is the empty state. */
  readonly entries: Entry[];
  /** The last op that was acknowledged as durable … */
  durable: number;
  /** … and the last that was written: only the machine's end may take it. */
  written: number;
}

interface Part {
  readonly vnode: number;
  readonly sequence: number;
  readonly entry: Entry;
}

const EMPTY = "[]";

export class Ledger {
  readonly #histories = new Map<number, History>();
  #transactions: (readonly Part[])[] = [];

  vnodes(): number[] {
    return [...this.#histories.keys()];
  }

  /** The vnode has made an op. */
  appended(vnode: number, partition: Partition): Part {
    const { entries } = this.#of(vnode);
    const entry = { state: stateOf(partition) };
    assert.equal(entries.push(entry) - 1, partition.sequence, "sequences are dense");
    return { vnode, sequence: partition.sequence, entry };
  }

  /** These ops were made by one transaction. */
  together(parts: readonly Part[]): void {
    this.#transactions.push(parts);
  }

  promise(vnode: number, sequence: number, level: "durable" | "written"): void {
    const history = this.#of(vnode);
    history.written = Math.max(history.written, sequence);
    if (level === "durable") history.durable = Math.max(history.durable, sequence);
  }

  /** What was only written may be lost: the power failed, or (of these vnodes) the journal did. */
  unsure(vnodes: Iterable<number>): void {
    for (const vnode of vnodes) {
      const history = this.#of(vnode);
      history.written = history.durable;
    }
  }

  /** A vnode has been recovered: judges it, and takes what it holds for durable from now on. */
  recovered(vnode: number, partition: Partition | undefined): void {
    const history = this.#of(vnode);
    const { entries, durable, written } = history;
    const sequence = partition?.sequence ?? 0;
    const name = `vnode ${vnode}`;
    assert.ok(sequence >= durable, `${name}: op ${durable} was durable, ${sequence} is the last`);
    assert.ok(sequence >= written, `${name}: op ${written} was written, ${sequence} is the last`);
    assert.ok(sequence < entries.length, `${name} holds op ${sequence}, which it never made`);
    const state = partition === undefined ? EMPTY : stateOf(partition);
    assert.equal(
      state,
      entries[sequence]?.state,
      `${name} holds what it held after op ${sequence}`,
    );
    entries.length = sequence + 1;
    history.durable = sequence;
    history.written = sequence;
  }

  /** Every vnode has been recovered: no transaction is there in part. */
  judgeTransactions(): void {
    this.#transactions = this.#transactions.filter((parts) => {
      const there = parts.filter(({ vnode, sequence, entry }) => {
        return this.#of(vnode).entries[sequence] === entry;
      });
      const names = parts.map(({ vnode, sequence }) => `op ${sequence} of vnode ${vnode}`);
      const isWhole = there.length === 0 || there.length === parts.length;
      assert.ok(isWhole, `${there.length} of ${names.join(", ")} are there`);
      return there.some(({ vnode, sequence }) => sequence > this.#of(vnode).durable);
    });
  }

  #of(vnode: number): History {
    let history = this.#histories.get(vnode);
    if (history === undefined) {
      history = { entries: [{ state: EMPTY }], durable: 0, written: 0 };
      this.#histories.set(vnode, history);
    }
    return history;
  }
}

function stateOf(partition: Partition): string {
  return JSON.stringify(canonicalState(partition).cells);
}
