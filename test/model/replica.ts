/**
 * The model: one vnode's replicated state in plain Maps, exactly as design 4 and 5 say it.
 *
 * Invariant: the state is a function of the set of ops in `applied`: the order of their delivery,
 * their repetition, joins and crashes leave no trace in it (oracle.ts computes that function).
 */
import type { Break } from "./breaks.ts";
import { ModelCuts } from "./cuts.ts";
import type {
  Bytes,
  CanonicalState,
  Dot,
  ModelReply,
  NeutralCell,
  NeutralMutation,
  NeutralOp,
  Origin,
  Vector,
} from "./harness.ts";
import { cellName, compareDots, counterOf, dotOf, originOf } from "./harness.ts";
import type { Num } from "./numbers.ts";
import { addNums, negate, parseNum } from "./numbers.ts";
import type { AddEntry, Cell, KeyCells, Version } from "./version.ts";
import { canonicalVersion, later, NO_CELLS } from "./version.ts";

/** What a try of an op id did, as far as it can be undone. */
export interface Effect {
  readonly kind: "add" | "push";
  readonly cell: NeutralCell;
  /** The version added to, or pushed. */
  readonly dot: Dot;
  readonly delta: Num;
}

/** One try of an op id. */
export interface Try {
  readonly reply: ModelReply;
  readonly effects: readonly Effect[];
}

export interface State {
  applied: Map<Origin, number>;
  keys: Map<Bytes, Map<string, Cell>>;
  opIds: Map<string, Map<Dot, Try>>;
}

export class ModelReplica {
  #state: State = { applied: new Map(), keys: new Map(), opIds: new Map() };
  #durable: State = copyState(this.#state);
  #parked: NeutralOp[] = [];
  /** Never goes back, not even in a crash: its ceiling is durable ahead. */
  hlc = 0;
  readonly #broken: Break | undefined;
  readonly #cuts: ModelCuts | undefined;

  /** `lazy`: clears hide what they cover, and snapshots take their time (cuts.ts). */
  constructor(broken?: Break, lazy = false) {
    this.#broken = broken;
    this.#cuts = lazy ? new ModelCuts(broken) : undefined;
  }

  get applied(): ReadonlyMap<Origin, number> {
    return this.#state.applied;
  }

  get opIds(): ReadonlyMap<string, ReadonlyMap<Dot, Try>> {
    return this.#state.opIds;
  }

  cellsOf(key: Bytes): KeyCells {
    const cells = this.#state.keys.get(key) ?? NO_CELLS;
    return this.#cuts?.visible(key, cells) ?? cells;
  }

  /** Cells of a key in memory, hidden ones included. */
  sizeOf(key: Bytes): number {
    return this.#state.keys.get(key)?.size ?? 0;
  }

  version(cell: NeutralCell, dot: Dot): Version | undefined {
    return this.cellsOf(cell.key).get(cellName(cell))?.versions.get(dot);
  }

