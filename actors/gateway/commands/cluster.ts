/**
 * The view of Redis Cluster (Redis group "cluster"): each worker is a node. What would change the
 * cluster is refused: the topology is ours.
 */
import { SLOTS } from "../../../runtime/base/limits.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { slotOf } from "../../../runtime/ring/slots.ts";
import { containerCommand, type SessionCommand, sessionCommand } from "../../command.ts";
import type { Client } from "../client.ts";
import type { SlotOwner } from "../slot-map.ts";
import { slotSubcommands } from "./cluster-slots.ts";

type Execute = SessionCommand["execute"];

/** A CLUSTER subcommand that only tells. */
function tells(
  facts: Pick<SessionCommand, "name" | "arity" | "since" | "summary"> & { syntax?: string },
  execute: Execute,
): SessionCommand {
  const complexity = "O(N) where N is the total number of worker threads";
  return sessionCommand({ ...facts, flags: ["stale"], group: "cluster", complexity, execute });
}

/** A CLUSTER subcommand that Redis has to change the cluster. */
function changes(name: string, arity: number, since: string, syntax?: string): SessionCommand {
  return sessionCommand({
    name: `CLUSTER|${name}`,
    arity,
    flags: ["admin", "stale"],
    group: "cluster",
    since,
    summary: "Refused: the topology is changed with coterie, not by clients.",
    complexity: "O(1)",
    ...(syntax === undefined ? {} : { syntax }),
    execute(_client, _request, reply) {
      reply.error(
        `ERR CLUSTER ${name} does not change this cluster: edit "nodes" in cluster.config.json, check it with 'coterie config check' and restart with 'coterie start'`,
      );
    },
  });
}

function addressOf(client: Client): string {
  return client.connection?.transport.localAddress ?? "";
}

function ownerHere(client: Client): SlotOwner {
  return client.worker.slots.owners[client.worker.index] as SlotOwner;
}

/** Whether argument `i` is a node's id; else the error is replied. */
function isKnownNode(client: Client, request: Request, i: number, reply: RespWriter): boolean {
  const id = request.text(i);
  if (client.worker.slots.owners.some((owner) => owner.id === id)) return true;
  reply.error(`ERR Unknown node ${id}`);
  return false;
}

const slots = tells(
  {
    name: "CLUSTER|SLOTS",
    arity: 2,
    since: "3.0.0",
    summary: "Returns the mapping of cluster slots to nodes.",
  },
  (client, _request, reply) => client.worker.slots.replySlots(reply, addressOf(client)),
);

const shards = tells(
  {
    name: "CLUSTER|SHARDS",
    arity: 2,
    since: "7.0.0",
    summary: "Returns the mapping of cluster slots to shards.",
  },
  (client, _request, reply) => client.worker.slots.replyShards(reply, addressOf(client)),
);

const nodes = tells(
  {
    name: "CLUSTER|NODES",
    arity: 2,
    since: "3.0.0",
    summary: "Returns the cluster configuration for a node.",
  },
  (client, _request, reply) => {
    const { slots: map, index } = client.worker;
    reply.verbatim("txt", map.nodesText(index, addressOf(client)));
  },
);

const info = tells(
  {
    name: "CLUSTER|INFO",
    arity: 2,
    since: "3.0.0",
    summary: "Returns information about the state of a node.",
  },
  (client, _request, reply) => {
    const { owners, epoch } = client.worker.slots;
    const serving = owners.filter(({ first, last }) => first <= last).length;
    const lines = [
      "cluster_state:ok",
      `cluster_slots_assigned:${SLOTS}`,
      `cluster_slots_ok:${SLOTS}`,
      "cluster_slots_pfail:0",
      "cluster_slots_fail:0",
      `cluster_known_nodes:${owners.length}`,
      `cluster_size:${serving}`,
      `cluster_current_epoch:${epoch}`,
      `cluster_my_epoch:${epoch}`,
      "cluster_stats_messages_sent:0",
      "cluster_stats_messages_received:0",
      "total_cluster_links_buffer_limit_exceeded:0",
    ];
    reply.verbatim("txt", lines.map((line) => `${line}\r\n`).join(""));
  },
);

const myId = tells(
  { name: "CLUSTER|MYID", arity: 2, since: "3.0.0", summary: "Returns the ID of a node." },
  (client, _request, reply) => reply.bulkText(ownerHere(client).id),
);

