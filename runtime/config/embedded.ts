/**
 * Configuration of a node inside an application: the same fields and checks as the command line's.
 */
import type { LogLevel } from "../base/log.ts";
import type { MachineFacts } from "../base/machine.ts";
import type { Durability, NodeConfig } from "../config.ts";
import type { Problem } from "./check.ts";
import { type FlagName, flagSpecs } from "./flags.ts";
import { nearestName } from "./nearest.ts";
import { configError, resolveConfig } from "./resolve.ts";

/** Settings of an embedded node; each beats the same setting in `config`. */
export interface NodeOptions {
  /** Everything else, in the form of cluster.config.json. */
  readonly config?: object;
  /** Which of the nodes in `config` this is. */
  readonly node?: string;
  /** Gateway port; 0: any free ports. */
  readonly port?: number;
  readonly host?: string;
  readonly bind?: string;
  readonly adminPort?: number;
  /** Data folder, relative to the current folder. */
  readonly data?: string;
  readonly workers?: number | "auto";
  readonly durability?: Durability;
  /** Bytes, or text such as "2gb" or "75%". */
  readonly memory?: number | string;
  readonly password?: string;
  readonly logLevel?: LogLevel;
}

const FLAG_OF: Readonly<Record<Exclude<keyof NodeOptions, "config" | "password">, FlagName>> = {
  node: "node",
  port: "port",
  host: "host",
  bind: "bind",
  adminPort: "admin-port",
  data: "data",
  workers: "workers",
  durability: "durability",
  memory: "memory",
  logLevel: "log-level",
};

/** What a number would be taken for a name of. */
const TEXTS = ["node", "host", "bind", "data", "durability", "password", "logLevel"];

/** Works out the configuration, or throws CONFIG_INVALID with every problem. */
export function embeddedConfig(
  options: NodeOptions,
  { folder, machine }: { folder: string; machine: MachineFacts },
): NodeConfig {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw configError([
      { path: "options", message: 'must be an object, such as { data: "./data" }' },
    ]);
  }
  const problems: Problem[] = [];
  const flags: { [name in FlagName]?: string } = {};
  const names = [...Object.keys(FLAG_OF), "config", "password"];
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!names.includes(name)) {
      const nearest = nearestName(name, names);
      const hint = nearest === undefined ? names.join(", ") : `did you mean ${nearest}?`;
      problems.push({ path: name, message: `unknown option; ${hint}` });
    } else if (TEXTS.includes(name) && typeof value !== "string") {
      problems.push({ path: name, message: "must be a string" });
    } else if (Object.hasOwn(FLAG_OF, name)) {
      if (typeof value !== "string" && typeof value !== "number") {
        problems.push({ path: name, message: "must be a string or a number" });
        continue;
      }
      flags[FLAG_OF[name as keyof typeof FLAG_OF]] = String(value);
    }
  }
  const { password } = options;
  if (typeof password === "string") flags["password-file"] = "the option password";
  const result = resolveConfig({
    value: options.config ?? {},
    flags,
    folder,
    machine,
    readLine: () => password ?? "",
  });
  if (result.kind === "invalid") problems.push(...result.problems.map(asOption));
  if (result.kind === "invalid" || problems.length > 0) throw configError(problems);
  return result.config;
}

/** Problems of flags under the names that the application gave. */
function asOption({ path, message }: Problem): Problem {
  const flag = flagSpecs.find(({ name }) => path === `--${name}`)?.name;
  if (flag === undefined) return { path, message };
  if (flag === "password-file") return { path: "password", message };
  const option = Object.entries(FLAG_OF).find(([, name]) => name === flag)?.[0];
  return { path: option ?? path, message };
}
