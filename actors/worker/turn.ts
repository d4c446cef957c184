/**
 * The end of a turn of the event loop: what the turn logged is committed in one frame, then every
 * connection that got replies is written to once, then every port is posted to once. Some turns
 * are timed, from what came in first to the end: what one client waits for another.
 */
import type { Clock } from "../../runtime/base/clock.ts";
import type { Connection } from "../gateway/connection.ts";
import type { WorkerStats } from "./worker-stats.ts";

/** The turn is not timed, or has not begun. */
const NONE = -1;

/** What is done at the end of a turn, in this order. */
export interface TurnSteps {
  /** Completes the frame: one write. */
  commit(): void;
  /** Sends late replies to other workers, and everything on the ports. */
  flushPorts(): void;
}

export class Turn {
  readonly #steps: TurnSteps;
  #waiting: Connection[] = [];
  #spare: Connection[] = [];
  /** Connections with replies that wait for a commit. */
  #gated: Connection[] = [];
  #isScheduled = false;
  readonly #clock: Clock;
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
    if (!this.#isScheduled) this.#beganMs = NONE;
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
    for (const connection of connections) {
      connection.isListedAsGated = false;
      this.#flush(connection);
    }
    this.#steps.flushPorts();
  }

  /** Connections whose replies wait for the log: unknown, if it fails. */
  get gated(): readonly Connection[] {
    return this.#gated;
  }

  readonly #end = (): void => {
    const beganMs = this.#beganMs;
    this.#beganMs = NONE;
    this.#isScheduled = false;
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
