/**
 * What the clients of a scenario do: random commands and raw mutations, drawn from one seed.
 *
 * Keys are few and types collide on purpose; values and times are small, so that a failing seed
 * reads well.
 */
import type { Random } from "../../runtime/base/prng.ts";
import { below } from "../../runtime/base/prng.ts";
import type {
  Bytes,
  CanonicalState,
  CellType,
  ModelCommand,
  NeutralCell,
  NeutralMutation,
} from "./harness.ts";
import { CELL_TYPES, cellName } from "./harness.ts";
import { largeCommand } from "./large-mix.ts";

/** A scenario's time unit. */
export const STEP_MS = 1000;

/**
 * commands: every command, types colliding, expiry. contexts: strings with explicit contexts.
 * counters: INCRs and pushes with retries, counted in the end. mortal: every collection is born
 * with a TTL, nothing may outlive it. raw: arbitrary mutations. clears: the same, with many clears of
 * collections of some size.
 */
export const MODES = ["commands", "contexts", "counters", "mortal", "raw", "clears"] as const;
/** large: collections of many leaves (large-mix.ts), by commands that the model does not know. */
export type Mode = (typeof MODES)[number] | "large";

/** How wild raw mutations are: of so many cells in an op, among so many elements of a collection. */
const WILDNESS = {
  raw: { cells: 2, elements: 2, clears: 0.15 },
  clears: { cells: 5, elements: 8, clears: 0.3 },
} as const;

/** Of the only native client. */
const SESSION = "00000000c11e0001";

export const KEYS = ["a", "b", "c"] as const;

