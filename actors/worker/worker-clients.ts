/**
 * The clients of one worker thread: accepted sockets and handles of the embedding application, each
 * a connection whose commands are dispatched as they arrive.
 *
 * Invariants: what a client's bytes change is committed no later than at the end of the turn; a
 * client is listed from its accept until its connection has closed, and no longer.
 */
import type { Socket } from "node:net";
import type { Request } from "../../runtime/codec/request.ts";
import { respLimitsBeforeAuth } from "../../runtime/codec/resp-reader.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { ClientsConfig } from "../../runtime/config.ts";
import { Client, type Router } from "../gateway/client.ts";
import {
  Connection,
  type ConnectionHost,
  REPLY_BYTES_MAX,
  type Transport,
} from "../gateway/connection.ts";
import type { Dispatcher } from "../gateway/dispatcher.ts";
import { refuseSocket } from "../gateway/listener.ts";
import { Pipelines } from "../gateway/pipelines.ts";
import { SocketTransport, type TransportEvents } from "../gateway/socket-transport.ts";
import type { Pause } from "./pause.ts";
import type { Turn } from "./turn.ts";
import type { WorkerLog } from "./worker-log.ts";
import type { WorkerView } from "./worker-view.ts";

export interface WorkerClientsOptions {
  readonly worker: WorkerView & { readonly clientPause: Pause };
  /** Where clients are listed. */
  readonly clients: Map<number, Client>;
  readonly limits: ClientsConfig;
  readonly gates: WorkerLog;
  readonly dispatcher: Dispatcher;
  readonly router: Router;
  readonly turn: Turn;
  /** Reads the clock: a client, or its bytes, begin a turn. */
  readonly readClock: () => void;
}

export class WorkerClients implements ConnectionHost {
  readonly limits: ClientsConfig;
  readonly gates: WorkerLog;
  readonly #options: WorkerClientsOptions;
  readonly #clients: Map<number, Client>;
  readonly #dispatcher: Dispatcher;
  readonly #pipelines: Pipelines;
  readonly #turn: Turn;
  readonly #side = new RespWriter({ bytesMax: REPLY_BYTES_MAX });
  #nextClient = 1;

  constructor(options: WorkerClientsOptions) {
    this.#options = options;
    this.limits = options.limits;
    this.gates = options.gates;
    this.#clients = options.clients;
    this.#dispatcher = options.dispatcher;
    this.#pipelines = new Pipelines(options.worker);
    this.#turn = options.turn;
  }

  /** Takes an accepted socket. */
  accept(socket: Socket, isDirect: boolean): void {
    const { config, stats } = this.#options.worker;
    if (this.#clients.size * config.workers >= this.limits.max) {
      stats.rejectedConnections++;
      refuseSocket(socket, "ERR max number of clients reached");
      return;
    }
    const client = this.#newClient(isDirect);
    const { keepAliveMs } = this.limits;
    const connection = this.#attach(client, (events) => {
      return new SocketTransport(socket, keepAliveMs, events);
    });
    if (!client.isAuthenticated) connection.reader.setLimits(respLimitsBeforeAuth);
  }

  /** Takes a handle of the embedding application: trusted, of RESP3, over what `open` makes. */
  acceptHandle(open: (events: TransportEvents) => Transport): void {
    const client = this.#newClient(false);
    client.isHandle = true;
    client.isAuthenticated = true;
    this.#attach(client, open).out.protocol = 3;
  }

  #attach(client: Client, open: (events: TransportEvents) => Transport): Connection {
    const { readClock } = this.#options;
    const transport = open({
      received: (bytes: Buffer, length: number) => {
        readClock();
        this.#pipelines.forget();
        connection.receive(bytes, length);
        this.#turn.leave();
      },
      // What waited for room runs now.
      drained: () => {
        readClock();
        connection.drained();
        this.#turn.leave();
      },
      ended: () => this.#ended(connection),
      gone: () => connection.destroy(),
    });
    const connection: Connection = new Connection(client, transport, this, this.#side);
    client.connection = connection;
    return connection;
  }

  #newClient(isDirect: boolean): Client {
    const { worker, router, readClock } = this.#options;
    const { workers, security } = worker.config;
    // The last turn may be long ago: its time would be taken for the client's.
    readClock();
    this.#turn.leave();
    const client = new Client({
      id: this.#nextClient++ * workers + worker.index,
      worker,
      router,
      isDirect,
      isAuthenticated: security.password === undefined,
      nowMs: worker.nowMs,
    });
    this.#clients.set(client.id, client);
    worker.stats.connections++;
    return client;
  }

  /** No more comes in. Who gave up waiting says that, too, and would only keep others waiting. */
  #ended(connection: Connection): void {
    if (this.#options.worker.logins.forget(connection)) connection.destroy();
    else connection.ended();
  }

  closed(connection: Connection): void {
    const { stats } = this.#options.worker;
    stats.bytesIn += connection.bytesIn;
    stats.bytesOut += connection.bytesOut;
    this.#clients.delete(connection.client.id);
    this.#turn.forget(connection);
    this.#options.worker.clientPause.forget(connection);
    this.#options.worker.logins.forget(connection);
  }

  flushLater(connection: Connection): void {
    this.#turn.flushLater(connection);
  }

  mayRun(connection: Connection): boolean {
    return this.#turn.mayRun(connection);
  }

  runParsed(connection: Connection, buffer: Buffer, end: number): number {
    return this.#pipelines.run(connection, buffer, end);
  }

  dispatch(connection: Connection, request: Request): void {
    this.#dispatcher.dispatch(connection, request);
  }

  /** Closes every client once what it has sent is answered. */
  async drain(): Promise<void> {
    // What has arrived and is not read yet is read in a whole round of the event loop.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    for (const { connection } of this.#clients.values()) {
      if (connection !== undefined) this.#ended(connection);
    }
    return new Promise((resolve) => this.#whenEmpty(resolve));
  }

  #whenEmpty(done: () => void): void {
    if (this.#clients.size === 0) done();
    else setImmediate(() => this.#whenEmpty(done));
  }
}
