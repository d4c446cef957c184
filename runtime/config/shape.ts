/**
 * Shapes of configuration values: what a field may hold, its default and its description, as data.
 * One shape serves the checker (check.ts), the JSON schema of editors and the types.
 *
 * Invariant: every field has a description, and its default satisfies its own check.
 */

// limits:
/** Longest text of a configuration field: a path, a host name. */
export const CONFIG_TEXT_LENGTH_MAX = 4096;
/** Nodes that a configuration may name. */
export const CONFIG_NODES_MAX = 100;
/** Keyspaces of a node: SELECT picks one by number. */
export const CONFIG_KEYSPACES_MAX = 256;
/** Worker threads of a node. */
export const WORKERS_MAX = 128;

/** A whole number within bounds. `powerOfTwo` allows only 1, 2, 4, ... */
export interface IntegerShape {
  readonly kind: "integer";
  readonly min: number;
  readonly max: number;
  readonly powerOfTwo: boolean;
  /** Words that may stand for a number, such as "auto". */
  readonly words: readonly string[];
}

/** Bytes: a number, or text such as "64mb" (powers of 1024), or "75%" where `percent` is true. */
export interface BytesShape {
  readonly kind: "bytes";
  readonly min: number;
  readonly max: number;
  readonly percent: boolean;
}

/** One of a closed set. `refused` names known words that are not allowed here, with the reason. */
export interface ChoiceShape {
  readonly kind: "choice";
  readonly values: readonly string[];
  readonly refused: Readonly<Record<string, string>>;
}

/** Text of at least one character that matches `pattern`; `allowed` says the pattern in words. */
export interface TextShape {
  readonly kind: "text";
  readonly pattern: string;
  readonly allowed: string;
}

/** Fields by name: any other name is refused. */
export interface ObjectShape {
  readonly kind: "object";
  readonly fields: Readonly<Record<string, Field>>;
}

export interface ListShape {
  readonly kind: "list";
  readonly item: ObjectShape;
  readonly min: number;
  readonly max: number;
}

/** Entries under names that match `pattern`. */
export interface MapShape {
  readonly kind: "map";
  readonly pattern: string;
  readonly allowed: string;
  readonly value: ObjectShape;
  readonly max: number;
}

export type Shape =
  | IntegerShape
  | BytesShape
  | ChoiceShape
  | TextShape
  | ObjectShape
  | ListShape
  | MapShape;

/** A field of an object. Without default it may be absent, and `absent` says what then holds. */
export interface Field {
  readonly shape: Shape;
  readonly description: string;
  readonly fallback?: number | string;
  readonly required: boolean;
}

export function integer(
  min: number,
  max: number,
  options: { powerOfTwo?: boolean; words?: readonly string[] } = {},
): IntegerShape {
  const { powerOfTwo = false, words = [] } = options;
  return { kind: "integer", min, max, powerOfTwo, words };
}

export function bytes(min: number, max: number, options: { percent?: boolean } = {}): BytesShape {
  return { kind: "bytes", min, max, percent: options.percent ?? false };
}

export function choice(
  values: readonly string[],
  refused: Readonly<Record<string, string>> = {},
): ChoiceShape {
  return { kind: "choice", values, refused };
}

export function text(pattern: string, allowed: string): TextShape {
  return { kind: "text", pattern, allowed };
}

/** Any text that has something in it and no control characters: a path, an address. */
export function anyText(allowed: string): TextShape {
  return text(`^[^\\u0000-\\u001f\\u007f]{1,${CONFIG_TEXT_LENGTH_MAX}}$`, allowed);
}

export function object(fields: Readonly<Record<string, Field>>): ObjectShape {
  return { kind: "object", fields };
}

export function list(item: ObjectShape, min: number, max: number): ListShape {
  return { kind: "list", item, min, max };
}

/** A field with a default. */
export function field(shape: Shape, fallback: number | string, description: string): Field {
  return { shape, fallback, description, required: false };
}

/** A field that may be absent; the description says what then holds. */
export function optional(shape: Shape, description: string): Field {
  return { shape, description, required: false };
}

export function required(shape: Shape, description: string): Field {
  return { shape, description, required: true };
}

/** The same objects with no field required and no defaults: overrides of another object. */
export function overridesOf(shape: ObjectShape): ObjectShape {
  const fields: Record<string, Field> = {};
  for (const [name, { shape: inner, description }] of Object.entries(shape.fields)) {
    fields[name] = optional(inner, description);
  }
  return object(fields);
}

const UNITS: readonly (readonly [string, number])[] = [
  ["tb", 1024 ** 4],
  ["gb", 1024 ** 3],
  ["mb", 1024 ** 2],
  ["kb", 1024],
  ["b", 1],
];

/** Bytes named by "64mb", "1.5gb" or "4096"; undefined if it is no such text. */
export function parseBytes(value: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)i?b?$/i.exec(value.trim());
  if (match === null) return undefined;
  const unit = `${(match[2] ?? "").toLowerCase()}b`;
  const scale = UNITS.find(([name]) => name === unit)?.[1] ?? 1;
  const result = Number(match[1]) * scale;
  return Number.isSafeInteger(result) ? result : undefined;
}

/** The fraction named by "75%", in (0, 1]; undefined if it is no such text. */
export function parsePercent(value: string): number | undefined {
  const match = /^(\d{1,3}(?:\.\d{1,3})?)\s*%$/.exec(value.trim());
  if (match === null) return undefined;
  const fraction = Number(match[1]) / 100;
  return fraction > 0 && fraction <= 1 ? fraction : undefined;
}

/** Bytes as a person writes them: "64mb" for 67108864. */
export function formatBytes(value: number): string {
  for (const [unit, scale] of UNITS) {
    if (value >= scale && value % scale === 0) return `${value / scale}${unit}`;
  }
  return `${value}b`;
}
