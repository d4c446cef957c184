/**
 * Commands that do something or not by what is there (SET NX), or that take out what nobody else
 * gets (LPOP), in keyspaces with several replicas: while a network partition lasts, two coordinators
 * may each see that it can be done (design: "Conditional commands").
 *
 *   exact        promises more than such a keyspace can keep (SET IFEQ, DELEX): always refused
 *   best effort  at least once over a partition (SET NX, WATCH, pops): as the keyspace's
 *                `conditional` says, done or refused
 *
 * What is refused is decided once, at the start: with one replica a command has no guard at all.
 */
import type { Request } from "../../runtime/codec/request.ts";
import type { KeyspaceConfig } from "../../runtime/config.ts";
import type { CommandTable } from "../command-table.ts";

/** Says why a request is refused; null: it is not. */
export type Guard = (keyspace: number, request: Request) => string | null;

/** What makes a command conditional. */
interface Condition {
  /** Words among the arguments from `from` on, one of which does; absent: the command itself. */
  readonly words?: readonly string[];
  /** A word without which it is conditional. */
  readonly unless?: string;
  readonly from?: number;
  /** Words stand before other arguments, up to the first that is none of `options`. */
  readonly options?: readonly string[];
}

const TIMES = { words: ["NX", "XX", "GT", "LT"], from: 3 };
const ITSELF = {};

const EXACT: ReadonlyMap<string, Condition> = new Map([
  ["set", { words: ["IFEQ", "IFNE"], from: 3 }],
  ["delex", ITSELF],
]);

const BEST_EFFORT: ReadonlyMap<string, Condition> = new Map<string, Condition>([
  ["set", { words: ["NX", "XX"], from: 3 }],
  ["setnx", ITSELF],
  ["msetnx", ITSELF],
  ["hsetnx", ITSELF],
  ["getdel", ITSELF],
  ["renamenx", ITSELF],
  ["copy", { unless: "REPLACE", from: 3 }],
  ["expire", TIMES],
  ["pexpire", TIMES],
  ["expireat", TIMES],
  ["pexpireat", TIMES],
  ["lpushx", ITSELF],
  ["rpushx", ITSELF],
  ["lpop", ITSELF],
  ["rpop", ITSELF],
  ["lmpop", ITSELF],
  ["lmove", ITSELF],
  ["rpoplpush", ITSELF],
  ["spop", ITSELF],
  ["smove", ITSELF],
  [
    "zadd",
    { words: ["NX", "XX", "GT", "LT"], from: 2, options: ["NX", "XX", "GT", "LT", "CH", "INCR"] },
  ],
  ["zpopmin", ITSELF],
  ["watch", ITSELF],
]);

/** Whether a command has a rule here, for the test that finds new ones. */
export function isConditional(fullName: string): boolean {
  return EXACT.has(fullName) || BEST_EFFORT.has(fullName);
}

/** Guards the commands of keyspaces that have several replicas; of the others there are none. */
export function guardConditionals(table: CommandTable, keyspaces: readonly KeyspaceConfig[]): void {
  if (keyspaces.every(({ replicas }) => replicas === 1)) return;
  for (const fullName of new Set([...EXACT.keys(), ...BEST_EFFORT.keys()])) {
    const entry = table.findName(fullName);
    if (entry !== undefined) entry.guard = guardOf(fullName, keyspaces);
  }
}

function guardOf(fullName: string, keyspaces: readonly KeyspaceConfig[]): Guard {
  const exact = EXACT.get(fullName);
  const bestEffort = BEST_EFFORT.get(fullName);
  return (index, request) => {
    const keyspace = keyspaces[index];
    if (keyspace === undefined || keyspace.replicas === 1) return null;
    if (exact !== undefined && holds(exact, request)) return notExact(keyspace);
    const isRefused = keyspace.conditional === "refuse" && bestEffort !== undefined;
    return isRefused && holds(bestEffort, request) ? notWanted(keyspace) : null;
  };
}

function holds({ words, unless, from = 0, options }: Condition, request: Request): boolean {
  const isAt = (i: number, word: string) => request.equalsIgnoreCase(i, word);
  for (let i = from; i < request.count; i++) {
    if (words?.some((word) => isAt(i, word))) return true;
    if (unless !== undefined && isAt(i, unless)) return false;
    if (options !== undefined && !options.some((word) => isAt(i, word))) return false;
  }
  return words === undefined;
}

function notExact({ name, replicas }: KeyspaceConfig): string {
  return `ERR keyspace ${name} is eventual and has ${replicas} replicas, of which two could each find the condition true: use a keyspace of mode "strong", or one with a single replica`;
}

function notWanted({ name, replicas }: KeyspaceConfig): string {
  return `ERR conditional commands are refused in keyspace ${name}: with ${replicas} replicas they could be done twice; use a keyspace of mode "strong", or set its "conditional" to "best-effort"`;
}
