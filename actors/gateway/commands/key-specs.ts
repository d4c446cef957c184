/** Where a command's keys are and what becomes of them, in the shape of COMMAND INFO. */
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { CommandFacts } from "../../command-facts.ts";

/** What a command does to its keys, in Redis's words. */
export function keyFlags(facts: CommandFacts): readonly string[] {
  return facts.flags.includes("write") ? ["RW", "access", "update"] : ["RO", "access"];
}

export function replyKeySpecs(facts: CommandFacts, reply: RespWriter): void {
  const { keys, keyCountAt } = facts;
  reply.set((keys === undefined ? 0 : 1) + (keyCountAt === undefined ? 0 : 1));
  if (keys !== undefined) {
    beginSpec(facts, keys.first, reply);
    const { first, last, step } = keys;
    replyFind("range", { lastkey: last < 0 ? last : last - first, keystep: step, limit: 0 }, reply);
  }
  if (keyCountAt !== undefined) {
    beginSpec(facts, keyCountAt, reply);
    replyFind("keynum", { keynumidx: 0, firstkey: 1, keystep: 1 }, reply);
  }
}

/** Begins a spec whose search starts at an index. */
function beginSpec(facts: CommandFacts, index: number, reply: RespWriter): void {
  const flags = keyFlags(facts);
  reply.map(3);
  reply.bulkText("flags");
  reply.set(flags.length);
  for (const flag of flags) reply.simple(flag);
  reply.bulkText("begin_search");
  replyTyped("index", { index }, reply);
}

function replyFind(type: string, spec: Readonly<Record<string, number>>, reply: RespWriter): void {
  reply.bulkText("find_keys");
  replyTyped(type, spec, reply);
}

function replyTyped(type: string, spec: Readonly<Record<string, number>>, reply: RespWriter): void {
  const entries = Object.entries(spec);
  reply.map(2);
  reply.bulkText("type");
  reply.bulkText(type);
  reply.bulkText("spec");
  reply.map(entries.length);
  for (const [name, value] of entries) {
    reply.bulkText(name);
    reply.integer(value);
  }
}
