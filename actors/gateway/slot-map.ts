/**
 * Which worker serves which slots, as Redis Cluster's clients see it: every worker is announced as
 * one cluster node, with its direct port and one contiguous range of slots. Keyspace 0's partitions
 * decide.
 *
 * The map of a running node never changes, and is large for clients that ask again and again: the
 * encoded replies are kept.
 *
 * Invariant: the ranges of the workers tile 0 … 16383 in order; a worker without partitions has none.
 */
import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";
import { SLOTS } from "../../runtime/base/limits.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { NodeConfig } from "../../runtime/config.ts";
import { firstPartitionOf, partitionShift, workerOf } from "../../runtime/ring/slots.ts";

// limits:
/** Encoded replies that are kept: one a protocol and an address that clients connect to. */
export const SLOT_MAP_REPLIES_MAX = 64;

export interface SlotMapOptions {
  readonly config: NodeConfig;
  /** The node's persistent id. */
  readonly nodeId: string;
  /** The ports really bound, one a worker. */
  readonly directPorts: readonly number[];
}

/** A worker as a node of Redis Cluster. */
export interface SlotOwner {
  /** 40 hex digits, the same over restarts. */
  readonly id: string;
  readonly shardId: string;
  readonly port: number;
  /** Between workers, as Redis's cluster bus is between nodes. */
  readonly busPort: number;
  /** First and last slot; last < first: none. */
  readonly first: number;
  readonly last: number;
}

export class SlotMap {
  /** By worker. */
  readonly owners: readonly SlotOwner[];
  readonly epoch: number;

  readonly #host: string;
  readonly #partitions: number;
  readonly #shift: number;
  readonly #kept = new Map<string, Buffer>();

  constructor({ config, nodeId, directPorts }: SlotMapOptions) {
    const { workers, self } = config;
    const partitions = config.keyspaces[0]?.partitions ?? 1;
    this.epoch = config.epoch;
    this.#host = self.host;
    this.#partitions = partitions;
    this.#shift = partitionShift(partitions);
    const slots = SLOTS / partitions;
    this.owners = Array.from({ length: workers }, (_, worker) => ({
      id: sha1(`${nodeId} worker ${worker}`),
      shardId: sha1(`${nodeId} shard ${worker}`),
      port: directPorts[worker] ?? 0,
      busPort: self.ports.links[worker] ?? 0,
      first: firstPartitionOf(worker, partitions, workers) * slots,
      last: firstPartitionOf(worker + 1, partitions, workers) * slots - 1,
    }));
  }

  /** The partition of a slot in keyspace 0. */
  partitionOf(slot: number): number {
    return slot >>> this.#shift;
  }

  /** The worker that owns a slot. */
  workerOf(slot: number): number {
    return workerOf(this.partitionOf(slot), this.#partitions, this.owners.length);
  }

  /** The redirection to a slot's owner, for a client that connected to `localAddress`. */
  moved(slot: number, localAddress = ""): string {
    const { port } = this.owners[this.workerOf(slot)] as SlotOwner;
    return `MOVED ${slot} ${this.hostFor(localAddress)}:${port}`;
  }

  /**
   * The host to announce: the configured one, or, if that names only this machine itself, the one
   * that the client reached us at ("address:port").
   */
  hostFor(localAddress: string): string {
    return isLocalOnly(this.#host) ? hostOf(localAddress) || "127.0.0.1" : this.#host;
  }

  /** CLUSTER SLOTS. */
  replySlots(reply: RespWriter, localAddress: string): void {
    const host = this.hostFor(localAddress);
    this.#reply(`slots ${reply.protocol} ${host}`, reply, () => {
      const serving = this.owners.filter(({ first, last }) => first <= last);
      reply.array(serving.length);
      for (const { first, last, port, id } of serving) {
        reply.array(3);
        reply.integer(first);
        reply.integer(last);
        reply.array(4);
        reply.bulkText(host);
        reply.integer(port);
        reply.bulkText(id);
        reply.map(0);
      }
    });
  }

  /** CLUSTER SHARDS. */
  replyShards(reply: RespWriter, localAddress: string): void {
    const host = this.hostFor(localAddress);
    this.#reply(`shards ${reply.protocol} ${host}`, reply, () => {
      reply.array(this.owners.length);
      for (const owner of this.owners) replyShard(reply, owner, host);
    });
  }

  /** CLUSTER NODES, as the worker `own` says it. */
  nodesText(own: number, localAddress: string): string {
    const host = this.hostFor(localAddress);
    return this.owners
      .map(({ id, port, busPort, first, last }, worker) => {
        const flags = worker === own ? "myself,master" : "master";
        const slots = first > last ? "" : first === last ? ` ${first}` : ` ${first}-${last}`;
        const address = `${host}:${port}@${busPort}`;
        return `${id} ${address} ${flags} - 0 0 ${this.epoch} connected${slots}\n`;
      })
      .join("");
  }

  /** Replies what is kept under this name, or what `write` writes, and keeps it. */
  #reply(name: string, reply: RespWriter, write: () => void): void {
    const kept = this.#kept.get(name);
    if (kept !== undefined) {
      reply.raw(kept, 0, kept.length);
      return;
    }
    const start = reply.at;
    write();
    if (reply.overflowed || this.#kept.size >= SLOT_MAP_REPLIES_MAX) return;
    this.#kept.set(name, Buffer.from(reply.buffer.subarray(start, reply.at)));
  }
}

function replyShard(reply: RespWriter, owner: SlotOwner, host: string): void {
  const { first, last, id, port } = owner;
  reply.map(2);
  reply.bulkText("slots");
  if (first <= last) {
    reply.array(2);
    reply.integer(first);
    reply.integer(last);
  } else reply.array(0);
  reply.bulkText("nodes");
  reply.array(1);
  reply.map(7);
  reply.bulkText("id");
  reply.bulkText(id);
  reply.bulkText("port");
  reply.integer(port);
  reply.bulkText("ip");
  reply.bulkText(host);
  reply.bulkText("endpoint");
  reply.bulkText(host);
  reply.bulkText("role");
  reply.bulkText("master");
  reply.bulkText("replication-offset");
  reply.integer(0);
  reply.bulkText("health");
  reply.bulkText("online");
}

/** The host of "host:port"; IPv4 in IPv6 as IPv4. */
export function hostOf(address: string): string {
  const host = address.slice(0, Math.max(0, address.lastIndexOf(":"))).replace(/^\[|\]$/g, "");
  return host.toLowerCase().startsWith("::ffff:") && !isIPv6(host.slice(7)) ? host.slice(7) : host;
}

/** Whether a host, as configured, says nothing of where clients reach it. */
function isLocalOnly(host: string): boolean {
  return ["", "localhost", "0.0.0.0", "::", "::1"].includes(host) || host.startsWith("127.");
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}
