/**
 * Counters of one worker, for INFO, /metrics and coterie status. Plain numbers that only rise,
 * unless they say so.
 *
 * Two looks at the clock cost what a tenth of a GET does. So a command's first runs are all timed,
 * and all runs of a command that is slow on average; of the others, and of turns, one in some, which
 * then stands for those since the one before: sums and counts are those of all runs, as far as one
 * can tell from a sample. The intervals are primes, so that a sample is not always the first of a
 * pipeline.
 */
import type { Clock } from "../../runtime/base/clock.ts";
import { Histogram } from "../../runtime/base/histogram.ts";

// limits:
/** Runs of a command before only a sample of them is timed. */
export const TIMED_RUNS_FIRST = 1_000;
/** Then one in so many is, */
export const TIMED_RUN_INTERVAL = 61;
/** unless its runs take so long, µs, that timing all of them costs nothing. */
export const SLOW_RUN_US = 10;
/** One turn in so many is timed. */
export const TIMED_TURN_INTERVAL = 17;

/** Unit of the histograms of runs: a part of a µs, since many take less than one. */
export const TIME_UNITS_A_US = 16;

/** What INFO commandstats and latencystats say of a command. */
export interface CommandStats {
  calls: number;
  /** Refused before execution, and failed in it. */
  rejected: number;
  failed: number;
  /** Runs on this thread since one was timed, and how many there may be. */
  untimed: number;
  untimedMax: number;
  /** Time of the runs on this thread, µs. */
  microseconds: number;
  /** Their times, in TIME_UNITS_A_US; null until there is one. */
  latency: Histogram | null;
}

export function commandStats(): CommandStats {
  return {
    calls: 0,
    rejected: 0,
    failed: 0,
    untimed: 0,
    untimedMax: 0,
    microseconds: 0,
    latency: null,
  };
}

/** Begins a run: when, ms, or -1 if this one is not timed. */
export function beginRun(command: CommandStats, clock: Clock): number {
  return command.untimed < command.untimedMax ? -1 : clock.monotonicMs();
}

/** CONFIG RESETSTAT of one command. */
export function resetCommandStats(stats: CommandStats): void {
  Object.assign(stats, commandStats());
}

// limits:
/** Different first words of errors that are counted; clients' texts cannot grow the map. */
export const ERROR_WORDS_MAX = 128;

export class WorkerStats {
  commands = 0;
  connections = 0;
  rejectedConnections = 0;
  bytesIn = 0;
  bytesOut = 0;
  expiredKeys = 0;
  keyspaceHits = 0;
  keyspaceMisses = 0;
  /** Failed AUTH and HELLO … AUTH, those of locked-out addresses included. */
  deniedAuths = 0;
  /** Times that an address was locked out after wrong passwords. */
  lockouts = 0;
  /** Error replies. */
  errorReplies = 0;
  /** Errors replied, by their first word. */
  readonly errors = new Map<string, number>();
  /** Turns, and their time. */
  turns = 0;
  turnMs = 0;
  /** The longest turn of those that were timed, or in which a command was. */
  longestTurnMs = 0;
  /** Rates of the last seconds, as `sample` found them. */
  opsPerSecond = 0;
  inputKbPerSecond = 0;
  outputKbPerSecond = 0;

  #untimedTurns = 0;
  #sampledAtMs = 0;
  #sampledCommands = 0;
  #sampledIn = 0;
  #sampledOut = 0;

  /** Ends the run that began then. */
  endRun(command: CommandStats, clock: Clock, beganMs: number): void {
    command.untimed++;
    if (beganMs >= 0) this.noteRun(command, clock.monotonicMs() - beganMs);
  }

  /** The last of the command's untimed runs took so long; it stands for all of them. */
  noteRun(command: CommandStats, durationMs: number): void {
    command.latency ??= new Histogram();
    const { latency, untimed } = command;
    const microseconds = durationMs * 1000;
    command.untimed = 0;
    command.microseconds += microseconds * untimed;
    latency.note(microseconds * TIME_UNITS_A_US, untimed);
    const isSlow = command.microseconds >= SLOW_RUN_US * latency.count;
    command.untimedMax = isSlow || latency.count < TIMED_RUNS_FIRST ? 0 : TIMED_RUN_INTERVAL - 1;
    this.#noteLongest(durationMs);
  }

  /** Whether the next turn is one of those that are timed. */
  get timesTurn(): boolean {
    return this.#untimedTurns >= TIMED_TURN_INTERVAL - 1;
  }

  noteTurn(): void {
    this.turns++;
    this.#untimedTurns++;
  }

  /** The last of the untimed turns took so long; it stands for all of them. */
  noteTurnTime(durationMs: number): void {
    this.turnMs += durationMs * this.#untimedTurns;
    this.#untimedTurns = 0;
    this.#noteLongest(durationMs);
  }

  #noteLongest(durationMs: number): void {
    if (durationMs > this.longestTurnMs) this.longestTurnMs = durationMs;
  }

  noteError(text: string): void {
    this.errorReplies++;
    const word = text.split(" ", 1)[0] ?? "";
    const count = this.errors.get(word);
    if (count === undefined && this.errors.size >= ERROR_WORDS_MAX) return;
    this.errors.set(word, (count ?? 0) + 1);
  }

  /** Works out the rates since the last sample; called about once a second. */
  sample(nowMs: number): void {
    const seconds = (nowMs - this.#sampledAtMs) / 1000;
    if (this.#sampledAtMs > 0 && seconds > 0) {
      this.opsPerSecond = Math.max(0, (this.commands - this.#sampledCommands) / seconds);
      this.inputKbPerSecond = Math.max(0, (this.bytesIn - this.#sampledIn) / 1024 / seconds);
      this.outputKbPerSecond = Math.max(0, (this.bytesOut - this.#sampledOut) / 1024 / seconds);
    }
    this.#sampledAtMs = nowMs;
    this.#sampledCommands = this.commands;
    this.#sampledIn = this.bytesIn;
    this.#sampledOut = this.bytesOut;
  }

  /** CONFIG RESETSTAT. */
  reset(): void {
    this.commands = 0;
    this.connections = 0;
    this.rejectedConnections = 0;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.expiredKeys = 0;
    this.keyspaceHits = 0;
    this.keyspaceMisses = 0;
    this.deniedAuths = 0;
    this.lockouts = 0;
    this.errorReplies = 0;
    this.errors.clear();
    this.turns = 0;
    this.turnMs = 0;
    this.longestTurnMs = 0;
    this.#sampledAtMs = 0;
  }
}
