/** One command's documentation in the shape of COMMAND DOCS. */
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { CatalogEntry } from "../../command-facts.ts";
import { type DocArgument, parseSyntax } from "./syntax.ts";

export function replyDocs(entry: CatalogEntry, reply: RespWriter): void {
  const { facts, subcommands } = entry;
  const hasArguments = facts.syntax !== undefined;
  const hasSubcommands = subcommands.length > 0;
  reply.map(4 + (hasArguments ? 1 : 0) + (hasSubcommands ? 1 : 0));
  replyField("summary", facts.summary, reply);
  replyField("since", facts.since, reply);
  replyField("group", facts.group, reply);
  replyField("complexity", facts.complexity, reply);
  if (hasArguments) {
    reply.bulkText("arguments");
    replyArguments(parseSyntax(facts.syntax ?? ""), reply);
  }
  if (hasSubcommands) {
    reply.bulkText("subcommands");
    reply.map(subcommands.length);
    for (const subcommand of subcommands) {
      reply.bulkText(subcommand.fullName);
      replyDocs(subcommand, reply);
    }
  }
}

function replyField(name: string, value: string, reply: RespWriter): void {
  reply.bulkText(name);
  reply.bulkText(value);
}

function replyArguments(all: readonly DocArgument[], reply: RespWriter): void {
  reply.array(all.length);
  for (const argument of all) replyOne(argument, reply);
}

function replyOne(argument: DocArgument, reply: RespWriter): void {
  const { name, type, token, optional, multiple } = argument;
  const inner = argument.arguments;
  const flags = [...(optional ? ["optional"] : []), ...(multiple ? ["multiple"] : [])];
  const isPlain = type !== "oneof" && type !== "block";
  const extras = [isPlain, type === "key", token !== undefined, flags.length > 0, inner];
  reply.map(2 + extras.filter(Boolean).length);
  replyField("name", name, reply);
  replyField("type", type, reply);
  if (isPlain) replyField("display_text", name, reply);
  if (type === "key") {
    reply.bulkText("key_spec_index");
    reply.integer(0);
  }
  if (token !== undefined) replyField("token", token, reply);
  if (flags.length > 0) {
    reply.bulkText("flags");
    reply.set(flags.length);
    for (const flag of flags) reply.simple(flag);
  }
  if (inner !== undefined) {
    reply.bulkText("arguments");
    replyArguments(inner, reply);
  }
}
