/**
 * The one interface through which random scenarios drive both the model and the real vnode.
 *
 * Everything that crosses it is neutral: bytes are latin1 strings, origins 16 hex digits, dots
 * "origin@counter", times ms since 1970, and a state is one canonical text. So two implementations,
 * or two replicas of one, are equal iff their texts are.
 *
 * The scenarios themselves are in scenario.ts, the model in replica.ts.
 */
import { isDeepStrictEqual } from "node:util";
import type { Random } from "../../runtime/base/prng.ts";

/** Bytes, one char (0-255) a byte. */
export type Bytes = string;
/** A vnode's id as an origin: 16 lower-case hex digits, the high word first. */
export type Origin = string;
/** The name of one write: `${origin}@${counter}`. */
export type Dot = string;
/** Applied, or the past of an op: the largest counter of each origin; zeros are left out. */
export type Vector = Readonly<Record<Origin, number>>;

/** The types of keys in the order of their type numbers: without a head the lowest is shown. */
export const CELL_TYPES = ["string", "list", "set", "zset", "hash"] as const;
export type CellType = (typeof CELL_TYPES)[number];

/**
 * The smallest thing with versions. `element` is "" for the head; a field, a member, or a list
 * position else. Elements of different types are different cells. A string lives in its head.
 */
export interface NeutralCell {
  readonly key: Bytes;
  readonly type: "head" | Exclude<CellType, "string">;
  readonly element: Bytes;
}

/** What a number's text stands for: integers are exact, floats are doubles. */
export type NumberKind = "int" | "float";

/** The changes of one op; at most one a cell, `clear` before the sets. */
export type NeutralMutation =
  | {
      readonly kind: "set";
      readonly cell: NeutralCell;
      /** Of the version: the cell's own for elements, any for heads. */
      readonly type: CellType;
      readonly value: Bytes;
      /** A version made by an INCR: shown counter siblings sum. Its value is the base's text. */
      readonly counter?: NumberKind;
      /** The explicit context, already filtered: exactly these dots are replaced. */
      readonly covers?: readonly Dot[];
      /** A head's first expiry register; null: never. */
      readonly until?: number | null;
      /** An element's copy of its key's expiry. */
      readonly copy?: number;
    }
  | { readonly kind: "remove"; readonly cell: NeutralCell; readonly covers?: readonly Dot[] }
  | { readonly kind: "clear"; readonly key: Bytes }
  | {
      readonly kind: "add";
      readonly cell: NeutralCell;
      readonly dot: Dot;
      readonly number: NumberKind;
      /** As `exactText` writes it. */
      readonly delta: string;
    }
  | {
      readonly kind: "expire";
      readonly cell: NeutralCell;
      readonly dots: readonly Dot[];
      readonly at: number | null;
    }
  | {
      readonly kind: "undo";
      readonly cell: NeutralCell;
      readonly dot: Dot;
      /** The op whose add (or whose making of this version, as an INCR) is taken back. */
      readonly undone: Dot;
      readonly number: NumberKind;
      readonly delta: string;
    };

/** One command's effect, as every replica logs and applies it. */
export interface NeutralOp {
  readonly origin: Origin;
  readonly counter: number;
  /** The whole vector of what the origin had applied, without the origin itself. */
  readonly past: Vector;
  readonly hlc: number;
  readonly mutations: readonly NeutralMutation[];
  /** The client's op id, `${session}:${sequence}` (16 hex digits), and what this try answered. */
  readonly opId?: string;
  readonly reply?: ModelReply;
}

/** The part of a version's mark that a context holds. */
export interface NeutralMark {
  readonly dot: Dot;
  /** Each adding origin's last counter. */
  readonly adds: Vector;
}

/**
 * One Redis command: `argv` as a client sends it, in the subset of commands.ts. Times are always
 * absolute (PXAT, PEXPIREAT). A native client's SET or DEL may carry the context that it read.
 */
export interface ModelCommand {
  readonly argv: readonly Bytes[];
  readonly context?: readonly NeutralMark[];
  /** `${session}:${sequence}`. */
  readonly opId?: string;
}

/**
 * A reply: bulk and simple strings are strings, integers numbers (past 2^53: text), an error is its
 * first word ("WRONGTYPE").
 */
export type ModelReply =
  | number
  | string
  | null
  | readonly ModelReply[]
  | { readonly error: string };

/** What a reader of a key sees: a pure function of its cells and the time. */
export interface CanonicalValue {
  /** null: absent. */
  readonly type: CellType | null;
  /** A string's bytes; null for collections. */
  readonly value: Bytes | null;
  /** [element, value]: a list in its order, the others sorted by element. */
  readonly elements: readonly (readonly [Bytes, Bytes])[];
  /** As LLEN or HLEN answers; 1 for a string. */
  readonly count: number;
  /** Expiry in ms; null: none. */
  readonly until: number | null;
  /** Under the resolver `siblings`: every head's value, oldest dot first. */
  readonly siblings: readonly Bytes[];
}

