/**
 * A connection's bytes over TCP. All sockets of a thread are read into one buffer, in place: the
 * `onread` option of net.Socket, which an accepted socket takes only if it is made anew around its
 * handle (docs/decisions: one read buffer a thread).
 */
import { Socket } from "node:net";
import type { Transport, TransportEvents } from "./transport.ts";

export type { TransportEvents };

/** Bytes that one read takes at most. */
const READ_BYTES = 64 * 1024;

interface SocketWithHandle {
  _handle: { readonly writeQueueSize?: number } | null;
}

/** The read buffer of this thread: valid until the next read of any socket. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

export class SocketTransport implements Transport {
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly #socket: Socket;
  readonly #events: TransportEvents;

  /** Takes over an accepted socket (accepted with `pauseOnConnect`, so nothing is read yet). */
  constructor(accepted: Socket, keepAliveMs: number, events: TransportEvents) {
    this.#events = events;
    this.remoteAddress = `${accepted.remoteAddress ?? "?"}:${accepted.remotePort ?? 0}`;
    this.localAddress = `${accepted.localAddress ?? "?"}:${accepted.localPort ?? 0}`;
    const holder = accepted as unknown as SocketWithHandle;
    const handle = holder._handle;
    holder._handle = null;
    const socket = new Socket({
      handle,
      allowHalfOpen: true,
      onread: {
        buffer: readBuffer,
        callback: (length: number) => {
          events.received(readBuffer, length);
          return true;
        },
      },
    } as unknown as ConstructorParameters<typeof Socket>[0]);
    this.#socket = socket;
    socket.setNoDelay(true);
    if (keepAliveMs > 0) socket.setKeepAlive(true, keepAliveMs);
    socket.on("drain", () => events.drained());
    socket.on("error", () => socket.destroy());
    socket.on("end", () => events.ended());
    socket.on("close", () => events.gone());
    socket.resume();
  }

  send(buffer: Buffer, start: number, end: number): boolean {
    const socket = this.#socket;
    if (socket.destroyed) return true;
    socket.write(start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end));
    if (socket.writableLength === 0) return true;
    // Below the high-water mark no drain event comes.
    if (!socket.writableNeedDrain) socket.write(NOTHING, () => this.#events.drained());
    return false;
  }

  get unsentBytes(): number {
    return (this.#socket as unknown as SocketWithHandle)._handle?.writeQueueSize ?? 0;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.end();
    this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

const NOTHING = Buffer.alloc(0);
