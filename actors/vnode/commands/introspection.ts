/** OBJECT and MEMORY USAGE: what tools ask about single keys. */
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { containerCommand, type KeyCommand, keyCommand } from "../../command.ts";
import { ABSENT, type KeyAccess } from "../key-access.ts";
import { encodingOf } from "./encoding.ts";
import { NOT_AN_INTEGER, SYNTAX_ERROR } from "./errors.ts";

const KEY = { first: 2, last: 2, step: 1 };
const SAMPLES_DEFAULT = 5;

interface ObjectFacts {
  readonly word: string;
  readonly since: string;
  readonly summary: string;
  /** About the open key, which is present. */
  describe(key: KeyAccess, reply: RespWriter): void;
}

function objectCommand({ word, since, summary, describe }: ObjectFacts): KeyCommand {
  return keyCommand({
    name: `OBJECT|${word}`,
    arity: 3,
    flags: ["readonly"],
    keys: KEY,
    group: "generic",
    since,
    summary,
    complexity: "O(1)",
    syntax: "<key>",
    execute(key, request, reply) {
      if (key.openToRead(request, 2) === ABSENT) reply.nil();
      else describe(key, reply);
    },
  });
}

const NO_FREQUENCY =
  "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that " +
  "when switching between policies at runtime LRU and LFU data will take some time to adjust.";

const object = containerCommand({
  name: "OBJECT",
  group: "generic",
  since: "2.2.3",
  summary: "A container for object introspection commands.",
  complexity: "Depends on subcommand.",
  subcommands: [
    objectCommand({
      word: "ENCODING",
      since: "2.2.3",
      summary: "Returns the encoding that Redis would give to the value.",
      describe: (key, reply) => reply.bulkText(encodingOf(key), "latin1"),
    }),
    objectCommand({
      word: "FREQ",
      since: "4.0.0",
      summary: "Returns the logarithmic access frequency counter, if there were one.",
      describe: (_key, reply) => reply.error(NO_FREQUENCY),
    }),
    objectCommand({
      word: "IDLETIME",
      since: "2.2.3",
      summary: "Returns a lower bound of the seconds since the last access: always 0.",
      // Reads leave no trace, so no key is ever known to be idle.
      describe: (_key, reply) => reply.integer(0),
    }),
    objectCommand({
      word: "REFCOUNT",
      since: "2.2.3",
      summary: "Returns the reference count of the value: always 1.",
      describe: (_key, reply) => reply.integer(1),
    }),
  ],
});

/** The SAMPLES option from argument 3 on; -1 if it is wrong: the error is in the reply. */
function readSamples(request: Request, reply: RespWriter): number {
  let samples = SAMPLES_DEFAULT;
  for (let i = 3; i < request.count; i += 2) {
    if (!request.equalsIgnoreCase(i, "SAMPLES") || i + 1 === request.count) {
      reply.error(SYNTAX_ERROR);
      return -1;
    }
    if (!request.integer(i + 1)) {
      reply.error(NOT_AN_INTEGER);
      return -1;
    }
    samples = request.integerValue;
    if (samples < 0) {
      reply.error(SYNTAX_ERROR);
      return -1;
    }
  }
  return samples;
}

/** Of the MEMORY container, whose other subcommands are about the node. */
export const memoryUsage = keyCommand({
  name: "MEMORY|USAGE",
  arity: -3,
  flags: ["readonly"],
  keys: KEY,
  group: "server",
  since: "4.0.0",
  summary: "Estimates the memory usage of a key: record, elements and their index entries.",
  complexity: "O(N) where N is the number of samples.",
  syntax: "<key> [SAMPLES <count>]",
  execute(key, request, reply) {
    const samples = readSamples(request, reply);
    if (samples < 0) return;
    if (key.open(request, 2) === ABSENT) reply.nil();
    else reply.integer(key.memoryBytes(samples));
  },
});

export const introspectionCommands = [object];
