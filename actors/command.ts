/**
 * What a command is: one declaration from which dispatch, COMMAND, COMMAND DOCS, key extraction and
 * CROSSSLOT follow.
 *
 * Where a command runs is its scope: on one key's partition, over several keys, on the client's
 * session, on every worker, in one turn of each or in slices. A container (CLIENT, OBJECT …) holds
 * subcommands, each with a scope of its own. `execute` is one synchronous turn; what it changes
 * through its KeyAccess becomes one op a partition.
 */
import type { Request } from "../runtime/codec/request.ts";
import type { RespWriter } from "../runtime/codec/resp-writer.ts";
import type { CommandFacts } from "./command-facts.ts";
import type { Client } from "./gateway/client.ts";
import type { KeyAccess } from "./vnode/key-access.ts";
import type { WorkerView } from "./worker/worker-view.ts";

/** All keys in one partition: the usual case. */
export interface KeyCommand extends CommandFacts {
  readonly scope: "key";
  execute(key: KeyAccess, request: Request, reply: RespWriter): void;
}

/** Finds the partition of each of a command's keys; all of them on this thread. */
export interface KeyLookup {
  /** The selected keyspace, and how many there are. */
  readonly keyspace: number;
  readonly keyspaces: number;
  /** The access to the partition of the key at argument `i`, not yet opened. */
  at(request: Request, i: number): KeyAccess;
}

/** Commands that are run where their keys are: each on one key, or one that can be split. */
export type Commands = readonly (readonly Buffer[])[];

/**
 * How a command on keys of several threads is done without copies of them: it peeks at the keys, by
 * commands that read, round after round, and is given what these reply (RESP2, one each); what it
 * returns is commands that change something. Peeks may reply that a key is of the wrong type; where
 * another error comes, nothing goes on. The keys are locked from the first peek to the last change.
 * Writes the reply; if it writes none, there is one change, on one key, and the reply is that one's.
 */
export type Apart = (
  request: Request,
  reply: RespWriter,
) => Generator<Commands, Commands, readonly Buffer[]>;

/** Several keys in several partitions, in one turn of one thread. */
export interface KeysCommand extends CommandFacts {
  readonly scope: "keys";
  /**
   * How the gateway may split the command over threads key by key, each part a command of the same
   * name, and what it makes of the parts' replies. Undefined: all or nothing, never split.
   */
  readonly split?: "sum" | "array" | "ok";
  /** Undefined: over several threads it runs on copies of its keys (gateway/scratch.ts). */
  readonly apart?: Apart;
  execute(keys: KeyLookup, request: Request, reply: RespWriter): void;
}

/** On the client's own thread, without keys: connection, transactions, cluster facts. */
export interface SessionCommand extends CommandFacts {
  readonly scope: "session";
  execute(client: Client, request: Request, reply: RespWriter): void;
}

/** On one partition that is not named by a key: a scan's cursor, a slot number. */
export interface PartitionCommand extends CommandFacts {
  readonly scope: "partition";
  /** The partition, or -1 after a reply. `isDirect`: asked as one node of a cluster (a worker). */
  route(
    worker: WorkerView,
    request: Request,
    reply: RespWriter,
    keyspace: number,
    isDirect: boolean,
  ): number;
  execute(
    worker: WorkerView,
    keyspace: number,
    partition: number,
    request: Request,
    reply: RespWriter,
  ): void;
}

/**
 * On every worker thread: each collects its part (a value of plain data that msgpackr packs), then
 * the client's thread answers from all parts.
 */
export interface NodeCommand extends CommandFacts {
  readonly scope: "node";
  /** On a direct port it is about that port's worker alone, as about one node of a cluster. */
  readonly isPerWorker?: boolean;
  /** Refuses a bad request by a reply, before anything is collected. True: go on. */
  check?(client: Client, request: Request, reply: RespWriter): boolean;
  /** `caller`: the id of the client on its own worker, 0 on the others. */
  collect(worker: WorkerView, request: Request, keyspace: number, caller: number): unknown;
  answer(client: Client, request: Request, parts: readonly unknown[], reply: RespWriter): void;
}

/** What one turn's work adds to the reply of a command over everything. */
export interface Slice {
  /** Items, encoded, and how many. */
  readonly items: Buffer;
  readonly count: number;
  /** What to ask for the next slice with, behind the client's arguments; null: this is the last. */
  readonly rest: readonly string[] | null;
  /** Why the command fails; null: it does not. */
  readonly error: string | null;
}

/**
 * On every worker thread, slice by slice, so that others are served meanwhile. The reply is the array
 * of all items.
 */
export interface SlicedCommand extends CommandFacts {
  readonly scope: "sliced";
  /** On a direct port it is about that port's worker alone, as about one node of a cluster. */
  readonly isPerWorker?: boolean;
  /** One slice: a bounded amount of work. */
  slice(worker: WorkerView, request: Request, keyspace: number): Slice;
}

/** A command that does something by itself. */
export type LeafCommand =
  | KeyCommand
  | KeysCommand
  | SessionCommand
  | PartitionCommand
  | NodeCommand
  | SlicedCommand;

/** A name whose second word says what to do: CLIENT, CONFIG, OBJECT, MEMORY, CLUSTER … */
export interface ContainerCommand extends CommandFacts {
  readonly scope: "container";
  readonly subcommands: readonly LeafCommand[];
  /** What the name alone does (COMMAND), where the arity allows that. */
  readonly bare?: SessionCommand["execute"];
}

export type Command = LeafCommand | ContainerCommand;

/** Builds a declaration's type for a file of commands. */
export function keyCommand(command: Omit<KeyCommand, "scope">): KeyCommand {
  return { scope: "key", ...command };
}

export function keysCommand(command: Omit<KeysCommand, "scope">): KeysCommand {
  return { scope: "keys", ...command };
}

export function sessionCommand(command: Omit<SessionCommand, "scope">): SessionCommand {
  return { scope: "session", ...command };
}

export function partitionCommand(command: Omit<PartitionCommand, "scope">): PartitionCommand {
  return { scope: "partition", ...command };
}

export function nodeCommand(command: Omit<NodeCommand, "scope">): NodeCommand {
  return { scope: "node", ...command };
}

export function slicedCommand(command: Omit<SlicedCommand, "scope">): SlicedCommand {
  return { scope: "sliced", ...command };
}

/**
 * A container with a HELP subcommand made from its subcommands' own syntax and summaries. Its arity
 * is -2 unless the bare name does something.
 */
export function containerCommand(
  container: Omit<ContainerCommand, "scope" | "arity" | "flags">,
): ContainerCommand {
  const { name, group, since, subcommands } = container;
  const lines = [`${name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`];
  for (const { name: full, syntax, summary } of subcommands) {
    const word = full.slice(name.length + 1);
    lines.push(syntax === undefined ? word : `${word} ${syntax}`, `    ${summary}`);
  }
  lines.push("HELP", "    Print this help.");
  const help = sessionCommand({
    name: `${name}|HELP`,
    arity: 2,
    flags: ["loading", "stale"],
    group,
    since,
    summary: "Returns helpful text about the different subcommands.",
    complexity: "O(1)",
    execute(_client, _request, reply) {
      reply.array(lines.length);
      for (const line of lines) reply.simple(line);
    },
  });
  const arity = container.bare === undefined ? -2 : -1;
  const all = [...subcommands, help];
  return { scope: "container", ...container, arity, flags: [], subcommands: all };
}
