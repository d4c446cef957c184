/** Where a command's keys are and what becomes of them, in the shape of COMMAND INFO. */
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { CommandFacts, KeyPositions } from "../../command-facts.ts";
import { keyFlags } from "./command-hints.ts";

export function replyKeySpecs(facts: CommandFacts, reply: RespWriter): void {
  const { keys, keyCountAt } = facts;
  const [flags = [], flagsOfOthers] = keyFlags(facts);
  const ranges = keys === undefined ? 0 : flagsOfOthers === undefined ? 1 : 2;
  reply.set(ranges + (keyCountAt === undefined ? 0 : 1));
  if (keys !== undefined) {
    const { first, last, step } = keys;
    if (flagsOfOthers === undefined) replyRange(flags, keys, reply);
    else {
      replyRange(flags, { first, last: first, step }, reply);
      replyRange(flagsOfOthers, { first: first + step, last, step }, reply);
    }
  }
  if (keyCountAt !== undefined) {
    beginSpec(flags, keyCountAt, reply);
    replyFind("keynum", { keynumidx: 0, firstkey: 1, keystep: 1 }, reply);
  }
}

function replyRange(
  flags: readonly string[],
  { first, last, step }: KeyPositions,
  reply: RespWriter,
): void {
  beginSpec(flags, first, reply);
  replyFind("range", { lastkey: last < 0 ? last : last - first, keystep: step, limit: 0 }, reply);
}

/** Begins a spec whose search starts at an index. */
function beginSpec(flags: readonly string[], index: number, reply: RespWriter): void {
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