  contains(dot: Dot): boolean {
    return (this.#state.applied.get(originOf(dot)) ?? 0) >= counterOf(dot);
  }

  /** What an op made now by `origin` depends on. */
  pastOf(origin: Origin): Vector {
    const past: Record<Origin, number> = {};
    for (const [other, counter] of this.#state.applied) if (other !== origin) past[other] = counter;
    return past;
  }

  /** Takes an op from anywhere: applied once, and only after all that it depends on. */
  receive(op: NeutralOp): void {
    if (this.#broken === "uncaused") {
      if (!this.contains(dotOf(op.origin, op.counter))) this.apply(op);
      return;
    }
    if (this.#broken === "adds-again" && this.contains(dotOf(op.origin, op.counter))) {
      this.#change(op);
      return;
    }
    this.#parked.push(op);
    this.#unpark();
  }

  /** Applies an op whose past is here. */
  apply(op: NeutralOp): void {
    this.#change(op);
    const { applied } = this.#state;
    applied.set(op.origin, Math.max(op.counter, applied.get(op.origin) ?? 0));
    this.hlc = Math.max(this.hlc, op.hlc);
    this.#cuts?.log(op);
    this.advance();
  }

  /** Goes on with what is done in slices: freeing what is hidden, a snapshot. */
  advance(): void {
    this.#cuts?.step(this.#state.keys);
  }

  /** Merges the other's whole state: no logs needed. */
  join(other: ModelReplica): void {
    const [mine, theirs] = [this.#state, other.#state];
    const keys = new Map<Bytes, Map<string, Cell>>();
    for (const key of new Set([...mine.keys.keys(), ...theirs.keys.keys()])) {
      const hidden = this.#broken === "cut-join" ? theirs.keys.get(key) : undefined;
      const cells = this.#joinKey(this.cellsOf(key), hidden ?? other.cellsOf(key), other);
      if (cells.size > 0) keys.set(key, cells);
    }
    mine.keys = keys;
    for (const [origin, counter] of theirs.applied) {
      mine.applied.set(origin, Math.max(counter, mine.applied.get(origin) ?? 0));
    }
    for (const [id, tries] of theirs.opIds) {
      mine.opIds.set(id, new Map([...(mine.opIds.get(id) ?? []), ...tries]));
    }
    this.hlc = Math.max(this.hlc, other.hlc);
    this.#cuts?.joined(copyState(mine));
    this.#unpark();
    if (this.#cuts !== undefined) this.makeDurable();
  }

  makeDurable(): void {
    const state = copyState(this.#state);
    if (this.#cuts === undefined) this.#durable = state;
    else this.#cuts.makeDurable(state);
  }

  crash(): void {
    const { state, log } = this.#cuts?.crash() ?? { state: this.#durable, log: [] };
    this.#state = copyState(state);
    this.#parked = [];
    for (const op of log) this.apply(op);
  }

  /** Only for the break "local-sweep": removes a key with no op. */
  forget(key: Bytes): void {
    this.#state.keys.delete(key);
  }

  state(): CanonicalState {
    const cells = [...this.#state.keys.keys()].flatMap((key) => [...this.cellsOf(key)]);
    cells.sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      applied: Object.fromEntries([...this.#state.applied].sort(([a], [b]) => (a < b ? -1 : 1))),
      cells: cells.map(([, { cell, versions }]) => ({
        cell,
        versions: [...versions.values()]
          .sort((a, b) => compareDots(a.dot, b.dot))
          .map(canonicalVersion),
      })),
      opIds: [...this.#state.opIds]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([id, tries]) => {
          const dots = [...tries.keys()].sort(compareDots);
          return { id, tries: dots, reply: replyOf(tries) };
        }),
    };
  }

  #unpark(): void {
    const { applied } = this.#state;
    for (;;) {
      this.#parked = this.#parked.filter((op) => op.counter > (applied.get(op.origin) ?? 0));
      const ready = this.#parked.findIndex(
        ({ origin, counter, past }) =>
          counter === (applied.get(origin) ?? 0) + 1 &&
          Object.entries(past).every(([other, least]) => (applied.get(other) ?? 0) >= least),
      );
      const [op] = ready < 0 ? [] : this.#parked.splice(ready, 1);
      if (op === undefined) return;
      this.apply(op);
    }
  }

  #change(op: NeutralOp): void {
    const dot = dotOf(op.origin, op.counter);
    const clears = op.mutations.filter(({ kind }) => kind === "clear");
    const others = op.mutations.filter(({ kind }) => kind !== "clear");
    const clearLast = this.#broken === "clear-last";
    for (const mutation of clearLast ? [...others, ...clears] : [...clears, ...others]) {
      this.#mutate(op, dot, mutation);
    }
    if (op.opId === undefined) return;
    const tries = new Map(this.#state.opIds.get(op.opId));
    tries.set(dot, { reply: op.reply ?? null, effects: this.#effectsOf(op, dot) });
    this.#state.opIds.set(op.opId, tries);
  }

  #mutate(op: NeutralOp, dot: Dot, mutation: NeutralMutation): void {
    switch (mutation.kind) {
      case "clear":
        if (this.#cuts !== undefined) {
          this.#cuts.cut(mutation.key, op, this.#state.keys.get(mutation.key) ?? NO_CELLS);
          return;
        }
        for (const { cell } of [...this.cellsOf(mutation.key).values()]) this.#drop(cell, op);
        return;
      case "remove":
        this.#drop(mutation.cell, op, mutation.covers);
        return;
      case "set":
        this.#drop(mutation.cell, op, mutation.covers);
        this.#put(mutation.cell, newVersion(op, dot, mutation));
        return;
      case "add": {
        const delta = parseNum(mutation.number, mutation.delta);
        this.#edit(mutation.cell, mutation.dot, (version) => this.#add(version, op, delta));
        return;
      }
      case "expire": {
        const register = { at: mutation.at, hlc: op.hlc, origin: op.origin };
        const last = this.#broken === "register";
        for (const target of mutation.dots) {
          this.#edit(mutation.cell, target, (version) => ({
            ...version,
            expiry: last ? register : later(version.expiry, register),
          }));
        }
        return;
      }
      case "undo": {
        const delta = parseNum(mutation.number, mutation.delta);
        this.#edit(mutation.cell, mutation.dot, (version) =>
          this.#broken === "undo-adds"
            ? this.#add(version, op, negate(delta))
            : { ...version, undone: new Map([...version.undone, [mutation.undone, delta]]) },
        );
        return;
      }
    }
  }

  #add(version: Version, op: NeutralOp, delta: Num): Version {
    const entry = version.adds.get(op.origin);
    if (entry !== undefined && op.counter <= entry.counter && this.#broken !== "adds-again") {
      return version;
    }
    const sum = entry === undefined ? delta : addNums(entry.sum, delta);
    const adds = new Map([...version.adds, [op.origin, { counter: op.counter, sum }] as const]);
    return { ...version, adds };
  }

  /** Drops the versions that `op` covers: those in its past and its origin's, or the context's. */
  #drop(cell: NeutralCell, op: NeutralOp, covers?: readonly Dot[]): void {
    const found = this.cellsOf(cell.key).get(cellName(cell));
    if (found === undefined) return;
    const kept = [...found.versions].filter(([dot]) => !this.#isCovered(dot, op, covers));
    this.#store(cell, new Map(kept));
  }

  #isCovered(dot: Dot, op: NeutralOp, covers?: readonly Dot[]): boolean {
    const origin = originOf(dot);
    if (covers !== undefined) {
      return covers.includes(dot) || (this.#broken === "context-own" && origin === op.origin);
    }
    if (this.#broken === "covered") return true;
    if (origin === op.origin) return this.#broken !== "own-uncovered";
    return (op.past[origin] ?? 0) >= counterOf(dot);
  }

  #put(cell: NeutralCell, version: Version): void {
    const versions = this.cellsOf(cell.key).get(cellName(cell))?.versions ?? [];
    this.#store(cell, new Map([...versions, [version.dot, version]]));
  }

  #edit(cell: NeutralCell, dot: Dot, change: (version: Version) => Version): void {
    const version = this.version(cell, dot);
    if (version !== undefined) this.#put(cell, change(version));
  }

