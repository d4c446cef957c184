/** Commands about the node as a whole (Redis group "server"), but for its data and its settings. */
import type { Request } from "../../../runtime/codec/request.ts";
import { nodeCommand, sessionCommand } from "../../command.ts";
import { NOT_AN_INTEGER, SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import { REDIS_VERSION } from "./connection.ts";

const time = sessionCommand({
  name: "TIME",
  arity: 1,
  flags: ["loading", "stale", "fast"],
  group: "server",
  since: "2.6.0",
  summary: "Returns the server time.",
  complexity: "O(1)",
  execute(client, _request, reply) {
    const { nowMs } = client.worker;
    reply.array(2);
    reply.bulkText(String(Math.floor(nowMs / 1000)));
    reply.bulkText(String(Math.floor(nowMs % 1000) * 1000));
  },
});

const role = sessionCommand({
  name: "ROLE",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast"],
  group: "server",
  since: "2.8.12",
  summary: "Returns the replication role.",
  complexity: "O(1)",
  categories: ["admin", "dangerous"],
  execute(_client, _request, reply) {
    reply.array(3);
    reply.bulkText("master");
    reply.integer(0);
    reply.array(0);
  },
});

const wait = sessionCommand({
  name: "WAIT",
  arity: 3,
  flags: ["noscript"],
  group: "generic",
  since: "3.0.0",
  summary: "Returns how many replicas acknowledged the connection's writes: 0 with one node.",
  complexity: "O(1)",
  syntax: "numreplicas timeout",
  execute(_client, request, reply) {
    // Nothing to wait for: one node has no replicas, and none will come within the timeout.
    if (!request.integer(1)) reply.error(NOT_AN_INTEGER);
    else if (!request.integer(2)) reply.error("ERR timeout is not an integer or out of range");
    else if (request.integerValue < 0) reply.error("ERR timeout is negative");
    else reply.integer(0);
  },
});

/** What SHUTDOWN's options say: go on, abort, or an error. */
function shutdownOptions(request: Request): "stop" | "abort" | "wrong" {
  const seen = new Set<string>();
  for (let i = 1; i < request.count; i++) {
    const word = ["NOSAVE", "SAVE", "NOW", "FORCE", "ABORT"].find((option) =>
      request.equalsIgnoreCase(i, option),
    );
    if (word === undefined) return "wrong";
    seen.add(word);
  }
  if (seen.has("ABORT")) return seen.size > 1 ? "wrong" : "abort";
  return seen.has("SAVE") && seen.has("NOSAVE") ? "wrong" : "stop";
}

const shutdown = sessionCommand({
  name: "SHUTDOWN",
  arity: -1,
  flags: ["admin", "noscript", "loading", "stale", "no_multi", "allow_busy"],
  group: "server",
  since: "1.0.0",
  summary: "Syncs what is acknowledged and stops the node.",
  complexity: "O(1)",
  syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
  execute(client, request, reply) {
    const options = shutdownOptions(request);
    // The connection's end is the reply.
    if (options === "stop") client.worker.shutdown();
    else if (options === "wrong") reply.error(SYNTAX_ERROR);
    else reply.error("ERR No shutdown in progress.");
  },
});

const lolwut = sessionCommand({
  name: "LOLWUT",
  arity: -1,
  flags: ["readonly", "fast"],
  group: "server",
  since: "5.0.0",
  summary: "Displays computer art and the version.",
  complexity: "O(1)",
  syntax: "[VERSION version]",
  execute(client, _request, reply) {
    const art = "  .-.   .-.   .-.\n (   )-(   )-(   )\n  `-'   `-'   `-'\n";
    const { version } = client.worker;
    reply.verbatim("txt", `${art}Coterie ${version}. Redis ver. ${REDIS_VERSION}\n`);
  },
});

/** SAVE and BGSAVE: acknowledged writes are in the log already; a snapshot only shortens it. */
const save = nodeCommand({
  name: "SAVE",
  arity: 1,
  flags: ["admin", "noscript", "no_multi"],
  group: "server",
  since: "1.0.0",
  summary: "Starts a snapshot of every partition; what was acknowledged is in the log already.",
  complexity: "O(N) where N is the total number of keys in all databases",
  collect(worker) {
    worker.snapshot();
    return null;
  },
  answer: (_client, _request, _parts, reply) => reply.ok(),
});

const bgSave = nodeCommand({
  name: "BGSAVE",
  arity: -1,
  flags: ["admin", "noscript"],
  group: "server",
  since: "1.0.0",
  summary: "Starts a snapshot of every partition.",
  complexity: "O(1)",
  syntax: "[SCHEDULE]",
  check(_client, request, reply) {
    const isRight =
      request.count === 1 || (request.count === 2 && request.equalsIgnoreCase(1, "SCHEDULE"));
    if (!isRight) reply.error(SYNTAX_ERROR);
    return isRight;
  },
  collect(worker) {
    worker.snapshot();
    return null;
  },
  answer: (_client, _request, _parts, reply) => reply.simple("Background saving started"),
});

const bgRewriteAof = nodeCommand({
  name: "BGREWRITEAOF",
  arity: 1,
  flags: ["admin", "noscript"],
  group: "server",
  since: "1.0.0",
  summary: "Starts a snapshot of every partition, which lets the log be cut.",
  complexity: "O(1)",
  collect(worker) {
    worker.snapshot();
    return null;
  },
  answer: (_client, _request, _parts, reply) =>
    reply.simple("Background append only file rewriting started"),
});

const lastSave = nodeCommand({
  name: "LASTSAVE",
  arity: 1,
  flags: ["loading", "stale", "fast"],
  group: "server",
  since: "1.0.0",
  summary: "Returns the Unix timestamp of the last snapshot.",
  complexity: "O(1)",
  categories: ["admin", "dangerous"],
  collect: (worker) => worker.persistence.lastSnapshotAtMs,
  answer(_client, _request, parts, reply) {
    reply.integer(Math.floor(Math.min(...(parts as readonly number[])) / 1000));
  },
});

export const serverCommands = [
  time,
  role,
  wait,
  shutdown,
  lolwut,
  save,
  bgSave,
  bgRewriteAof,
  lastSave,
];
