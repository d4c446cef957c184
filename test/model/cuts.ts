/**
 * What a lazy model replica has besides its cells, word by word as design 4.4 and 6 have it: what a
 * clear covers stays among the cells, hidden by a version vector, until a pass has freed it; a
 * snapshot is taken in slices meanwhile, and a crash goes back to one and the log after it. Replicas
 * with cuts and without must be alike for whoever looks.
 *
 * Invariant: what is not hidden is what an eager clear would have left.
 */
import type { Break } from "./breaks.ts";
import type { Bytes, Dot, NeutralOp, Origin } from "./harness.ts";
import { counterOf, originOf } from "./harness.ts";
import type { State } from "./replica.ts";
import type { Cell, KeyCells } from "./version.ts";

type Keys = State["keys"];
type CutVector = ReadonlyMap<Origin, number>;

interface Cut {
  readonly vector: CutVector;
  /** Names of the cells that the pass has still to look at. */
  readonly left: Set<string>;
}

/** A snapshot in the making: what the cells held when it began. */
interface Scan {
  /** All that is no cell, and how long the log was. */
  readonly state: State;
  readonly from: number;
  readonly cuts: ReadonlyMap<Bytes, CutVector>;
  readonly left: Map<string, Bytes>;
}

const NOTHING: State = { applied: new Map(), keys: new Map(), opIds: new Map() };

export class ModelCuts {
  readonly #broken: Break | undefined;
  #cuts = new Map<Bytes, Cut>();
  #scan: Scan | undefined;

  /** The newest whole snapshot, the ops since it began, and how many of them survive a crash. */
  #snapshot: State = NOTHING;
  #log: NeutralOp[] = [];
  #synced = 0;

  constructor(broken?: Break) {
    this.#broken = broken;
  }

  /** What a reader sees of a key's cells. */
  visible(key: Bytes, cells: KeyCells): KeyCells {
    return uncut(cells, this.#cuts.get(key)?.vector);
  }

  /** Hides what a clear covers: all in its past, and its origin's ops before it. */
  cut(key: Bytes, { origin, counter, past }: NeutralOp, cells: KeyCells): void {
    const vector = new Map(Object.entries(past));
    vector.set(origin, this.#broken === "cut-own" ? Number.POSITIVE_INFINITY : counter - 1);
    const known = this.#cuts.get(key);
    for (const [other, least] of this.#broken === "cut-forget" ? [] : (known?.vector ?? [])) {
      vector.set(other, Math.max(least, vector.get(other) ?? 0));
    }
    const goesOn = known !== undefined && this.#broken === "cut-restart";
    this.#cuts.set(key, { vector, left: goesOn ? known.left : new Set(cells.keys()) });
  }

  // ---- what survives ------------------------------------------------------------------------------

  /** An op was applied. */
  log(op: NeutralOp): void {
    this.#log.push(op);
  }

  /** All that was applied survives from now on; the next snapshot begins. */
  makeDurable(state: State): void {
    this.#synced = this.#log.length;
    if (this.#scan !== undefined) return;
    const { keys } = state;
    const cuts = new Map([...this.#cuts].map(([key, { vector }]) => [key, vector]));
    const left = new Map(
      [...keys].flatMap(([key, cells]) => [...cells.keys()].map((c) => [c, key])),
    );
    this.#scan = { state: { ...state, keys: new Map() }, from: this.#log.length, cuts, left };
  }

  /** What survives: a whole state, and the ops that came after it. */
  crash(): { readonly state: State; readonly log: readonly NeutralOp[] } {
    const log = this.#log.slice(0, this.#synced);
    this.joined(this.#snapshot);
    this.#synced = log.length;
    return { state: this.#snapshot, log };
  }

  /** The state is another one, which is in no log: it survives as it is. */
  joined(state: State): void {
    this.#cuts = new Map();
    this.#scan = undefined;
    this.#snapshot = state;
    this.#log = [];
    this.#synced = 0;
  }

  // ---- slices -------------------------------------------------------------------------------------

  /** A cell is about to change: a running snapshot takes it as it is. */
  touch(name: string, keys: Keys): void {
    if (this.#broken !== "cut-touch") this.#write(name, keys);
  }

  /** A cell further with a pass and with a snapshot. */
  step(keys: Keys): void {
    for (const [key, { left }] of this.#cuts) {
      const [name] = left;
      if (name === undefined) this.#cuts.delete(key);
      else this.#free(key, name, keys);
      break;
    }
    if (this.#scan === undefined) return;
    const { left, state, from } = this.#scan;
    const [name] = left.keys();
    if (name !== undefined) {
      this.#write(name, keys);
      return;
    }
    this.#scan = undefined;
    this.#snapshot = state;
    this.#log = this.#log.slice(from);
    this.#synced -= from;
  }

  #free(key: Bytes, name: string, keys: Keys): void {
    const cut = this.#cuts.get(key);
    const cells = keys.get(key);
    this.touch(name, keys);
    cut?.left.delete(name);
    const found = cells?.get(name);
    if (cells === undefined || found === undefined) return;
    const kept = uncut(new Map([[name, found]]), cut?.vector).get(name);
    if (kept === undefined) cells.delete(name);
    else cells.set(name, kept);
    if (cells.size === 0) keys.delete(key);
  }

  /** Puts a cell into the snapshot that has not got it: hidden is what was hidden at its begin. */
  #write(name: string, keys: Keys): void {
    const scan = this.#scan;
    const key = scan?.left.get(name);
    if (scan === undefined || key === undefined) return;
    scan.left.delete(name);
    const found = keys.get(key)?.get(name);
    if (found === undefined) return;
    const now = this.#broken === "cut-snapshot";
    const vector = now ? this.#cuts.get(key)?.vector : scan.cuts.get(key);
    const [cell] = uncut(new Map([[name, found]]), vector).values();
    if (cell === undefined) return;
    const cells = scan.state.keys.get(key) ?? new Map<string, Cell>();
    scan.state.keys.set(key, cells.set(name, cell));
  }
}

/** The versions that a cut does not hide. */
function uncut(cells: KeyCells, vector: CutVector | undefined): KeyCells {
  if (vector === undefined) return cells;
  const isHidden = (dot: Dot) => counterOf(dot) <= (vector.get(originOf(dot)) ?? 0);
  const left = new Map<string, Cell>();
  for (const [name, { cell, versions }] of cells) {
    const kept = new Map([...versions].filter(([dot]) => !isHidden(dot)));
    if (kept.size > 0) left.set(name, { cell, versions: kept });
  }
  return left;
}
