/**
 * Places of replies that come later, in the order of their requests.
 *
 * Invariant: `cost` is what all of them stand for in memory, here and where their requests wait, so
 * that one client cannot have more under way than its output may hold. How long a reply will be that
 * another thread makes is not known: about as long as the longest of those before it.
 */

// limits:
/** What a request under way counts for, besides its bytes and those of its reply. */
export const LATE_REPLY_BYTES = 512;
/** Replies under way, at least and at most, as long as it is not known how long they are. */
const UNDER_WAY_START = 16;
const UNDER_WAY_MAX = 256;

/** The place of a reply that comes later. */
export interface ReplySlot {
  /** Null until it is there. */
  bytes: Buffer | null;
  gate: number;
  /** The client wants no reply (CLIENT REPLY OFF, SKIP). */
  readonly isMuffled: boolean;
  cost: number;
  /** Told when everything before it has been answered. */
  onFirst: (() => void) | null;
}

export class LateReplies {
  cost = 0;
  readonly #expectedMin: number;
  /** How long the next reply is taken to be. */
  #expected: number;
  #slots: ReplySlot[] = [];
  #head = 0;

  /** `costMax`: past it no more is asked for. */
  constructor(costMax: number) {
    this.#expectedMin = Math.floor(costMax / UNDER_WAY_MAX);
    this.#expected = Math.floor(costMax / UNDER_WAY_START);
  }

  get count(): number {
    return this.#slots.length - this.#head;
  }

  /** Keeps a place for the reply of a request of so many bytes. */
  add(requestBytes: number, isMuffled: boolean): ReplySlot {
    const slot = {
      bytes: null,
      gate: 0,
      isMuffled,
      cost: LATE_REPLY_BYTES + requestBytes + this.#expected,
      onFirst: null,
    };
    return this.#push(slot);
  }

  /** A reply that is there, but stands behind others. */
  addReady(bytes: Buffer, gate: number): void {
    this.#push({
      bytes,
      gate,
      isMuffled: false,
      cost: LATE_REPLY_BYTES + bytes.length,
      onFirst: null,
    });
  }

  #push(slot: ReplySlot): ReplySlot {
    this.#slots.push(slot);
    this.cost += slot.cost;
    return slot;
  }

  /** Resolves once everything before this place has been answered; never, if it is cleared first. */
  whenFirst(slot: ReplySlot): Promise<void> {
    return new Promise((resolve) => {
      if (this.#slots[this.#head] === slot) resolve();
      else slot.onFirst = resolve;
    });
  }

  fill(slot: ReplySlot, bytes: Buffer, gate: number): void {
    const cost = LATE_REPLY_BYTES + bytes.length;
    const less = this.#expected - (this.#expected >>> 3);
    this.#expected = Math.max(bytes.length, less, this.#expectedMin);
    this.cost += cost - slot.cost;
    slot.cost = cost;
    slot.bytes = bytes;
    slot.gate = gate;
  }

  /** The first reply, if it is there; it has left its place then. */
  take(): ReplySlot | undefined {
    const slot = this.#slots[this.#head];
    if (slot === undefined || slot.bytes === null) return undefined;
    this.#head++;
    this.cost -= slot.cost;
    if (this.#head === this.#slots.length) {
      this.#slots = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#slots.length) {
      this.#slots.splice(0, this.#head);
      this.#head = 0;
    }
    this.#slots[this.#head]?.onFirst?.();
    return slot;
  }

  clear(): void {
    this.#slots = [];
    this.#head = 0;
    this.cost = 0;
  }
}
