/**
 * Checks a value against a shape: either every field of it is right, or all problems are listed.
 *
 * Invariant: what is returned without problems holds every field with a default, and nothing else.
 * Names come from outside: objects are read by own names only, never through a prototype.
 */
import type { MachineFacts } from "../base/machine.ts";
import { nearestName } from "./nearest.ts";
import {
  type BytesShape,
  formatBytes,
  type IntegerShape,
  type ListShape,
  type MapShape,
  type ObjectShape,
  parseBytes,
  parsePercent,
  type Shape,
} from "./shape.ts";
import { memberPath } from "./text.ts";

/** One thing wrong: where, and a sentence that says what, what is allowed, what to do. */
export interface Problem {
  readonly path: string;
  readonly message: string;
}

/** A checked object: defaults filled in, bytes and percentages as numbers. */
export type Checked = { readonly [name: string]: CheckedValue };
export type CheckedValue = number | string | undefined | Checked | readonly Checked[];

export interface CheckContext {
  readonly machine: MachineFacts;
  readonly problems: Problem[];
  /** The whole shape, to say where a misplaced field belongs. */
  readonly root: ObjectShape;
}

/** Longest value that a message shows. */
const SHOWN_LENGTH_MAX = 60;

/** A value from outside for a message: JSON, cut, control characters escaped. */
export function show(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value));
  return text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX)}...`;
}

/** What a shape allows, in words. */
export function allowed(shape: Shape): string {
  switch (shape.kind) {
    case "integer": {
      const words = shape.words.map((word) => ` or ${JSON.stringify(word)}`).join("");
      const kind = shape.powerOfTwo ? "a power of two" : "a whole number";
      return `${kind} from ${shape.min} to ${shape.max}${words}`;
    }
    case "bytes": {
      const range = `${formatBytes(shape.min)} to ${formatBytes(shape.max)}`;
      return `bytes from ${range}, such as 1048576 or "64mb"${shape.percent ? ', or "75%"' : ""}`;
    }
    case "choice":
      return shape.values.map((value) => JSON.stringify(value)).join(" or ");
    case "text":
      return shape.allowed;
    case "object":
    case "map":
      return "an object {...}";
    case "list":
      return "a list [...]";
  }
}

/** Checks one value; adds to the context's problems and returns undefined if it is wrong. */
export function checkValue(
  shape: Shape,
  value: unknown,
  path: string,
  context: CheckContext,
): CheckedValue {
  switch (shape.kind) {
    case "integer":
      return checkInteger(shape, value, path, context);
    case "bytes":
      return checkBytes(shape, value, path, context);
    case "choice": {
      if (typeof value === "string" && shape.values.includes(value)) return value;
      const reason = typeof value === "string" ? own(shape.refused, value) : undefined;
      const nearest = typeof value === "string" ? nearestName(value, shape.values) : undefined;
      const hint = nearest === undefined ? "" : `; did you mean ${JSON.stringify(nearest)}?`;
      return refuse(shape, value, path, context, reason === undefined ? hint : `; ${reason}`);
    }
    case "text":
      if (typeof value === "string" && new RegExp(shape.pattern).test(value)) return value;
      return refuse(shape, value, path, context);
    case "object":
      return checkObject(shape, value, path, context);
    case "list":
      return checkList(shape, value, path, context);
    case "map":
      return checkMap(shape, value, path, context);
  }
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function refuse(
  shape: Shape,
  value: unknown,
  path: string,
  { problems }: CheckContext,
  more = "",
): undefined {
  const message = `${show(value)} is not allowed; expected ${allowed(shape)}${more}`;
  problems.push({ path, message });
  return undefined;
}

function checkInteger(
  shape: IntegerShape,
  value: unknown,
  path: string,
  context: CheckContext,
): CheckedValue {
  if (typeof value === "string" && shape.words.includes(value)) return value;
  const whole = typeof value === "number" && Number.isSafeInteger(value);
  if (!whole || value < shape.min || value > shape.max) return refuse(shape, value, path, context);
  if (shape.powerOfTwo && !Number.isInteger(Math.log2(value))) {
    return refuse(shape, value, path, context);
  }
  return value;
}

function checkBytes(
  shape: BytesShape,
  value: unknown,
  path: string,
  context: CheckContext,
): CheckedValue {
  let result: number | undefined;
  if (typeof value === "number" && Number.isSafeInteger(value)) result = value;
  if (typeof value === "string") {
    result = parseBytes(value);
    const fraction = shape.percent ? parsePercent(value) : undefined;
    if (fraction !== undefined) {
      // A share of a small machine is what it is: bounds are for numbers that somebody wrote.
      return Math.max(shape.min, Math.floor(fraction * context.machine.memoryBytes));
    }
  }
  if (result === undefined || result < shape.min || result > shape.max) {
    return refuse(shape, value, path, context);
  }
  return result;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkObject(
  shape: ObjectShape,
  value: unknown,
  path: string,
  context: CheckContext,
): CheckedValue {
  if (!isRecord(value)) return refuse(shape, value, path, context);
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(shape.fields, name)) unknownField(shape, name, path, context);
  }
  const checked: Record<string, CheckedValue> = {};
  for (const [name, field] of Object.entries(shape.fields)) {
    const inner = memberPath(path, name);
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given !== undefined) checked[name] = checkValue(field.shape, given, inner, context);
    else if (field.required) {
      const message = `is missing; expected ${allowed(field.shape)}`;
      context.problems.push({ path: inner, message });
    } else if (field.fallback !== undefined) {
      checked[name] = checkValue(field.shape, field.fallback, inner, context);
    } else if (field.shape.kind === "object") {
      checked[name] = checkValue(field.shape, {}, inner, context);
    }
  }
  return checked;
}

function unknownField(
  shape: ObjectShape,
  name: string,
  path: string,
  { problems, root }: CheckContext,
): void {
  const names = Object.keys(shape.fields);
  const nearest = nearestName(name, names);
  let hint = `the fields here are ${names.join(", ")}`;
  if (nearest !== undefined) hint = `did you mean ${JSON.stringify(nearest)}?`;
  else {
    const homes = homesOf(name, root, "");
    if (homes.length > 0) hint = `did you mean ${homes.join(" or ")}?`;
  }
  problems.push({ path: memberPath(path, name), message: `unknown field; ${hint}` });
}

/** Paths in the shape where a field of this name is known. */
function homesOf(name: string, shape: Shape, path: string): string[] {
  switch (shape.kind) {
    case "list":
      return homesOf(name, shape.item, `${path}[]`);
    case "map":
      return [];
    case "object": {
      const homes = Object.hasOwn(shape.fields, name) ? [memberPath(path, name)] : [];
      for (const [inner, { shape: innerShape }] of Object.entries(shape.fields)) {
        homes.push(...homesOf(name, innerShape, memberPath(path, inner)));
      }
      return homes;
    }
    default:
      return [];
  }
}

function checkList(
  shape: ListShape,
  value: unknown,
  path: string,
  context: CheckContext,
): CheckedValue {
  if (!Array.isArray(value)) return refuse(shape, value, path, context);
  if (value.length < shape.min || value.length > shape.max) {
    const message = `has ${value.length} entries; expected ${shape.min} to ${shape.max}`;
    context.problems.push({ path, message });
    return undefined;
  }
  const items: Checked[] = [];
  for (const [index, item] of value.entries()) {
    const checked = checkObject(shape.item, item, memberPath(path, index), context);
    if (checked !== undefined) items.push(checked as Checked);
  }
  return items;
}

function checkMap(
  shape: MapShape,
  value: unknown,
  path: string,
  context: CheckContext,
): CheckedValue {
  if (!isRecord(value)) return refuse(shape, value, path, context);
  const checked: Record<string, CheckedValue> = Object.create(null);
  const names = Object.keys(value);
  if (names.length > shape.max) {
    const message = `has ${names.length} entries; at most ${shape.max} are allowed`;
    context.problems.push({ path, message });
    return undefined;
  }
  const pattern = new RegExp(shape.pattern);
  for (const name of names) {
    const inner = memberPath(path, name);
    if (!pattern.test(name)) {
      context.problems.push({ path: inner, message: `expected ${shape.allowed}` });
    } else checked[name] = checkValue(shape.value, value[name], inner, context);
  }
  return checked;
}
