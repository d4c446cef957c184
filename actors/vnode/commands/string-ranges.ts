/** Commands on parts of strings (Redis group "string"). */
import { copyBytes } from "../../../runtime/base/bytes.ts";
import { type KeyCommand, keyCommand } from "../../command.ts";
import { FOUND, REFUSED, STRING } from "../key-access.ts";
import { NOT_AN_INTEGER } from "./errors.ts";
import { copyPadded, loadLength, mayGrowTo, setKeepingExpiry } from "./scratch.ts";
import { StringRange } from "./string-range.ts";

const KEY = { first: 1, last: 1, step: 1 };

const append = keyCommand({
  name: "APPEND",
  arity: 3,
  flags: ["write", "denyoom", "fast"],
  keys: KEY,
  group: "string",
  since: "2.0.0",
  summary: "Appends a string to the value of a key. Creates the key if it doesn't exist.",
  complexity: "O(N) where N is the length of the whole string: it is logged as one value.",
  syntax: "key value",
  execute(key, request, reply) {
    if (key.openAs(request, 1, STRING, reply) === REFUSED) return;
    const before = loadLength(key);
    const length = before + request.length(2);
    if (!mayGrowTo(length, reply)) return;
    if (length > before || before === 0) {
      const room = copyPadded(key, before, length);
      const start = request.starts[2] as number;
      copyBytes(room, before, request.bytes, start, request.ends[2] as number);
      setKeepingExpiry(key, room, length);
    }
    reply.integer(length);
  },
});

const strlen = keyCommand({
  name: "STRLEN",
  arity: 2,
  flags: ["readonly", "fast"],
  keys: KEY,
  group: "string",
  since: "2.2.0",
  summary: "Returns the length of a string value.",
  complexity: "O(1)",
  syntax: "key",
  execute(key, request, reply) {
    if (key.openToReadAs(request, 1, STRING, reply) !== REFUSED) reply.integer(loadLength(key));
  },
});

const EMPTY = Buffer.alloc(0);
/** Of the running command. */
const range = new StringRange();

function rangeCommand(name: string, since: string, summary: string): KeyCommand {
  return keyCommand({
    name,
    arity: 4,
    flags: ["readonly"],
    keys: KEY,
    group: "string",
    since,
    summary,
    complexity: "O(N) where N is the length of the returned string.",
    syntax: "key start end",
    execute(key, request, reply) {
      if (!range.read(request, 2, reply)) return;
      const found = key.openToReadAs(request, 1, STRING, reply);
      if (found === REFUSED) return;
      if (found === FOUND && range.resolve(loadLength(key))) {
        reply.bulk(key.buffer, key.start + range.from, key.start + range.to + 1);
      } else reply.bulk(EMPTY, 0, 0);
    },
  });
}

const getrange = rangeCommand(
  "GETRANGE",
  "2.4.0",
  "Returns a substring of the string stored at a key.",
);

const substr = rangeCommand(
  "SUBSTR",
  "1.0.0",
  "Returns a substring from a string value. Deprecated: use GETRANGE.",
);

const setrange = keyCommand({
  name: "SETRANGE",
  arity: 4,
  flags: ["write", "denyoom"],
  keys: KEY,
  group: "string",
  since: "2.2.0",
  summary: "Overwrites a part of a string value with another by an offset. Creates the key.",
  complexity: "O(N) where N is the length of the whole string: it is logged as one value.",
  syntax: "key offset value",
  execute(key, request, reply) {
    if (!request.integer(2)) {
      reply.error(NOT_AN_INTEGER);
      return;
    }
    const offset = request.integerValue;
    if (offset < 0) {
      reply.error("ERR offset is out of range");
      return;
    }
    if (key.openAs(request, 1, STRING, reply) === REFUSED) return;
    const before = loadLength(key);
    const written = request.length(3);
    if (written === 0) {
      reply.integer(before);
      return;
    }
    const length = Math.max(before, offset + written);
    if (!mayGrowTo(offset + written, reply)) return;
    const room = copyPadded(key, before, length);
    const start = request.starts[3] as number;
    copyBytes(room, offset, request.bytes, start, request.ends[3] as number);
    setKeepingExpiry(key, room, length);
    reply.integer(length);
  },
});

export const stringRangeCommands = [append, strlen, getrange, substr, setrange];
