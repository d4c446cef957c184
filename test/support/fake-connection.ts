/**
 * A Connection over a transport that keeps what it is given: for tests of connections without
 * sockets, threads and commands. Every command is answered as the test says.
 */
import assert from "node:assert/strict";
import type { Client } from "../../actors/gateway/client.ts";
import {
  Connection,
  type ConnectionHost,
  type ReplySlot,
  type Transport,
} from "../../actors/gateway/connection.ts";
import { Pipelines, type WorkerAhead } from "../../actors/gateway/pipelines.ts";
import { Executor } from "../../actors/vnode/executor.ts";
import type { Request } from "../../runtime/codec/request.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { ClientsConfig } from "../../runtime/config.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";

export const LIMITS: ClientsConfig = {
  max: 10,
  outputPauseBytes: 4096,
  outputHardBytes: 64 * 1024,
  outputSoftBytes: 32 * 1024,
  outputSoftMs: 1000,
  queryBytesMax: 1024 * 1024,
  idleTimeoutMs: 0,
  handshakeTimeoutMs: 1000,
  keepAliveMs: 0,
  argumentsMax: 1024,
  argumentBytesMax: 1024 * 1024,
};

/** A worker on which nothing can be looked up ahead. */
const NO_VNODES: WorkerAhead = {
  pool: new SlabPool({ slabBytes: 256 * 1024 }),
  executor: new Executor({ vnode: () => assert.fail("nobody asks") }, [1]),
  findVnode: () => undefined,
};

/** A socket that takes everything at once, or nothing until `drain`. */
export class FakeTransport implements Transport {
  readonly remoteAddress = "127.0.0.1:1";
  readonly localAddress = "127.0.0.1:2";
  sent = "";
  takes = true;
  isPaused = false;
  end: "open" | "closed" | "destroyed" = "open";
  unsentBytes = 0;

  send(buffer: Buffer, start: number, end: number): boolean {
    this.sent += buffer.toString("latin1", start, end);
    if (!this.takes) this.unsentBytes += end - start;
    return this.takes;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  close(): void {
    this.end = "closed";
  }

  destroy(): void {
    this.end = "destroyed";
  }
}

/** Runs one command of a fake connection. */
export type Answer = (connection: Connection, request: Request) => void;

/** Answers with the command's first word, behind a gate. */
export function echo(gate = 0): Answer {
  return (connection, request) => {
    const reply = connection.reply();
    reply.simple(request.text(0));
    connection.endReply(reply, gate);
  };
}

export class FakeConnection implements ConnectionHost {
  readonly limits: ClientsConfig;
  readonly transport = new FakeTransport();
  readonly connection: Connection;
  /** Gates up to this one are open. */
  openThrough = 0;
  readonly gates = { isOpen: (gate: number) => gate <= this.openThrough };
  answer: Answer = echo();
  ran: string[] = [];
  closedCount = 0;
  /** The client wants no replies. */
  isMuted = false;
  /** Commands that the turn still has time for. */
  time = Number.POSITIVE_INFINITY;
  readonly #pipelines = new Pipelines(NO_VNODES);
  #wantsFlush = false;

  constructor(limits: Partial<ClientsConfig> = {}, isAuthenticated = true) {
    this.limits = { ...LIMITS, ...limits };
    const client = { isAuthenticated, mutesReply: () => this.isMuted } as Client;
    const side = new RespWriter({ bytesMax: 1 << 20 });
    this.connection = new Connection(client, this.transport, this, side);
  }

  mayRun(connection: Connection): boolean {
    connection.isLate = this.time-- <= 0;
    return !connection.isLate;
  }

  runParsed(connection: Connection, buffer: Buffer, end: number): number {
    return this.#pipelines.run(connection, buffer, end);
  }

  dispatch(connection: Connection, request: Request): void {
    this.ran.push(request.text(0));
    this.answer(connection, request);
  }

  flushLater(): void {
    this.#wantsFlush = true;
  }

  closed(): void {
    this.closedCount++;
  }

  /** Receives bytes, without the end of the turn. */
  receive(text: string): void {
    const bytes = Buffer.from(text, "latin1");
    this.connection.receive(bytes, bytes.length);
    bytes.fill(0x58); // the buffer is another socket's now
  }

  /** The end of the turn. */
  turn(): void {
    while (this.#wantsFlush) {
      this.#wantsFlush = false;
      this.connection.flush();
    }
  }

  /** Receives bytes and ends the turn; what was sent. */
  feed(text: string): string {
    this.receive(text);
    this.turn();
    return this.sent();
  }

  /** What was sent since the last look. */
  sent(): string {
    const { sent } = this.transport;
    this.transport.sent = "";
    return sent;
  }

  /** The client has read everything. */
  drain(): void {
    this.transport.takes = true;
    this.transport.unsentBytes = 0;
    this.connection.drained();
    this.turn();
  }
}

/** Keeps the place of each reply; the test fills them. */
export function deferring(fake: FakeConnection, words: readonly string[]): ReplySlot[] {
  const slots: ReplySlot[] = [];
  fake.answer = (connection: Connection, request) => {
    if (words.includes(request.text(0))) slots.push(connection.defer(request.length(0)));
    else echo()(connection, request);
  };
  return slots;
}

/** A connection that takes nothing, each of whose commands has a reply of so many bytes. */
export function stuckWithReplies(bytes: number): FakeConnection {
  const fake = new FakeConnection();
  fake.answer = (connection) => {
    const reply = connection.reply();
    reply.bulkText("x".repeat(bytes));
    connection.endReply(reply, 0);
  };
  fake.transport.takes = false;
  return fake;
}
