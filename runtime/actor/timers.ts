/**
 * When things happen in an actor system: continuation of turns, and deadlines of asks.
 *
 * Invariant: with the same scheduler, clock and timers the same things happen in the same order:
 * deadlines fire by (time, order of arming), never by hash or allocation.
 */
import type { Clock, TimerHandle, Timers } from "../base/clock.ts";

/** Runs a function after the current turn, once; first asked, first run. */
export interface Scheduler {
  soon(run: () => void): void;
}

/** After the sockets and ports that are ready now: a busy actor never starves input. */
export const systemScheduler: Scheduler = {
  soon: (run) => void setImmediate(run),
};

/** A scheduler that runs only when told to: for tests and the simulation. */
export class ManualScheduler implements Scheduler {
  #queue: (() => void)[] = [];

  soon(run: () => void): void {
    this.#queue.push(run);
  }

  /** Runs what is queued now; what that queues waits for the next step. */
  step(): boolean {
    const queue = this.#queue;
    this.#queue = [];
    for (const run of queue) run();
    return queue.length > 0;
  }

  /** Steps until nothing is queued, at most `stepsMax` times; says whether it came to rest. */
  settle(stepsMax = 10_000): boolean {
    for (let i = 0; i < stepsMax; i++) if (!this.step()) return true;
    return false;
  }
}

/** Something that expires at `deadlineMs` of the monotonic clock unless removed before. */
export interface Expiring {
  deadlineMs: number;
  /** Order among equal deadlines; set by the queue. */
  deadlineOrder: number;
  /** Place in the queue's heap; -1: not in it. Owned by the queue. */
  deadlineSlot: number;
  expire(): void;
}

/** A binary heap of deadlines over one timer, O(log n) to arm and to remove. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #heap: Expiring[] = [];
  #armed: TimerHandle | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;
  #order = 0;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(item: Expiring, timeoutMs: number): void {
    item.deadlineMs = this.#clock.monotonicMs() + timeoutMs;
    item.deadlineOrder = this.#order++;
    item.deadlineSlot = this.#heap.length;
    this.#heap.push(item);
    this.#rise(item.deadlineSlot);
    this.#arm();
  }

  remove(item: Expiring): void {
    const slot = item.deadlineSlot;
    if (slot < 0) return;
    item.deadlineSlot = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === item) return;
    this.#heap[slot] = last;
    last.deadlineSlot = slot;
    this.#rise(slot);
    this.#sink(last.deadlineSlot);
  }

  // A timer that is too early only looks and arms again: removing an ask costs no timer call.
  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.deadlineMs >= this.#armedForMs) return;
    this.#armed?.cancel();
    this.#armedForMs = first.deadlineMs;
    const delayMs = Math.max(0, Math.ceil(first.deadlineMs - this.#clock.monotonicMs()));
    this.#armed = this.#timers.after(delayMs, () => this.#fire());
  }

  #fire(): void {
    this.#armed = undefined;
    this.#armedForMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.monotonicMs();
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      // Node's timers fire up to 1 ms early: what is not due yet is armed again.
      if (first.deadlineMs > nowMs) break;
      this.remove(first);
      first.expire();
    }
    this.#arm();
  }

  #rise(from: number): void {
    let slot = from;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (!this.#before(slot, parent)) return;
      this.#swap(slot, parent);
      slot = parent;
    }
  }

  #sink(from: number): void {
    let slot = from;
    for (;;) {
      const left = 2 * slot + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const child = right < this.#heap.length && this.#before(right, left) ? right : left;
      if (!this.#before(child, slot)) return;
      this.#swap(slot, child);
      slot = child;
    }
  }

  #before(a: number, b: number): boolean {
    const left = this.#heap[a] as Expiring;
    const right = this.#heap[b] as Expiring;
    if (left.deadlineMs !== right.deadlineMs) return left.deadlineMs < right.deadlineMs;
    return left.deadlineOrder < right.deadlineOrder;
  }

  #swap(a: number, b: number): void {
    const left = this.#heap[a] as Expiring;
    const right = this.#heap[b] as Expiring;
    this.#heap[a] = right;
    this.#heap[b] = left;
    right.deadlineSlot = a;
    left.deadlineSlot = b;
  }
}
