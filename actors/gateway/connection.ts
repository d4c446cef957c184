/**
 * One client connection: bytes in, commands out, replies in order, one write a turn.
 *
 * Replies stand in the order of their requests. A reply that comes later (another thread, a
 * restarting vnode) holds its place by a slot; a reply that must wait for the log holds the bytes
 * from there on by a gate.
 *
 *   out   | sent next turn ......... | gate: commit 41 ....... | gate: commit 42 ... |
 *   slots | waiting | ready | waiting |            (only while some reply is late)
 *
 * Invariants: `out` holds complete replies; what waits for input or output is bounded; after
 * `close` nothing is read or run.
 */
import { FAILED, INCOMPLETE, RespReader } from "../../runtime/codec/resp-reader.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { ClientsConfig } from "../../runtime/config.ts";
import type { Request } from "../../runtime/codec/request.ts";
import type { Client } from "./client.ts";

/** What carries a connection's bytes: a socket, or a handle in this process. */
export interface Transport {
  /** Sends a range. True: the buffer is free again; false: in use until `onDrained`. */
  send(buffer: Buffer, start: number, end: number): boolean;
  /** Stops and restarts reading. */
  pause(): void;
  resume(): void;
  /** Ends after what was sent. */
  close(): void;
  /** Ends at once. */
  destroy(): void;
  readonly remoteAddress: string;
  readonly localAddress: string;
}

/** Whether a reply's commit is as durable as it must be. */
export interface Gates {
  isOpen(gate: number): boolean;
}

/** What a connection needs from its worker. */
export interface ConnectionHost {
  readonly limits: ClientsConfig;
  readonly gates: Gates;
  /** Runs one command; its reply goes through `reply` … `endReply`, or `defer`. */
  dispatch(connection: Connection, request: Request): void;
  /** Asks for `flush` at the end of the turn. */
  flushLater(connection: Connection): void;
  closed(connection: Connection): void;
}

/** The place of a reply that comes later. */
export interface ReplySlot {
  bytes: Buffer | null;
  gate: number;
}

const NOTHING = Buffer.alloc(0);
const MINUS = 0x2d;

export class Connection {
  readonly client: Client;
  readonly transport: Transport;
  readonly reader: RespReader;
  /** Replies that are complete and in order. */
  readonly out: RespWriter;
  closing = false;
  closed = false;
  /** The running command's reply comes later. */
  isDeferred = false;
  /** The turn knows that replies wait here. */
  isListedAsGated = false;
  /** Bytes received and sent, for CLIENT LIST. */
  bytesIn = 0;
  bytesOut = 0;

  readonly #host: ConnectionHost;
  readonly #side: RespWriter;
  readonly #slots: ReplySlot[] = [];
  readonly #gateOffsets: number[] = [];
  readonly #gates: number[] = [];
  #input: Buffer = NOTHING;
  #inputStart = 0;
  #inputEnd = 0;
  #mark = 0;
  /** Bytes handed to the transport and not yet taken by the system. */
  #sending = 0;
  #inputPaused = false;
  /** Commands wait until `unblock`: a transaction over threads, CLIENT PAUSE. */
  #blocked = 0;
  #isRunning = false;
  #flushWanted = false;
  /** When output first passed the soft limit, ms; 0: it has not. */
  softSince = 0;

  constructor(client: Client, transport: Transport, host: ConnectionHost, side: RespWriter) {
    this.client = client;
    this.transport = transport;
    this.#host = host;
    this.#side = side;
    const { argumentsMax, argumentBytesMax, outputHardBytes } = host.limits;
    this.reader = new RespReader({ argsMax: argumentsMax, bulkBytesMax: argumentBytesMax });
    this.out = new RespWriter({ bytesMax: outputHardBytes });
  }

  // ---- input ------------------------------------------------------------------------------------

  /** Takes received bytes; they may be overwritten afterwards. */
  receive(bytes: Buffer, length: number): void {
    if (this.closing) return;
    this.bytesIn += length;
    if (this.#inputEnd > this.#inputStart) {
      this.#append(bytes, 0, length);
      this.#run();
      return;
    }
    if (this.#isStopped) {
      this.#append(bytes, 0, length);
      return;
    }
    const next = this.#parse(bytes, 0, length);
    if (next < length && !this.closing) this.#append(bytes, next, length);
  }

