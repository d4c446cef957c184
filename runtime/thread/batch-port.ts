/**
 * One bidirectional channel between two threads that carries batches of small messages: what a
 * turn says to a peer leaves in one postMessage, transferred, never copied.
 *
 *   batch   u32 bytes used, header included · messages
 *   message u8 kind · u32 id · u32 payload length · payload          (little-endian)
 *
 * A peer that has read a batch sends its buffer back, which acknowledges the bytes and fills the
 * pool. A post is either a batch alone (ArrayBuffer) or a list: a batch (or nothing), then buffers
 * that go back.
 *
 * Invariants: no object, closure or promise a message; messages arrive in order, once, or the peer
 * has died; requests stop (`full`) once the peer has not acknowledged `inFlightBytesMax` bytes.
 */
import type { MessagePort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { readU32, writeU32 } from "../base/bytes.ts";

// limits:
/** Size of a pooled batch buffer. */
export const BATCH_BYTES = 64 * 1024;
/** A batch is posted within the turn once it is this long. */
export const BATCH_BYTES_FLUSH = 1024 * 1024;
/** Bytes that a peer has not acknowledged before requests to it are refused. */
export const PORT_IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024;
/** Share of them from which on the peer counts as behind: who can wait then waits. */
const BEHIND_SHARE = 1 / 2;
/** Payload of one message; more than the largest value with its key and reply header. */
export const PORT_MESSAGE_BYTES_MAX = 1024 * 1024 * 1024;
/** Idle buffers of `BATCH_BYTES` that one port keeps. */
export const PORT_POOL_BUFFERS_MAX = 32;
/** Read buffers held for the next flush; from then on they go back at once. */
export const PORT_RETURNS_MAX = 8;

/** Bytes before the payload of each message. */
export const PORT_HEADER_BYTES = 9;
const BATCH_HEADER_BYTES = 4;
const EMPTY = Buffer.alloc(0);
const NO_BATCH = undefined;

type Post = ArrayBuffer | readonly (ArrayBuffer | undefined)[];

export interface BatchPortOptions {
  /** Called for each message of a batch in order; `buffer` is valid only during the call. */
  readonly onMessage: (
    kind: number,
    id: number,
    buffer: Buffer,
    start: number,
    end: number,
  ) => void;
  /** Called after the last message of a batch: the place to run the turn and flush. */
  readonly onBatchEnd: () => void;
  readonly inFlightBytesMax?: number;
}

/**
 * The port outlives its peer: after `peerDied` it can be attached to the peer's successor.
 * The owner calls `flush` at the end of every turn, also when it has sent nothing: that is what
 * returns the peer's buffers.
 */
export class BatchPort {
  /** The batch being written. Read it anew after each `begin`, which may replace it. */
  out: Buffer = EMPTY;
  /** Batches and messages posted and received, for metrics and tests. */
  batchesOut = 0;
  batchesIn = 0;
  messagesIn = 0;
  readonly #options: BatchPortOptions;
  readonly #inFlightBytesMax: number;
  readonly #pool: ArrayBuffer[] = [];
  #port: MessagePort | undefined;
  #used = 0;
  #openAt = -1;
  #inFlightBytes = 0;
  #keepsAlive = true;
  #returns: ArrayBuffer[] = [];

  constructor(options: BatchPortOptions) {
    this.#options = options;
    this.#inFlightBytesMax = options.inFlightBytesMax ?? PORT_IN_FLIGHT_BYTES_MAX;
  }

  /** Whether a peer is there. */
  get connected(): boolean {
    return this.#port !== undefined;
  }

  /** Whether requests are refused because the peer lags. */
  get full(): boolean {
    return this.#inFlightBytes + this.#used >= this.#inFlightBytesMax;
  }

  /** Whether so much waits for the peer that no more should be taken in for it. */
  get isBehind(): boolean {
    return this.#inFlightBytes + this.#used >= this.#inFlightBytesMax * BEHIND_SHARE;
  }

  /** Bytes posted that the peer has not acknowledged. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** Connects to a peer; what it has sent before is read from now on. */
  attach(port: MessagePort): void {
    assert(this.#port === undefined, "a port has one peer at a time");
    this.#port = port;
    port.on("message", (post: Post) => {
      // What a dead peer left in the queue is not for its successor.
      if (this.#port === port) this.#receive(post);
    });
    if (!this.#keepsAlive) port.unref();
  }

  /**
   * Begins a request of at most `bytesMax` payload bytes: answers where in `out` the payload goes,
   * or -1 if the peer is gone or too much is in flight: answer overload. Ends with `end`.
   */
  begin(kind: number, id: number, bytesMax: number): number {
    if (this.full) return -1;
    return this.beginReply(kind, id, bytesMax);
  }

  /** As `begin`, but refused only if the peer is gone: replies are bounded by their requests. */
  beginReply(kind: number, id: number, bytesMax: number): number {
    if (this.#port === undefined) return -1;
    assert(this.#openAt < 0, "one message is written at a time");
    assert(bytesMax <= PORT_MESSAGE_BYTES_MAX, "a message has a bound");
    if (this.#used >= BATCH_BYTES_FLUSH) this.flush();
    this.#reserve(PORT_HEADER_BYTES + bytesMax);
    const at = this.#used;
    this.#openAt = at;
    this.out[at] = kind;
    writeU32(this.out, at + 1, id);
    return at + PORT_HEADER_BYTES;
  }

  /** Ends the message begun last; `bytes` of payload were written. */
  end(bytes: number): void {
    const at = this.#openAt;
    const end = at + PORT_HEADER_BYTES + bytes;
    assert(at >= 0 && end <= this.out.length, "a message ends inside what it began");
    writeU32(this.out, at + 5, bytes);
    this.#used = end;
    this.#openAt = -1;
  }

  /** Forgets the message begun last: nothing of it is sent. */
  cancel(): void {
    this.#openAt = -1;
  }

  /** Posts what was written and returns what was read; cheap if there is neither. */
  flush(): void {
    const port = this.#port;
    if (port === undefined) return;
    assert(this.#openAt < 0, "a batch is flushed between messages");
    const returns = this.#returns;
    if (this.#used <= BATCH_HEADER_BYTES) {
      if (returns.length === 0) return;
      this.#returns = [];
      port.postMessage([NO_BATCH, ...returns], returns);
      return;
    }
    writeU32(this.out, 0, this.#used);
    const batch = this.out.buffer as ArrayBuffer;
    this.#inFlightBytes += this.#used;
    this.out = EMPTY;
    this.#used = 0;
    this.batchesOut++;
    if (returns.length === 0) {
      port.postMessage(batch, [batch]);
      return;
    }
    this.#returns = [];
    const post = [batch, ...returns];
    port.postMessage(post, post);
  }

  /**
   * The peer is gone: what was written or posted is lost as far as this side can know. The owner
   * answers everything outstanding as unknown.
   */
  peerDied(): void {
    const port = this.#port;
    this.#port = undefined;
    this.#used = 0;
    this.#openAt = -1;
    this.#inFlightBytes = 0;
    this.#returns = [];
    port?.close();
  }

  /** Whether the port alone keeps the thread alive (default: yes), also with later peers. */
  setRef(keepsAlive: boolean): void {
    this.#keepsAlive = keepsAlive;
    if (keepsAlive) this.#port?.ref();
    else this.#port?.unref();
  }

  #reserve(bytes: number): void {
    const used = this.#used === 0 ? BATCH_HEADER_BYTES : this.#used;
    const needed = used + bytes;
    if (needed > this.out.length) {
      const grown = this.#take(Math.max(needed, Math.min(this.out.length * 2, BATCH_BYTES_FLUSH)));
      this.out.copy(grown, 0, 0, this.#used);
      this.#keep(this.out);
      this.out = grown;
    }
    this.#used = used;
  }

  #take(bytes: number): Buffer {
    if (bytes <= BATCH_BYTES) return Buffer.from(this.#pool.pop() ?? new ArrayBuffer(BATCH_BYTES));
    return Buffer.from(new ArrayBuffer(bytes));
  }

  #keep(buffer: Buffer): void {
    if (buffer.length === BATCH_BYTES) this.#pool.push(buffer.buffer as ArrayBuffer);
  }

  #receive(post: Post): void {
    if (post instanceof ArrayBuffer) {
      this.#read(post);
      return;
    }
    for (let i = 1; i < post.length; i++) this.#returned(post[i] as ArrayBuffer);
    if (post[0] !== undefined) this.#read(post[0]);
    // Freed bytes may be what the owner waits for.
    else this.#options.onBatchEnd();
  }

  #returned(bytes: ArrayBuffer): void {
    const buffer = Buffer.from(bytes);
    this.#inFlightBytes -= readU32(buffer, 0);
    assert(this.#inFlightBytes >= 0, "a peer acknowledges what it was sent");
    if (buffer.length === BATCH_BYTES && this.#pool.length < PORT_POOL_BUFFERS_MAX) {
      this.#pool.push(bytes);
    }
  }

  #read(bytes: ArrayBuffer): void {
    const port = this.#port;
    const { onMessage, onBatchEnd } = this.#options;
    const buffer = Buffer.from(bytes);
    const used = readU32(buffer, 0);
    assert(used <= buffer.length, "a batch ends inside its buffer");
    this.batchesIn++;
    let at = BATCH_HEADER_BYTES;
    while (at < used && this.#port === port) {
      const start = at + PORT_HEADER_BYTES;
      const end = start + readU32(buffer, at + 5);
      assert(end <= used, "a message ends inside its batch");
      this.messagesIn++;
      onMessage(buffer[at] as number, readU32(buffer, at + 1), buffer, start, end);
      at = end;
    }
    // The owner may have declared the peer dead, and even attached another, while it read.
    if (this.#port === port) this.#giveBack(bytes);
    onBatchEnd();
  }

  #giveBack(bytes: ArrayBuffer): void {
    this.#returns.push(bytes);
    if (this.#returns.length >= PORT_RETURNS_MAX) {
      const returns = this.#returns;
      this.#returns = [];
      this.#port?.postMessage([NO_BATCH, ...returns], returns);
    }
  }
}
