/**
 * The commands of `coterie`. Each prints its result on stdout and its errors on stderr.
 *
 * Invariant: an operating error is one message without stack trace and a code that says its kind.
 */
import { CoterieError } from "../runtime/base/errors.ts";
import { envName, flagSpecs } from "../runtime/config/flags.ts";
import { type CommandRule, parseArguments } from "./arguments.ts";
import { findConfig } from "./configuration.ts";
import { EXIT_FAILED, EXIT_USAGE, exitCodeOf } from "./exit-codes.ts";
import { packageVersion } from "./version.ts";

const SETTINGS = flagSpecs.map(({ name }) => ({ name, takesValue: true }));
const JSON_SWITCH = { name: "json", takesValue: false };
const TO_FLAG = { name: "to", takesValue: true };

const COMMANDS: readonly (CommandRule & { readonly summary: string })[] = [
  { name: "start", flags: SETTINGS, summary: "start a node in the foreground" },
  { name: "status", flags: [...SETTINGS, JSON_SWITCH], summary: "what a running node does" },
  {
    name: "salvage",
    flags: [...SETTINGS, TO_FLAG],
    summary: "copy what is readable of a damaged data folder to a new one",
  },
  { name: "config check", flags: SETTINGS, summary: "check the configuration" },
  { name: "config print", flags: SETTINGS, summary: "print it with every default worked out" },
];

/** What a command takes beside the settings. */
const OWN_FLAGS: Readonly<Record<string, string>> = {
  status: "  --json                (status) the answer as JSON",
  salvage: "  --to FOLDER           (salvage) the new data folder",
};

/** Runs one command and ends the process with its code. */
export async function main(words: readonly string[]): Promise<void> {
  try {
    process.exitCode = await run(words);
  } catch (error) {
    process.exitCode = await report(error);
  }
  // A node has stopped or failed: nothing that is left open may keep the process.
  await flushed();
  process.exit();
}

async function run(words: readonly string[]): Promise<number> {
  const parsed = parseArguments(words, COMMANDS);
  switch (parsed.kind) {
    case "version":
      process.stdout.write(`coterie ${packageVersion()} (node ${process.versions.node})\n`);
      return 0;
    case "help":
      process.stdout.write(helpText(parsed.name));
      return 0;
    case "wrong":
      process.stderr.write(`coterie: ${parsed.message}\nTry: coterie help\n`);
      return EXIT_USAGE;
    case "command":
      return runCommand(parsed.name, parsed.flags);
  }
}

async function runCommand(name: string, flags: ReadonlyMap<string, string>): Promise<number> {
  if (name === "salvage" && !flags.has("to")) {
    process.stderr.write(
      "coterie: salvage needs --to FOLDER, a new one\nTry: coterie help salvage\n",
    );
    return EXIT_USAGE;
  }
  const { config, warnings, file } = findConfig(flags);
  for (const warning of warnings) process.stderr.write(`coterie: warning: ${warning}\n`);
  switch (name) {
    case "start": {
      const { processSeams, runNode } = await import("./start.ts");
      return runNode(config, processSeams());
    }
    case "status": {
      const { fetchStatus, statusText } = await import("./status.ts");
      const status = await fetchStatus(config);
      const json = flags.has("json");
      process.stdout.write(json ? `${JSON.stringify(status, null, 2)}\n` : statusText(status));
      return status.state === "ready" ? 0 : EXIT_FAILED;
    }
    case "salvage": {
      const { runSalvage } = await import("./salvage.ts");
      return runSalvage(config, flags.get("to") ?? "");
    }
    case "config print": {
      const { password } = config.security;
      const security = { password: password === undefined ? null : "(set, not shown)" };
      process.stdout.write(`${JSON.stringify({ ...config, security }, null, 2)}\n`);
      return 0;
    }
    default: {
      const source = file ?? "no cluster.config.json here: the defaults";
      const nodes = config.nodes.map((node) => node.name).join(", ");
      process.stdout.write(`${source}: valid (cluster ${config.cluster}, nodes ${nodes})\n`);
      return 0;
    }
  }
}

/** Says an error; returns the exit code. A bug keeps its stack: it has to be reported. */
async function report(error: unknown): Promise<number> {
  const { NodeEnded } = await import("./start.ts");
  if (error instanceof NodeEnded) {
    process.stderr.write(message(error.reason, "the node ended"));
    return error.exitCode;
  }
  if (error instanceof CoterieError) {
    process.stderr.write(message(error, undefined));
    return exitCodeOf(error.code);
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`coterie: a bug; please report it with what follows\n${stack}\n`);
  return EXIT_FAILED;
}

function message({ code, message: text }: CoterieError, before: string | undefined): string {
  const lead = before === undefined ? "coterie: " : `coterie: ${before}: `;
  const lines = text.split("\n");
  if (code === "CONFIG_INVALID") {
    const count = lines.length === 1 ? "1 problem" : `${lines.length} problems`;
    return `${lead}the configuration has ${count} (${code})\n  ${lines.join("\n  ")}\n`;
  }
  return `${lead}${lines.join("\n  ")} (${code})\n`;
}

function helpText(name: string | undefined): string {
  const shown = COMMANDS.filter((command) => {
    return name === undefined || command.name === name || command.name.startsWith(`${name} `);
  });
  const commands = shown.map((command) => `  ${command.name.padEnd(14)}${command.summary}`);
  const settings = flagSpecs.map(({ name: flag, value, description }) => {
    return `  ${`--${flag} ${value}`.padEnd(22)}${description}`;
  });
  const own = Object.entries(OWN_FLAGS).flatMap(([command, line]) => {
    return name === undefined || name === command ? [line] : [];
  });
  const others =
    name === undefined
      ? ["  version       print the version", "  help [COMMAND]"]
      : [`Usage: coterie ${name}${shown.length > 1 ? " COMMAND" : ""} [flags]`];
  return [
    name === undefined ? "Usage: coterie COMMAND [flags]" : "",
    ...(name === undefined ? ["", ...commands, ...others] : [...others, "", ...commands]),
    "",
    "Flags (each is also an environment variable, such as",
    `${envName("port")}; flags > environment > file > defaults):`,
    ...settings,
    ...own,
    "",
  ]
    .join("\n")
    .trimStart();
}

/** Waits until what was printed has left the process. */
async function flushed(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength === 0 || stream.destroyed) continue;
    await new Promise<void>((done) => stream.write("", () => done()));
  }
}
