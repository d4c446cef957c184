/**
 * The commands in the form that dispatch uses: found by name from the bytes of a request, with
 * flags as bits. A subcommand is found by its two words; a container whose second word names none
 * answers with the error that says so.
 */

import { KEY_BYTES_MAX } from "../runtime/base/limits.ts";
import type { Request } from "../runtime/codec/request.ts";
import { NameTable } from "../runtime/codec/request.ts";
import type { RespWriter } from "../runtime/codec/resp-writer.ts";
import type { Command, ContainerCommand, LeafCommand } from "./command.ts";
import { sessionCommand } from "./command.ts";
import { type CatalogEntry, type CommandCatalog, keyIndexes } from "./command-facts.ts";
import { commands } from "./commands.ts";
import type { Guard } from "./gateway/conditional.ts";
import { commandStats } from "./worker/worker-stats.ts";

export { keyIndexes };

const KEY_TOO_LONG = `ERR a key is longer than ${KEY_BYTES_MAX} bytes: shorten it, or store its hash`;

/** A command as a worker dispatches it, with the worker's own counters. */
export class CommandEntry implements CatalogEntry {
  readonly command: LeafCommand;
  readonly facts: Command;
  readonly fullName: string;
  readonly arity: number;
  readonly isWrite: boolean;
  /** Refused when memory is full. */
  readonly deniesOom: boolean;
  /** Allowed before authentication. */
  readonly needsNoAuth: boolean;
  /** Runs at once inside MULTI. */
  readonly isTransactional: boolean;
  /** Refused inside MULTI. */
  readonly isRefusedInMulti: boolean;
  /** Refuses what a keyspace with several replicas cannot promise; null: there is none such. */
  guard: Guard | null = null;
  readonly stats = commandStats();
  readonly subcommands: readonly CommandEntry[];
  /** The subcommands by their own word; null: this is no container. */
  readonly #bySubcommand: NameTable<CommandEntry> | null = null;

  constructor(command: Command) {
    this.facts = command;
    this.fullName = command.name.toLowerCase();
    this.arity = command.arity;
    this.isWrite = command.flags.includes("write");
    this.deniesOom = command.flags.includes("denyoom");
    this.needsNoAuth = command.flags.includes("no_auth");
    this.isTransactional = TRANSACTIONAL.has(command.name);
    this.isRefusedInMulti = command.flags.includes("no_multi");
    if (command.scope !== "container") {
      this.command = command;
      this.subcommands = [];
      return;
    }
    this.command = containerItself(command);
    this.subcommands = command.subcommands.map((subcommand) => new CommandEntry(subcommand));
    this.#bySubcommand = new NameTable();
    for (const entry of this.subcommands) {
      this.#bySubcommand.add(entry.command.name.slice(command.name.length + 1), entry);
    }
  }

  /** Whether a request has the right number of arguments. */
  accepts(count: number): boolean {
    return this.arity >= 0 ? count === this.arity : count >= -this.arity;
  }

  /** Why a request can never be run in this keyspace; null: it can. */
  refusal(keyspace: number, request: Request): string | null {
    if (this.#exceedsKeyBytes(request)) return KEY_TOO_LONG;
    return this.guard === null ? null : this.guard(keyspace, request);
  }

  #exceedsKeyBytes(request: Request): boolean {
    const { command } = this;
    if (command.scope === "key") return request.length(command.keys?.first ?? 1) > KEY_BYTES_MAX;
    if (command.scope !== "keys") return false;
    return keyIndexes(command, request).some((index) => request.length(index) > KEY_BYTES_MAX);
  }

  /** What argument `i` makes of this entry: a container's subcommand, or the entry itself. */
  resolve(request: Request, i: number): CommandEntry {
    if (this.#bySubcommand === null || i >= request.count) return this;
    return this.#bySubcommand.find(request, i) ?? this;
  }
}

/** Commands that MULTI does not queue. UNWATCH is queued, as Redis does it. */
const TRANSACTIONAL = new Set(["MULTI", "EXEC", "DISCARD", "WATCH", "QUIT", "RESET"]);

/** A container without a known subcommand, as a command: what its bare name does, or an error. */
function containerItself(container: ContainerCommand): LeafCommand {
  const { scope: _scope, subcommands: _subcommands, bare, ...facts } = container;
  return sessionCommand({
    ...facts,
    execute(client, request, reply: RespWriter) {
      if (request.count === 1 && bare !== undefined) bare(client, request, reply);
      else reply.error(unknownSubcommand(container.name, request));
    },
  });
}

/** Redis's text for a container's unknown second word. */
export function unknownSubcommand(container: string, request: Request): string {
  return `ERR unknown subcommand '${request.text(1).slice(0, NAME_SHOWN)}'. Try ${container} HELP.`;
}

export class CommandTable implements CommandCatalog {
  readonly entries: readonly CommandEntry[];
  readonly #byName = new NameTable<CommandEntry>();
  readonly #byFullName = new Map<string, CommandEntry>();

  constructor(declared: readonly Command[] = commands) {
    this.entries = declared.map((command) => new CommandEntry(command));
    for (const entry of this.entries) {
      this.#byName.add(entry.facts.name, entry);
      this.#byFullName.set(entry.fullName, entry);
      for (const sub of entry.subcommands) this.#byFullName.set(sub.fullName, sub);
    }
  }

  /** The command that argument `i` names (a subcommand: with `i + 1`); undefined: unknown. */
  find(request: Request, i = 0): CommandEntry | undefined {
    return this.#byName.find(request, i)?.resolve(request, i + 1);
  }

  findName(fullName: string): CommandEntry | undefined {
    return this.#byFullName.get(fullName);
  }
}

/** Redis's text for a name that is no command: name and arguments cut short. */
export function unknownCommand(request: Request): string {
  const args: string[] = [];
  let length = 0;
  for (let i = 1; i < request.count && length < ARGUMENTS_SHOWN; i++) {
    const text = `'${request.text(i).slice(0, ARGUMENTS_SHOWN - length)}' `;
    args.push(text);
    length += text.length;
  }
  const name = request.text(0).slice(0, NAME_SHOWN);
  return `ERR unknown command '${name}', with args beginning with: ${args.join("")}`;
}

const NAME_SHOWN = 128;
const ARGUMENTS_SHOWN = 128;
