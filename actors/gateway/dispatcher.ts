/**
 * Takes a client's command to where it runs: this thread's vnodes by a plain call, another
 * worker's by a message, the session, or all workers; and its reply back in order.
 *
 * Invariant: a connection's commands on one key run in the order in which they were sent, and every
 * command is answered once.
 */

import type { Request } from "../../runtime/codec/request.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { slotOf } from "../../runtime/ring/slots.ts";
import type { KeyCommand, NodeCommand } from "../command.ts";
import { type CommandEntry, keyIndexes, unknownCommand } from "../command-table.ts";
import { FAILED_INSIDE } from "../worker/participant.ts";
import { breakTransaction, type Holder, holderOf, redirects, refusesToQueue } from "./admission.ts";
import type { Connection } from "./connection.ts";
import type { DispatchHost } from "./dispatch-host.ts";
import { collectEverywhere, collectHere, copyOf, forward, isForOneWorker } from "./other-steps.ts";
import type { Scatter } from "./scatter.ts";
import { runSliced } from "./sliced.ts";
import { hasWholeGroups } from "./steps.ts";
import type { Transactions } from "./transactions.ts";

export type { DispatchHost };

const NO_AUTH = "NOAUTH Authentication required.";

export class Dispatcher {
  readonly #host: DispatchHost;
  readonly #scatter: Scatter;
  readonly #transactions: Transactions;

  constructor(host: DispatchHost, scatter: Scatter, transactions: Transactions) {
    this.#host = host;
    this.#scatter = scatter;
    this.#transactions = transactions;
  }

  /** Runs one request of a connection. */
  dispatch(connection: Connection, request: Request): void {
    const host = this.#host;
    const { client } = connection;
    const entry = host.table.find(request);
    if (entry === undefined || !entry.accepts(request.count)) {
      this.#refuseShape(connection, request, entry);
      return;
    }
    client.commandCount++;
    client.lastCommandAtMs = host.nowMs;
    if (client.lastCommand !== entry.fullName) client.lastCommand = entry.fullName;
    if (!client.isAuthenticated && !entry.needsNoAuth) {
      this.#refuse(connection, entry, NO_AUTH);
      return;
    }
    const refusal = entry.refusal(client.keyspace, request);
    if (refusal !== null) {
      this.#refuse(connection, entry, refusal);
      return;
    }
    const mayBeHeld = host.clientPause.isOn || !client.isAuthenticated;
    const holder = mayBeHeld ? holderOf(host, client, entry, request) : null;
    if (holder !== null) {
      this.#holdBack(connection, request, holder);
      return;
    }
    if (client.queue !== null && !entry.isTransactional) {
      this.#queue(connection, request, entry);
      return;
    }
    const { stats } = entry;
    if (stats.untimed < stats.untimedMax) this.run(connection, request, entry);
    else this.#runTimed(connection, request, entry);
  }

