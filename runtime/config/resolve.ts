/**
 * Sources of configuration to one `NodeConfig`: flags > environment > file > defaults. Pure but for
 * the password file, which is read through an argument.
 *
 * Invariant: a configuration comes out, or every problem of every source at once; never half of each.
 */

import { isAbsolute, join } from "node:path";
import { CoterieError } from "../base/errors.ts";
import { WORKER_MEMORY_BYTES_MAX } from "../base/limits.ts";
import type { MachineFacts } from "../base/machine.ts";
import type { NodeConfig, NodeMember } from "../config.ts";
import { type Checked, type CheckedValue, checkValue, type Problem } from "./check.ts";
import { envName, type FlagName, type FlagValues, flagSpecs, flagValue } from "./flags.ts";
import { resolveKeyspaces } from "./keyspaces.ts";
import { isLoopback, resolveMember, samePorts } from "./members.ts";
import { nearestName } from "./nearest.ts";
import { configShape } from "./schema.ts";
import { parseConfigText } from "./text.ts";

/** Longest password, and the shortest: anything less is found by trying. */
const PASSWORD_LENGTH_MAX = 512;

/** Where settings come from. Nothing else is read. */
export interface ConfigSources {
  /** The file's text and folder (absolute: relative paths in it start there), if there is a file. */
  readonly file?: { readonly name: string; readonly folder: string; readonly text: string };
  /** In place of a file: a value of the same form, from an embedding application. */
  readonly value?: unknown;
  readonly flags?: FlagValues;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Absolute; relative paths in flags start here. */
  readonly folder: string;
  readonly machine: MachineFacts;
  /** First line of a file, for the password; throws if it cannot be read. */
  readonly readLine: (path: string) => string;
}

export type ConfigResult =
  | { readonly kind: "resolved"; readonly config: NodeConfig; readonly warnings: readonly string[] }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] };

/** What flags and environment gave, checked; `from` says which, for messages. */
interface Given {
  readonly values: Readonly<Partial<Record<FlagName, CheckedValue>>>;
  readonly from: Readonly<Partial<Record<FlagName, string>>>;
  readonly warnings: readonly string[];
}

const NOTHING_GIVEN: Given = { values: {}, from: {}, warnings: [] };

/** A number of a checked object: the shape made sure of it. */
function numberOf(checked: Checked, name: string): number {
  const value = checked[name];
  return typeof value === "number" ? value : 0;
}

/** Text of a checked object. The caller names a closed set that the shape made sure of. */
function textOf<T extends string = string>(checked: Checked, name: string): T {
  const value = checked[name];
  return (typeof value === "string" ? value : "") as T;
}

function sectionOf(checked: Checked, name: string): Checked {
  const value = checked[name];
  return typeof value === "object" && !Array.isArray(value) ? (value as Checked) : {};
}

/** Works out the configuration of this node. */
export function resolveConfig(sources: ConfigSources): ConfigResult {
  const problems: Problem[] = [];
  const { value, placed } = readFile(sources, problems);
  const given = readGiven(sources, problems);
  const context = { machine: sources.machine, problems, root: configShape };
  const before = problems.length;
  const checked = checkValue(configShape, value, "", context) as Checked | undefined;
  for (let i = before; i < problems.length; i++) problems[i] = placed(problems[i] as Problem);
  if (checked === undefined || problems.length > 0) return { kind: "invalid", problems };
  const late: Problem[] = [];
  const config = build(checked, given, sources, late);
  if (config === undefined || late.length > 0) {
    return { kind: "invalid", problems: late.map(placed) };
  }
  return { kind: "resolved", config, warnings: given.warnings };
}

/** One error that lists the problems. */
export function configError(problems: readonly Problem[]): CoterieError {
  const lines = problems.map(({ path, message }) =>
    path === "" ? message : `${path}: ${message}`,
  );
  return new CoterieError("CONFIG_INVALID", lines.join("\n"), { detail: { problems } });
}

type Placed = (problem: Problem) => Problem;

function readFile(
  { file, value }: ConfigSources,
  problems: Problem[],
): { readonly value: unknown; readonly placed: Placed } {
  if (file === undefined) return { value: value ?? {}, placed: (problem) => problem };
  const parsed = parseConfigText(file.text);
  if (parsed.kind === "invalid") {
    const { line, column } = parsed.place;
    problems.push({ path: `${file.name}:${line}:${column}`, message: parsed.message });
    return { value: {}, placed: (problem) => problem };
  }
  const placed: Placed = (problem) => {
    if (/^(--|COTERIE_)/.test(problem.path)) return problem;
    const { line, column } = parsed.placeOf(problem.path);
    const place = `${file.name}:${line}:${column}`;
    return { ...problem, path: problem.path === "" ? place : `${place}: ${problem.path}` };
  };
  return { value: parsed.value, placed };
}

