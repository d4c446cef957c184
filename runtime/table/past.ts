/**
 * The past of each origin's last op, and what an op covers by it (design 4.2, 4.4).
 *
 * Invariant: `of(slot)` is the version vector that the origin had when it made the last of its ops
 * applied here.
 */
import type { Covers } from "../causality/cell.ts";
import { OP_PAST, OP_PAST_FULL } from "../causality/op.ts";
import type { OpReader } from "../causality/op-reader.ts";
import type { OriginSlot, Origins } from "../causality/origins.ts";

const NONE = new Float64Array(0);

export class Past {
  readonly #origins: Origins;
  readonly #vectors: (Float64Array | undefined)[] = [];

  constructor(origins: Origins) {
    this.#origins = origins;
  }

  /** The vector of an origin by slot; slots beyond its end count as 0. */
  of(slot: OriginSlot): Float64Array {
    return this.#vectors[slot] ?? NONE;
  }

  set(slot: OriginSlot, vector: Float64Array): void {
    this.#vectors[slot] = vector;
  }

  /** Forgets all vectors: of origins that make no more ops nobody asks for one. */
  clear(): void {
    this.#vectors.length = 0;
  }

  /**
   * The past that an op carries, or the origin's last one where it carries none. Reads the op's
   * entries; origins that are new here get a slot.
   */
  read(op: OpReader, slot: OriginSlot): Float64Array {
    if ((op.flags & OP_PAST) === 0) return this.of(slot);
    let vector = op.flags & OP_PAST_FULL ? NONE : this.of(slot);
    vector = widened(vector, this.#origins.count);
    while (op.nextPast()) {
      const named = this.#origins.intern(op.dot.high, op.dot.low);
      if (named >= vector.length) vector = widened(vector, this.#origins.count);
      vector[named] = op.dot.counter;
    }
    return vector;
  }

  /** Whether everything that the op knew of has been applied here. */
  isReached(past: Float64Array, slot: OriginSlot): boolean {
    const { applied } = this.#origins;
    for (let i = 0; i < past.length; i++) {
      if (i !== slot && (past[i] as number) > (applied[i] as number)) return false;
    }
    return true;
  }

  /** What an op with this past covers: null, if that is all that has been applied here. */
  covers(past: Float64Array, slot: OriginSlot): Covers | null {
    const { applied, count } = this.#origins;
    for (let i = 0; i < count; i++) {
      const known = i < past.length ? (past[i] as number) : 0;
      if (i !== slot && (applied[i] as number) > known) {
        return (dot, counter) =>
          dot === slot || counter <= (dot < past.length ? (past[dot] as number) : 0);
      }
    }
    return null;
  }
}

/** A copy with room for `length` slots. */
function widened(vector: Float64Array, length: number): Float64Array {
  const copy = new Float64Array(Math.max(length, vector.length));
  copy.set(vector);
  return copy;
}
