/**
 * The configuration as the command line finds it: reads the file and hands all sources to the
 * resolver. Reads nothing but the configuration file and the password file.
 */
import { closeSync, lstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { CoterieError } from "../runtime/base/errors.ts";
import { thisMachine } from "../runtime/base/machine.ts";
import { envName, type FlagName, type FlagValues, flagSpecs } from "../runtime/config/flags.ts";
import { type ConfigSources, configError, resolveConfig } from "../runtime/config/resolve.ts";
import type { NodeConfig } from "../runtime/config.ts";

/** Read in the current folder if it exists. */
const CONFIG_FILE_DEFAULT = "cluster.config.json";
/** A larger file is no configuration. */
const CONFIG_BYTES_MAX = 1024 * 1024;
/** How much of a password file is read. */
const PASSWORD_BYTES_MAX = 4096;

export interface FoundConfig {
  readonly config: NodeConfig;
  readonly warnings: readonly string[];
  /** The file as the user would name it, if there is one. */
  readonly file: string | undefined;
}

function cannotRead(name: string, error: unknown, what: string): CoterieError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file",
    EACCES: "permission denied",
    EISDIR: "it is a folder",
  };
  const reason = reasons[code] ?? (error instanceof Error ? error.message : String(error));
  const message = `${what} ${name} cannot be read: ${reason}`;
  return new CoterieError("CONFIG_UNREADABLE", message, { detail: { file: name }, cause: error });
}

function readConfigFile(name: string, folder: string): NonNullable<ConfigSources["file"]> {
  const path = resolve(folder, name);
  try {
    const bytes = statSync(path).size;
    if (bytes > CONFIG_BYTES_MAX) {
      throw new Error(`${bytes} bytes is too large for a configuration (at most 1 MB)`);
    }
    const shown = relative(folder, path);
    const text = readFileSync(path, "utf8");
    return { name: shown.startsWith("..") ? path : shown, folder: dirname(path), text };
  } catch (error) {
    throw cannotRead(name, error, "the configuration file");
  }
}

/**
 * First line of a file, or of a pipe, without its end and without an editor's byte order mark. Throws
 * what the file system throws.
 */
export function readLine(path: string): string {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(PASSWORD_BYTES_MAX);
    let bytes = 0;
    for (let read = -1; read !== 0 && !buffer.includes("\n"); bytes += read) {
      read = readSync(file, buffer, bytes, buffer.length - bytes, null);
    }
    const text = buffer.toString("utf8", 0, bytes).replace(/^\ufeff/, "");
    return text.split(/\r?\n/, 1)[0] ?? "";
  } finally {
    closeSync(file);
  }
}

/** Flags of the command line that are settings. */
export function settingsOf(flags: ReadonlyMap<string, string>): FlagValues {
  const values: { [name in FlagName]?: string } = {};
  for (const { name } of flagSpecs) {
    const value = flags.get(name);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Finds and checks the configuration; throws CONFIG_INVALID or CONFIG_UNREADABLE. */
export function findConfig(flags: ReadonlyMap<string, string>): FoundConfig {
  const folder = process.cwd();
  const named = flags.get("config") ?? process.env[envName("config")];
  // A link that leads nowhere is a file that cannot be read, not one that is not there.
  const exists = isThere(resolve(folder, CONFIG_FILE_DEFAULT));
  const name = named === undefined || named === "" ? undefined : named;
  const chosen = name ?? (exists ? CONFIG_FILE_DEFAULT : undefined);
  const file = chosen === undefined ? undefined : readConfigFile(chosen, folder);
  const result = resolveConfig({
    ...(file === undefined ? {} : { file }),
    flags: settingsOf(flags),
    env: process.env,
    folder,
    machine: thisMachine(),
    readLine,
  });
  if (result.kind === "invalid") throw configError(result.problems);
  return { config: result.config, warnings: result.warnings, file: file?.name };
}
