/**
 * Handles of the application that embeds this node, as connections of this worker: RESP bytes over
 * the batch port of the main thread instead of a socket. The commands take the same path as those
 * of any client.
 *
 *   main thread                         worker
 *     OPEN_HANDLE id        ──────▶      a Connection over a LocalTransport (RESP3)
 *     HANDLE_BYTES commands ──────▶      receive
 *                           ◀──────      HANDLE_BYTES whole replies
 *     CLOSE_HANDLE          ◀─────▶      CLOSE_HANDLE, once, by whoever ends first
 *
 * Invariant: a message of replies holds whole replies; after CLOSE_HANDLE the worker sends nothing
 * under that id, and ids are never used again.
 */
import type { BatchPort } from "../../runtime/thread/batch-port.ts";
import type { Transport } from "./connection.ts";
import { MESSAGE_CLOSE_HANDLE, MESSAGE_HANDLE_BYTES, MESSAGE_OPEN_HANDLE } from "./messages.ts";
import type { TransportEvents } from "./socket-transport.ts";

export interface LocalHandlesOptions {
  /** The port to the main thread. */
  readonly port: BatchPort;
  /** Serves a client whose transport `open` makes. */
  connect(open: (events: TransportEvents) => Transport): void;
}

/** The handles that the main thread has opened on this worker. */
export class LocalHandles {
  readonly #options: LocalHandlesOptions;
  readonly #open = new Map<number, LocalTransport>();

  constructor(options: LocalHandlesOptions) {
    this.#options = options;
  }

  /** One message of the main thread. */
  serve(kind: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (kind === MESSAGE_OPEN_HANDLE) {
      this.#options.connect((events) => {
        const closed = () => void this.#open.delete(id);
        const transport = new LocalTransport(id, this.#options.port, events, closed);
        this.#open.set(id, transport);
        return transport;
      });
      return;
    }
    const transport = this.#open.get(id);
    if (transport === undefined) return;
    if (kind === MESSAGE_CLOSE_HANDLE) transport.endedThere();
    else transport.events.received(buffer.subarray(start, end), end - start);
  }

  /** The port may have room again: the main thread has read. */
  portMoved(): void {
    for (const transport of this.#open.values()) transport.portMoved();
  }
}

class LocalTransport implements Transport {
  readonly remoteAddress: string;
  readonly localAddress = "embedded:0";
  readonly events: TransportEvents;
  readonly #id: number;
  readonly #port: BatchPort;
  readonly #closed: () => void;
  #isOpen = true;
  /** The main thread lags: what was sent counts as not taken until it has read. */
  #isHeldUp = false;

  constructor(id: number, port: BatchPort, events: TransportEvents, closed: () => void) {
    this.#id = id;
    this.#port = port;
    this.events = events;
    this.#closed = closed;
    this.remoteAddress = `embedded:${id}`;
  }

  send(buffer: Buffer, start: number, end: number): boolean {
    const port = this.#port;
    const at = this.#isOpen ? port.beginReply(MESSAGE_HANDLE_BYTES, this.#id, end - start) : -1;
    if (at < 0) return true;
    buffer.copy(port.out, at, start, end);
    port.end(end - start);
    this.#isHeldUp = port.full;
    return !this.#isHeldUp;
  }

  portMoved(): void {
    if (!this.#isHeldUp || this.#port.full) return;
    this.#isHeldUp = false;
    this.events.drained();
  }

  // The other side stops by itself: it sends no more than a window of unanswered commands.
  pause(): void {}

  resume(): void {}

  close(): void {
    if (!this.#end()) return;
    const at = this.#port.beginReply(MESSAGE_CLOSE_HANDLE, this.#id, 0);
    if (at < 0) return;
    this.#port.end(0);
    this.#port.flush();
  }

  destroy(): void {
    this.close();
  }

  /** The application has closed its side. */
  endedThere(): void {
    if (this.#end()) this.events.ended();
  }

  #end(): boolean {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    this.#closed();
    return true;
  }
}
