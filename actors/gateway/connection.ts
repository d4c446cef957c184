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
 * Invariants: `out` holds complete replies; what waits for input or output is bounded, and a client
 * that does not read is first not read from, then disconnected; after `close` nothing is read or
 * run; what was begun is answered before the end, unless the connection is gone.
 */
import type { Request } from "../../runtime/codec/request.ts";
import { INCOMPLETE, PARSED, RespReader } from "../../runtime/codec/resp-reader.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { ClientsConfig } from "../../runtime/config.ts";
import type { Client } from "./client.ts";
import { InputBuffer } from "./input-buffer.ts";
import { LateReplies, type ReplySlot } from "./late-replies.ts";
import { type Gates, ReplyGates } from "./reply-gates.ts";
import { SlowReader } from "./slow-reader.ts";
import type { Transport } from "./transport.ts";

export type { Gates, ReplySlot, Transport };

// limits:
/** Largest reply, and all replies of one client with it. */
export const REPLY_BYTES_MAX = 1024 * 1024 * 1024;
/** Replies waiting before no more is read of a client that has not authenticated. */
export const UNAUTHENTICATED_OUTPUT_BYTES = 1024;
/** Requests received while others must be waited for, before no more are read. */
export const HELD_INPUT_BYTES = 256 * 1024;