export class Mix {
  readonly #random: Random;
  readonly #families: readonly CellType[];
  readonly #retries: ModelCommand[] = [];
  #ids = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#families = KEYS.map(() => this.pick(CELL_TYPES));
  }

  chance(probability: number): boolean {
    return this.#random.u32() < probability * 2 ** 32;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[below(this.#random, items.length)] as Item;
  }

  below(bound: number): number {
    return below(this.#random, bound);
  }

  key(): Bytes {
    return this.pick(KEYS);
  }

  /** Any command on any key; a quarter of them does not fit the key's usual type. */
  command(step: number, now: number): ModelCommand {
    const index = this.below(KEYS.length);
    const key = KEYS[index] ?? "";
    const usual = this.#families[index] ?? "string";
    const argv = (words: readonly Bytes[]): ModelCommand => ({ argv: words });
    if (this.chance(0.12)) return argv(["PEXPIREAT", key, String(this.#later(now))]);
    if (this.chance(0.05)) return argv(["PERSIST", key]);
    if (this.chance(0.07)) return argv(["DEL", key]);
    const type = this.chance(0.75) ? usual : this.pick(CELL_TYPES);
    return argv(this.#words(type, key, step, now));
  }

  /** As `command`, on collections of many leaves and on whole keys, mostly as they are now. */
  large(now: number, typeOf: (key: Bytes) => CellType | null): ModelCommand {
    const keys = { key: this.key(), other: this.key(), until: this.#later(now) };
    const type = this.chance(0.9) ? typeOf(keys.key) : null;
    return { argv: largeCommand(this.#random, type ?? this.pick(CELL_TYPES), keys) };
  }

  /** Counters, and lists of unique values; two in five are retries of an earlier command. */
  counting(step: number): ModelCommand {
    const retry = this.#retries.length > 0 && this.chance(0.4);
    if (retry) return this.pick(this.#retries);
    const delta = String(1 + this.below(5));
    const argv = this.pick([
      ["INCRBY", "n", delta],
      ["INCRBY", "n", delta],
      ["HINCRBY", "h", "f", delta],
      [this.pick(["LPUSH", "RPUSH"]), "l", `v${step}`],
    ]);
    if (this.chance(0.3)) return { argv };
    const command = { argv, opId: `${SESSION}:${++this.#ids}` };
    this.#retries.push(command);
    return command;
  }

  /** Writes to strings; the caller adds contexts to some. */
  stringWrite(step: number, now: number): ModelCommand {
    const key = this.pick(["a", "b"]);
    const dice = this.below(10);
    if (dice < 5) return { argv: ["SET", key, this.chance(0.5) ? String(step) : `v${step}`] };
    if (dice < 7) return { argv: ["INCRBY", key, "1"] };
    if (dice < 8) return { argv: ["PEXPIREAT", key, String(this.#later(now))] };
    return { argv: ["DEL", key] };
  }

  /** For collections that have a TTL; undefined: the caller creates one with a TTL. */
  mortal(step: number, now: number, exists: boolean): ModelCommand | undefined {
    const field = `f${this.below(3)}`;
    const dice = this.below(20);
    if (!exists) return undefined;
    if (dice < 8) return { argv: ["HSET", "a", field, `v${step}`] };
    if (dice < 15) return { argv: ["HDEL", "a", field] };
    if (dice < 18) return { argv: ["PEXPIREAT", "a", String(this.#later(now))] };
    return { argv: ["DEL", "a"] };
  }

  /** The birth of a mortal hash: one op, as a MULTI of HSET and PEXPIREAT makes it. */
  birth(step: number, now: number): readonly NeutralMutation[] {
    const until = this.#later(now);
    const head = { key: "a", type: "head", element: "" } as const;
    const cell = { key: "a", type: "hash", element: `f${this.below(3)}` } as const;
    const value = `v${step}`;
    return [
      { kind: "clear", key: "a" },
      { kind: "set", cell: head, type: "hash", value: "", until },
      { kind: "set", cell, type: "hash", value, copy: until },
    ];
  }

  /** One op of arbitrary mutations on cells that `state` has or not. */
  raw(
    mode: keyof typeof WILDNESS,
    step: number,
    now: number,
    state: CanonicalState,
  ): readonly NeutralMutation[] {
    const wildness = WILDNESS[mode];
    const cells = Array.from({ length: wildness.cells }, () => this.#rawCell(wildness.elements));
    const distinct = new Map(cells.map((cell) => [cellName(cell), cell]));
    const mutations = [...distinct.values()].map((cell) =>
      this.#rawMutation(cell, step, now, state),
    );
    if (!this.chance(wildness.clears)) return mutations;
    return [{ kind: "clear", key: this.pick(["a", "b"]) }, ...mutations];
  }

  #later(now: number): number {
    return now + (3 + this.below(25)) * STEP_MS;
  }

  /** Floats are exact in binary: how a vnode rounds decimals is no matter of causality. */
  #words(type: CellType, key: Bytes, step: number, now: number): readonly Bytes[] {
    const value = this.chance(0.3) ? String(this.below(20)) : `v${step}`;
    const small = `f${this.below(4)}`;
    switch (type) {
      case "string":
        return this.pick([
          ["SET", key, value],
          ["SET", key, value, "PXAT", String(this.#later(now))],
          ["INCRBY", key, String(this.below(9) - 3)],
          ["INCRBYFLOAT", key, this.pick(["0.5", "2.5", "-0.25", "1e3"])],
          ["GET", key],
        ]);
      case "hash":
        return this.pick([
          ["HSET", key, small, value],
          ["HSET", key, small, value],
          ["HINCRBY", key, small, String(this.below(9) - 3)],
          ["HDEL", key, small, `f${this.below(4)}`],
        ]);
      case "set":
        return this.pick([
          ["SADD", key, small],
          ["SADD", key, small, `f${this.below(4)}`],
          ["SREM", key, small],
        ]);
      case "zset":
        return this.pick([
          ["ZADD", key, this.pick(["1", "2.5", "-7"]), small],
          ["ZREM", key, small],
        ]);
      case "list":
        return this.pick([
          ["LPUSH", key, value, small],
          ["RPUSH", key, value],
          [this.pick(["LPOP", "RPOP"]), key],
          ["LSET", key, String(this.below(4) - 2), value],
          ["LREM", key, String(this.below(3) - 1), small],
          ["LINSERT", key, this.pick(["BEFORE", "AFTER"]), small, value],
          ["LINSERT", key, this.pick(["BEFORE", "AFTER"]), small, small],
        ]);
    }
  }

  #rawCell(elements: number): NeutralCell {
    const key = this.pick(["a", "b"]);
    const type = this.pick(["head", "hash", "set", "list"] as const);
    return { key, type, element: type === "head" ? "" : `f${this.below(elements)}` };
  }

  #rawMutation(
    cell: NeutralCell,
    step: number,
    now: number,
    state: CanonicalState,
  ): NeutralMutation {
    const name = cellName(cell);
    const versions = state.cells.find((found) => cellName(found.cell) === name)?.versions ?? [];
    const version = versions.length > 0 ? this.pick(versions) : undefined;
    const some = { covers: versions.filter(() => this.chance(0.5)).map(({ dot }) => dot) };
    const explicit = this.chance(0.25) ? some : {};
    const dice = this.below(14);
    if (dice < 2) return { kind: "remove", cell, ...explicit };
    if (version === undefined || dice < 5) {
      const type = cell.type === "head" ? this.pick(CELL_TYPES) : cell.type;
      const until = cell.type === "head" && this.chance(0.3) ? { until: this.#later(now) } : {};
      const copy = cell.type !== "head" && this.chance(0.3) ? { copy: this.#later(now) } : {};
      const adds = type === "string" || cell.type === "hash";
      const counter = adds && this.chance(0.3) ? ({ counter: "int" } as const) : {};
      return {
        kind: "set",
        cell,
        type,
        value: String(step),
        ...counter,
        ...until,
        ...copy,
        ...explicit,
      };
    }
    const { dot, adds } = version;
    if (cell.type === "head" && dice < 9) {
      const at = this.chance(0.3) ? null : this.#later(now);
      return { kind: "expire", cell, dots: versions.map((each) => each.dot), at };
    }
    // only strings and fields are numbers
    if (version.type !== "string" && cell.type !== "hash") return { kind: "remove", cell };
    const [entry] = adds;
    if (dice < 10 && entry !== undefined && entry.number === "int") {
      const undone = `${entry.origin}@${entry.counter}`;
      return { kind: "undo", cell, dot, undone, number: "int", delta: "2" };
    }
    // with 2^53 among the terms, the order of a sum shows
    const float = this.pick(["0.5", "9007199254740992"]);
    if (dice < 11) return { kind: "add", cell, dot, number: "float", delta: float };
    return { kind: "add", cell, dot, number: "int", delta: String(1 + this.below(4)) };
  }
}
