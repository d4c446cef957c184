/**
 * Settings of one start that beat the file: `--port 7380` or COTERIE_PORT=7380.
 *
 * One table: the command line, the environment, `coterie help` and embedding applications read it.
 */
import { configShape, keyspaceShape, nodeShape } from "./schema.ts";
import { anyText, type Field, type ObjectShape, type Shape } from "./shape.ts";

/** Names of the settings, as flags without their dashes. */
export type FlagName =
  | "config"
  | "node"
  | "port"
  | "host"
  | "bind"
  | "admin-port"
  | "data"
  | "workers"
  | "durability"
  | "memory"
  | "password-file"
  | "log-level"
  | "log-format";

/** Values of settings as they were given, by flag name. */
export type FlagValues = { readonly [name in FlagName]?: string };

export interface FlagSpec {
  readonly name: FlagName;
  /** What stands for the value in help, such as FILE. */
  readonly value: string;
  readonly shape: Shape;
  readonly description: string;
}

function shapeAt(shape: ObjectShape, ...names: readonly string[]): Shape {
  let result: Shape = shape;
  for (const name of names) {
    const field: Field | undefined = result.kind === "object" ? result.fields[name] : undefined;
    if (field !== undefined) result = field.shape;
  }
  return result;
}

/** Every setting. The environment variable of each is COTERIE_ and its name, dashes as `_`. */
export const flagSpecs: readonly FlagSpec[] = [
  {
    name: "config",
    value: "FILE",
    shape: anyText("a path"),
    description: "configuration file (default: ./cluster.config.json, if it exists)",
  },
  {
    name: "node",
    value: "NAME",
    shape: anyText("a node's name"),
    description: "which of the file's nodes this is (needed if it names several)",
  },
  {
    name: "port",
    value: "P",
    shape: shapeAt(nodeShape, "port"),
    description: "gateway port; all other ports derive from it; 0: any free ports",
  },
  {
    name: "host",
    value: "HOST",
    shape: shapeAt(nodeShape, "host"),
    description: "address to announce, and to listen on unless --bind is given",
  },
  {
    name: "bind",
    value: "ADDRESS",
    shape: shapeAt(nodeShape, "bind"),
    description: "address to listen on",
  },
  {
    name: "admin-port",
    value: "PORT",
    shape: shapeAt(nodeShape, "adminPort"),
    description: "admin HTTP port (default: P-1)",
  },
  {
    name: "data",
    value: "DIR",
    shape: shapeAt(nodeShape, "data"),
    description: "data folder (default: ./data)",
  },
  {
    name: "workers",
    value: "W",
    shape: shapeAt(nodeShape, "workers"),
    description: "worker threads (default: cores - 1, at least 1)",
  },
  {
    name: "durability",
    value: "MODE",
    shape: shapeAt(keyspaceShape, "durability"),
    description: "of every keyspace: always, interval or os",
  },
  {
    name: "memory",
    value: "BYTES",
    shape: shapeAt(configShape, "memory", "bytesMax"),
    description: 'memory for data, such as 2gb or "75%"',
  },
  {
    name: "password-file",
    value: "FILE",
    shape: shapeAt(configShape, "security", "passwordFile"),
    description: "file whose first line is the clients' password",
  },
  {
    name: "log-level",
    value: "LEVEL",
    shape: shapeAt(configShape, "log", "level"),
    description: "debug, info, warn or error",
  },
  {
    name: "log-format",
    value: "FORMAT",
    shape: shapeAt(configShape, "log", "format"),
    description: "text or json",
  },
];

/** The environment variable of a setting. */
export function envName(name: FlagName): string {
  return `COTERIE_${name.toUpperCase().replaceAll("-", "_")}`;
}

/** A setting's text as the value that its shape checks: digits are numbers. */
export function flagValue(shape: Shape, text: string): unknown {
  const number = shape.kind === "integer" && /^-?\d{1,15}(\.\d+)?$/.test(text);
  return number ? Number(text) : text;
}