/** One version, fields in this order; lists sorted by origin or dot. */
export interface CanonicalVersion {
  readonly dot: Dot;
  readonly hlc: number;
  readonly type: CellType;
  /** As written; a score as base/number-text's formatDouble prints it. */
  readonly value: Bytes;
  readonly counter: NumberKind | null;
  readonly adds: readonly {
    readonly origin: Origin;
    readonly counter: number;
    readonly number: NumberKind;
    /** As `exactText` writes it. */
    readonly sum: string;
  }[];
  readonly undone: readonly {
    readonly dot: Dot;
    readonly number: NumberKind;
    readonly delta: string;
  }[];
  readonly expiry: {
    readonly at: number | null;
    readonly hlc: number;
    readonly origin: Origin;
  } | null;
  readonly copy: number | null;
}

/** A replica's whole replicated state: no parked ops, no clocks, no hidden versions, no cuts. */
export interface CanonicalState {
  readonly applied: Vector;
  /** Sorted by `cellName`; no cell without versions. */
  readonly cells: readonly {
    readonly cell: NeutralCell;
    /** Sorted by dot (`compareDots`). */
    readonly versions: readonly CanonicalVersion[];
  }[];
  /** Sorted by id; dots sorted; the reply is that of the smallest dot. */
  readonly opIds: readonly {
    readonly id: string;
    readonly tries: readonly Dot[];
    readonly reply: ModelReply;
  }[];
}

/** What a coordinator made of a command. No op: nothing changed (a read, an error, a retry). */
export interface Made {
  readonly reply: ModelReply;
  /** In the implementation's own format; goes to `deliver` of others of the same kind. */
  readonly op?: unknown;
}

/** One replica of one partition under test. Its origin is new after every start (design 4.9). */
export interface ReplicaUnderTest {
  /** The id under which it makes its next op. */
  origin(): Origin;
  /** Runs a command as the coordinator, at its own clock's time. */
  run(command: ModelCommand, nowMs: number): Made;
  /**
   * Coordinates one op of exactly these mutations (none has `covers` that it has not applied): raw
   * fuzz of section 4, and commands that Redis has no words for (MULTI of HSET and PEXPIREAT).
   */
  mutate(mutations: readonly NeutralMutation[], nowMs: number): Made;
  /** Undoes at most one double executed try (design 5), as a leading vnode does on its own. */
  undo(nowMs: number): Made;
  /** Clears what expired longer than the grace ago, at most one key (design 4.6). */
  sweep(key: Bytes, nowMs: number): Made;
  /** An op of another replica, in any order and any number of times. */
  deliver(op: unknown): void;
  /** A slice of what goes on by itself: freeing what a cut hides, a snapshot's scan. */
  background(): void;
  /** Merges the other's whole state, with no log. The other is of the same kind. */
  join(from: ReplicaUnderTest): void;
  /** All that was applied until now survives a crash. */
  makeDurable(): void;
  /** Back to the last durable state, under a new origin, with nothing parked. */
  crash(): void;
  read(key: Bytes, nowMs: number): CanonicalValue;
  /** The marks of a string's heads, for a later `context`. */
  readContext(key: Bytes): readonly NeutralMark[];
  state(): CanonicalState;
  exportOp(op: unknown): NeutralOp;
  importOp(op: NeutralOp): unknown;
}

/** How the replicas of a scenario are configured; all of one scenario alike. */
export interface ReplicaOptions {
  readonly name: string;
  /** Draws origins. */
  readonly random: Random;
  /** Writes with a context that would leave more versions are refused with TOOMANYSIBLINGS. */
  readonly siblingsMax: number;
  /** How long after its expiry a key is swept. */
  readonly graceMs: number;
}

export type MakeReplica = (options: ReplicaOptions) => ReplicaUnderTest;

/** The wall time from which an HLC counts: 2020-01-01T00:00Z. */
export const HLC_EPOCH_MS = 1_577_836_800_000;
/** Logical steps of one ms of an HLC. */
export const HLC_STEPS = 4096;

/** The wall time of an HLC, whole ms. */
export function wallOf(hlc: number): number {
  return HLC_EPOCH_MS + Math.floor(hlc / HLC_STEPS);
}

export function dotOf(origin: Origin, counter: number): Dot {
  return `${origin}@${counter}`;
}

export function originOf(dot: Dot): Origin {
  return dot.slice(0, 16);
}

export function counterOf(dot: Dot): number {
  return Number(dot.slice(17));
}

/** The total order of dots: origin by bytes, then counter. The smallest try of an op id stays. */
export function compareDots(left: Dot, right: Dot): number {
  const leftOrigin = originOf(left);
  const rightOrigin = originOf(right);
  if (leftOrigin !== rightOrigin) return leftOrigin < rightOrigin ? -1 : 1;
  return counterOf(left) - counterOf(right);
}

/** One text a cell; also the order of cells in a canonical state. */
export function cellName(cell: NeutralCell): string {
  return `${cell.key}\u0100${cell.type}\u0100${cell.element}`;
}

/** A number's one text: equal texts are the same integer, or the same bits of a double. */
export function exactText(value: bigint | number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Whether two values have one text; of equal ones no text is made. */
export function areSame(left: unknown, right: unknown): boolean {
  return isDeepStrictEqual(left, right) || canonicalText(left) === canonicalText(right);
}

/** A value's one text: fields sorted, `undefined` ones left out. Equal texts are equal values. */
export function canonicalText(value: unknown): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${fields.map(([name, field]) => `"${name}":${canonicalText(field)}`).join(",")}}`;
}
