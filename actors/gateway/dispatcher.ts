/**
 * Takes a client's command to where it runs: this thread's vnodes by a plain call, another
 * worker's by a message, the session, or all workers; and its reply back in order.
 */
import { Request } from "../../runtime/codec/request.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { slotOf } from "../../runtime/ring/slots.ts";
import type { KeyCommand, NodeCommand } from "../command.ts";
import { type CommandEntry, type CommandTable, keyIndexes, unknownCommand } from "../command-table.ts";
import type { Executor } from "../vnode/executor.ts";
import type { WorkerView } from "../worker/worker-view.ts";
import type { Client } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import { MESSAGE_COLLECT, MESSAGE_RUN, runBytes, writeRun } from "./messages.ts";
import type { SlotMap } from "./slot-map.ts";
import type { Scatter } from "./scatter.ts";

/** What the dispatcher needs of its worker. */
export interface DispatchHost extends WorkerView {
  readonly table: CommandTable;
  readonly executor: Executor;
  readonly exchange: Exchange;
  readonly slots: SlotMap;
  /** Why changes are refused now, as an error reply; null: they are not. */
  refusesWrite(deniesOom: boolean): string | null;
  isReady(keyspace: number, partition: number): boolean;
  whenReady(keyspace: number, partition: number, done: (error: Error | null) => void): void;
  /** Takes the running command back: something threw. Its vnodes restart. */
  rollBack(mark: number, error: unknown): void;
  mark(): number;
  unpack(bytes: Buffer): unknown;
}

const NO_AUTH = "NOAUTH Authentication required.";
const CROSS_SLOT = "CROSSSLOT Keys in request don't hash to the same slot";
const FAILED_INSIDE =
  "ERR internal error: the command was not executed and its partition restarts; please report the log's lines about it";

export class Dispatcher {
  readonly #host: DispatchHost;
  readonly #scatter: Scatter;

  constructor(host: DispatchHost, scatter: Scatter) {
    this.#host = host;
    this.#scatter = scatter;
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
    client.lastCommand = entry.command.name;
    if (!client.isAuthenticated && !entry.needsNoAuth) {
      this.#refuse(connection, entry, NO_AUTH);
      return;
    }
    if (client.queue !== null && !entry.isTransactional) {
      this.#queue(connection, request, entry);
      return;
    }
    this.run(connection, request, entry);
  }