const myShardId = tells(
  {
    name: "CLUSTER|MYSHARDID",
    arity: 2,
    since: "7.2.0",
    summary: "Returns the shard ID of a node.",
  },
  (client, _request, reply) => reply.bulkText(ownerHere(client).shardId),
);

const keySlot = tells(
  {
    name: "CLUSTER|KEYSLOT",
    arity: 3,
    since: "3.0.0",
    summary: "Returns the hash slot for a key.",
    syntax: "key",
  },
  (_client, request, reply) => {
    reply.integer(slotOf(request.bytes, request.starts[2] as number, request.ends[2] as number));
  },
);

const links = tells(
  {
    name: "CLUSTER|LINKS",
    arity: 2,
    since: "7.0.0",
    summary: "Returns a list of all TCP links to and from peer nodes.",
  },
  (_client, _request, reply) => reply.array(0),
);

const failureReports = tells(
  {
    name: "CLUSTER|COUNT-FAILURE-REPORTS",
    arity: 3,
    since: "3.0.0",
    summary: "Returns the number of active failure reports active for a node.",
    syntax: "node-id",
  },
  (client, request, reply) => {
    if (isKnownNode(client, request, 2, reply)) reply.integer(0);
  },
);

/** CLUSTER REPLICAS and its old name. */
function replicas(name: string, since: string): SessionCommand {
  const summary = "Lists the replica nodes of a master node.";
  return tells({ name, arity: 3, since, summary, syntax: "node-id" }, (client, request, reply) => {
    if (isKnownNode(client, request, 2, reply)) reply.array(0);
  });
}

const changing = [
  changes("ADDSLOTS", -3, "3.0.0", "slot [slot ...]"),
  changes("ADDSLOTSRANGE", -4, "7.0.0", "start-slot end-slot [start-slot end-slot ...]"),
  changes("BUMPEPOCH", 2, "3.0.0"),
  changes("DELSLOTS", -3, "3.0.0", "slot [slot ...]"),
  changes("DELSLOTSRANGE", -4, "7.0.0", "start-slot end-slot [start-slot end-slot ...]"),
  changes("FAILOVER", -2, "3.0.0", "[FORCE | TAKEOVER]"),
  changes("FLUSHSLOTS", 2, "3.0.0"),
  changes("FORGET", 3, "3.0.0", "node-id"),
  changes("MEET", -4, "3.0.0", "ip port [cluster-bus-port]"),
  changes("REPLICATE", 3, "3.0.0", "node-id"),
  changes("RESET", -2, "3.0.0", "[HARD | SOFT]"),
  changes("SAVECONFIG", 2, "3.0.0"),
  changes("SET-CONFIG-EPOCH", 3, "3.0.0", "config-epoch"),
  changes(
    "SETSLOT",
    -4,
    "3.0.0",
    "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>",
  ),
];

const cluster = containerCommand({
  name: "CLUSTER",
  group: "cluster",
  since: "3.0.0",
  summary: "A container for Redis Cluster commands.",
  complexity: "Depends on subcommand.",
  subcommands: [
    slots,
    shards,
    nodes,
    info,
    myId,
    myShardId,
    keySlot,
    ...slotSubcommands,
    links,
    failureReports,
    replicas("CLUSTER|REPLICAS", "5.0.0"),
    replicas("CLUSTER|SLAVES", "3.0.0"),
    ...changing,
  ],
});

/** READONLY, READWRITE and ASKING: flags of a cluster client's connection. */
function connectionMode(
  name: string,
  summary: string,
  flags: SessionCommand["flags"],
  change: (client: Client) => void,
): SessionCommand {
  return sessionCommand({
    name,
    arity: 1,
    flags,
    group: "cluster",
    since: "3.0.0",
    summary,
    complexity: "O(1)",
    categories: ["connection"],
    execute(client, _request, reply) {
      change(client);
      reply.ok();
    },
  });
}

const readonly = connectionMode(
  "READONLY",
  "Enables read-only queries for a connection to a Redis Cluster replica node.",
  ["loading", "stale", "fast"],
  (client) => {
    client.isReadonly = true;
  },
);

const readwrite = connectionMode(
  "READWRITE",
  "Enables read-write queries for a connection to a Redis Cluster replica node.",
  ["loading", "stale", "fast"],
  (client) => {
    client.isReadonly = false;
  },
);

/** Slots do not move between workers, so no ASK is ever answered and this changes nothing. */
const asking = connectionMode(
  "ASKING",
  "Signals that a cluster client is following an -ASK redirect.",
  ["fast"],
  () => {},
);

export const clusterCommands = [cluster, readonly, readwrite, asking];
