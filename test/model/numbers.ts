/**
 * Numbers of the model: integers are bigint and exact, floats are doubles. A sum is exact until the
 * first float joins it; so the order of the terms is part of the value, and always given.
 */

import { formatLongDouble } from "../../runtime/base/number-text.ts";
import type { NumberKind } from "./harness.ts";

export type Num = bigint | number;

export const INT_MAX = 2n ** 63n - 1n;
export const INT_MIN = -(2n ** 63n);

export function kindOf(value: Num): NumberKind {
  return typeof value === "bigint" ? "int" : "float";
}

export function parseNum(kind: NumberKind, text: string): Num {
  return kind === "int" ? BigInt(text) : Number(text);
}

export function addNums(left: Num, right: Num): Num {
  if (typeof left === "bigint" && typeof right === "bigint") return left + right;
  return Number(left) + Number(right);
}

export function negate(value: Num): Num {
  return typeof value === "bigint" ? -value : -value;
}

/** As a reader sees it; `exactText` is for what replicas compare. */
export function formatNum(value: Num): string {
  return typeof value === "bigint" ? String(value) : formatLongDouble(value);
}

/** Redis's integers: no sign but "-", no leading zero, no space, 64 bits. */
export function parseInteger(text: string): bigint | undefined {
  if (!/^(0|-?[1-9][0-9]{0,18})$/.test(text)) return undefined;
  const value = BigInt(text);
  return value < INT_MIN || value > INT_MAX ? undefined : value;
}

/** What INCRBYFLOAT takes: a finite decimal. */
export function parseDecimal(text: string): number | undefined {
  if (!/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}
