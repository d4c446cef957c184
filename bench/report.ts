/**
 * What every benchmark prints around its numbers: the machine, tables, medians; and how its flags
 * are read. Nothing here measures.
 */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";
import { parseArgs } from "node:util";

/** Exit code of a wrong command line, as in bin/exit-codes. */
const EXIT_USAGE = 64;

/** Flags of a benchmark; every one takes a value and has a default. */
export interface Flags<Name extends string> {
  text(name: Name): string;
  /** A finite number; ends the process with a message otherwise. */
  number(name: Name): number;
  /** Words between commas. */
  list(name: Name): string[];
  numbers(name: Name): number[];
}

/** Reads the command line of a benchmark; `--help` and unknown flags end the process. */
export function readFlags<Name extends string>(
  usage: string,
  defaults: Readonly<Record<Name, string>>,
): Flags<Name> {
  const values = { ...defaults } as Record<string, string>;
  const names = Object.keys(defaults) as Name[];
  const shown = names.map((name) => `  --${name} ${defaults[name] || "(none)"}`);
  const help = `${usage}\n\nFlags and their defaults:\n${shown.join("\n")}\n`;
  const refuse = (message: string): never => {
    process.stderr.write(`${message}\n\n${help}`);
    process.exit(EXIT_USAGE);
  };
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  try {
    const parsed = parseArgs({ options: { ...options, help: { type: "boolean", short: "h" } } });
    if (parsed.values.help === true) {
      process.stdout.write(help);
      process.exit(0);
    }
    for (const name of names) {
      const value: unknown = (parsed.values as Record<string, unknown>)[name];
      if (typeof value === "string") values[name] = value;
    }
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error));
  }
  const text = (name: Name) => values[name] ?? "";
  const toNumber = (name: Name, word: string): number => {
    const value = Number(word);
    if (word.trim() === "" || !Number.isFinite(value)) {
      refuse(`--${name} needs a number, not ${JSON.stringify(word)}`);
    }
    return value;
  };
  const list = (name: Name) => text(name).split(",").filter(Boolean);
  return {
    text,
    number: (name) => toNumber(name, text(name)),
    list,
    numbers: (name) => list(name).map((word) => toNumber(name, word)),
  };
}

/** The middle one, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** Lowest and highest, for the reader who asks how far the rounds lie apart. */
export function range(values: readonly number[], digits = 2): string {
  return `${Math.min(...values).toFixed(digits)} … ${Math.max(...values).toFixed(digits)}`;
}

/** 1234567 as "1 234 567". */
export function thousands(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, " ");
}

/** Prints a Markdown table; numbers are put to the right. */
export function printTable(heads: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = heads.map((head, i) => {
    return Math.max(head.length, ...rows.map((row) => (row[i] ?? "").length));
  });
  const line = (cells: readonly string[]) => {
    const padded = widths.map((width, i) => {
      const cell = cells[i] ?? "";
      return i === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, i) =>
    i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  process.stdout.write(`${[line(heads), line(rule), ...rows.map(line)].join("\n")}\n`);
}

function firstLine(command: string, words: readonly string[]): string | undefined {
  try {
    const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"];
    return execFileSync(command, words, { encoding: "utf8", stdio }).split("\n")[0];
  } catch {
    return undefined;
  }
}

/** The version of redis-server on the PATH; undefined without one. */
export function redisVersion(): string | undefined {
  const line = firstLine("redis-server", ["--version"]);
  return /v=(\S+)/.exec(line ?? "")?.[1];
}

/**
 * Prints what the numbers depend on. The load average is there to be read: other work on the
 * machine is the commonest reason for a bad ratio.
 */
export function printMachine(title: string): void {
  const cores = cpus();
  const commit = firstLine("git", ["rev-parse", "--short", "HEAD"]) ?? "none";
  const gigabytes = (totalmem() / 2 ** 30).toFixed(0);
  const lines = [
    `${title}  (${new Date().toISOString()})`,
    `  machine  ${cores[0]?.model.trim() ?? "?"}, ${cores.length} cores, ${gigabytes} GiB, Linux ${release()}`,
    `  software Node ${process.versions.node}, redis-server ${redisVersion() ?? "(none)"}, commit ${commit}`,
    `  load     ${loadavg()
      .map((value) => value.toFixed(2))
      .join(" ")} before the run`,
  ];
  process.stdout.write(`${lines.join("\n")}\n\n`);
}

/** A line of progress, apart from the results. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
