/**
 * Random versions of a cell, and origins whose order is not that of their slots.
 */
import fc from "fast-check";
import type { AddEntry, Register, Undo, Version } from "../../../runtime/causality/cell.ts";
import { Origins } from "../../../runtime/causality/origins.ts";

export const ORIGINS = 4;

/** Slots 0 to 3; their ids descend and are alike in one word. */
export function origins(): Origins {
  const table = new Origins();
  table.intern(9, 1);
  table.intern(9, 0);
  table.intern(3, 0xffffffff);
  table.intern(3, 5);
  return table;
}

const slot = fc.integer({ min: 0, max: ORIGINS - 1 });
const counter = fc.integer({ min: 1, max: 6 });
const hlc = fc.integer({ min: 1, max: 9 });

/** The time is a function of the op: one op has one register. */
export const register: fc.Arbitrary<Register> = fc.record({ hlc, slot }).map((op) => ({
  at: op.hlc % 3 === 0 ? 0 : op.hlc * 1000 + op.slot,
  hlc: op.hlc,
  slot: op.slot,
}));

/** The amount is a function of the dot: one op adds one thing. */
function amountOf(slotOf: number, counterOf: number): Pick<AddEntry, "integer" | "real" | "float"> {
  const float = (slotOf + counterOf) % 3 === 0;
  if (float) return { integer: 0n, real: counterOf / 8, float };
  return { integer: BigInt(counterOf * 10 + slotOf), real: 0, float };
}

const amounts = (max: number) =>
  fc
    .uniqueArray(fc.tuple(slot, counter), { maxLength: max, selector: ([origin]) => origin })
    .map((entries): AddEntry[] =>
      entries.map(([s, c]) => ({ slot: s, counter: c, ...amountOf(s, c) })),
    );

/** All but what accumulates is a function of the dot: one op makes one version. */
export function versionOf(
  dot: { slot: number; counter: number },
  rest: { expiry: Register | null; adds: AddEntry[]; undos: Undo[] },
): Version {
  const { slot: s, counter: c } = dot;
  return {
    slot: s,
    counter: c,
    hlc: c * 4 + s,
    type: 1,
    counterKind: (s + c) % 2,
    value: Buffer.from(String(s * 100 + c)),
    copyAt: c % 2 === 0 ? 0 : c * 1000,
    ...rest,
  };
}

const version = fc
  .record({
    dot: fc.record({ slot, counter }),
    expiry: fc.option(register),
    adds: amounts(3),
    undos: amounts(2),
  })
  .map(({ dot, ...rest }) => versionOf(dot, rest));

/** A cell's versions: distinct dots. */
export const versions: fc.Arbitrary<Version[]> = fc.uniqueArray(version, {
  maxLength: 4,
  selector: ({ slot: s, counter: c }) => `${s}@${c}`,
});

/** Applied counters by slot, which contain the versions that they come with. */
export interface CellState {
  readonly versions: Version[];
  readonly applied: readonly number[];
}

export const cellState: fc.Arbitrary<CellState> = fc
  .tuple(versions, fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 4, maxLength: 4 }))
  .map(([all, least]) => {
    const applied = least.map((count, s) =>
      Math.max(count, ...all.filter((v) => v.slot === s).map((v) => v.counter)),
    );
    return { versions: all, applied };
  });

/** One text, whatever the order of versions and entries. */
export function textOf(all: readonly Version[]): string {
  const byDot = (a: { slot: number; counter: number }, b: { slot: number; counter: number }) =>
    a.slot - b.slot || a.counter - b.counter;
  const sorted = [...all].sort(byDot).map((v) => ({
    ...v,
    value: v.value.toString("latin1"),
    adds: [...v.adds].sort(byDot),
    undos: [...v.undos].sort(byDot),
  }));
  return JSON.stringify(sorted, (_, value) => (typeof value === "bigint" ? `${value}n` : value));
}