function readGiven({ flags = {}, env = {}, machine }: ConfigSources, problems: Problem[]): Given {
  const values: Partial<Record<FlagName, CheckedValue>> = {};
  const from: Partial<Record<FlagName, string>> = {};
  for (const { name, shape } of flagSpecs) {
    const variable = envName(name);
    const fromFlag = flags[name];
    const text = fromFlag ?? env[variable];
    if (text === undefined || (fromFlag === undefined && text === "")) continue;
    const path = fromFlag === undefined ? variable : `--${name}`;
    const context = { machine, problems, root: configShape };
    const before = problems.length;
    values[name] = checkValue(shape, flagValue(shape, text), path, context);
    from[name] = path;
    if (problems.length > before && fromFlag === undefined && /^tcp:\/\//.test(text)) {
      const message = `${problems.pop()?.message}; Kubernetes sets this for a Service named coterie: set enableServiceLinks: false in the pod`;
      problems.push({ path, message });
    }
  }
  return { values, from, warnings: unknownVariables(env) };
}

/** Variables that begin with our prefix and name no setting: likely a typing error. */
function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = flagSpecs.map(({ name }) => envName(name));
  const warnings: string[] = [];
  for (const name of Object.keys(env)) {
    const nearest = known.includes(name) ? undefined : nearestName(name, known);
    if (!name.startsWith("COTERIE_") || nearest === undefined) continue;
    warnings.push(`${name} is no setting and is ignored; did you mean ${nearest}?`);
  }
  return warnings;
}

function build(
  checked: Checked,
  given: Given,
  sources: ConfigSources,
  problems: Problem[],
): NodeConfig | undefined {
  const entries = (checked.nodes ?? [defaultNode(sources.machine)]) as readonly Checked[];
  const selfIndex = pickNode(entries, given, problems);
  if (selfIndex === undefined) return undefined;
  const members: NodeMember[] = [];
  for (const [index, entry] of entries.entries()) {
    const isSelf = index === selfIndex;
    const { values, from } = isSelf ? given : NOTHING_GIVEN;
    const path = from.port ?? `nodes[${index}].port`;
    const workersPath = from.workers ?? `nodes[${index}].workers`;
    const { machine } = sources;
    members.push(resolveMember({ entry, values, machine, path, workersPath, problems }));
  }
  checkDistinct(entries, members, problems);
  const self = members[selfIndex];
  const entry = entries[selfIndex];
  if (self === undefined || entry === undefined) return undefined;
  const { bind, adminBind } = addresses(entry, self, given);
  const password = readPassword(checked, given, sources, problems);
  if (password === undefined) {
    const path = given.from.bind ?? given.from.host ?? `nodes[${selfIndex}].host`;
    refusePublic({ bind, adminBind, path, problems });
  }
  const data = given.values.data ?? entry.data;
  const folder = given.values.data === undefined ? (sources.file?.folder ?? sources.folder) : "";
  return {
    cluster: textOf(checked, "cluster"),
    epoch: numberOf(checked, "version"),
    self,
    nodes: members,
    bind,
    adminBind,
    dataFolder: absolute(String(data), folder === "" ? sources.folder : folder),
    workers: self.ports.direct.length,
    keyspaces: resolveKeyspaces({
      section: sectionOf(checked, "keyspaces"),
      durability: given.values.durability,
      nodes: entries.length,
      problems,
    }),
    ...sectionsOf(checked, given, self.ports.direct.length),
    security: { password },
  };
}

function sectionsOf(checked: Checked, { values }: Given, workers: number) {
  const memory = sectionOf(checked, "memory");
  const log = sectionOf(checked, "log");
  return {
    memory: {
      bytesMax: Math.min(
        Number(values.memory ?? memory.bytesMax),
        workers * WORKER_MEMORY_BYTES_MAX,
      ),
      youngGenerationBytes: numberOf(memory, "youngGenerationBytes"),
    },
    journal: numbersOf(sectionOf(checked, "journal"), [
      "fileBytes",
      "reserveBytes",
      "intervalMs",
    ] as const),
    snapshot: numbersOf(sectionOf(checked, "snapshot"), ["logBytesMin"] as const),
    clients: numbersOf(sectionOf(checked, "clients"), [
      "max",
      "outputPauseBytes",
      "outputHardBytes",
      "outputSoftBytes",
      "outputSoftMs",
      "queryBytesMax",
      "idleTimeoutMs",
      "handshakeTimeoutMs",
      "keepAliveMs",
      "argumentsMax",
      "argumentBytesMax",
    ] as const),
    log: {
      level: (values["log-level"] ?? log.level) as NodeConfig["log"]["level"],
      format: (values["log-format"] ?? log.format) as NodeConfig["log"]["format"],
    },
  };
}

