/** Commands on whole keys of any type (Redis group "generic"), but for expiry. */
import { equalBytes } from "../../../runtime/base/bytes.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { type KeyLookup, type KeysCommand, keyCommand, keysCommand } from "../../command.ts";
import type { CommandFlag } from "../../command-facts.ts";
import { ABSENT, HASH, type KeyAccess, LIST, SET, STRING, ZSET } from "../key-access.ts";
import { NO_SUCH_KEY, NOT_AN_INTEGER, SYNTAX_ERROR } from "./errors.ts";
import { carryContent } from "./key-content.ts";
import { renameAbsentApart, renameApart } from "./rename-apart.ts";

const KEYS = { first: 1, last: -1, step: 1 };
const TWO_KEYS = { first: 1, last: 2, step: 1 };

interface CountFacts {
  readonly name: string;
  readonly flags: readonly CommandFlag[];
  readonly since: string;
  readonly summary: string;
  readonly complexity: string;
  /** Whether the key that was just opened counts; may change it. */
  counts(key: KeyAccess): boolean;
}

/** A command that takes keys and says how many of them count. */
function countCommand({ counts, ...facts }: CountFacts): KeysCommand {
  const reads = facts.flags.includes("readonly");
  return keysCommand({
    ...facts,
    arity: -2,
    keys: KEYS,
    group: "generic",
    syntax: "key [key ...]",
    split: "sum",
    execute(keys, request, reply) {
      let counted = 0;
      for (let i = 1; i < request.count; i++) {
        const key = keys.at(request, i);
        if (reads) key.openToRead(request, i);
        else key.open(request, i);
        if (counts(key)) counted++;
      }
      reply.integer(counted);
    },
  });
}

const DELETING = "O(N) where N is the number of keys: elements are freed later, in slices.";
const COUNTING = "O(N) where N is the number of keys.";
const deletes = (key: KeyAccess): boolean => key.deleteKey();
const isThere = (key: KeyAccess): boolean => key.type !== ABSENT;

const del = countCommand({
  name: "DEL",
  flags: ["write"],
  since: "1.0.0",
  summary: "Deletes one or more keys.",
  complexity: DELETING,
  counts: deletes,
});

const unlink = countCommand({
  name: "UNLINK",
  flags: ["write", "fast"],
  since: "4.0.0",
  summary: "Deletes one or more keys. DEL frees memory in the background as well.",
  complexity: DELETING,
  counts: deletes,
});

const exists = countCommand({
  name: "EXISTS",
  flags: ["readonly", "fast"],
  since: "1.0.0",
  summary: "Determines whether one or more keys exist.",
  complexity: COUNTING,
  counts: isThere,
});

const touch = countCommand({
  name: "TOUCH",
  flags: ["readonly", "fast"],
  since: "3.2.1",
  summary: "Returns the number of existing keys out of those specified. No access time is kept.",
  complexity: COUNTING,
  counts: isThere,
});

const type = keyCommand({
  name: "TYPE",
  arity: 2,
  flags: ["readonly", "fast"],
  keys: { first: 1, last: 1, step: 1 },
  group: "generic",
  since: "1.0.0",
  summary: "Determines the type of value stored at a key.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    reply.simple(typeName(key.openToRead(request, 1)));
  },
});

/** A type as TYPE names it. */
export function typeName(shown: number): string {
  switch (shown) {
    case STRING:
      return "string";
    case LIST:
      return "list";
    case SET:
      return "set";
    case ZSET:
      return "zset";
    case HASH:
      return "hash";
    default:
      return "none";
  }
}

/** Whether two arguments are the same bytes. */
function isSame(request: Request, i: number, j: number): boolean {
  const length = request.length(i);
  if (length !== request.length(j)) return false;
  const { bytes, starts } = request;
  return equalBytes(bytes, starts[i] as number, bytes, starts[j] as number, length);
}

