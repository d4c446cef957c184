/** MULTI and its kin (Redis group "transactions"): the client's state; the router runs them. */
import { sessionCommand } from "../../command.ts";

const multi = sessionCommand({
  name: "MULTI",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast", "allow_busy"],
  group: "transactions",
  since: "1.2.0",
  summary: "Starts a transaction.",
  complexity: "O(1)",
  execute(client, _request, reply) {
    if (client.queue !== null) {
      reply.error("ERR MULTI calls can not be nested");
      return;
    }
    client.queue = [];
    client.isQueueBroken = false;
    reply.ok();
  },
});

const exec = sessionCommand({
  name: "EXEC",
  arity: 1,
  flags: ["noscript", "loading", "stale"],
  group: "transactions",
  since: "1.2.0",
  summary: "Executes all commands in a transaction.",
  complexity: "Depends on commands in the transaction",
  execute(client, _request, reply) {
    const { queue } = client;
    if (queue === null) {
      reply.error("ERR EXEC without MULTI");
      return;
    }
    if (client.isQueueBroken) {
      reply.error("EXECABORT Transaction discarded because of previous errors.");
    } else {
      // The router has taken what it needs of `watched` when this returns.
      client.router.execute(client, queue, reply);
    }
    client.endTransaction();
  },
});

const discard = sessionCommand({
  name: "DISCARD",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast", "allow_busy"],
  group: "transactions",
  since: "2.0.0",
  summary: "Discards a transaction.",
  complexity: "O(N), when N is the number of queued commands",
  execute(client, _request, reply) {
    if (client.queue === null) {
      reply.error("ERR DISCARD without MULTI");
      return;
    }
    client.endTransaction();
    reply.ok();
  },
});

const watch = sessionCommand({
  name: "WATCH",
  arity: -2,
  flags: ["noscript", "loading", "stale", "fast", "allow_busy"],
  keys: { first: 1, last: -1, step: 1 },
  group: "transactions",
  since: "2.2.0",
  summary: "Monitors changes to keys to determine the execution of a transaction.",
  complexity: "O(1) for every key.",
  syntax: "key [key ...]",
  execute(client, request, reply) {
    if (client.queue !== null) reply.error("ERR WATCH inside MULTI is not allowed");
    else client.router.watch(client, request, reply);
  },
});

const unwatch = sessionCommand({
  name: "UNWATCH",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast", "allow_busy"],
  group: "transactions",
  since: "2.2.0",
  summary: "Forgets about watched keys of a transaction.",
  complexity: "O(1)",
  execute(client, _request, reply) {
    client.unwatch();
    reply.ok();
  },
});

export const transactionCommands = [multi, exec, discard, watch, unwatch];