  #store(cell: NeutralCell, versions: ReadonlyMap<Dot, Version>): void {
    const { keys } = this.#state;
    this.#cuts?.touch(cellName(cell), keys);
    const cells = keys.get(cell.key) ?? new Map<string, Cell>();
    if (versions.size > 0) cells.set(cellName(cell), { cell, versions });
    else cells.delete(cellName(cell));
    if (cells.size > 0) keys.set(cell.key, cells);
    else keys.delete(cell.key);
  }

  /** What of an op can be undone: adds, counters made, list elements made (not those set again). */
  #effectsOf(op: NeutralOp, dot: Dot): readonly Effect[] {
    const effects: Effect[] = [];
    for (const mutation of op.mutations) {
      if (mutation.kind === "add") {
        const delta = parseNum(mutation.number, mutation.delta);
        effects.push({ kind: "add", cell: mutation.cell, dot: mutation.dot, delta });
      } else if (mutation.kind === "set" && mutation.counter !== undefined) {
        if (this.#broken === "undo-makes") continue;
        const delta = parseNum(mutation.counter, mutation.value);
        effects.push({ kind: "add", cell: mutation.cell, dot, delta });
      } else if (mutation.kind === "set" && mutation.cell.type === "list") {
        if (madePosition(mutation.cell.element, op)) {
          effects.push({ kind: "push", cell: mutation.cell, dot, delta: 0n });
        }
      }
    }
    return effects;
  }

  #joinKey(mine: KeyCells, theirs: KeyCells, other: ModelReplica) {
    const joined = new Map<string, Cell>();
    for (const name of new Set([...mine.keys(), ...theirs.keys()])) {
      const [left, right] = [mine.get(name), theirs.get(name)];
      const cell = left?.cell ?? right?.cell;
      if (cell === undefined) continue;
      const versions = new Map<Dot, Version>();
      const keepAll = this.#broken === "join";
      for (const [dot, version] of left?.versions ?? []) {
        const both = right?.versions.get(dot);
        if (both !== undefined) versions.set(dot, this.#mergeVersions(version, both));
        else if (keepAll || !other.contains(dot)) versions.set(dot, version);
      }
      for (const [dot, version] of right?.versions ?? []) {
        if (left?.versions.has(dot)) continue;
        if (keepAll || !this.contains(dot)) versions.set(dot, version);
      }
      if (versions.size > 0) joined.set(name, { cell, versions });
    }
    return joined;
  }

  #mergeVersions(mine: Version, theirs: Version): Version {
    const adds = new Map<Origin, AddEntry>(mine.adds);
    for (const [origin, entry] of theirs.adds) {
      const own = adds.get(origin);
      if (own === undefined || entry.counter > own.counter) adds.set(origin, entry);
      else if (this.#broken === "adds") {
        adds.set(origin, { counter: own.counter, sum: addNums(own.sum, entry.sum) });
      }
    }
    const union = this.#broken !== "undo-join";
    const undone = union ? new Map([...mine.undone, ...theirs.undone]) : mine.undone;
    return { ...mine, adds, undone, expiry: later(mine.expiry, theirs.expiry) };
  }
}