/** Gives key 2 the content of key 1, which is present. Opens key 2 last. */
function carry(keys: KeyLookup, request: Request): void {
  const opened = (i: number) => {
    const key = keys.at(request, i);
    key.open(request, i);
    return key;
  };
  carryContent(
    () => opened(1),
    () => opened(2),
  );
}

/** Moves key 1, which is present, to key 2. */
function rename(keys: KeyLookup, request: Request): void {
  carry(keys, request);
  const source = keys.at(request, 1);
  source.open(request, 1);
  source.deleteKey();
}

/** Whether key 1 is there; else the error is in the reply. */
function hasSource(keys: KeyLookup, request: Request, reply: RespWriter): boolean {
  if (keys.at(request, 1).open(request, 1) !== ABSENT) return true;
  reply.error(NO_SUCH_KEY);
  return false;
}

const renameAlways = keysCommand({
  name: "RENAME",
  arity: 3,
  flags: ["write"],
  keys: TWO_KEYS,
  group: "generic",
  since: "1.0.0",
  summary: "Renames a key and overwrites the destination.",
  complexity: "O(N) where N is the number of elements.",
  syntax: "key newkey",
  apart: renameApart,
  execute(keys, request, reply) {
    if (!hasSource(keys, request, reply)) return;
    if (!isSame(request, 1, 2)) rename(keys, request);
    reply.ok();
  },
});

const renameAbsent = keysCommand({
  name: "RENAMENX",
  arity: 3,
  flags: ["write", "fast"],
  keys: TWO_KEYS,
  group: "generic",
  since: "1.0.0",
  summary: "Renames a key only when the target key name doesn't exist.",
  complexity: "O(N) where N is the number of elements.",
  syntax: "key newkey",
  apart: renameAbsentApart,
  execute(keys, request, reply) {
    if (!hasSource(keys, request, reply)) return;
    // The same name is a target that exists.
    const isFree = keys.at(request, 2).open(request, 2) === ABSENT;
    if (isFree) rename(keys, request);
    reply.integer(isFree ? 1 : 0);
  },
});

const copy = keysCommand({
  name: "COPY",
  arity: -3,
  flags: ["write", "denyoom"],
  keys: TWO_KEYS,
  group: "generic",
  since: "6.2.0",
  summary: "Copies the value of a key to a new key.",
  complexity: "O(N) where N is the number of elements.",
  syntax: "source destination [DB destination-db] [REPLACE]",
  execute(keys, request, reply) {
    let replaces = false;
    for (let i = 3; i < request.count; i++) {
      if (request.equalsIgnoreCase(i, "REPLACE")) replaces = true;
      else if (request.equalsIgnoreCase(i, "DB") && i + 1 < request.count) {
        if (!isOwnKeyspace(keys, request, ++i, reply)) return;
      } else {
        reply.error(SYNTAX_ERROR);
        return;
      }
    }
    if (isSame(request, 1, 2)) {
      reply.error("ERR source and destination objects are the same");
      return;
    }
    const isPresent = keys.at(request, 1).openToRead(request, 1) !== ABSENT;
    const isFree = isPresent && keys.at(request, 2).open(request, 2) === ABSENT;
    const copies = isPresent && (replaces || isFree);
    if (copies) carry(keys, request);
    reply.integer(copies ? 1 : 0);
  },
});

/** Whether argument i is the keyspace of this command; else the error is in the reply. */
function isOwnKeyspace(keys: KeyLookup, request: Request, i: number, reply: RespWriter): boolean {
  if (!request.integer(i) || Math.abs(request.integerValue) > 0x7fffffff) {
    reply.error(NOT_AN_INTEGER);
    return false;
  }
  const keyspace = request.integerValue;
  if (keyspace === keys.keyspace) return true;
  if (keyspace < 0 || keyspace >= keys.keyspaces) reply.error("ERR DB index is out of range");
  else reply.error("ERR COPY to another database is not supported: give the selected one");
  return false;
}

export const keyCommands = [del, unlink, exists, touch, type, renameAlways, renameAbsent, copy];
