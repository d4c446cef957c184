/**
 * A bounded mailbox with two lanes: control overtakes data, each lane is first in, first out.
 *
 * Invariant: a lane never holds more than its bound; what is refused is counted, never queued.
 * Rings grow by doubling and shrink when drained, so thousands of idle mailboxes cost nothing.
 */
import type { Lane } from "./protocol.ts";

// limits:
/** Messages waiting in one mailbox's control lane: topology changes, supervision, inspection. */
export const MAILBOX_CONTROL_MAX = 1024;
/** Messages waiting in one mailbox's data lane: about a second of a busy restart's traffic. */
export const MAILBOX_DATA_MAX = 4096;
/** Slots that an emptied ring keeps. */
const RING_SLOTS_KEPT = 64;
const RING_SLOTS_FIRST = 8;

/** A growing ring of items, first in, first out. The owner holds the bound. */
export class Ring<T> {
  #slots: (T | undefined)[] = [];
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The item that `shift` takes next. */
  get first(): T | undefined {
    return this.#size === 0 ? undefined : this.#slots[this.#head];
  }

  push(item: T): void {
    if (this.#size === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#size) & (this.#slots.length - 1)] = item;
    this.#size++;
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#size--;
    if (this.#size === 0 && this.#slots.length > RING_SLOTS_KEPT) {
      this.#slots = [];
      this.#head = 0;
    }
    return item;
  }

  /** Drops the items that `keep` refuses; the others stay in order. */
  retain(keep: (item: T) => boolean): void {
    for (let left = this.#size; left > 0; left--) {
      const item = this.shift() as T;
      if (keep(item)) this.push(item);
    }
  }

  #grow(): void {
    const slots: (T | undefined)[] = new Array(Math.max(RING_SLOTS_FIRST, this.#size * 2));
    for (let i = 0; i < this.#size; i++) {
      slots[i] = this.#slots[(this.#head + i) & (this.#slots.length - 1)];
    }
    for (let i = this.#size; i < slots.length; i++) slots[i] = undefined;
    this.#slots = slots;
    this.#head = 0;
  }
}

/** How many messages each lane may hold. */
export interface MailboxBounds {
  readonly controlMax: number;
  readonly dataMax: number;
}

export const MAILBOX_BOUNDS: MailboxBounds = {
  controlMax: MAILBOX_CONTROL_MAX,
  dataMax: MAILBOX_DATA_MAX,
};

/** `isDead` tells messages whose asker has given up: they give way when a lane is full. */
export class Mailbox<T> {
  readonly #control = new Ring<T>();
  readonly #data = new Ring<T>();
  readonly #bounds: MailboxBounds;
  readonly #isDead: (message: T) => boolean;
  #deadSeen = 0;
  /** Messages refused because their lane was full, since the mailbox was made. */
  refused = 0;

  constructor(bounds: MailboxBounds, isDead: (message: T) => boolean) {
    this.#bounds = bounds;
    this.#isDead = isDead;
  }

  get size(): number {
    return this.#control.size + this.#data.size;
  }

  /** Whether the message was taken; a full lane refuses and counts. */
  offer(lane: Lane, message: T): boolean {
    const ring = lane === "control" ? this.#control : this.#data;
    const max = lane === "control" ? this.#bounds.controlMax : this.#bounds.dataMax;
    if (ring.size >= max) this.#compact(ring);
    if (ring.size >= max) {
      this.refused++;
      return false;
    }
    ring.push(message);
    return true;
  }

  /** Takes a message that has its bound elsewhere: replies (asks in flight) and timers. */
  offerReserved(message: T): void {
    this.#control.push(message);
  }

  take(): T | undefined {
    return this.#control.size > 0 ? this.#control.shift() : this.#data.shift();
  }

  /** A waiting message has died (its asker timed out); a full lane may now drop it. */
  noteDead(): void {
    this.#deadSeen++;
  }

  #compact(ring: Ring<T>): void {
    // At most one pass over the ring for each death, so a full lane stays O(1) an offer.
    if (this.#deadSeen === 0) return;
    this.#deadSeen = 0;
    ring.retain((message) => !this.#isDead(message));
  }
}
