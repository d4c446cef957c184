/** What carries a connection's bytes, and what it tells of them: types only. */

/** A socket, or a handle in this process. */
export interface Transport {
  /** Sends a range. True: the buffer is free again; false: in use until `drained`. */
  send(buffer: Buffer, start: number, end: number): boolean;
  /** Stops and restarts reading. */
  pause(): void;
  resume(): void;
  /** Ends after what was sent. */
  close(): void;
  /** Ends at once. */
  destroy(): void;
  /** Bytes that the system has not taken yet: falls while the other side reads. */
  readonly unsentBytes?: number;
  readonly remoteAddress: string;
  readonly localAddress: string;
}

/** What a transport tells its connection. */
export interface TransportEvents {
  received(bytes: Buffer, length: number): void;
  drained(): void;
  /** The other side sends no more; it may still read. */
  ended(): void;
  /** Nothing can be sent or received any more. */
  gone(): void;
}
