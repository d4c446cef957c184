/**
 * CLIENT PAUSE on one worker: which commands are held back, and until when.
 *
 * Invariant: whoever is held back goes on exactly once, in the order of arrival.
 */
import type { Clock, TimerHandle, Timers } from "../../runtime/base/clock.ts";
import type { CommandEntry } from "../command-table.ts";
import type { Client } from "../gateway/client.ts";
import type { Connection } from "../gateway/connection.ts";

/** Longest single timer: more makes setTimeout fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface PauseOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Called before those who were held back go on: time has passed. */
  beginTurn(): void;
}

export class Pause {
  /** Whether anything is held back now. */
  isOn = false;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #beginTurn: () => void;
  /** Monotonic time: the wall clock may be set meanwhile. */
  #endMs = 0;
  #writesOnly = false;
  #timer: TimerHandle | undefined;
  #waiting = new Map<Connection, () => void>();

  constructor({ clock, timers, beginTurn }: PauseOptions) {
    this.#clock = clock;
    this.#timers = timers;
    this.#beginTurn = beginTurn;
  }

  /** Holds commands back until this wall time, or changes only; 0 ends it. */
  set(untilMs: number, writesOnly: boolean): void {
    this.#timer?.cancel();
    const leftMs = untilMs - this.#clock.now();
    if (leftMs <= 0) {
      this.#end();
      return;
    }
    // A pause that runs is made longer and wider, never shorter.
    this.#writesOnly = this.isOn ? this.#writesOnly && writesOnly : writesOnly;
    const endMs = this.#clock.monotonicMs() + leftMs;
    this.#endMs = this.isOn ? Math.max(this.#endMs, endMs) : endMs;
    this.isOn = true;
    this.#wait();
  }

  #wait(): void {
    const leftMs = this.#endMs - this.#clock.monotonicMs();
    if (leftMs <= 0) this.#end();
    else this.#timer = this.#timers.after(Math.min(leftMs, TIMER_MS_MAX), () => this.#wait());
  }

  /** Whether this command waits. Who ends the pause never does. */
  holds(client: Client, entry: CommandEntry): boolean {
    if (entry.fullName === "client|unpause") return false;
    return !this.#writesOnly || isWrite(client, entry);
  }

  /** A connection that is held back goes on then. */
  whenOver(connection: Connection, run: () => void): void {
    this.#waiting.set(connection, run);
  }

  /** It has closed: it goes on in no case. */
  forget(connection: Connection): void {
    this.#waiting.delete(connection);
  }

  #end(): void {
    this.isOn = false;
    const waiting = this.#waiting;
    this.#waiting = new Map();
    if (waiting.size === 0) return;
    // Never inside of what ended it: that may be a transaction.
    this.#timers.soon(() => {
      this.#beginTurn();
      for (const run of waiting.values()) run();
    });
  }
}

/** Whether a command may change something. */
function isWrite(client: Client, entry: CommandEntry): boolean {
  return entry.command.name === "EXEC" ? client.queuesWrites : entry.isWrite;
}
