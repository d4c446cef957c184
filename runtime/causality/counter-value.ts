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
/** Decimals that a number is shown with at most (Redis: "%.17Lf"). */
const DECIMALS_MAX = 17;
/** Above it a double has no decimals, and toFixed writes no digits. */
const DECIMAL_PLACES_LIMIT = 1e21;
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

/** A number with the largest one among its terms and partial sums: what its last digits owe. */
interface Sum {
  total: Amount;
  magnitude: number;
}

function include(sum: Sum, term: Amount): void {
  // Partial sums are kept modulo 2^64: a sum of adds may pass what base + sum never does.
  const total = addAmounts(sum.total, term);
  sum.total = typeof total === "bigint" ? BigInt.asIntN(64, total) : total;
  sum.magnitude = Math.max(sum.magnitude, Math.abs(Number(term)), Math.abs(Number(sum.total)));
}

/** A version's number: base + partial sums in origin order − undone tries; undefined: none. */
export function amountOf(version: Version, origins: Origins): Amount | undefined {
  return sumOf(version, origins)?.total;
}

function sumOf(version: Version, origins: Origins): Sum | undefined {
  const text = version.value.toString("latin1");
  const base: Amount | undefined =
    version.counterKind === FLOAT_COUNTER
      ? Number(text)
      : (parseInteger(text) ?? parseDecimal(text));
  if (base === undefined) return undefined;
  const sum: Sum = { total: base, magnitude: Math.abs(Number(base)) };
  const adds = [...version.adds].sort((a, b) => origins.compare(a.slot, b.slot));
  for (const add of adds) include(sum, entryAmount(add));
  const undos = [...version.undos].sort(
    (a, b) => origins.compare(a.slot, b.slot) || a.counter - b.counter,
  );
  for (const undo of undos) {
    const taken = entryAmount(undo);
    include(sum, typeof taken === "bigint" ? -taken : -taken);
  }
  return sum;
}

/**
 * A sum as text. The last digits of a sum of doubles are noise: the shortest decimal within the
 * precision of the largest term is meant (0.1 + 0.2 is "0.3", 1 - 1.1 is "-0.1").
 */
function formatSum({ total, magnitude }: Sum): string {
  if (typeof total === "bigint") return total.toString();
  if (magnitude > 0 && magnitude < DECIMAL_PLACES_LIMIT) {
    const precision = 2 ** (Math.floor(Math.log2(magnitude)) - 52);
    for (let places = 0; places <= DECIMALS_MAX; places++) {
      const rounded = Number(total.toFixed(places));
      if (Math.abs(rounded - total) <= precision) return formatLongDouble(rounded);
    }
  }
  return formatLongDouble(total);
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
  const all: Sum = { total: 0n, magnitude: 0 };
  for (const version of shown) {
    const sum = sumOf(version, origins);
    if (sum === undefined) continue;
    all.magnitude = Math.max(all.magnitude, sum.magnitude);
    all.total = addAmounts(all.total, sum.total);
  }
  return Buffer.from(formatSum(all), "latin1");
}

/** One version's bytes: as written, until something was added to it. */
export function versionBytes(version: Version, origins: Origins): Buffer {
  if (version.adds.length === 0 && version.undos.length === 0) return version.value;
  const sum = sumOf(version, origins);
  return sum === undefined ? version.value : Buffer.from(formatSum(sum), "latin1");
}
