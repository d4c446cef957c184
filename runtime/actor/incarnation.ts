/**
 * One life of an actor, from a start to its end, and the asks that it still owes an answer.
 *
 * Invariant: an incarnation that ended changes nothing any more: its timers are cancelled, its
 * posted callbacks are dropped, and each ask that it took but did not answer has ended as
 * UNKNOWN_OUTCOME.
 */
import { assert } from "../base/assert.ts";
import type { TimerHandle, Timers } from "../base/clock.ts";
import { CoterieError } from "../base/errors.ts";
import type { ActorRef, AskOptions, Later, Outcome, Pending, StopReason, Turn } from "./actor.ts";
import type { AskNames, Messages, ReplyOf, RequestOf } from "./protocol.ts";
import type { Deadlines, Expiring } from "./timers.ts";

// limits:
/** Asks without an answer in one actor system (a thread). */
export const OPEN_ASKS_MAX = 65_536;

/** Who must know that an ask was settled: its mailbox while it waits, then its incarnation. */
export interface AskOwner {
  askSettled(ask: OpenAsk): void;
}

/** The asks of one actor system that have no answer yet. */
export class OpenAsks {
  readonly #deadlines: Deadlines;
  readonly #onThrow: (error: unknown) => void;
  /** Answers that came after the asker had given up. */
  late = 0;

  /** `onThrow` hears of errors that an asker's callback throws. */
  constructor(deadlines: Deadlines, onThrow: (error: unknown) => void) {
    this.#deadlines = deadlines;
    this.#onThrow = onThrow;
  }

  get size(): number {
    return this.#deadlines.size;
  }

  get full(): boolean {
    return this.#deadlines.size >= OPEN_ASKS_MAX;
  }

  arm(ask: OpenAsk, timeoutMs: number): void {
    this.#deadlines.add(ask, timeoutMs);
  }

  disarm(ask: OpenAsk): void {
    this.#deadlines.remove(ask);
  }

  settle(done: (outcome: Outcome<unknown>) => void, outcome: Outcome<unknown>): void {
    try {
      done(outcome);
    } catch (error) {
      // The asker's fault: it must not end the actor that answers.
      this.#onThrow(error);
    }
  }
}

/** One ask on its way; also the `Later` that a handler returns. */
export class OpenAsk implements Expiring, Later<unknown> {
  deadlineMs = 0;
  deadlineOrder = 0;
  deadlineSlot = -1;
  settled = false;
  /** A handler has run for it: from then on its outcome may be unknown. */
  taken = false;
  owner: AskOwner;
  readonly #asks: OpenAsks;
  readonly #done: (outcome: Outcome<unknown>) => void;
  readonly #what: string;

  constructor(
    asks: OpenAsks,
    owner: AskOwner,
    what: string,
    done: (outcome: Outcome<unknown>) => void,
  ) {
    this.#asks = asks;
    this.owner = owner;
    this.#what = what;
    this.#done = done;
  }

  answer(value: unknown): void {
    this.#settle({ kind: "reply", value });
  }

  fail(error: CoterieError): void {
    this.#settle({ kind: "failed", error });
  }

