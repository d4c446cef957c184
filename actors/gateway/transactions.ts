/**
 * WATCH and EXEC. A transaction whose keys all live on this thread is one turn: its ops go into one
 * frame, applied together or not at all, and nobody sees half of it.
 */
import { Request } from "../../runtime/codec/request.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { type CommandEntry, keyIndexes } from "../command-table.ts";
import type { Client, QueuedCommand, Router } from "./client.ts";
import type { DispatchHost } from "./dispatcher.ts";

const ABORTED = "EXECABORT Transaction discarded because of previous errors.";
const CROSS_WORKERS =
  "CROSSSLOT the keys of this transaction belong to several worker threads: use a {hash tag}";

/** A queued command, ready to run. */
interface Step {
  readonly entry: CommandEntry;
  readonly request: Request;
}

export class Transactions implements Router {
  readonly #host: DispatchHost;

  constructor(host: DispatchHost) {
    this.#host = host;
  }

  watch(client: Client, request: Request, reply: RespWriter): void {
    const host = this.#host;
    for (let i = 1; i < request.count; i++) {
      const key = request.bytesAt(i);
      const mark = this.#markOf(client.keyspace, key);
      if (mark === null) {
        reply.error(CROSS_WORKERS);
        return;
      }
      client.watched.push({ keyspace: client.keyspace, key, mark });
    }
    host.executor.gate = 0;
    reply.ok();
  }

  /** What a key's cells are marked with now; null if they live on another thread. */
  #markOf(keyspace: number, key: Buffer): string | null {
    const host = this.#host;
    const partition = host.executor.partitionOf(keyspace, key, 0, key.length);
    if (host.ownerOf(keyspace, partition) !== host.index) return null;
    const vnode = host.findVnode(keyspace, partition);
    if (vnode === undefined) return "";
    vnode.key.nowMs = host.nowMs;
    vnode.key.openKey(key, 0, key.length);
    return vnode.key.mark();
  }

  execute(client: Client, queue: readonly QueuedCommand[], reply: RespWriter): void {
    const host = this.#host;
    const watched = client.watched;
    const steps = queue.map((queued) => this.#step(queued));
    for (const { keyspace, key, mark } of watched) {
      if (this.#markOf(keyspace, key) !== mark) {
        reply.nilArray();
        return;
      }
    }
    for (const step of steps) {
      const refusal = this.#refusal(client, step);
      if (refusal === null) continue;
      reply.error(refusal);
      return;
    }
    reply.array(steps.length);
    const { executor } = host;
    executor.nowMs = host.nowMs;
    executor.beginTransaction();
    for (const step of steps) this.#run(client, step, reply);
    executor.endTransaction();
  }

  #step(queued: QueuedCommand): Step {
    const request = new Request();
    request.reset(queued.bytes);
    for (let i = 0; i < queued.starts.length; i++) {
      request.push(queued.starts[i] as number, queued.ends[i] as number);
    }
    return { request, entry: this.#host.table.find(request) as CommandEntry };
  }

  /** Why a transaction cannot run, or null. */
  #refusal(client: Client, { entry, request }: Step): string | null {
    const host = this.#host;
    if (entry.isWrite) {
      const refusal = host.refusesWrite(entry.deniesOom);
      if (refusal !== null) return `${ABORTED} (${refusal})`;
    }
    for (const index of keyIndexes(entry.command, request)) {
      const start = request.starts[index] as number;
      const end = request.ends[index] as number;
      const partition = host.executor.partitionOf(client.keyspace, request.bytes, start, end);
      if (host.ownerOf(client.keyspace, partition) !== host.index) return CROSS_WORKERS;
      if (!host.isReady(client.keyspace, partition)) {
        return "TRYAGAIN a partition of this transaction restarts; try again";
      }
    }
    return null;
  }

  #run(client: Client, { entry, request }: Step, reply: RespWriter): void {
    const host = this.#host;
    const { command } = entry;
    const { executor } = host;
    entry.stats.calls++;
    host.stats.commands++;
    switch (command.scope) {
      case "key": {
        const keyAt = command.keys?.first ?? 1;
        const start = request.starts[keyAt] as number;
        const end = request.ends[keyAt] as number;
        const partition = executor.partitionOf(client.keyspace, request.bytes, start, end);
        executor.runOnKey(command, client.keyspace, partition, request, reply);
        return;
      }
      case "keys":
        executor.runOnKeys(command, client.keyspace, request, reply);
        return;
      case "session":
        command.execute(client, request, reply);
        return;
      case "partition": {
        const partition = command.route(host, request, reply, client.keyspace);
        if (partition >= 0) command.execute(host, client.keyspace, partition, request, reply);
        return;
      }
      case "node": {
        if (command.check !== undefined && !command.check(client, request, reply)) return;
        const part = command.collect(host, request, client.keyspace, client.id);
        command.answer(client, request, [part], reply);
        return;
      }
    }
  }
}
