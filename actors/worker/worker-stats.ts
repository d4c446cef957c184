/**
 * Counters of one worker, for INFO, /metrics and coterie status. Plain numbers that only rise,
 * unless they say so.
 */
import { Histogram } from "../../runtime/base/histogram.ts";

/** What INFO commandstats and latencystats say of a command. */
export interface CommandStats {
  calls: number;
  microseconds: number;
  /** Refused before execution, and failed in it. */
  rejected: number;
  failed: number;
  /** Times of the calls that were timed, µs; null until there is one. */
  latency: Histogram | null;
}

export function commandStats(): CommandStats {
  return { calls: 0, microseconds: 0, rejected: 0, failed: 0, latency: null };
}

/** Notes how long a call took. */
export function noteTime(stats: CommandStats, microseconds: number): void {
  stats.microseconds += microseconds;
  stats.latency ??= new Histogram();
  stats.latency.note(microseconds);
}

/** CONFIG RESETSTAT of one command. */
export function resetCommandStats(stats: CommandStats): void {
  stats.calls = 0;
  stats.microseconds = 0;
  stats.rejected = 0;
  stats.failed = 0;
  stats.latency = null;
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
  /** Turns of the event loop that ran commands, and the longest, ms. */
  turns = 0;
  longestTurnMs = 0;
  /** Rates of the last seconds, as `sample` found them. */
  opsPerSecond = 0;
  inputKbPerSecond = 0;
  outputKbPerSecond = 0;

  #sampledAtMs = 0;
  #sampledCommands = 0;
  #sampledIn = 0;
  #sampledOut = 0;

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
    this.longestTurnMs = 0;
    this.#sampledAtMs = 0;
  }
}
