/**
 * What outlives every crash of a simulation: the test's own record of what each vnode held after
 * each of its ops, which of them were promised to be durable, and which belong together.
 */
import assert from "node:assert/strict";
import type { Vnode } from "../../actors/vnode/vnode.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import { canonicalCells } from "../model/vnode-state.ts";
import { countOf, type Line, readOf, resolve, shown, type Told, tell } from "./told.ts";

/** A vnode's state after one op. */
interface Entry {
  readonly state: string;
}

interface History {
  /** By sequence; the first is the empty state. */
  readonly entries: Entry[];
  /** By sequence, what clients were told; where there is none, what was told before. */
  readonly told: Told[];
  /** The last op that was acknowledged as durable … */
  durable: number;
  /** … and the last that was written: only the machine's end may take it. */
  written: number;
}

export interface Part {
  readonly vnode: number;
  readonly sequence: number;
  readonly entry: Entry;
}

const EMPTY = "[[],[]]";
const NOTHING_TOLD: Told = new Map();

export class Ledger {
  readonly #histories = new Map<number, History>();
  #transactions: (readonly Part[])[] = [];
  /** The latest that the wall clock has been. */
  #latestMs = 0;

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

  /** A command was executed; `sequence`: the vnode's last op after it, if only an earlier one. */
  executed(vnode: number, sequence: number, line: Line, nowMs: number): void {
    const { told } = this.#of(vnode);
    told[sequence] = tell(toldAt(told, sequence), line, nowMs);
  }

  /** These ops were made by one transaction. */
  together(parts: readonly Part[]): void {
    this.#transactions.push(parts);
  }

  /** The vnode has made nothing after this op: it is not logged. */
  rolledBack(vnode: number, sequence: number): void {
    const { entries, told } = this.#of(vnode);
    entries.length = sequence + 1;
    told.length = Math.min(told.length, sequence + 1);
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

  /** The wall clock, of whoever expires keys, has been here. */
  clockAt(nowMs: number): void {
    this.#latestMs = Math.max(this.#latestMs, nowMs);
  }

  /** A vnode shows what clients were told: nothing that has expired, all that has not. */
  judgeKeys(id: number, vnode: Vnode | undefined, nowMs: number): void {
    const { told } = this.#of(id);
    const sequence = vnode?.partition.sequence ?? 0;
    if (nowMs < this.#latestMs) {
      told[sequence] = resolve(toldAt(told, sequence), vnode, nowMs, this.#latestMs);
    }
    const expected = shown(toldAt(told, sequence), nowMs);
    const actual = readOf(vnode, nowMs);
    if (actual === expected) return;
    const name = `vnode ${id} at ${nowMs}, after op ${sequence},`;
    assert.fail(
      `${name} shows\n${besides(actual, expected)}\nwas told\n${besides(expected, actual)}`,
    );
  }

  /** Nothing is left of keys that have expired. */
  judgeRest({ id, partition }: Vnode, nowMs: number): void {
    const keys = countOf(toldAt(this.#of(id).told, partition.sequence), nowMs);
    assert.equal(partition.table.keyCount, keys, `vnode ${id} keeps the memory of expired keys`);
  }

  /** A vnode was restarted: it holds what it held. */
  judgeSame({ id, partition }: Vnode): void {
    const { entries } = this.#of(id);
    assert.equal(partition.sequence, entries.length - 1, `vnode ${id} restarts with all its ops`);
    assert.equal(stateOf(partition), entries.at(-1)?.state, `vnode ${id} holds what it held`);
  }

  /** A vnode has been recovered: judges it, and takes what it holds for durable from now on. */
  recovered(id: number, vnode: Vnode | undefined, nowMs: number): void {
    const history = this.#of(id);
    const { entries, told, durable, written } = history;
    const partition = vnode?.partition;
    const sequence = partition?.sequence ?? 0;
    const name = `vnode ${id}`;
    assert.ok(sequence >= durable, `${name}: op ${durable} was durable, ${sequence} is the last`);
    assert.ok(sequence >= written, `${name}: op ${written} was written, ${sequence} is the last`);
    assert.ok(sequence < entries.length, `${name} holds op ${sequence}, which it never made`);
    const state = partition === undefined ? EMPTY : stateOf(partition);
    assert.equal(
      state,
      entries[sequence]?.state,
      `${name} holds what it held after op ${sequence}`,
    );
    this.judgeKeys(id, vnode, nowMs);
    entries.length = sequence + 1;
    told.length = Math.min(told.length, sequence + 1);
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
      history = { entries: [{ state: EMPTY }], told: [], durable: 0, written: 0 };
      this.#histories.set(vnode, history);
    }
    return history;
  }
}

/** The beginnings of the lines that are in one text only. */
function besides(text: string, other: string): string {
  const lines = text.split("\n").filter((line) => !other.split("\n").includes(line));
  return lines.map((line) => line.slice(0, 80)).join("\n");
}

function toldAt(told: readonly Told[], sequence: number): Told {
  for (let i = sequence; i > 0; i--) if (told[i] !== undefined) return told[i] as Told;
  return NOTHING_TOLD;
}

function stateOf(partition: Partition): string {
  const calls = [...partition.opIds.calls.values()].map(({ high, low, sequence }) => {
    return `${high}:${low}:${sequence}`;
  });
  return JSON.stringify([canonicalCells(partition), calls.sort()]);
}
