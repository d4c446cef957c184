/**
 * A raw client for tests: bytes out, replies in, in order. Knows nothing of commands, so that a test
 * can send what no client library would.
 *
 * Invariant: replies are handed out in the order in which they came, each once; when the
 * connection ends, whoever still waits is told so.
 */
import { connect, type Socket } from "node:net";
import { encodeCommand, type Plain, plain, type Reply, ReplyReader } from "./resp.ts";

/** Longest wait for one reply: a hang is a failure. */
const REPLY_TIMEOUT_MS = 30_000;

/** The connection ended before the reply. */
export class ConnectionClosed extends Error {}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

export class TestClient {
  readonly socket: Socket;
  /** Settles when the connection has ended. */
  readonly closed: Promise<void>;
  readonly #reader = new ReplyReader();
  readonly #replies: Reply[] = [];
  readonly #waiting: Waiting[] = [];
  #failure: Error | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#received(chunk));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    const end = (error?: Error) => {
      this.#fail(new ConnectionClosed(`the connection ended: ${error?.message ?? "closed"}`));
    };
    socket.on("error", end);
    socket.on("end", () => end());
    socket.on("close", () => {
      end();
      resolve();
    });
  }

  static connect(port: number, host = "127.0.0.1"): Promise<TestClient> {
    const socket = connect({ port, host });
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new TestClient(socket));
      });
    });
  }

  /** Sends raw bytes. */
  write(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  /** Sends commands without waiting, in one write. */
  send(...commands: (readonly (string | Buffer)[])[]): void {
    this.socket.write(Buffer.concat(commands.map((args) => encodeCommand(args))));
  }

  /** The next reply; rejects with ConnectionClosed if none comes any more. */
  next(): Promise<Reply> {
    const ready = this.#replies.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const late = setTimeout(() => reject(new Error("no reply in time")), REPLY_TIMEOUT_MS);
    const settle = () => clearTimeout(late);
    this.#waiting.push({
      resolve: (reply) => {
        settle();
        resolve(reply);
      },
      reject: (error) => {
        settle();
        reject(error);
      },
    });
    return promise;
  }

  /** The next replies, as natural values. */
  async take(count: number): Promise<Plain[]> {
    const replies: Plain[] = [];
    for (let i = 0; i < count; i++) replies.push(plain(await this.next()));
    return replies;
  }

  /** Runs one command; its reply as a natural value (see `plain`). */
  async call(...args: (string | Buffer)[]): Promise<Plain> {
    this.send(args);
    return plain(await this.next());
  }

  /** Sends commands in one write and waits for all their replies. */
  pipeline(...commands: (readonly (string | Buffer)[])[]): Promise<Plain[]> {
    this.send(...commands);
    return this.take(commands.length);
  }

  /** Every reply until the server ends the connection. */
  async untilClosed(): Promise<Plain[]> {
    await this.closed;
    return this.#replies.splice(0).map(plain);
  }

  /** Stops and restarts reading: what a slow consumer does. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Shuts the writing side: half-close. */
  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Ends with a RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #received(chunk: Buffer): void {
    this.#reader.push(chunk);
    try {
      for (const reply of this.#reader.all()) {
        const waiting = this.#waiting.shift();
        if (waiting === undefined) this.#replies.push(reply);
        else waiting.resolve(reply);
      }
    } catch (error) {
      this.#fail(error as Error);
      this.socket.destroy();
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}
