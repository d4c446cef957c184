/**
 * Lines of the log: one an event, for people or as JSON, of the configuration's level or above. Pure.
 *
 *   text   the message, or the event with its facts:   disk has room again worker=0
 *   json   {"level":"info","event":"disk has room again","worker":0}
 */
export type LogLevel = "debug" | "info" | "warn" | "error";

export interface LogConfig {
  readonly level: LogLevel;
  readonly format: "text" | "json";
}

export interface LogEvent {
  readonly level: LogLevel;
  /** What happened, in the same words each time. */
  readonly event: string;
  /** The whole of it, for people. */
  readonly message?: string;
  readonly [fact: string]: unknown;
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** The line of an event; empty: the configuration wants none. */
export function logLine({ level, format }: LogConfig, logged: LogEvent): string {
  if (LEVELS.indexOf(logged.level) < LEVELS.indexOf(level)) return "";
  if (format === "json") return `${JSON.stringify(logged, errorsToo)}\n`;
  const { level: _level, event, message, ...facts } = logged;
  const shown = Object.entries(facts).map(([name, value]) => `${name}=${textOf(value)}`);
  return `${message ?? [event, ...shown].join(" ")}\n`;
}

function textOf(value: unknown): string {
  if (value instanceof Error) return value.stack ?? value.message;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function errorsToo(_key: string, value: unknown): unknown {
  return value instanceof Error ? { message: value.message, stack: value.stack } : value;
}
