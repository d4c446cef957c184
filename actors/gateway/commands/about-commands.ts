/** COMMAND: what the commands declare about themselves, in the shapes that Redis 7.2 gives it. */
import { Glob } from "../../../runtime/base/glob.ts";
import { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { containerCommand, type SessionCommand, sessionCommand } from "../../command.ts";
import type { CatalogEntry, CommandCatalog } from "../../command-facts.ts";
import { keyIndexes } from "../../command-facts.ts";
import { SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import { categoriesOf, inCategory, isCategory } from "./acl-categories.ts";
import { replyDocs } from "./command-docs.ts";
import { keyFlags, tips } from "./command-hints.ts";
import { replyKeySpecs } from "./key-specs.ts";

/** A COMMAND subcommand. */
function about(
  facts: Pick<SessionCommand, "name" | "arity" | "since" | "summary" | "complexity"> & {
    syntax?: string;
  },
  execute: SessionCommand["execute"],
): SessionCommand {
  return sessionCommand({
    ...facts,
    flags: ["loading", "stale"],
    group: "server",
    categories: ["connection"],
    execute,
  });
}

function replyInfo(entry: CatalogEntry, reply: RespWriter): void {
  const { facts, subcommands } = entry;
  const { keys } = facts;
  const flags = flagsOf(entry);
  const categories = categoriesOf(facts);
  reply.array(10);
  reply.bulkText(entry.fullName);
  reply.integer(facts.arity);
  reply.set(flags.length);
  for (const flag of flags) reply.simple(flag);
  reply.integer(keys?.first ?? 0);
  reply.integer(keys?.last ?? 0);
  reply.integer(keys?.step ?? 0);
  reply.set(categories.length);
  for (const category of categories) reply.simple(`@${category}`);
  const hints = tips(facts);
  reply.set(hints.length);
  for (const hint of hints) reply.bulkText(hint);
  replyKeySpecs(facts, reply);
  reply.set(subcommands.length);
  for (const subcommand of subcommands) replyInfo(subcommand, reply);
}

/** The flags, with what follows from where the keys stand. */
function flagsOf({ facts }: CatalogEntry): readonly string[] {
  const { flags, keyCountAt } = facts;
  if (keyCountAt === undefined || flags.includes("movablekeys")) return flags;
  return [...flags, "movablekeys"];
}

/** The entries that the arguments from 2 on name, an unknown one as undefined; or all. */
function named(catalog: CommandCatalog, request: Request): readonly (CatalogEntry | undefined)[] {
  if (request.count <= 2) return catalog.entries;
  const entries: (CatalogEntry | undefined)[] = [];
  for (let i = 2; i < request.count; i++) {
    entries.push(catalog.findName(request.text(i).toLowerCase()));
  }
  return entries;
}

function replyInfos(entries: readonly (CatalogEntry | undefined)[], reply: RespWriter): void {
  reply.array(entries.length);
  for (const entry of entries) {
    if (entry === undefined) reply.nil();
    else replyInfo(entry, reply);
  }
}

const count = about(
  {
    name: "COMMAND|COUNT",
    arity: 2,
    since: "2.8.13",
    summary: "Returns a count of commands.",
    complexity: "O(1)",
  },
  (client, _request, reply) => reply.integer(client.worker.table.entries.length),
);

const info = about(
  {
    name: "COMMAND|INFO",
    arity: -2,
    since: "2.8.13",
    summary: "Returns information about one, multiple or all commands.",
    complexity: "O(N) where N is the number of commands to look up",
    syntax: "[command-name [command-name ...]]",
  },
  (client, request, reply) => replyInfos(named(client.worker.table, request), reply),
);

const docs = about(
  {
    name: "COMMAND|DOCS",
    arity: -2,
    since: "7.0.0",
    summary: "Returns documentary information about one, multiple or all commands.",
    complexity: "O(N) where N is the number of commands to look up",
    syntax: "[command-name [command-name ...]]",
  },
  (client, request, reply) => {
    const entries = named(client.worker.table, request).filter((entry) => entry !== undefined);
    reply.map(entries.length);
    for (const entry of entries) {
      reply.bulkText(entry.fullName);
      replyDocs(entry, reply);
    }
  },
);

/** Which entries COMMAND LIST's filter lets pass; the error if there is no such filter. */
function listFilter(request: Request): ((entry: CatalogEntry) => boolean) | string {
  if (request.count === 2) return () => true;
  if (request.count !== 5 || !request.equalsIgnoreCase(2, "FILTERBY")) return SYNTAX_ERROR;
  if (request.equalsIgnoreCase(3, "MODULE")) return () => false;
  if (request.equalsIgnoreCase(3, "ACLCAT")) {
    const category = request.text(4).toLowerCase();
    return (entry) => isCategory(category) && inCategory(entry.facts, category);
  }
  if (request.equalsIgnoreCase(3, "PATTERN")) {
    const pattern = new Glob(Buffer.from(request.text(4).toLowerCase(), "latin1"));
    return ({ fullName }) => {
      const bytes = Buffer.from(fullName, "latin1");
      return pattern.matches(bytes, 0, bytes.length);
    };
  }
  return SYNTAX_ERROR;
}

const list = about(
  {
    name: "COMMAND|LIST",
    arity: -2,
    since: "7.0.0",
    summary: "Returns a list of command names.",
    complexity: "O(N) where N is the total number of commands",
    syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
  },
  (client, request, reply) => {
    const filter = listFilter(request);
    if (typeof filter === "string") {
      reply.error(filter);
      return;
    }
    const all = client.worker.table.entries.flatMap((entry) => [entry, ...entry.subcommands]);
    const passed = all.filter(filter);
    reply.array(passed.length);
    for (const { fullName } of passed) reply.bulkText(fullName);
  },
);

/** The command in the arguments from 2 on and where its keys are; or why there are none. */
function keysOf(
  catalog: CommandCatalog,
  request: Request,
): { entry: CatalogEntry; indexes: readonly number[] } | string {
  const entry = catalog.find(request, 2);
  if (entry === undefined) return "ERR Invalid command specified";
  const { facts } = entry;
  if (facts.keys === undefined && facts.keyCountAt === undefined) {
    return "ERR The command has no key arguments";
  }
  const inner = new Request();
  inner.reset(request.bytes);
  for (let i = 2; i < request.count; i++) {
    inner.push(request.starts[i] as number, request.ends[i] as number);
  }
  if (!entry.accepts(inner.count)) return "ERR Invalid number of arguments specified for command";
  const indexes = keyIndexes(facts, inner);
  if (indexes.length === 0) return "ERR Invalid arguments specified for command";
  return { entry, indexes: indexes.map((index) => index + 2) };
}

function replyArgument(request: Request, i: number, reply: RespWriter): void {
  reply.bulk(request.bytes, request.starts[i] as number, request.ends[i] as number);
}

const getKeys = about(
  {
    name: "COMMAND|GETKEYS",
    arity: -3,
    since: "2.8.13",
    summary: "Extracts the key names from an arbitrary command.",
    complexity: "O(N) where N is the number of arguments to the command",
    syntax: "command [arg [arg ...]]",
  },
  (client, request, reply) => {
    const found = keysOf(client.worker.table, request);
    if (typeof found === "string") {
      reply.error(found);
      return;
    }
    reply.array(found.indexes.length);
    for (const index of found.indexes) replyArgument(request, index, reply);
  },
);

const getKeysAndFlags = about(
  {
    name: "COMMAND|GETKEYSANDFLAGS",
    arity: -3,
    since: "7.0.0",
    summary: "Extracts the key names and access flags for an arbitrary command.",
    complexity: "O(N) where N is the number of arguments to the command",
    syntax: "command [arg [arg ...]]",
  },
  (client, request, reply) => {
    const found = keysOf(client.worker.table, request);
    if (typeof found === "string") {
      reply.error(found);
      return;
    }
    const [flagsOfFirst, flagsOfOthers = flagsOfFirst] = keyFlags(found.entry.facts);
    reply.array(found.indexes.length);
    for (const [i, index] of found.indexes.entries()) {
      const flags = (i === 0 ? flagsOfFirst : flagsOfOthers) ?? [];
      reply.array(2);
      replyArgument(request, index, reply);
      reply.set(flags.length);
      for (const flag of flags) reply.simple(flag);
    }
  },
);

const command = containerCommand({
  name: "COMMAND",
  group: "server",
  since: "2.8.13",
  summary: "Returns detailed information about all commands.",
  complexity: "O(N) where N is the total number of commands",
  categories: ["connection"],
  subcommands: [count, info, docs, list, getKeys, getKeysAndFlags],
  bare: (client, _request, reply) => replyInfos(client.worker.table.entries, reply),
});

export const aboutCommands = [command];