  /** As `run`; what another thread runs, or what waits, is not timed here. */
  #runTimed(connection: Connection, request: Request, entry: CommandEntry): void {
    const { clock, stats } = this.#host;
    const { untimed } = entry.stats;
    const beganMs = clock.monotonicMs();
    this.run(connection, request, entry);
    if (entry.stats.untimed > untimed) stats.noteRun(entry.stats, clock.monotonicMs() - beganMs);
  }

  #refuseShape(connection: Connection, request: Request, entry: CommandEntry | undefined): void {
    if (entry === undefined) {
      const { client } = connection;
      client.breakQueue();
      this.#answerError(connection, client.isAuthenticated ? unknownCommand(request) : NO_AUTH);
      return;
    }
    const text = `ERR wrong number of arguments for '${entry.fullName}' command`;
    this.#refuse(connection, entry, text);
  }

  #moved(connection: Connection, slot: number): string {
    return this.#host.slots.moved(slot, connection.transport.localAddress);
  }

  #refuse(connection: Connection, entry: CommandEntry, text: string): void {
    entry.stats.rejected++;
    this.#answerError(connection, breakTransaction(connection.client, entry, text));
  }

  #answerError(connection: Connection, text: string): void {
    this.#host.stats.noteError(text);
    const reply = connection.reply();
    reply.error(text);
    this.#end(connection, reply, 0);
  }

  /** CLIENT PAUSE, a lockout: this client goes on when it is over. */
  #holdBack(connection: Connection, request: Request, holder: Holder): void {
    const kept = copyOf(request);
    connection.block();
    holder.whenOver(connection, () => {
      if (!connection.closed) this.dispatch(connection, kept);
      connection.unblock();
    });
  }

  #queue(connection: Connection, request: Request, entry: CommandEntry): void {
    const { client } = connection;
    const refusal = refusesToQueue(this.#host, client, request, entry);
    if (refusal !== null) {
      this.#refuse(connection, entry, refusal);
      return;
    }
    const reply = connection.reply();
    reply.queued();
    this.#end(connection, reply, 0);
  }

  /** Runs a checked request. */
  run(connection: Connection, request: Request, entry: CommandEntry): void {
    const { command } = entry;
    switch (command.scope) {
      case "key":
        this.#runOnKey(connection, request, entry, command);
        return;
      case "keys":
        this.#runOnKeys(connection, request, entry);
        return;
      case "session":
        this.#runSession(connection, request, entry);
        return;
      case "partition":
        this.#runPartition(connection, request, entry);
        return;
      case "node":
        this.#runNode(connection, request, entry, command);
        return;
      case "sliced":
        runSliced(this.#host, connection, entry, command, copyOf(request));
        return;
    }
  }

  #runOnKey(
    connection: Connection,
    request: Request,
    entry: CommandEntry,
    command: KeyCommand,
  ): void {
    const host = this.#host;
    const { client } = connection;
    const keyAt = command.keys?.first ?? 1;
    const start = request.starts[keyAt] as number;
    const end = request.ends[keyAt] as number;
    const { executor } = host;
    const partition = executor.partitionOfArgument(client.keyspace, request, keyAt);
    const owner = host.ownerOf(client.keyspace, partition);
    if (owner !== host.index) {
      if (client.isDirect) {
        this.#refuse(connection, entry, this.#moved(connection, slotOf(request.bytes, start, end)));
      } else this.#forward(connection, request, entry, owner, partition);
      return;
    }
    if (!host.canRun(client.keyspace, partition, request.bytes, start, end)) {
      this.#retryWhenReady(connection, request, entry, partition);
      return;
    }
    const refusal = entry.isWrite ? host.refusesWrite(entry.deniesOom) : null;
    if (refusal !== null) {
      this.#refuse(connection, entry, refusal);
      return;
    }
    const mark = host.mark();
    const reply = connection.reply();
    try {
      executor.nowMs = host.nowMs;
      executor.runOnKey(command, client.keyspace, partition, request, reply);
    } catch (error) {
      this.#failed(connection, reply, mark, error);
      return;
    }
    this.#done(connection, reply, entry, executor.gate);
  }

  #runOnKeys(connection: Connection, request: Request, entry: CommandEntry): void {
    const host = this.#host;
    const { client } = connection;
    const { command } = entry;
    if (command.scope !== "keys") return;
    const redirection = client.isDirect ? redirects(host, client, request, entry) : null;
    if (redirection !== null) {
      this.#refuse(connection, entry, redirection);
      return;
    }
    const indexes = keyIndexes(command, request);
    let owner = host.index;
    for (let i = 0; i < indexes.length; i++) {
      const index = indexes[i] as number;
      const start = request.starts[index] as number;
      const end = request.ends[index] as number;
      const partition = host.executor.partitionOfArgument(client.keyspace, request, index);
      const own = host.ownerOf(client.keyspace, partition);
      if (i > 0 && own !== owner) {
        this.#runAcross(connection, request, entry, indexes);
        return;
      }
      owner = own;
      if (owner !== host.index) continue;
      if (!host.canRun(client.keyspace, partition, request.bytes, start, end)) {
        this.#retryWhenReady(connection, request, entry, partition);
        return;
      }
    }
    if (owner === host.index) this.#runOnKeysHere(connection, request, entry);
    else this.#forward(connection, request, entry, owner, 0);
  }

  #runOnKeysHere(connection: Connection, request: Request, entry: CommandEntry): void {
    const host = this.#host;
    const { command } = entry;
    const refusal = entry.isWrite ? host.refusesWrite(entry.deniesOom) : null;
    if (command.scope !== "keys" || refusal !== null) {
      this.#refuse(connection, entry, refusal ?? "");
      return;
    }
    const mark = host.mark();
    const reply = connection.reply();
    try {
      host.executor.nowMs = host.nowMs;
      host.executor.runOnKeys(command, connection.client.keyspace, request, reply);
    } catch (error) {
      this.#failed(connection, reply, mark, error);
      return;
    }
    this.#done(connection, reply, entry, host.executor.gate);
  }

  /** Keys of several workers: part by part, or all or nothing. */
  #runAcross(
    connection: Connection,
    request: Request,
    entry: CommandEntry,
    indexes: readonly number[],
  ): void {
    const { command } = entry;
    if (command.scope !== "keys") return;
    const { split } = command;
    if (!hasWholeGroups(command, request)) this.#runOnKeysHere(connection, request, entry);
    else if (split === "sum" || split === "array") {
      entry.stats.calls++;
      this.#scatter.run(connection, request, command, split, indexes);
    } else this.#transactions.runAcross(connection.client, copyOf(request), entry);
  }

  #runSession(connection: Connection, request: Request, entry: CommandEntry): void {
    const { command } = entry;
    if (command.scope !== "session") return;
    const { client } = connection;
    if (client.isDirect && entry.facts.keys !== undefined) {
      const redirection = redirects(this.#host, client, request, entry);
      if (redirection !== null) {
        this.#refuse(connection, entry, redirection);
        return;
      }
    }
    const reply = connection.reply();
    const { executor } = this.#host;
    executor.gate = 0;
    command.execute(client, request, reply);
    if (connection.isDeferred) entry.stats.calls++;
    else this.#done(connection, reply, entry, executor.gate);
  }

  #runPartition(connection: Connection, request: Request, entry: CommandEntry): void {
    const host = this.#host;
    const { client } = connection;
    const { command } = entry;
    if (command.scope !== "partition") return;
    const reply = connection.reply();
    const partition = command.route(host, request, reply, client.keyspace, client.isDirect);
    if (partition < 0) {
      this.#done(connection, reply, entry, 0);
      return;
    }
    const owner = host.ownerOf(client.keyspace, partition);
    if (owner !== host.index) {
      this.#forward(connection, request, entry, owner, partition);
      return;
    }
    host.executor.nowMs = host.nowMs;
    command.execute(host, client.keyspace, partition, request, reply);
    this.#done(connection, reply, entry, host.gates.gateOfAll(client.keyspace));
  }

  #runNode(
    connection: Connection,
    request: Request,
    entry: CommandEntry,
    command: NodeCommand,
  ): void {
    const host = this.#host;
    const { client } = connection;
    const reply = connection.reply();
    if (command.check !== undefined && !command.check(client, request, reply)) {
      this.#done(connection, reply, entry, 0);
      return;
    }
    if (isForOneWorker(host, client, command)) {
      const own = collectHere(host, client, command, request);
      const gate = Math.max(host.executor.gate, host.gates.gateOfAll(client.keyspace));
      command.answer(client, request, [own], reply);
      this.#done(connection, reply, entry, gate);
      return;
    }
    entry.stats.calls++;
    entry.stats.untimed++;
    host.stats.commands++;
    const slot = connection.defer(0, client.mutesReply());
    collectEverywhere(host, client, command, copyOf(request), (bytes, gate) => {
      connection.fill(slot, bytes, gate);
    });
  }

  /** Sends a command to the worker that owns its keys. */
  #forward(
    connection: Connection,
    request: Request,
    entry: CommandEntry,
    worker: number,
    partition: number,
  ): void {
    const { client } = connection;
    const last = request.ends[request.count - 1] as number;
    const bytes = last - (request.starts[0] as number);
    const slot = connection.defer(bytes, client.mutesReply());
    entry.stats.calls++;
    forward(this.#host, client, request, { worker, partition }, (reply, gate) => {
      connection.fill(slot, reply, gate);
    });
  }

  /** The partition does not serve now: this client waits for it, in order. */
  #retryWhenReady(
    connection: Connection,
    request: Request,
    entry: CommandEntry,
    partition: number,
  ): void {
    const kept = copyOf(request);
    connection.block();
    this.#host.whenReady(connection.client.keyspace, partition, (error) => {
      if (!connection.closed) {
        if (error === null) this.run(connection, kept, entry);
        else this.#answerError(connection, error);
      }
      connection.unblock();
    });
  }

  #failed(connection: Connection, reply: RespWriter, mark: number, error: unknown): void {
    this.#host.rollBack(mark, error);
    connection.rewindReply(reply);
    reply.error(FAILED_INSIDE);
    this.#host.stats.noteError(FAILED_INSIDE);
    this.#end(connection, reply, 0);
  }

  #done(connection: Connection, reply: RespWriter, entry: CommandEntry, gate: number): void {
    entry.stats.calls++;
    entry.stats.untimed++;
    this.#host.stats.commands++;
    if (connection.repliesError(reply)) {
      entry.stats.failed++;
      this.#host.stats.noteError(connection.replyText(reply));
    }
    this.#end(connection, reply, gate);
  }

  /** Ends a reply, unless the client wants none. */
  #end(connection: Connection, reply: RespWriter, gate: number): void {
    const { client } = connection;
    if (client.replyMode !== "on" && client.mutesReply()) connection.rewindReply(reply);
    connection.endReply(reply, gate);
  }
}
