/**
 * Keyspaces of a checked configuration: defaults, overrides, quorums. Pure.
 *
 * Invariant: 1 ≤ W ≤ N ≤ nodes and 1 ≤ R ≤ N in every keyspace.
 */
import type { KeyspaceConfig } from "../config.ts";
import type { Checked, CheckedValue, Problem } from "./check.ts";
import { memberPath } from "./text.ts";

/** Replicas of a key where there are nodes enough (design 3). */
const REPLICAS_DEFAULT = 3;

interface KeyspacesInput {
  readonly section: Checked;
  /** Given by flag or environment: holds for every keyspace. */
  readonly durability: CheckedValue;
  readonly nodes: number;
  readonly problems: Problem[];
}

/** Every keyspace, by index. */
export function resolveKeyspaces(input: KeyspacesInput): KeyspaceConfig[] {
  const { section, problems } = input;
  const defaults = section.default as Checked;
  const overrides = (section.overrides ?? {}) as Readonly<Record<string, Checked>>;
  const count = Number(section.count);
  const named = new Map<number, string>();
  for (const [name, override] of Object.entries(overrides)) {
    const path = memberPath("keyspaces.overrides", name);
    const index = indexOf(name, override);
    if (index === undefined) {
      problems.push({ path, message: 'a name needs an "index": the number that SELECT takes' });
    } else if (index >= count) {
      const message = `there is no keyspace ${index}: keyspaces.count is ${count}, numbered from 0`;
      problems.push({ path, message });
    } else if (named.has(index)) {
      const message = `keyspace ${index} is overridden by ${named.get(index)} already`;
      problems.push({ path, message });
    } else named.set(index, name);
  }
  const base = "keyspaces.default";
  const plain = resolveOne({ ...input, index: 0, name: "0", settings: defaults, path: base });
  return Array.from({ length: count }, (_, index) => {
    const name = named.get(index);
    if (name === undefined) return { ...plain, index, name: String(index) };
    const settings: Record<string, CheckedValue> = { ...defaults };
    for (const [key, value] of Object.entries(overrides[name] ?? {})) {
      if (value !== undefined) settings[key] = value;
    }
    const path = memberPath("keyspaces.overrides", name);
    return resolveOne({ ...input, index, name, settings, path });
  });
}

function indexOf(name: string, override: Checked): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  const index = override.index;
  return typeof index === "number" ? index : undefined;
}

interface OneInput extends KeyspacesInput {
  readonly index: number;
  readonly name: string;
  readonly settings: Checked;
  readonly path: string;
}

function resolveOne(input: OneInput): KeyspaceConfig {
  const { settings, nodes, index, name } = input;
  const replicas = numberOr(settings.replicas, Math.min(REPLICAS_DEFAULT, nodes));
  const majority = Math.floor(replicas / 2) + 1;
  const write = numberOr(settings.write, majority);
  const read = numberOr(settings.read, majority);
  checkQuorums(input, { replicas, write, read });
  return {
    index,
    name,
    partitions: Number(settings.partitions),
    replicas,
    write,
    read,
    mode: "eventual",
    resolver: settings.resolver as KeyspaceConfig["resolver"],
    durability: (input.durability ?? settings.durability) as KeyspaceConfig["durability"],
    conditional: settings.conditional as KeyspaceConfig["conditional"],
  };
}

/** A number as given, or what its word ("auto", "majority") stands for. */
function numberOr(value: CheckedValue, meant: number): number {
  return typeof value === "number" ? value : meant;
}

function checkQuorums(
  { nodes, path, problems }: OneInput,
  { replicas, write, read }: { replicas: number; write: number; read: number },
): void {
  if (replicas > nodes) {
    const message = `${replicas} copies of a key need as many nodes; the configuration names ${nodes}`;
    problems.push({ path: `${path}.replicas`, message });
    return;
  }
  for (const [name, quorum] of Object.entries({ write, read })) {
    if (quorum <= replicas) continue;
    const message = `${quorum} is more than the ${replicas} replicas that there are`;
    problems.push({ path: `${path}.${name}`, message });
  }
}