  #refuseShape(
    connection: Connection,
    request: Request,
    entry: CommandEntry | undefined,
  ): void {
    const { client } = connection;
    if (client.queue !== null) client.isQueueBroken = true;
    if (entry === undefined) {
      const isOpen = client.isAuthenticated;
      this.#answerError(connection, isOpen ? unknownCommand(request) : NO_AUTH);
      return;
    }
    const text = `ERR wrong number of arguments for '${entry.fullName}' command`;
    this.#refuse(connection, entry, text);
  }

  #refuse(connection: Connection, entry: CommandEntry, text: string): void {
    entry.stats.rejected++;
    this.#answerError(connection, text);
  }

  #answerError(connection: Connection, text: string): void {
    this.#host.stats.noteError(text);
    const reply = connection.reply();
    reply.error(text);
    this.#end(connection, reply, 0);
  }

  #queue(connection: Connection, request: Request, entry: CommandEntry): void {
    const { client } = connection;
    const refusal = entry.isRefusedInMulti
      ? `ERR Command not allowed inside a transaction`
      : entry.isWrite
        ? this.#host.refusesWrite(entry.deniesOom)
        : null;
    if (refusal !== null) {
      client.isQueueBroken = true;
      this.#refuse(connection, entry, refusal);
      return;
    }
    client.enqueue(request);
    const reply = connection.reply();
    reply.queued();
    this.#end(connection, reply, 0);
  }

  /** Runs a checked request. */
  run(connection: Connection, request: Request, entry: CommandEntry): void {
    const { command } = entry;
    if (entry.isWrite) {
      const refusal = this.#host.refusesWrite(entry.deniesOom);
      if (refusal !== null) {
        this.#refuse(connection, entry, refusal);
        return;
      }
    }
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
    const partition = executor.partitionOf(client.keyspace, request.bytes, start, end);
    if (host.ownerOf(client.keyspace, partition) !== host.index) {
      if (client.isDirect) {
        this.#refuse(connection, entry, host.slots.moved(slotOf(request.bytes, start, end)));
      } else this.#forward(connection, request, entry, partition);
      return;
    }
    if (!host.isReady(client.keyspace, partition)) {
      this.#retryWhenReady(connection, request, entry, partition);
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
    const indexes = keyIndexes(command, request);
    let isHere = true;
    let firstSlot = -1;
    for (const index of indexes) {
      const start = request.starts[index] as number;
      const end = request.ends[index] as number;
      const slot = slotOf(request.bytes, start, end);
      const partition = host.executor.partitionOf(client.keyspace, request.bytes, start, end);
      if (client.isDirect && firstSlot >= 0 && slot !== firstSlot) {
        this.#refuse(connection, entry, `${CROSS_SLOT}: use the gateway port, or a {hash tag}`);
        return;
      }
      firstSlot = slot;
      if (host.ownerOf(client.keyspace, partition) !== host.index) {
        isHere = false;
        if (!client.isDirect) continue;
        this.#refuse(connection, entry, host.slots.moved(slot));
        return;
      }
      if (!host.isReady(client.keyspace, partition)) {
        this.#retryWhenReady(connection, request, entry, partition);
        return;
      }
    }
    if (!isHere) {
      this.#scatter.run(connection, request, command, indexes);
      return;
    }
    const mark = host.mark();
    const reply = connection.reply();
    try {
      host.executor.nowMs = host.nowMs;
      host.executor.runOnKeys(command, client.keyspace, request, reply);
    } catch (error) {
      this.#failed(connection, reply, mark, error);
      return;
    }
    this.#done(connection, reply, entry, host.executor.gate);
  }

  #runSession(connection: Connection, request: Request, entry: CommandEntry): void {
    const { command } = entry;
    if (command.scope !== "session") return;
    const reply = connection.reply();
    command.execute(connection.client, request, reply);
    if (connection.isDeferred) return;
    this.#done(connection, reply, entry, 0);
  }

  #runPartition(connection: Connection, request: Request, entry: CommandEntry): void {
    const host = this.#host;
    const { client } = connection;
    const { command } = entry;
    if (command.scope !== "partition") return;
    const reply = connection.reply();
    const partition = command.route(host, request, reply, client.keyspace);
    if (partition < 0) {
      this.#done(connection, reply, entry, 0);
      return;
    }
    if (host.ownerOf(client.keyspace, partition) !== host.index) {
      this.#forward(connection, request, entry, partition);
      return;
    }
    host.executor.nowMs = host.nowMs;
    command.execute(host, client.keyspace, partition, request, reply);
    this.#done(connection, reply, entry, 0);
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
    const workers = host.config.workers;
    const own = this.#collectHere(command, request, client);
    if (workers === 1) {
      command.answer(client, request, [own], reply);
      this.#done(connection, reply, entry, host.executor.gate);
      return;
    }
    this.#collectEverywhere(connection, request, command, own);
  }

  #collectHere(command: NodeCommand, request: Request, client: Client): unknown {
    const host = this.#host;
    host.executor.nowMs = host.nowMs;
    host.executor.gate = 0;
    return command.collect(host, request, client.keyspace, client.id);
  }

  #collectEverywhere(
    connection: Connection,
    request: Request,
    command: NodeCommand,
    own: unknown,
  ): void {
    const host = this.#host;
    const { client } = connection;
    const kept = copyOf(request);
    const gate = host.executor.gate;
    const parts: unknown[] = new Array(host.config.workers);
    parts[host.index] = own;
    const slot = connection.defer();
    const writer = new RespWriter({ bytesMax: host.config.clients.outputHardBytes });
    let waiting = host.config.workers - 1;
    const done = () => {
      if (--waiting > 0) return;
      writer.protocol = connection.out.protocol;
      if (writer.at === 0) command.answer(client, kept, parts, writer);
      connection.fill(slot, writer.take(), gate);
    };
    const header = { keyspace: client.keyspace, protocol: client.protocol, partition: 0 };
    for (let worker = 0; worker < host.config.workers; worker++) {
      if (worker === host.index) continue;
      host.exchange.ask(
        worker,
        MESSAGE_COLLECT,
        runBytes(request, null),
        (target, start) => writeRun(target, start, header, request, null),
        host.nowMs,
        (buffer, start, end) => {
          parts[worker] = host.unpack(buffer.subarray(start, end));
          done();
        },
        (text) => {
          writer.reset();
          writer.error(text);
          done();
        },
      );
    }
  }

  /** Sends a command to the worker that owns its partition. */
  #forward(
    connection: Connection,
    request: Request,
    entry: CommandEntry,
    partition: number,
  ): void {
    const host = this.#host;
    const { client } = connection;
    const slot = connection.defer();
    const header = { keyspace: client.keyspace, protocol: client.protocol, partition };
    entry.stats.calls++;
    host.exchange.ask(
      host.ownerOf(client.keyspace, partition),
      MESSAGE_RUN,
      runBytes(request, null),
      (target, start) => writeRun(target, start, header, request, null),
      host.nowMs,
      (buffer, start, end) => connection.fill(slot, Buffer.from(buffer.subarray(start, end)), 0),
      (text) => connection.fill(slot, encodeError(text), 0),
    );
  }

  /** The partition's vnode restarts: this client waits for it, in order. */
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
        else this.#answerError(connection, `TRYAGAIN ${error.message}`);
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
    if (client.replyMode !== "on") this.#muffle(connection, client, reply);
    connection.endReply(reply, gate);
  }

  #muffle(connection: Connection, client: Client, reply: RespWriter): void {
    connection.rewindReply(reply);
    if (client.replyMode === "skip") client.replyMode = "skipping";
    else if (client.replyMode === "skipping") client.replyMode = "on";
  }
}

/** A request that outlives the buffer it was parsed in. */
export function copyOf(request: Request): Request {
  const copy = new Request();
  const first = request.starts[0] as number;
  let last = first;
  for (let i = 0; i < request.count; i++) last = Math.max(last, request.ends[i] as number);
  copy.reset(Buffer.from(request.bytes.subarray(first, last)));
  for (let i = 0; i < request.count; i++) {
    copy.push((request.starts[i] as number) - first, (request.ends[i] as number) - first);
  }
  return copy;
}

/** An error reply as bytes. */
export function encodeError(text: string): Buffer {
  const writer = new RespWriter({ bytesMax: 65_536, bytesStart: 256 });
  writer.error(text);
  return writer.take();
}

