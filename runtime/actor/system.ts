/**
 * An actor system: the actors of one thread, their turns and their supervision tree.
 *
 * A turn runs handlers until all mailboxes are empty or the budget is used; then it continues
 * after the input that came meanwhile. Actors take rounds, so none starves another.
 *
 * Invariant: deterministic. Scheduler, clock, timers and randomness are arguments; with the same
 * ones the same handlers run in the same order.
 */
import type { Clock, Timers } from "../base/clock.ts";
import type { CoterieError } from "../base/errors.ts";
import type { Random } from "../base/prng.ts";
import type { Actor, ActorCell } from "./actor.ts";
import type { ActorReport, CellHost, Visited } from "./cell.ts";
import { Cell } from "./cell.ts";
import { OpenAsks } from "./incarnation.ts";
import type { MailboxBounds } from "./mailbox.ts";
import { MAILBOX_BOUNDS, Ring } from "./mailbox.ts";
import type { Messages } from "./protocol.ts";
import type { RestartPolicy, SupervisionContext } from "./supervision.ts";
import { RESTART_POLICY, Supervisor } from "./supervision.ts";
import type { Scheduler } from "./timers.ts";
import { Deadlines } from "./timers.ts";

// limits:
/** Messages handled in one turn before sockets and ports are looked at again. */
export const TURN_MESSAGES_MAX = 1024;
/** Messages that one actor handles before the next one's round. */
export const ROUND_MESSAGES_MAX = 64;

export interface SystemOptions {
  /** First part of every path. */
  readonly name: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** A crash loop has reached the root. All actors are stopped; the owner ends the thread. */
  readonly onRootFailure: (error: CoterieError) => void;
  /** Failures, for the log. */
  readonly onReport?: (report: ActorReport) => void;
  /** Called after each turn: the place to flush ports and connections. */
  readonly onTurnEnd?: () => void;
  readonly policy?: Partial<RestartPolicy>;
}

export interface SpawnOptions {
  /** Last part of the path; unique under its supervisor, for readers of logs. */
  readonly name: string;
  /** Default: the root. */
  readonly supervisor?: Supervisor;
  readonly policy?: Partial<RestartPolicy>;
  readonly bounds?: Partial<MailboxBounds>;
}

export class ActorSystem {
  readonly root: Supervisor;
  readonly #options: SystemOptions;
  readonly #policy: RestartPolicy;
  readonly #supervision: SupervisionContext;
  readonly #host: CellHost;
  readonly #asks: OpenAsks;
  readonly #runQueue = new Ring<Visited>();
  readonly #idle: (() => void)[] = [];
  #startsRunning = 0;
  #inTurn = false;
  #turnScheduled = false;

  constructor(options: SystemOptions) {
    this.#options = options;
    this.#policy = { ...RESTART_POLICY, ...options.policy };
    const report = (what: ActorReport) => options.onReport?.(what);
    this.#asks = new OpenAsks(new Deadlines(options.clock, options.timers), (error) =>
      report({ kind: "callback threw", error }),
    );
    this.#host = {
      timers: options.timers,
      asks: this.#asks,
      report,
      enqueue: (cell) => this.#enqueue(cell),
      startBegan: () => void this.#startsRunning++,
      startSettled: () => this.#startSettled(),
    };
    this.#supervision = options;
    this.root = new Supervisor(options.name, undefined, this.#policy, this.#supervision);
  }

  /** Asks without an answer, and answers that came too late. */
  get openAsks(): number {
    return this.#asks.size;
  }

  get lateAnswers(): number {
    return this.#asks.late;
  }

  /** A branch of the tree: its children are begun again together when it fails. */
  supervisor(options: SpawnOptions): Supervisor {
    const parent = options.supervisor ?? this.root;
    const policy = { ...this.#policy, ...options.policy };
    return new Supervisor(`${parent.path}/${options.name}`, parent, policy, this.#supervision);
  }

  /** Starts an actor. With a synchronous `start` it is ready when this returns. */
  spawn<M extends Messages, State, Args>(
    definition: Actor<M, State, Args>,
    args: Args,
    options: SpawnOptions,
  ): ActorCell<M, State> {
    const supervisor = options.supervisor ?? this.root;
    const path = `${supervisor.path}/${options.name}`;
    const policy = options.policy ? { ...this.#policy, ...options.policy } : this.#policy;
    const bounds = options.bounds ? { ...MAILBOX_BOUNDS, ...options.bounds } : MAILBOX_BOUNDS;
    const cell = new Cell(definition, args, { path, supervisor, policy, bounds }, this.#host);
    supervisor.adopt(cell);
    return cell;
  }

  /** Runs one turn now instead of waiting for the scheduler; nothing inside a turn. */
  runTurn(): void {
    if (this.#inTurn) return;
    this.#inTurn = true;
    try {
      let left = TURN_MESSAGES_MAX;
      while (left > 0) {
        const cell = this.#runQueue.shift();
        if (cell === undefined) break;
        left -= cell.visit(Math.min(left, ROUND_MESSAGES_MAX));
      }
      this.#options.onTurnEnd?.();
    } finally {
      this.#inTurn = false;
      if (this.#runQueue.size > 0) this.#scheduleTurn();
    }
  }

  /** Stops all actors, children last started first; done when no `start` runs any more. */
  stop(): Promise<void> {
    this.root.stop();
    return new Promise((resolve) => {
      if (this.#startsRunning === 0) resolve();
      else this.#idle.push(resolve);
    });
  }

  #enqueue(cell: Visited): void {
    this.#runQueue.push(cell);
    if (!this.#inTurn) this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    this.#options.scheduler.soon(() => {
      this.#turnScheduled = false;
      this.runTurn();
    });
  }

  #startSettled(): void {
    this.#startsRunning--;
    if (this.#startsRunning > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
