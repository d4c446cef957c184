/**
 * What an actor is: an object with a protocol, a start, synchronous handlers and an optional stop.
 *
 * Invariant: turns never wait. Only `start` may be async (recovery); an async handler does not
 * compile, and its reply may come later through `turn.later`, without a promise a message.
 */
import type { TimerHandle } from "../base/clock.ts";
import type { CoterieError } from "../base/errors.ts";
import type {
  Ask,
  AskNames,
  Message,
  Messages,
  Protocol,
  ReplyOf,
  RequestOf,
  Tell,
  TellNames,
} from "./protocol.ts";

/** How an ask ended. TIMEOUT and UNKNOWN_OUTCOME mean: it may have happened or not. */
export type Outcome<Reply> =
  | { readonly kind: "reply"; readonly value: Reply }
  | { readonly kind: "failed"; readonly error: CoterieError };

/** A reply that comes later. Only the first answer counts; after the asker gave up none does. */
export interface Later<Reply> {
  readonly settled: boolean;
  answer(value: Reply): void;
  fail(error: CoterieError): void;
}

/** Something under way, such as a sync of the journal: calls back exactly once. */
export interface Pending {
  whenDone(done: (error?: CoterieError) => void): void;
}

/** An actor's view of itself, from `start` to its end; a restart makes a new one. */
export interface Self {
  readonly path: string;
  /** False once this incarnation ended: its timers and callbacks do nothing any more. */
  readonly alive: boolean;
  /** Runs in a turn of this actor, after the delay. */
  after(delayMs: number, run: () => void): TimerHandle;
  /** Runs in a later turn of this actor: the way back in for callbacks of files and sockets. */
  post(run: () => void): void;
  /** Asks another actor; `done` runs in a turn of this one, and not at all if this one ended. */
  ask<M extends Messages, K extends AskNames<M>>(
    target: ActorRef<M>,
    name: K,
    request: RequestOf<M[K]>,
    options: AskOptions,
    done: (outcome: Outcome<ReplyOf<M[K]>>) => void,
  ): void;
  /** Ends this incarnation because of `error`; the supervisor decides what comes next. */
  kill(error: unknown): void;
}

/** What a handler may do besides changing its state and returning. */
export interface Turn extends Self {
  /** The reply to this ask, answered later by whoever holds it. */
  later<Reply>(): Later<Reply>;
  /** The reply once `pending` is done; `reply` runs as part of this actor. */
  later<Reply>(pending: Pending, reply: () => Reply): Later<Reply>;
  /** Answers this ask with an operating error; the actor lives on. */
  refuse(error: CoterieError): Later<never>;
}

/** Why `stop` is called. */
export type StopReason =
  | { readonly kind: "failed"; readonly error: unknown }
  /** Its supervisor gave up on a sibling and restarts the whole branch. */
  | { readonly kind: "halted"; readonly error: CoterieError }
  | { readonly kind: "stopped" };

// `void | undefined` is what a handler may return and a Promise is not; plain `void` takes any.
// biome-ignore lint/suspicious/noConfusingVoidType: the union is what refuses async handlers
type NoReply = void | undefined;

type Answer<Reply> = Reply | Later<Reply> | (undefined extends Reply ? NoReply : never);

export type Handler<D extends Message, State> =
  D extends Ask<infer Request, infer Reply>
    ? (state: State, request: Request, turn: Turn) => Answer<Reply>
    : D extends Tell<infer Request>
      ? (state: State, fact: Request, turn: Turn) => NoReply
      : never;

export interface Actor<M extends Messages, State, Args> {
  readonly protocol: Protocol<M>;
  /** Makes the state: from nothing, or from what the last incarnation left on disk. */
  start(args: Args, self: Self): State | Promise<State>;
  readonly on: { readonly [K in keyof M]: Handler<M[K], State> };
  /** Gives back what the state holds (files, buffers). Called once for each successful start. */
  stop?(state: State, reason: StopReason): void;
}

/** Declares an actor; infers its state from `start`. */
export function actor<M extends Messages, State, Args>(
  definition: Actor<M, State, Args>,
): Actor<M, State, Args> {
  return definition;
}

export interface AskOptions {
  /** How long the asker waits. Every ask has a deadline. */
  readonly timeoutMs: number;
}

/** Where messages are sent; stays valid over restarts of its actor. */
export interface ActorRef<M extends Messages> {
  readonly path: string;
  /** False: dropped, because the lane is full (counted) or the actor was stopped. */
  tell<K extends TellNames<M>>(name: K, fact: RequestOf<M[K]>): boolean;
  /**
   * `done` is called exactly once, maybe before `ask` returns (overload), maybe inside a turn of
   * the answering actor: it must be short and must not throw.
   */
  ask<K extends AskNames<M>>(
    name: K,
    request: RequestOf<M[K]>,
    options: AskOptions,
    done: (outcome: Outcome<ReplyOf<M[K]>>) => void,
  ): void;
  /** The same as a promise, for code outside of actors; rejects with a CoterieError. */
  request<K extends AskNames<M>>(
    name: K,
    request: RequestOf<M[K]>,
    options: AskOptions,
  ): Promise<ReplyOf<M[K]>>;
}

/**
 * starting: `start` runs. running: handles messages. down: between two incarnations.
 * stopped: for good.
 */
export type Phase = "starting" | "running" | "down" | "stopped";

/**
 * The owner's handle of an actor on its own thread, for direct dispatch on the data plane:
 *
 *   const state = cell.ready;
 *   if (state === undefined) enqueue(copy of the bytes);
 *   else {
 *     try { execute(state, …) } catch (error) { cell.fail(error) }
 *   }
 *
 * `ready` is the state while nothing waits in the mailbox and no handler runs, so a direct call
 * never overtakes a message and never re-enters a handler. Read it anew for every call.
 */
export interface ActorCell<M extends Messages, State> {
  readonly ready: State | undefined;
  readonly ref: ActorRef<M>;
  readonly path: string;
  readonly phase: Phase;
  /** Messages waiting, and messages refused because a lane was full. */
  readonly waiting: number;
  readonly refused: number;
  /** A direct call threw: the incarnation ends as if a handler had thrown. */
  fail(error: unknown): void;
  /** Ends the actor for good. */
  stop(): void;
}
