/**
 * One actor at run time: its mailbox, its state and its life.
 *
 *   down ──begin──► starting ──state──► running
 *    ▲                 │ fails             │ throws, killed, halted
 *    └─────────────────┴───────────────────┘         any phase ──stop──► stopped
 *
 * Invariants: at most one `start` runs at a time (a restart waits until an abandoned start has
 * settled, so two recoveries never touch the same files); every ask is answered exactly once;
 * `ready` is defined iff the actor is running, its mailbox is empty and no handler runs.
 */
import { assert } from "../base/assert.ts";
import type { Timers } from "../base/clock.ts";
import { CoterieError } from "../base/errors.ts";
import type {
  Actor,
  ActorCell,
  ActorRef,
  AskOptions,
  Outcome,
  Phase,
  StopReason,
} from "./actor.ts";
import type { AskOwner, Home, OpenAsks } from "./incarnation.ts";
import { Incarnation, notBegun, OpenAsk } from "./incarnation.ts";
import type { MailboxBounds } from "./mailbox.ts";
import { Mailbox } from "./mailbox.ts";
import type { AskNames, Lane, Messages, ReplyOf, RequestOf, TellNames } from "./protocol.ts";
import type { RestartPolicy, Supervised, Supervisor } from "./supervision.ts";
import { RestartWindow } from "./supervision.ts";

/** Something an operator may want to know about an actor. */
export type ActorReport =
  | { readonly kind: "failed"; readonly path: string; readonly error: unknown }
  | { readonly kind: "stop threw"; readonly path: string; readonly error: unknown }
  | { readonly kind: "callback threw"; readonly error: unknown };

/** What a cell needs from its system. */
export interface CellHost {
  readonly timers: Timers;
  readonly asks: OpenAsks;
  enqueue(cell: Visited): void;
  report(report: ActorReport): void;
  startBegan(): void;
  startSettled(): void;
}

/** What the system's turn loop sees of a cell. */
export interface Visited {
  /** Handles at most `messagesMax` messages; answers how many, at least 1. */
  visit(messagesMax: number): number;
}

type AnyHandler = (state: unknown, body: unknown, turn: Incarnation) => unknown;

/** A message in a mailbox: for a handler, or a callback of one incarnation. */
class Letter {
  readonly handler: AnyHandler | undefined;
  readonly body: unknown;
  readonly ask: OpenAsk | undefined;
  readonly incarnation: Incarnation | undefined;

  constructor(
    handler: AnyHandler | undefined,
    body: unknown,
    ask: OpenAsk | undefined,
    incarnation: Incarnation | undefined,
  ) {
    this.handler = handler;
    this.body = body;
    this.ask = ask;
    this.incarnation = incarnation;
  }
}

export interface CellOptions {
  readonly path: string;
  readonly supervisor: Supervisor;
  readonly policy: RestartPolicy;
  readonly bounds: MailboxBounds;
}

