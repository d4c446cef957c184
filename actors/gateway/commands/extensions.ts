/** FUNCTION and MODULE: there are none, which is what tools ask about. And DEBUG, for tests. */
import { assert } from "../../../runtime/base/assert.ts";
import {
  containerCommand,
  keyCommand,
  nodeCommand,
  type SessionCommand,
  sessionCommand,
} from "../../command.ts";
import { NOT_AN_INTEGER, SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import { allowsTestCommands } from "../../worker/process-facts.ts";

function functionCommand(
  facts: Pick<SessionCommand, "name" | "arity" | "flags" | "summary"> & { syntax?: string },
  execute: SessionCommand["execute"],
): SessionCommand {
  const since = "7.0.0";
  return sessionCommand({ ...facts, group: "scripting", since, complexity: "O(1)", execute });
}

const functions = containerCommand({
  name: "FUNCTION",
  group: "scripting",
  since: "7.0.0",
  summary: "A container for function commands. There are no functions.",
  complexity: "Depends on subcommand.",
  subcommands: [
    functionCommand(
      {
        name: "FUNCTION|FLUSH",
        arity: -2,
        flags: ["write", "noscript"],
        summary: "Deletes all libraries and functions.",
        syntax: "[ASYNC | SYNC]",
      },
      (_client, request, reply) => {
        const isRight =
          request.count === 2 ||
          (request.count === 3 &&
            (request.equalsIgnoreCase(2, "ASYNC") || request.equalsIgnoreCase(2, "SYNC")));
        if (isRight) reply.ok();
        else reply.error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
      },
    ),
    functionCommand(
      {
        name: "FUNCTION|LIST",
        arity: -2,
        flags: ["noscript"],
        summary: "Returns information about all libraries.",
        syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
      },
      (_client, _request, reply) => reply.array(0),
    ),
    functionCommand(
      {
        name: "FUNCTION|STATS",
        arity: 2,
        flags: ["noscript", "allow_busy"],
        summary: "Returns information about a function during execution.",
      },
      (_client, _request, reply) => {
        reply.map(2);
        reply.bulkText("running_script");
        reply.nil();
        reply.bulkText("engines");
        reply.map(0);
      },
    ),
  ],
});

const moduleContainer = containerCommand({
  name: "MODULE",
  group: "server",
  since: "4.0.0",
  summary: "A container for module commands. There are no modules.",
  complexity: "Depends on subcommand.",
  subcommands: [
    sessionCommand({
      name: "MODULE|LIST",
      arity: 2,
      flags: ["admin", "noscript"],
      group: "server",
      since: "4.0.0",
      summary: "Returns all loaded modules.",
      complexity: "O(N) where N is the number of loaded modules.",
      execute: (_client, _request, reply) => reply.array(0),
    }),
  ],
});

const NOT_FOR_TESTS =
  "ERR DEBUG command not allowed. It is for tests: start the node with COTERIE_TEST_COMMANDS=1 in its environment.";

// limits:
/** Longest DEBUG SLEEP, s: a whole thread stands still. */
export const DEBUG_SLEEP_SECONDS_MAX = 60;

/** In a turn of its own, after the one that replies. */
function crash(): never {
  throw new Error("DEBUG CRASH-WORKER");
}

const debug = containerCommand({
  name: "DEBUG",
  group: "server",
  since: "1.0.0",
  summary: "A container for debugging commands; allowed in tests only.",
  complexity: "Depends on subcommand.",
  subcommands: [
    sessionCommand({
      name: "DEBUG|SLEEP",
      arity: 3,
      flags: ["admin", "noscript", "loading", "stale"],
      group: "server",
      since: "1.0.0",
      summary: "Stops this worker thread for a number of seconds.",
      complexity: "O(1)",
      syntax: "seconds",
      execute(client, request, reply) {
        if (!client.worker.process.allowsTestCommands) reply.error(NOT_FOR_TESTS);
        else if (!request.float(2)) reply.error("ERR value is not a valid float");
        else {
          const seconds = Math.min(Math.max(0, request.floatValue), DEBUG_SLEEP_SECONDS_MAX);
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
          reply.ok();
        }
      },
    }),
    nodeCommand({
      name: "DEBUG|SET-ACTIVE-EXPIRE",
      arity: 3,
      flags: ["admin", "noscript", "loading", "stale"],
      group: "server",
      since: "1.0.0",
      summary: "Stops (0) or starts (1) the sweep of expired keys.",
      complexity: "O(1)",
      syntax: "switch",
      check(client, request, reply) {
        const isSwitch = request.length(2) === 1 && /^[01]$/.test(request.text(2));
        if (!client.worker.process.allowsTestCommands) reply.error(NOT_FOR_TESTS);
        else if (!isSwitch) reply.error(SYNTAX_ERROR);
        else return true;
        return false;
      },
      collect(worker, request) {
        worker.setSweeping(request.text(2) === "1");
        return null;
      },
      answer: (_client, _request, _parts, reply) => reply.ok(),
    }),
    keyCommand({
      name: "DEBUG|PANIC",
      arity: 4,
      flags: ["write", "admin"],
      keys: { first: 2, last: 2, step: 1 },
      group: "server",
      since: "1.0.0",
      summary: "Sets a key, then fails as a bug in a command would: its partition restarts.",
      complexity: "O(1)",
      syntax: "key value",
      execute(key, request, reply) {
        if (!allowsTestCommands()) reply.error(NOT_FOR_TESTS);
        else {
          key.open(request, 2);
          const [start, end] = [request.starts[3] as number, request.ends[3] as number];
          key.setString(request.bytes, start, end, 0);
          assert(false, "DEBUG PANIC");
        }
      },
    }),
    nodeCommand({
      name: "DEBUG|CRASH-WORKER",
      arity: 3,
      flags: ["admin", "noscript", "loading", "stale"],
      group: "server",
      since: "1.0.0",
      summary: "Ends a worker thread as a bug would: by an error that nobody catches.",
      complexity: "O(1)",
      syntax: "worker",
      check(client, request, reply) {
        const isAllowed = client.worker.process.allowsTestCommands;
        if (!isAllowed) reply.error(NOT_FOR_TESTS);
        else if (!request.integer(2)) reply.error(NOT_AN_INTEGER);
        else return true;
        return false;
      },
      collect(worker, request) {
        const isMeant = request.integer(2) && request.integerValue === worker.index;
        if (isMeant) setImmediate(() => setImmediate(crash));
        return null;
      },
      answer: (_client, _request, _parts, reply) => reply.ok(),
    }),
  ],
});

export const extensionCommands = [functions, moduleContainer, debug];
