/**
 * What a cell's versions show as bytes: as written, or the number that increments have made of it.
 *
 * Integers are exact; the first float makes the rest of the sum one of doubles, taken in the order
 * of the origins' ids, so that every replica gets the same bits.
 */
import { formatLongDouble } from "../base/number-text.ts";
import type { AddEntry, Undo, Version } from "./cell.ts";
import { FLOAT_COUNTER, isLater, PLAIN } from "./cell.ts";
import type { Origins } from "./origins.ts";

/** An exact integer, or a double. */
export type Amount = bigint | number;

const INTEGER = /^(0|-?[1-9][0-9]{0,18})$/;
const DECIMAL = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/;
const INTEGER_MAX = 2n ** 63n - 1n;
const INTEGER_MIN = -(2n ** 63n);

/** Whether an integer fits 64 bits. */
export function fitsInteger(value: bigint): boolean {
  return value >= INTEGER_MIN && value <= INTEGER_MAX;
}

/** The integer that Redis reads in these bytes, or undefined. */
export function parseInteger(text: string): bigint | undefined {
  if (!INTEGER.test(text)) return undefined;
  const value = BigInt(text);
  return fitsInteger(value) ? value : undefined;
}

/** The finite decimal in these bytes, or undefined. */
export function parseDecimal(text: string): number | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

export function addAmounts(a: Amount, b: Amount): Amount {
  if (typeof a === "bigint" && typeof b === "bigint") return a + b;
  return Number(a) + Number(b);
}

export function formatAmount(value: Amount): string {
  return typeof value === "bigint" ? value.toString() : formatLongDouble(value);
}

/** A version's number: base + partial sums in origin order − undone tries; undefined: none. */
export function amountOf(version: Version, origins: Origins): Amount | undefined {
  const text = version.value.toString("latin1");
  let total: Amount | undefined =
    version.counterKind === FLOAT_COUNTER
      ? Number(text)
      : (parseInteger(text) ?? parseDecimal(text));
  if (total === undefined) return undefined;
  const adds = [...version.adds].sort((a, b) => origins.compare(a.slot, b.slot));
  for (const add of adds) total = wrapped(addAmounts(total, entryAmount(add)));
  const undos = [...version.undos].sort(
    (a, b) => origins.compare(a.slot, b.slot) || a.counter - b.counter,
  );
  for (const undo of undos) {
    const taken = entryAmount(undo);
    total = wrapped(addAmounts(total, typeof taken === "bigint" ? -taken : -taken));
  }
  return total;
}

/** Partial sums are kept modulo 2^64 (a sum of adds may pass what base + sum never does). */
function wrapped(value: Amount): Amount {
  return typeof value === "bigint" ? BigInt.asIntN(64, value) : value;
}

function entryAmount(entry: AddEntry | Undo): Amount {
  return entry.float ? entry.real : entry.integer;
}

/** The versions that make up what is shown: one, or all counters if that one is a counter. */
export function shownVersions(versions: readonly Version[], origins: Origins): readonly Version[] {
  let top: Version | undefined;
  for (const version of versions) {
    if (top === undefined || isLater(version, top, origins)) top = version;
  }
  if (top === undefined) return [];
  if (top.counterKind === PLAIN) return [top];
  return versions
    .filter((version) => version.counterKind !== PLAIN)
    .sort((a, b) => origins.compare(a.slot, b.slot) || a.counter - b.counter);
}

/** The bytes that the last-writer-wins resolver shows of these versions. */
export function shownBytes(versions: readonly Version[], origins: Origins): Buffer {
  const shown = shownVersions(versions, origins);
  const [only] = shown;
  if (shown.length === 1 && only !== undefined) return versionBytes(only, origins);
  let total: Amount = 0n;
  for (const version of shown) total = addAmounts(total, amountOf(version, origins) ?? 0n);
  return Buffer.from(formatAmount(total), "latin1");
}

/** One version's bytes: as written, until something was added to it. */
export function versionBytes(version: Version, origins: Origins): Buffer {
  if (version.adds.length === 0 && version.undos.length === 0) return version.value;
  const total = amountOf(version, origins);
  return total === undefined ? version.value : Buffer.from(formatAmount(total), "latin1");
}