/** What a connection needs from its worker. */
export interface ConnectionHost {
  readonly limits: ClientsConfig;
  readonly gates: Gates;
  /** Whether the turn has time for one more command; if not, the connection is late. */
  mayRun(connection: Connection): boolean;
  /** Runs one command; its reply goes through `reply` … `endReply`, or `defer`. */
  dispatch(connection: Connection, request: Request): void;
  /** Executes the command just parsed, and some of what came with it; returns where to go on. */
  runParsed(connection: Connection, buffer: Buffer, end: number): number;
  /** Asks for `flush` at the end of the turn. */
  flushLater(connection: Connection): void;
  closed(connection: Connection): void;
}

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
  /** The turn has no time left for it: a later one calls `run`. */
  isLate = false;
  /** Bytes received and sent, for CLIENT LIST. */
  bytesIn = 0;
  bytesOut = 0;

  readonly #host: ConnectionHost;
  readonly #side: RespWriter;
  readonly #late: LateReplies;
  readonly #gates = new ReplyGates();
  readonly #input = new InputBuffer();
  #mark = 0;
  /** Bytes handed to the transport and not yet taken by the system. */
  #sending = 0;
  /** So much waits for the client that nothing more of it is run, or read. */
  #isOutputFull = false;
  #isReadingPaused = false;
  /** Commands wait until `unblock`: a transaction over threads, CLIENT PAUSE. */
  #blocked = 0;
  #isRunning = false;
  #hasInputEnded = false;
  #flushWanted = false;
  /** Bytes of the last reply in `out`. */
  #lastBytes = 0;
  readonly #slowness = new SlowReader();

  constructor(client: Client, transport: Transport, host: ConnectionHost, side: RespWriter) {
    this.client = client;
    this.transport = transport;
    this.#host = host;
    this.#side = side;
    const { argumentsMax, argumentBytesMax, outputPauseBytes } = host.limits;
    this.#late = new LateReplies(outputPauseBytes);
    this.reader = new RespReader({ argsMax: argumentsMax, bulkBytesMax: argumentBytesMax });
    this.out = new RespWriter({ bytesMax: REPLY_BYTES_MAX });
  }

  // ---- input ------------------------------------------------------------------------------------

  /** Takes received bytes; they may be overwritten afterwards. */
  receive(bytes: Buffer, length: number): void {
    if (this.closing || this.#hasInputEnded) return;
    this.bytesIn += length;
    if (this.#input.length > 0 || this.#isStopped()) {
      this.#keep(bytes, 0, length);
      this.run();
      return;
    }
    const next = this.#parse(bytes, 0, length);
    if (next < length && !this.closing) this.#keep(bytes, next, length);
  }

  #isStopped(): boolean {
    return this.#blocked > 0 || this.#isOutputFull || this.isLate || this.closing;
  }

  /** Runs the commands in a buffer; returns where the rest begins. */
  #parse(buffer: Buffer, start: number, end: number): number {
    let at = start;
    let isParsed = true;
    this.#isRunning = true;
    while (isParsed && at < end && this.mayRun()) {
      const outcome = this.reader.parse(buffer, at, end);
      isParsed = outcome === PARSED;
      if (isParsed) at = this.#host.runParsed(this, buffer, end);
      else if (outcome === INCOMPLETE) at = this.reader.next;
      else this.#refuseInput();
    }
    this.#isRunning = false;
    return at;
  }

  /** Whether a parsed command may run now; `execute` runs it. */
  mayRun(): boolean {
    return !this.#isStopped() && this.#host.mayRun(this);
  }

  execute(request: Request): void {
    this.#host.dispatch(this, request);
    if (this.pendingOutput > this.#outputPauseBytes()) this.#outputIsFull();
  }

  /** A protocol error: one error reply, then the end. An HTTP request gets nothing at all. */
  #refuseInput(): void {
    if (this.reader.forgery) this.destroy();
    else {
      const reply = this.reply();
      if (!this.client.mutesReply()) reply.error(this.reader.error);
      this.endReply(reply, 0);
      this.close();
    }
  }

  /** Goes on with input that waited. */
  run(): void {
    if (this.#isRunning || this.#isStopped()) return;
    const input = this.#input;
    if (input.length > 0) {
      const next = this.#parse(input.bytes, input.start, input.end);
      if (this.closed) return;
      input.consume(next);
    }
    if (this.#isStopped()) return;
    if (this.#hasInputEnded) this.close();
    else if (this.#isReadingPaused) {
      this.#isReadingPaused = false;
      this.transport.resume();
    }
  }

  /** Keeps bytes until they can be run. Who is waited for is not read from without end. */
  #keep(bytes: Buffer, start: number, end: number): void {
    if (this.#input.length + end - start > this.#host.limits.queryBytesMax) {
      this.destroy();
      return;
    }
    this.#input.append(bytes, start, end);
    if (this.#isStopped() && this.#input.length > HELD_INPUT_BYTES) this.#pauseReading();
  }

  #pauseReading(): void {
    if (this.#isReadingPaused) return;
    this.#isReadingPaused = true;
    this.transport.pause();
  }

  /** Holds further commands back until `unblock`. */
  block(): void {
    this.#blocked++;
  }

  unblock(): void {
    this.#blocked--;
    if (this.closing) this.#wantFlush();
    else this.run();
  }

  get isBlocked(): boolean {
    return this.#blocked > 0;
  }

  /** The other side sends no more, or is heard no more: finish what it asked, then close. */
  ended(): void {
    this.#hasInputEnded = true;
    if (this.#blocked === 0 && (!this.#isStopped() || this.#input.length === 0)) this.close();
  }

  // ---- replies ----------------------------------------------------------------------------------

  /** Where the running command's reply goes; ends with `endReply`. */
  reply(): RespWriter {
    const writer = this.#late.count === 0 ? this.out : this.#side;
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
    if (writer.overflowed) {
      // A reply that nobody can hold; the shared writer must go on for the others.
      if (writer !== this.out) writer.reset();
      this.destroy();
      return;
    }
    if (writer === this.out) {
      this.#lastBytes = writer.at - this.#mark;
      if (gate !== 0 && this.#lastBytes > 0 && !this.#gates.holds(gate)) {
        if (!this.#host.gates.isOpen(gate)) this.#gates.add(gate, this.#mark);
      }
    } else {
      this.#late.addReady(Buffer.from(writer.buffer.subarray(this.#mark, writer.at)), gate);
      writer.rewind(this.#mark);
    }
    this.#wantFlush();
  }

  #wantFlush(): void {
    if (this.#flushWanted) return;
    this.#flushWanted = true;
    this.#host.flushLater(this);
  }

  /** Keeps the running command's place for a reply that comes later, through `fill`. */
  defer(requestBytes: number, isMuffled = false): ReplySlot {
    this.isDeferred = true;
    return this.#late.add(requestBytes, isMuffled);
  }

  /** Resolves once everything before this place has been answered. */
  whenFirst(slot: ReplySlot): Promise<void> {
    return this.#late.whenFirst(slot);
  }

  /** The late reply is there. */
  fill(slot: ReplySlot, bytes: Buffer, gate: number): void {
    if (this.closed) return;
    this.#late.fill(slot, slot.isMuffled ? bytes.subarray(0, 0) : bytes, gate);
    for (let head = this.#late.take(); head !== undefined; head = this.#late.take()) {
      this.#mark = this.out.at;
      this.out.raw(head.bytes as Buffer, 0, (head.bytes as Buffer).length);
      this.endReply(this.out, head.gate);
      if (this.closed) return;
    }
    if (this.pendingOutput > this.#outputPauseBytes()) this.#outputIsFull();
  }

  /** Replies that have not reached the system yet, and what stands for those under way. */
  get pendingOutput(): number {
    return this.out.at + this.#sending + this.#late.cost;
  }

  get pendingInput(): number {
    return this.#input.length;
  }

  #outputPauseBytes(): number {
    const { outputPauseBytes } = this.#host.limits;
    return this.client.isAuthenticated ? outputPauseBytes : UNAUTHENTICATED_OUTPUT_BYTES;
  }

  /** Nothing more is run until some of it has left. */
  #outputIsFull(): void {
    this.#isOutputFull = true;
    if (!this.closing) this.#pauseReading();
  }

  /** Sends what may leave. */
  flush(): void {
    this.#flushWanted = false;
    if (this.closed || this.#sending > 0) return;
    const { out } = this;
    const end = this.#gates.isEmpty ? out.at : this.#gates.free(this.#host.gates, out.at);
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
    this.#gates.sent(end);
  }

  /** The system has taken what was sent. */
  drained(): void {
    if (this.closed) return;
    this.#sending = 0;
    this.flush();
  }

  #afterSend(): void {
    if (this.closing) {
      if (this.out.at === 0 && this.#late.count === 0 && this.#blocked === 0) this.#end();
      return;
    }
    if (this.#isOutputFull && this.pendingOutput <= this.#outputPauseBytes()) {
      this.#isOutputFull = false;
      this.run();
    }
  }

  /** Called now and then: ends a client that takes its replies too slowly. */
  watchOutput(monotonicMs: number): void {
    const sending = Math.min(this.#sending, this.transport.unsentBytes ?? this.#sending);
    const waiting = {
      bytes: this.pendingOutput - this.#sending + sending,
      lastBytes: this.#lastBytes,
      moved: this.bytesOut - sending,
      isStopped: this.#sending > 0 && this.#isOutputFull,
    };
    if (this.#slowness.isTooSlow(waiting, this.#host.limits, monotonicMs)) this.destroy();
  }

  // ---- end --------------------------------------------------------------------------------------

  /** Ends after the replies so far: no more commands are read. */
  close(): void {
    if (this.closing) return;
    this.closing = true;
    this.#wantFlush();
  }

  #end(): void {
    if (this.closed) return;
    this.closed = true;
    this.transport.close();
    this.#host.closed(this);
  }

  /** Ends at once, unsent replies and all: the other side is gone, or must go. */
  destroy(): void {
    if (this.closed) return;
    this.closing = true;
    this.closed = true;
    this.#input.clear();
    this.#late.clear();
    this.transport.destroy();
    this.#host.closed(this);
  }

  /** Whether replies wait for a commit: their outcome is unknown if the log fails. */
  get isGated(): boolean {
    return !this.#gates.isEmpty;
  }
}
