/**
 * A turn of the event loop. It takes clients' commands for a bounded time, and none while another
 * worker is behind with what it was asked; who is late goes on in the next one, before what comes in
 * then. At its end, what it logged is committed in one frame, then every connection that got replies
 * is written to once, then every port is posted to once. Some turns are timed, from what came in
 * first to the end: what one client waits for another.
 *
 * Invariant: a late connection waits for those that became late before it, not for newcomers.
 */
import type { Clock } from "../../runtime/base/clock.ts";
import type { Connection } from "../gateway/connection.ts";
import type { WorkerStats } from "./worker-stats.ts";

/** The turn is not timed, or has not begun. */
const NONE = -1;

// limits:
/**
 * How long clients' commands may take in a turn: what others wait for, together with the writing of
 * log and replies, a slice of each chore and a collection. One command may still take longer.
 */
export const TURN_MS = 2;
/**
 * Commands between two looks at the clock: 1, 2, 4 ... in each turn, up to this. Code that runs for
 * the first time, and memory that was never touched, make the first ones take long.
 */
export const COMMANDS_A_LOOK_MAX = 16;

/** What is done at the end of a turn, in this order, and before it for late connections. */
export interface TurnSteps {
  /** Late connections go on: takes the wall time anew. */
  readClock(): void;
  /** Completes the frame: one write. */
  commit(): void;
  /** Sends late replies to other workers, and everything on the ports. */
  flushPorts(): void;
  /** Whether another worker is behind: no more commands are taken until it is not. */
  isBehind(): boolean;
}

export class Turn {
  readonly #steps: TurnSteps;
  readonly #clock: Clock;
  /** When this turn takes no more commands; 0: it has taken none yet. */
  #endMs = 0;
  /** Commands until the next look at the clock, and until the one after it. */
  #unlooked = 0;
  #nextLook = 1;
  /** Connections that go on in a later turn, in this order. */
  #late: Connection[] = [];
  #waiting: Connection[] = [];
  #spare: Connection[] = [];
  /** Connections with replies that wait for a commit. */
  #gated: Connection[] = [];
  #isScheduled = false;
  readonly #stats: WorkerStats;
  #beganMs = NONE;

  constructor(steps: TurnSteps, clock: Clock, stats: WorkerStats) {
    this.#steps = steps;
    this.#clock = clock;
    this.#stats = stats;
  }

  /** What a turn is to do comes in; `schedule` follows, or `leave`. */
  begin(): void {
    if (this.#stats.timesTurn && this.#beganMs === NONE) this.#beganMs = this.#clock.monotonicMs();
  }

  /** All that came in is done: if it asked for no end, there was no turn. */
  leave(): void {
    if (this.#isScheduled) return;
    this.#beganMs = NONE;
    this.#renewTime();
  }

  /** The next turn has all of its time. */
  #renewTime(): void {
    this.#endMs = 0;
    this.#unlooked = 0;
    this.#nextLook = 1;
  }

  /** Whether this turn has time for one more command; if not, the connection is late. */
  mayRun(connection: Connection): boolean {
    if (this.#unlooked === 0 && (this.#late.length > 0 || !this.#hasTime())) {
      connection.isLate = true;
      this.#late.push(connection);
      this.schedule();
      return false;
    }
    this.#unlooked--;
    return true;
  }

  /** It has closed: it goes on in no turn. */
  forget(connection: Connection): void {
    const at = connection.isLate ? this.#late.indexOf(connection) : -1;
    if (at >= 0) this.#late.splice(at, 1);
  }

  /** Another worker is behind: the next command is late. */
  look(): void {
    this.#unlooked = 0;
  }

  #hasTime(): boolean {
    if (this.#unlooked > 0) return true;
    if (this.#steps.isBehind()) return false;
    const nowMs = this.#clock.monotonicMs();
    if (this.#endMs === 0) this.#endMs = nowMs + TURN_MS;
    if (nowMs >= this.#endMs) return false;
    this.#unlooked = this.#nextLook;
    this.#nextLook = Math.min(2 * this.#nextLook, COMMANDS_A_LOOK_MAX);
    return true;
  }

  /** Late connections go on, until this turn has no time either. */
  #goOn(): void {
    this.#steps.readClock();
    const late = this.#late;
    this.#late = [];
    let next = 0;
    while (next < late.length && this.#hasTime()) {
      const connection = late[next++] as Connection;
      connection.isLate = false;
      connection.run();
    }
    this.#late = [...late.slice(next), ...this.#late];
  }

  /** Writes to this connection at the end of the turn. */
  flushLater(connection: Connection): void {
    this.#waiting.push(connection);
    this.schedule();
  }

  /** Makes sure that the turn has an end. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.begin();
    this.#isScheduled = true;
    setImmediate(this.#end);
  }

  /** The log has moved on: writes what waited for it. */
  flushGated(): void {
    const connections = this.#gated;
    this.#gated = [];
    // Commands that waited for room go on.
    if (connections.length > 0) this.#steps.readClock();
    for (const connection of connections) {
      connection.isListedAsGated = false;
      this.#flush(connection);
    }
    this.#steps.flushPorts();
    this.leave();
  }

  /** Connections whose replies wait for the log: unknown, if it fails. */
  get gated(): readonly Connection[] {
    return this.#gated;
  }

  readonly #end = (): void => {
    this.#isScheduled = false;
    if (this.#late.length > 0) this.#goOn();
    const beganMs = this.#beganMs;
    this.#beganMs = NONE;
    this.#renewTime();
    // What another worker is behind with is followed by a batch of it, and that by a turn.
    if (this.#late.length > 0 && !this.#steps.isBehind()) this.schedule();
    this.#steps.commit();
    const connections = this.#waiting;
    this.#waiting = this.#spare;
    for (const connection of connections) this.#flush(connection);
    connections.length = 0;
    this.#spare = connections;
    this.#steps.flushPorts();
    this.#stats.noteTurn();
    if (beganMs !== NONE) this.#stats.noteTurnTime(this.#clock.monotonicMs() - beganMs);
  };

  #flush(connection: Connection): void {
    connection.flush();
    if (!connection.isGated || connection.isListedAsGated) return;
    connection.isListedAsGated = true;
    this.#gated.push(connection);
  }
}
