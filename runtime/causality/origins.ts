/**
 * The origins that a vnode knows: each has a small slot, its 64-bit id, and how far its ops were
 * applied. `applied` is the vnode's version vector; a dot is (slot, counter) inside the vnode and
 * (id, counter) outside.
 *
 * Invariant: exactly the ops 1..applied[slot] of each origin have been applied. Slots are never
 * reused while anything names them.
 */

import { assert } from "../base/assert.ts";
import { ORIGINS_MAX } from "../base/limits.ts";

/** The place of an origin in a vnode's table; meaningless outside of it. */
export type OriginSlot = number;

const FIRST_CAPACITY = 2;

export class Origins {
  /**
   * How far each origin's ops were applied, by slot. A plain array: every op reads and writes it, and
   * of a typed one that would be four objects out of the cache instead of two.
   */
  readonly applied: number[] = [];
  #high = new Uint32Array(FIRST_CAPACITY);
  #low = new Uint32Array(FIRST_CAPACITY);
  #count = 0;
  #slots: Map<number, number[]> | undefined;

  /** Slots in use: 0 .. count - 1. */
  get count(): number {
    return this.#count;
  }

  high(slot: OriginSlot): number {
    return this.#high[slot] as number;
  }

  low(slot: OriginSlot): number {
    return this.#low[slot] as number;
  }

  /** The id as 16 hexadecimal digits. */
  id(slot: OriginSlot): string {
    return formatOriginId(this.high(slot), this.low(slot));
  }

  /** The slot of an origin, or -1. */
  find(high: number, low: number): OriginSlot {
    if (this.#slots === undefined) {
      for (let slot = 0; slot < this.#count; slot++) {
        if (this.#low[slot] === low && this.#high[slot] === high) return slot;
      }
      return -1;
    }
    for (const slot of this.#slots.get(low) ?? []) if (this.#high[slot] === high) return slot;
    return -1;
  }

  /** The slot of an origin, made if it is new. */
  intern(high: number, low: number): OriginSlot {
    const known = this.find(high, low);
    if (known >= 0) return known;
    assert(this.#count < ORIGINS_MAX, "a vnode names at most ORIGINS_MAX origins");
    if (this.#count === this.#high.length) this.#grow();
    const slot = this.#count++;
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.applied[slot] = 0;
    this.#remember(slot);
    return slot;
  }

  /** Orders two slots by their origins' ids: the tie-break of every "larger (HLC, origin)". */
  compare(a: OriginSlot, b: OriginSlot): number {
    const high = this.high(a) - this.high(b);
    return high !== 0 ? high : this.low(a) - this.low(b);
  }

  /** Small tables are searched; a table of many dead origins gets a map. */
  #remember(slot: number): void {
    if (this.#slots === undefined) {
      if (this.#count <= 16) return;
      this.#slots = new Map();
      for (let i = 0; i < this.#count; i++) this.#index(this.#slots, i);
      return;
    }
    this.#index(this.#slots, slot);
  }

  #index(slots: Map<number, number[]>, slot: number): void {
    const low = this.low(slot);
    const same = slots.get(low);
    if (same === undefined) slots.set(low, [slot]);
    else same.push(slot);
  }

  #grow(): void {
    const capacity = this.#high.length * 2;
    this.#high = copied(this.#high, capacity);
    this.#low = copied(this.#low, capacity);
  }
}

function copied(source: Uint32Array, capacity: number): Uint32Array<ArrayBuffer> {
  const target = new Uint32Array(capacity);
  target.set(source);
  return target;
}

/** An origin id as 16 hexadecimal digits, high word first. */
export function formatOriginId(high: number, low: number): string {
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}

/** The two words of an id written by `formatOriginId`. */
export function parseOriginId(id: string): { high: number; low: number } {
  return { high: Number.parseInt(id.slice(0, 8), 16), low: Number.parseInt(id.slice(8), 16) };
}