export class Cell<M extends Messages, State, Args>
  implements ActorCell<M, State>, ActorRef<M>, Supervised, Visited, Home, AskOwner
{
  /** See ActorCell: one property read is what direct dispatch pays. */
  ready: State | undefined = undefined;
  phase: Phase = "down";
  readonly path: string;
  readonly window: RestartWindow;
  readonly #definition: Actor<M, State, Args>;
  readonly #args: Args;
  readonly #host: CellHost;
  readonly #supervisor: Supervisor;
  readonly #mailbox: Mailbox<Letter>;
  #state: State | undefined;
  #incarnation: Incarnation | undefined;
  #queued = false;
  #startRuns = false;
  #beginAgain = false;
  #overloaded: CoterieError | undefined;

  constructor(definition: Actor<M, State, Args>, args: Args, options: CellOptions, host: CellHost) {
    this.path = options.path;
    this.window = new RestartWindow(options.policy);
    this.#definition = definition;
    this.#args = args;
    this.#host = host;
    this.#supervisor = options.supervisor;
    this.#mailbox = new Mailbox(options.bounds, isSettled);
  }

  get ref(): ActorRef<M> {
    return this;
  }

  get waiting(): number {
    return this.#mailbox.size;
  }

  get refused(): number {
    return this.#mailbox.refused;
  }

  tell<K extends TellNames<M>>(name: K, fact: RequestOf<M[K]>): boolean {
    if (this.phase === "stopped") return false;
    const letter = new Letter(this.#handler(name), fact, undefined, undefined);
    if (!this.#mailbox.offer(this.#lane(name), letter)) return false;
    this.#wake();
    return true;
  }

  ask<K extends AskNames<M>>(
    name: K,
    request: RequestOf<M[K]>,
    options: AskOptions,
    done: (outcome: Outcome<ReplyOf<M[K]>>) => void,
  ): void {
    const what = `${this.#definition.protocol.name}.${name}`;
    // The reply's type was checked where the handler was declared.
    const settle = done as (outcome: Outcome<unknown>) => void;
    const { asks } = this.#host;
    if (this.phase === "stopped") {
      asks.settle(settle, { kind: "failed", error: notBegun(what) });
      return;
    }
    const ask = new OpenAsk(asks, this, what, settle);
    const letter = new Letter(this.#handler(name), request, ask, undefined);
    if (asks.full || !this.#mailbox.offer(this.#lane(name), letter)) {
      asks.settle(settle, { kind: "failed", error: this.#overload() });
      return;
    }
    asks.arm(ask, options.timeoutMs);
    this.#wake();
  }

  request<K extends AskNames<M>>(
    name: K,
    request: RequestOf<M[K]>,
    options: AskOptions,
  ): Promise<ReplyOf<M[K]>> {
    return new Promise((resolve, reject) => {
      this.ask(name, request, options, (outcome) => {
        if (outcome.kind === "reply") resolve(outcome.value);
        else reject(outcome.error);
      });
    });
  }

  deliver(incarnation: Incarnation, run: () => void): void {
    this.#mailbox.offerReserved(new Letter(undefined, run, undefined, incarnation));
    this.#wake();
  }

  askSettled(): void {
    this.#mailbox.noteDead();
  }

  visit(messagesMax: number): number {
    let handled = 0;
    while (handled < messagesMax && this.phase === "running") {
      const letter = this.#mailbox.take();
      if (letter === undefined) break;
      this.#handle(letter);
      handled++;
    }
    this.#queued = false;
    if (this.phase === "running") this.#rest();
    return Math.max(1, handled);
  }

  fail(error: unknown): void {
    if (this.phase !== "running" && this.phase !== "starting") return;
    this.#host.report({ kind: "failed", path: this.path, error });
    this.#end({ kind: "failed", error }, "down");
    this.#supervisor.childFailed(this, error);
  }

  halt(reason: CoterieError): void {
    this.#beginAgain = false;
    if (this.phase === "running" || this.phase === "starting") {
      this.#end({ kind: "halted", error: reason }, "down");
    }
  }

  stop(): void {
    if (this.phase === "stopped") return;
    this.#beginAgain = false;
    this.#end({ kind: "stopped" }, "stopped");
    this.#supervisor.release(this);
    for (let letter = this.#mailbox.take(); letter; letter = this.#mailbox.take()) {
      letter.ask?.abandon();
    }
  }

  begin(): void {
    if (this.phase !== "down") return;
    if (this.#startRuns) {
      this.#beginAgain = true;
      return;
    }
    const incarnation = new Incarnation(this, this.#host.timers);
    this.#incarnation = incarnation;
    this.phase = "starting";
    let started: State | Promise<State>;
    try {
      started = this.#definition.start(this.#args, incarnation);
    } catch (error) {
      if (incarnation.alive) this.fail(error);
      return;
    }
    if (!(started instanceof Promise)) {
      this.#started(incarnation, started);
      return;
    }
    this.#startRuns = true;
    this.#host.startBegan();
    started.then(
      (state) => this.#settled(incarnation, () => this.#started(incarnation, state)),
      (error: unknown) =>
        this.#settled(incarnation, () => {
          if (incarnation.alive) this.fail(error);
        }),
    );
  }

  #settled(incarnation: Incarnation, act: () => void): void {
    assert(this.#incarnation === incarnation, "one start runs at a time");
    this.#startRuns = false;
    act();
    this.#host.startSettled();
    if (this.#beginAgain) {
      this.#beginAgain = false;
      this.begin();
    }
  }

  #started(incarnation: Incarnation, state: State): void {
    // Killed, halted or stopped while it started: give back what the start made.
    if (incarnation.ended !== undefined) {
      this.#release(state, incarnation.ended);
      return;
    }
    this.#state = state;
    this.phase = "running";
    this.#rest();
  }

  #handler(name: string): AnyHandler {
    const handlers = this.#definition.on as Readonly<Record<string, AnyHandler>>;
    const handler = handlers[name];
    assert(handler !== undefined, "every message of a protocol has a handler");
    return handler;
  }

  #lane(name: string): Lane {
    const messages: Messages = this.#definition.protocol.messages;
    const declaration = messages[name];
    assert(declaration !== undefined, "a message is declared by its protocol");
    return declaration.lane;
  }

  #wake(): void {
    this.ready = undefined;
    if (this.phase !== "running" || this.#queued) return;
    this.#queued = true;
    this.#host.enqueue(this);
  }

  /** After handlers ran: open for direct calls, or in line for the next visit. */
  #rest(): void {
    if (this.#mailbox.size > 0) this.#wake();
    else if (!this.#queued) this.ready = this.#state;
  }

  #handle(letter: Letter): void {
    const { handler, body, ask } = letter;
    if (handler === undefined) {
      this.#run(letter.incarnation as Incarnation, body as () => void);
      return;
    }
    if (ask?.settled) return; // its asker gave up: not begun
    const turn = this.#incarnation as Incarnation;
    if (ask !== undefined) {
      ask.taken = true;
      ask.owner = turn;
    }
    turn.current = ask;
    try {
      const result = handler(this.#state, body, turn);
      turn.current = undefined;
      assert(!(result instanceof Promise), "a handler is synchronous");
      if (ask === undefined || ask.settled) return;
      if (!turn.alive) ask.abandon();
      else if (!(result instanceof OpenAsk)) ask.answer(result);
      else assert(result === ask, "a handler returns the later reply of its own ask");
    } catch (error) {
      turn.current = undefined;
      if (turn.alive) this.fail(error);
      ask?.abandon();
    }
  }

  #run(incarnation: Incarnation, callback: () => void): void {
    if (!incarnation.alive) return;
    try {
      callback();
    } catch (error) {
      if (incarnation.alive) this.fail(error);
    }
  }

  #end(reason: StopReason, next: Phase): void {
    const state = this.#state as State;
    const hadState = this.phase === "running";
    this.phase = next;
    this.ready = undefined;
    this.#state = undefined;
    if (hadState) this.#release(state, reason);
    if (this.#incarnation?.alive) this.#incarnation.end(reason);
  }

  #release(state: State, reason: StopReason): void {
    try {
      this.#definition.stop?.(state, reason);
    } catch (error) {
      this.#host.report({ kind: "stop threw", path: this.path, error });
    }
  }

  // Shared, so that answering overload costs no stack trace.
  #overload(): CoterieError {
    this.#overloaded ??= new CoterieError(
      "OVERLOADED",
      `${this.path} has too much waiting; try again later`,
      { detail: { path: this.path } },
    );
    return this.#overloaded;
  }
}

function isSettled(letter: Letter): boolean {
  return letter.ask?.settled === true;
}