/** What the smallest try answered: every retry is answered so. */
export function replyOf(tries: ReadonlyMap<Dot, Try>): ModelReply {
  const [smallest] = [...tries.keys()].sort(compareDots);
  return (smallest === undefined ? undefined : tries.get(smallest)?.reply) ?? null;
}

function newVersion(op: NeutralOp, dot: Dot, set: NeutralMutation & { kind: "set" }): Version {
  const register = { at: set.until ?? null, hlc: op.hlc, origin: op.origin };
  return {
    dot,
    hlc: op.hlc,
    type: set.type,
    value: set.value,
    counter: set.counter ?? null,
    adds: new Map(),
    undone: new Map(),
    expiry: set.until === undefined ? null : register,
    copy: set.copy ?? null,
  };
}

/** Whether the position says that this op made it: its last level is origin, counter, index. */
function madePosition(position: Bytes, op: NeutralOp): boolean {
  const bytes = Buffer.from(position, "latin1");
  if (bytes.length < 26) return false;
  const origin = bytes.toString("hex", bytes.length - 18, bytes.length - 10);
  return origin === op.origin && bytes.readUIntBE(bytes.length - 10, 6) === op.counter;
}

function copyState({ applied, keys, opIds }: State): State {
  return {
    applied: new Map(applied),
    keys: new Map([...keys].map(([key, cells]) => [key, new Map(cells)])),
    opIds: new Map(opIds),
  };
}
