/**
 * Which delta an increment adds, so that what is shown afterwards reads as the client was told.
 *
 * Integers add exactly. A sum of doubles may end next to the number meant (0.1 + 0.2); a delta a
 * few units in the last place off its own value then leads to exactly that number, and is found
 * here by trying. Pure.
 *
 * Invariant: with the delta returned, the versions show the wanted text.
 */
import { formatLongDouble } from "../base/number-text.ts";
import type { AddEntry, Dot, Version } from "./cell.ts";
import { addToVersion } from "./cell.ts";
import { type Amount, parseDecimal, shownBytes } from "./counter-value.ts";
import type { Origins } from "./origins.ts";

// limits:
/** Units in the last place by which a delta is tried next to its nominal value. */
const ULPS_MAX = 4;
/** Digits and powers of ten up to which a decimal is summed exactly; beyond, as doubles. */
const EXACT_PLACES_MAX = 400;

/** Decimals that are written, as Redis does. */
const DECIMALS_MAX = 17;

const DECIMAL = /^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$/;

export interface WantedSum {
  /** The version to add to. */
  readonly target: Dot;
  /** The op that adds. */
  readonly adder: Dot;
  readonly delta: Amount;
  /** What must be shown. */
  readonly text: string;
}

/**
 * The delta, or one next to it, with which `versions` show the text. Undefined: adding cannot lead
 * there, since the target is no number, or doubles that cancelled out lack the digits.
 */
export function deltaThatShows(
  versions: readonly Version[],
  origins: Origins,
  wanted: WantedSum,
): Amount | undefined {
  const { target, adder, delta, text } = wanted;
  const shows = (amount: Amount): boolean => {
    const changed = addToVersion(versions, target, entryOf(adder, amount));
    return shownBytes(changed, origins).toString("latin1") === text;
  };
  if (shows(delta)) return delta;
  const current = parseDecimal(shownBytes(versions, origins).toString("latin1"));
  const sum = parseDecimal(text);
  if (current === undefined || sum === undefined) return undefined;
  const nominal = sum - current;
  const scales = [nominal, Math.max(Math.abs(current), Math.abs(sum))];
  for (let step = 0; step <= ULPS_MAX; step++) {
    for (const scale of scales) {
      const offset = step * ulpOf(scale);
      if (shows(nominal + offset)) return nominal + offset;
      if (shows(nominal - offset)) return nominal - offset;
    }
  }
  return undefined;
}

function entryOf({ slot, counter }: Dot, amount: Amount): AddEntry {
  return typeof amount === "bigint"
    ? { slot, counter, integer: amount, real: 0, float: false }
    : { slot, counter, integer: 0n, real: amount, float: true };
}

/** The distance from a double to the next one away from zero. */
function ulpOf(value: number): number {
  const exponent = Math.floor(Math.log2(Math.abs(value) || Number.MIN_VALUE));
  return Math.max(2 ** (exponent - 52), Number.MIN_VALUE);
}

/**
 * The double nearest to the exact sum of two decimals, as Redis's wider floats give it: 0.1 + 0.2
 * is 0.3. Texts that are no short decimals (hexadecimal, infinite) give the sum of `values`.
 */
export function sumOfDecimals(
  texts: readonly [string, string],
  values: readonly [number, number],
): number {
  const sum = exactSum(texts);
  return sum === undefined ? values[0] + values[1] : Number(`${sum.digits}e${-sum.places}`);
}

/**
 * The sum of two decimals, of which `sum` is the nearest double, as text: every digit, where the
 * double is that sum and shorter digits would only read back; else the shortest that do.
 */
export function textOfSum(texts: readonly [string, string], sum: number): string {
  const text = formatLongDouble(sum);
  if (Number.isInteger(sum)) return text;
  const whole = sum.toFixed(DECIMALS_MAX);
  const left = exactSum([texts[0], texts[1], negated(whole)]);
  return left?.digits === 0n ? whole.replace(/0+$/, "").replace(/\.$/, "") : text;
}

function negated(text: string): string {
  return text.startsWith("-") ? text.slice(1) : `-${text}`;
}

/** A decimal: digits · 10^-places. */
interface Decimal {
  readonly digits: bigint;
  readonly places: number;
}

/** Undefined: a text is no short decimal. */
function exactSum(texts: readonly string[]): Decimal | undefined {
  let sum: Decimal = { digits: 0n, places: 0 };
  for (const text of texts) {
    const next = scaled(text);
    if (next === undefined) return undefined;
    const places = Math.max(sum.places, next.places);
    const [a, b] = [sum, next].map((one) => one.digits * 10n ** BigInt(places - one.places));
    sum = { digits: (a as bigint) + (b as bigint), places };
  }
  return sum;
}

function scaled(text: string): Decimal | undefined {
  const match = DECIMAL.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = "", fraction = "", power = "0"] = match;
  const places = fraction.length - Number(power);
  if (whole.length + fraction.length > EXACT_PLACES_MAX) return undefined;
  if (whole.length + fraction.length === 0 || Math.abs(places) > EXACT_PLACES_MAX) return undefined;
  const digits = BigInt(whole + fraction) * (places < 0 ? 10n ** BigInt(-places) : 1n);
  return { digits: sign === "-" ? -digits : digits, places: Math.max(0, places) };
}
