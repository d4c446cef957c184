/**
 * What every command declares about itself, apart from what it does: enough for COMMAND, COMMAND
 * DOCS, ACL CAT and INFO commandstats. No behaviour, so that everything may import it.
 */
import type { Request } from "../runtime/codec/request.ts";
import type { CommandStats } from "./worker/worker-stats.ts";

/** Redis's command flags, as COMMAND INFO shows them. */
export type CommandFlag =
  | "write"
  | "readonly"
  | "denyoom"
  | "admin"
  | "pubsub"
  | "noscript"
  | "blocking"
  | "loading"
  | "stale"
  | "fast"
  | "no_auth"
  | "movablekeys"
  | "no_multi"
  | "allow_busy";

export type CommandGroup =
  | "generic"
  | "string"
  | "bitmap"
  | "list"
  | "set"
  | "sorted-set"
  | "hash"
  | "connection"
  | "server"
  | "scripting"
  | "cluster"
  | "transactions";

/** Where the keys stand among the arguments, as in COMMAND INFO: `last` < 0 counts from the end. */
export interface KeyPositions {
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

/** What every declaration says. */
export interface CommandFacts {
  /** Upper case; a subcommand's with its container's: "CLIENT|KILL". */
  readonly name: string;
  /** Arguments with the name (both words of a subcommand); negative: at least that many. */
  readonly arity: number;
  readonly flags: readonly CommandFlag[];
  /** Undefined: no keys (or none at fixed positions: `keyCountAt`). */
  readonly keys?: KeyPositions;
  /** Keys that a count argument announces (SINTERCARD numkeys …): the index of the count. */
  readonly keyCountAt?: number;
  readonly group: CommandGroup;
  readonly since: string;
  readonly summary: string;
  readonly complexity: string;
  /** Arguments in Redis's syntax notation, for COMMAND DOCS, HELP and people. */
  readonly syntax?: string;
  /** ACL categories besides those that flags and group imply, without "@". */
  readonly categories?: readonly string[];
}

/** A command as COMMAND and INFO show it. */
export interface CatalogEntry {
  readonly facts: CommandFacts;
  /** Lower case, a subcommand's with its container's: "client|kill". */
  readonly fullName: string;
  readonly stats: CommandStats;
  readonly subcommands: readonly CatalogEntry[];
  /** Whether a request has the right number of arguments. */
  accepts(count: number): boolean;
}

/** All commands, for commands about commands. */
export interface CommandCatalog {
  /** Commands and containers; subcommands are in their containers. */
  readonly entries: readonly CatalogEntry[];
  /** The command that arguments `i` (and `i + 1`, for a container) name. */
  find(request: Request, i?: number): CatalogEntry | undefined;
  /** By full name in lower case. */
  findName(fullName: string): CatalogEntry | undefined;
}

/** The places of a command's keys among a request's arguments. */
export function keyIndexes(facts: CommandFacts, request: Request): number[] {
  const indexes: number[] = [];
  if (facts.keys !== undefined) {
    const { first, last, step } = facts.keys;
    const end = last < 0 ? request.count + last : last;
    for (let i = first; i <= end && i < request.count; i += step) indexes.push(i);
  }
  const { keyCountAt } = facts;
  if (keyCountAt !== undefined && keyCountAt < request.count && request.integer(keyCountAt)) {
    const count = Math.min(request.integerValue, request.count - keyCountAt - 1);
    for (let i = 1; i <= count; i++) indexes.push(keyCountAt + i);
  }
  return indexes;
}