function numbersOf<Name extends string>(
  checked: Checked,
  names: readonly Name[],
): Readonly<Record<Name, number>> {
  const entries = names.map((name) => [name, numberOf(checked, name)] as const);
  return Object.fromEntries(entries) as Record<Name, number>;
}

/** The one node of a configuration that names none. */
function defaultNode(machine: MachineFacts): Checked {
  const problems: Problem[] = [];
  const context = { machine, problems, root: configShape };
  const whole = checkValue(configShape, { nodes: [{ name: "n1" }] }, "", context) as Checked;
  return (whole.nodes as readonly Checked[])[0] ?? {};
}

function pickNode(
  entries: readonly Checked[],
  { values, from }: Given,
  problems: Problem[],
): number | undefined {
  const names = entries.map((entry) => textOf(entry, "name"));
  if (values.node === undefined) {
    if (entries.length === 1) return 0;
    const message = `is missing: the configuration names ${names.join(", ")}; say which this is`;
    problems.push({ path: "--node", message });
    return undefined;
  }
  const index = names.indexOf(String(values.node));
  if (index >= 0) return index;
  const message = `there is no node ${JSON.stringify(values.node)}; the nodes are ${names.join(", ")}`;
  problems.push({ path: from.node ?? "--node", message });
  return undefined;
}

/** No two nodes share a name, or a port or a data folder on one host. */
function checkDistinct(
  entries: readonly Checked[],
  members: readonly NodeMember[],
  problems: Problem[],
): void {
  for (const [index, member] of members.entries()) {
    for (const [other, before] of members.slice(0, index).entries()) {
      const path = `nodes[${index}]`;
      if (member.name === before.name) {
        const message = `${member.name} is the name of nodes[${other}] too; names are unique`;
        problems.push({ path: `${path}.name`, message });
      }
      if (member.host !== before.host) continue;
      const shared = samePorts(member.ports, before.ports);
      if (shared.length > 0) {
        const message = `port ${shared.join(", ")} is taken by nodes[${other}] on the same host (every port derives from the gateway's: keep them 100 apart)`;
        problems.push({ path: `${path}.port`, message });
      }
      if (entries[index]?.data === entries[other]?.data) {
        const message = `is the folder of nodes[${other}] on the same host; one node a folder`;
        problems.push({ path: `${path}.data`, message });
      }
    }
  }
}

function addresses(entry: Checked, self: NodeMember, { values }: Given) {
  const own = values.host === undefined ? entry.bind : undefined;
  const bind = String(values.bind ?? own ?? self.host);
  return { bind, adminBind: String(entry.adminBind ?? bind) };
}

function refusePublic(input: {
  bind: string;
  adminBind: string;
  path: string;
  problems: Problem[];
}): void {
  const open = [input.bind, input.adminBind].filter((address) => !isLoopback(address));
  if (open[0] === undefined) return;
  const message = `${open[0]} is reachable by others, and there is no authentication; set security.passwordFile (--password-file), or listen on 127.0.0.1 (bind)`;
  input.problems.push({ path: input.path, message });
}

function absolute(path: string, folder: string): string {
  return isAbsolute(path) ? join(path) : join(folder, path);
}

function readPassword(
  checked: Checked,
  given: Given,
  sources: ConfigSources,
  problems: Problem[],
): string | undefined {
  const flag = given.values["password-file"];
  const file = flag ?? sectionOf(checked, "security").passwordFile;
  if (file === undefined) return undefined;
  const folder = flag === undefined ? (sources.file?.folder ?? sources.folder) : sources.folder;
  const path = given.from["password-file"] ?? "security.passwordFile";
  try {
    const password = sources.readLine(absolute(String(file), folder));
    if (password !== "" && password.length <= PASSWORD_LENGTH_MAX) return password;
    const message = `the first line of ${file} must hold 1 to ${PASSWORD_LENGTH_MAX} characters`;
    problems.push({ path, message });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    problems.push({ path, message: `${file} cannot be read: ${reason}` });
  }
  return "";
}