  expire(): void {
    const { taken } = this;
    const what = taken ? "may still happen" : "was not begun and will not be";
    this.fail(
      new CoterieError("TIMEOUT", `${this.#what} got no answer in time; it ${what}`, {
        detail: { ask: this.#what, taken },
      }),
    );
  }

  /** The actor ended without an answer. */
  abandon(): void {
    if (this.settled) return;
    this.fail(this.taken ? unknownOutcome(this.#what) : notBegun(this.#what));
  }

  #settle(outcome: Outcome<unknown>): void {
    if (this.settled) {
      this.#asks.late++;
      return;
    }
    this.settled = true;
    this.owner.askSettled(this);
    this.#asks.disarm(this);
    this.#asks.settle(this.#done, outcome);
  }
}

function unknownOutcome(what: string): CoterieError {
  const message = `the actor failed while it worked on ${what}, which may have happened or not`;
  return new CoterieError("UNKNOWN_OUTCOME", message, { detail: { ask: what } });
}

/** The error of an ask that no handler has seen and none will. */
export function notBegun(what: string): CoterieError {
  const message = `the actor was stopped before ${what} was begun; ask where it runs now`;
  return new CoterieError("ACTOR_DOWN", message, { detail: { ask: what } });
}

/** The actor behind an incarnation. */
export interface Home {
  readonly path: string;
  deliver(incarnation: Incarnation, run: () => void): void;
  fail(error: unknown): void;
}

export class Incarnation implements Turn, AskOwner {
  readonly #home: Home;
  readonly #timers: Timers;
  #pendingTimers: Set<TimerHandle> | undefined;
  #open: Set<OpenAsk> | undefined;
  /** The ask that a handler is working on now. */
  current: OpenAsk | undefined = undefined;
  /** Set once it ended. */
  ended: StopReason | undefined = undefined;

  constructor(home: Home, timers: Timers) {
    this.#home = home;
    this.#timers = timers;
  }

  get path(): string {
    return this.#home.path;
  }

  get alive(): boolean {
    return this.ended === undefined;
  }

  after(delayMs: number, run: () => void): TimerHandle {
    if (!this.alive) return NO_TIMER;
    this.#pendingTimers ??= new Set();
    const pending = this.#pendingTimers;
    let cancelled = false;
    const timer = this.#timers.after(delayMs, () => {
      pending.delete(handle);
      // Cancelled between firing and its turn still counts as cancelled.
      this.post(() => {
        if (!cancelled) run();
      });
    });
    const handle = {
      cancel: () => {
        cancelled = true;
        pending.delete(handle);
        timer.cancel();
      },
    };
    pending.add(handle);
    return handle;
  }

  post(run: () => void): void {
    if (this.alive) this.#home.deliver(this, run);
  }

  ask<M extends Messages, K extends AskNames<M>>(
    target: ActorRef<M>,
    name: K,
    request: RequestOf<M[K]>,
    options: AskOptions,
    done: (outcome: Outcome<ReplyOf<M[K]>>) => void,
  ): void {
    target.ask(name, request, options, (outcome) => this.post(() => done(outcome)));
  }

  kill(error: unknown): void {
    if (this.alive) this.#home.fail(error);
  }

  later<Reply>(pending?: Pending, reply?: () => Reply): Later<Reply> {
    const ask = this.#currentAsk();
    this.#open ??= new Set();
    this.#open.add(ask);
    if (pending !== undefined && reply !== undefined) {
      pending.whenDone((error) => this.#finish(ask, error, reply));
    }
    return ask;
  }

  refuse(error: CoterieError): Later<never> {
    const ask = this.#currentAsk();
    ask.fail(error);
    return ask;
  }

  askSettled(ask: OpenAsk): void {
    this.#open?.delete(ask);
  }

  /** Ends this incarnation and every ask that it still holds. */
  end(reason: StopReason): void {
    this.ended = reason;
    for (const timer of this.#pendingTimers ?? []) timer.cancel();
    this.#pendingTimers = undefined;
    const open = [...(this.#open ?? [])];
    this.#open = undefined;
    for (const ask of open) ask.abandon();
  }

  #currentAsk(): OpenAsk {
    assert(this.current !== undefined, "only the handler of an ask has a reply to give");
    return this.current;
  }

  #finish(ask: OpenAsk, error: CoterieError | undefined, reply: () => unknown): void {
    if (!this.alive) return;
    if (error !== undefined) {
      ask.fail(error);
      return;
    }
    let value: unknown;
    try {
      value = reply();
    } catch (thrown) {
      this.kill(thrown);
      return;
    }
    ask.answer(value);
  }
}

const NO_TIMER: TimerHandle = { cancel: () => undefined };
