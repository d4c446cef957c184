/**
 * One connection for a benchmark's own commands, beside the load: one command at a time, replies
 * as plain values. Not made to be fast.
 *
 * Invariant: an error reply rejects, so that no benchmark measures refusals.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export type Value = string | number | null | Value[];

class ReplyError extends Error {}

/** A whole reply and where it ends; undefined until more bytes are there. */
function decode(bytes: Buffer, at: number): { value: Value | ReplyError; end: number } | undefined {
  const lineEnd = bytes.indexOf("\r\n", at, "latin1");
  if (lineEnd < 0) return undefined;
  const text = bytes.toString("latin1", at + 1, lineEnd);
  const end = lineEnd + 2;
  switch (String.fromCharCode(bytes[at] ?? 0)) {
    case "+":
      return { value: text, end };
    case "-":
      return { value: new ReplyError(text), end };
    case ":":
      return { value: Number(text), end };
    case "$": {
      const length = Number(text);
      if (length < 0) return { value: null, end };
      if (bytes.length < end + length + 2) return undefined;
      return { value: bytes.toString("latin1", end, end + length), end: end + length + 2 };
    }
    case "*":
      return decodeArray(bytes, end, Number(text));
    default:
      throw new Error(`no RESP2 reply: ${text}`);
  }
}

function decodeArray(bytes: Buffer, at: number, count: number) {
  if (count < 0) return { value: null, end: at };
  const items: Value[] = [];
  let end = at;
  for (let i = 0; i < count; i++) {
    const item = decode(bytes, end);
    if (item === undefined) return undefined;
    if (item.value instanceof ReplyError) return { value: item.value, end: item.end };
    items.push(item.value);
    end = item.end;
  }
  return { value: items, end };
}

/** A command as clients send it. */
export function encode(words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join("")}`);
}

export class ControlClient {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #settle: { resolve: (value: Value) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#received(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  static async connect(port: number): Promise<ControlClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new ControlClient(socket);
  }

  /** Runs one command; rejects for an error reply. */
  run(...words: string[]): Promise<Value> {
    if (this.#settle !== undefined) throw new Error("one command at a time");
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(encode(words));
    });
  }

  /** A field of INFO as text; undefined if the server has none of that name. */
  async info(field: string): Promise<string | undefined> {
    const text = await this.run("INFO", "everything");
    return new RegExp(`^${field}:(.*?)\\r?$`, "m").exec(String(text))?.[1];
  }

  close(): void {
    this.#socket.destroy();
  }

  #received(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    const reply = decode(this.#bytes, 0);
    if (reply === undefined) return;
    this.#bytes = this.#bytes.subarray(reply.end);
    const settle = this.#settle;
    this.#settle = undefined;
    if (reply.value instanceof ReplyError) settle?.reject(reply.value);
    else settle?.resolve(reply.value);
  }

  #fail(error: Error): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.reject(error);
  }
}
