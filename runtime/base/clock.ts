/**
 * Time as an argument. This file and no other reads the machine's clocks and sets its timers.
 */

/** Wall time orders nothing by itself (see causality/hlc); monotonic time measures intervals. */
export interface Clock {
  /** Wall time in ms since 1970. May jump. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. Fractions count. */
  monotonicMs(): number;
}

/** One pending timer; `cancel` is idempotent. */
export interface TimerHandle {
  cancel(): void;
}

/** Timers as an argument, so that the simulation decides when they fire. */
export interface Timers {
  after(delayMs: number, run: () => void): TimerHandle;
  /** Runs it when this round of the event loop has read what is there to be read. */
  soon(run: () => void): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** Timers of this thread. They never keep the process alive by themselves. */
export const systemTimers: Timers = {
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (run) => void setImmediate(run),
};

/** A clock and timers that move only when told to. */
export class ManualClock implements Clock, Timers {
  #now: number;
  #start: number;
  /** What the wall clock was set ahead or back by. */
  #shiftMs = 0;
  #next = 1;
  readonly #pending = new Map<number, { at: number; run: () => void }>();

  constructor(startMs = 1_800_000_000_000) {
    this.#now = startMs;
    this.#start = startMs;
  }

  now(): number {
    return this.#now + this.#shiftMs;
  }

  /** Somebody sets the wall clock, ahead or back: no time passes. */
  shift(ms: number): void {
    this.#shiftMs += ms;
  }

  monotonicMs(): number {
    return this.#now - this.#start;
  }

  after(delayMs: number, run: () => void): TimerHandle {
    const id = this.#next++;
    this.#pending.set(id, { at: this.#now + delayMs, run });
    return { cancel: () => void this.#pending.delete(id) };
  }

  /** Rounds take no time. */
  soon(run: () => void): void {
    queueMicrotask(run);
  }

  /** Moves time forward, firing what is due in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      let due: [number, { at: number; run: () => void }] | undefined;
      for (const entry of this.#pending) {
        if (entry[1].at <= end && (due === undefined || entry[1].at < due[1].at)) due = entry;
      }
      if (due === undefined) break;
      this.#pending.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].run();
    }
    this.#now = end;
  }
}