  get #isStopped(): boolean {
    return this.#blocked > 0 || this.#inputPaused || this.closing;
  }

  /** Runs the commands in a buffer; returns where the rest begins. */
  #parse(buffer: Buffer, start: number, end: number): number {
    const { reader } = this;
    let at = start;
    this.#isRunning = true;
    while (at < end && !this.#isStopped) {
      const outcome = reader.parse(buffer, at, end);
      if (outcome === INCOMPLETE) {
        at = reader.next;
        break;
      }
      if (outcome === FAILED) {
        this.#refuseInput();
        break;
      }
      this.#host.dispatch(this, reader.request);
      at = reader.next;
      if (this.pendingOutput > this.#host.limits.outputPauseBytes) this.#pauseInput();
    }
    this.#isRunning = false;
    return at;
  }

  /** A protocol error: one error reply, then the end. An HTTP request gets nothing at all. */
  #refuseInput(): void {
    if (this.reader.forgery) {
      this.destroy();
      return;
    }
    const reply = this.reply();
    reply.error(this.reader.error);
    this.endReply(reply, 0);
    this.close();
  }

  /** Goes on with input that waited. */
  #run(): void {
    if (this.#isRunning || this.#isStopped) return;
    this.#inputStart = this.#parse(this.#input, this.#inputStart, this.#inputEnd);
    if (this.#inputStart === this.#inputEnd) {
      this.#inputStart = 0;
      this.#inputEnd = 0;
      if (this.#input.length > INPUT_BYTES_KEPT) this.#input = NOTHING;
    }
  }

  #append(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    const used = this.#inputEnd - this.#inputStart;
    if (used + length > this.#host.limits.queryBytesMax) {
      this.destroy();
      return;
    }
    if (this.#inputEnd + length > this.#input.length) {
      const size = Math.max(INPUT_BYTES_START, 2 ** Math.ceil(Math.log2(used + length)));
      const target = size > this.#input.length ? Buffer.allocUnsafeSlow(size) : this.#input;
      this.#input.copy(target, 0, this.#inputStart, this.#inputEnd);
      this.#input = target;
      this.#inputStart = 0;
      this.#inputEnd = used;
    }
    bytes.copy(this.#input, this.#inputEnd, start, end);
    this.#inputEnd += length;
  }

  /** Holds further commands back until `unblock`. */
  block(): void {
    this.#blocked++;
  }

  unblock(): void {
    this.#blocked--;
    this.#run();
  }

  #pauseInput(): void {
    if (this.#inputPaused) return;
    this.#inputPaused = true;
    this.transport.pause();
  }

  // ---- replies ----------------------------------------------------------------------------------

  /** Where the running command's reply goes; ends with `endReply`. */
  reply(): RespWriter {
    const writer = this.#slots.length === 0 ? this.out : this.#side;
    writer.protocol = this.out.protocol;
    this.#mark = writer.at;
    this.isDeferred = false;
    return writer;
  }

  /** Whether what was written since `reply` is an error. */
  repliesError(writer: RespWriter): boolean {
    return writer.at > this.#mark && writer.buffer[this.#mark] === MINUS;
  }

  /** The error written since `reply`, without its "-". */
  replyText(writer: RespWriter): string {
    return writer.buffer.toString("latin1", this.#mark + 1, writer.at);
  }

  /** Takes back what was written since `reply`. */
  rewindReply(writer: RespWriter): void {
    writer.rewind(this.#mark);
  }

  /** The reply is complete; it leaves when `gate` is open (0: it is). */
  endReply(writer: RespWriter, gate: number): void {
    if (writer === this.out) {
      if (gate !== 0 && !this.#host.gates.isOpen(gate)) this.#addGate(this.#mark, gate);
    } else {
      this.#slots.push({ bytes: Buffer.from(writer.buffer.subarray(this.#mark, writer.at)), gate });
      writer.rewind(this.#mark);
    }
    if (!this.#flushWanted) {
      this.#flushWanted = true;
      this.#host.flushLater(this);
    }
  }

  #addGate(offset: number, gate: number): void {
    const last = this.#gates.length - 1;
    if (last >= 0 && this.#gates[last] === gate) return;
    this.#gates.push(gate);
    this.#gateOffsets.push(offset);
  }

  /** Keeps the running command's place for a reply that comes later, through `fill`. */
  defer(): ReplySlot {
    const slot: ReplySlot = { bytes: null, gate: 0 };
    this.isDeferred = true;
    this.#slots.push(slot);
    return slot;
  }

  /** The late reply is there. */
  fill(slot: ReplySlot, bytes: Buffer, gate: number): void {
    if (this.closed) return;
    slot.bytes = bytes;
    slot.gate = gate;
    while (this.#slots.length > 0) {
      const head = this.#slots[0] as ReplySlot;
      if (head.bytes === null) break;
      this.#slots.shift();
      this.#mark = this.out.at;
      this.out.raw(head.bytes, 0, head.bytes.length);
      this.endReply(this.out, head.gate);
    }
  }

  /** Replies that have not reached the system yet. */
  get pendingOutput(): number {
    return this.out.at + this.#sending;
  }

  get pendingInput(): number {
    return this.#inputEnd - this.#inputStart;
  }

  /** Sends what may leave. */
  flush(): void {
    this.#flushWanted = false;
    if (this.closed || this.#sending > 0) return;
    const { out } = this;
    if (out.overflowed) {
      this.destroy();
      return;
    }
    while (this.#gates.length > 0 && this.#host.gates.isOpen(this.#gates[0] as number)) {
      this.#gates.shift();
      this.#gateOffsets.shift();
    }
    const end = this.#gateOffsets[0] ?? out.at;
    if (end > 0) this.#send(end);
    if (this.#sending === 0) this.#afterSend();
  }

  #send(end: number): void {
    const { out } = this;
    this.bytesOut += end;
    const isFree = this.transport.send(out.buffer, 0, end);
    if (this.closed) return;
    if (end === out.at && isFree) {
      out.reset();
      return;
    }
    const rest = out.at - end;
    if (isFree) {
      out.buffer.copyWithin(0, end, out.at);
      out.rewind(rest);
    } else {
      this.#sending = end;
      const taken = out.take();
      out.raw(taken, end, end + rest);
    }
    for (let i = 0; i < this.#gateOffsets.length; i++) {
      this.#gateOffsets[i] = (this.#gateOffsets[i] as number) - end;
    }
  }

  /** The system has taken what was sent. */
  drained(): void {
    if (this.closed) return;
    this.#sending = 0;
    this.flush();
  }

  #afterSend(): void {
    if (this.closing) {
      if (this.out.at === 0 && this.#slots.length === 0) this.#end();
      return;
    }
    if (this.#inputPaused && this.pendingOutput <= this.#host.limits.outputPauseBytes) {
      this.#inputPaused = false;
      this.transport.resume();
      this.#run();
    }
  }

  // ---- end --------------------------------------------------------------------------------------

  /** Ends after the replies so far: no more commands are read. */
  close(): void {
    if (this.closing) return;
    this.closing = true;
    if (!this.#flushWanted) {
      this.#flushWanted = true;
      this.#host.flushLater(this);
    }
  }

  #end(): void {
    if (this.closed) return;
    this.closed = true;
    this.transport.close();
    this.#host.closed(this);
  }

  /** Ends at once, unsent replies and all. */
  destroy(): void {
    if (this.closed) return;
    this.closing = true;
    this.closed = true;
    this.transport.destroy();
    this.#host.closed(this);
  }

  /** Whether replies wait for a commit: their outcome is unknown if the log fails. */
  get isGated(): boolean {
    return this.#gates.length > 0;
  }

  /** The other side has ended: finish what it asked, then close; or close if it is gone. */
  ended(): void {
    this.close();
  }
}

/** First size of the buffer for unfinished input, and the largest that is kept when empty. */
const INPUT_BYTES_START = 4096;
const INPUT_BYTES_KEPT = 64 * 1024;
