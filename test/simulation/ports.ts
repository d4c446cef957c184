/**
 * Channels between the threads of a simulated node: what is posted at one end arrives at the other in
 * order, each post when the loop says so. Only what BatchPort asks of a MessagePort.
 */
import type { MessagePort } from "node:worker_threads";

type Listener = (post: unknown) => void;

class SimPort {
  peer: SimPort | undefined;
  readonly #schedule: (run: () => void) => void;
  readonly #queue: unknown[] = [];
  #listener: Listener | undefined;
  #isClosed = false;

  constructor(schedule: (run: () => void) => void) {
    this.#schedule = schedule;
  }

  on(_event: "message", listener: Listener): void {
    this.#listener = listener;
    for (let i = 0; i < this.#queue.length; i++) this.#schedule(() => this.#deliver());
  }

  postMessage(post: unknown, transfer: ArrayBuffer[]): void {
    if (this.#isClosed) return;
    this.peer?.arrives(structuredClone(post, { transfer }));
  }

  arrives(post: unknown): void {
    this.#queue.push(post);
    if (this.#listener !== undefined) this.#schedule(() => this.#deliver());
  }

  close(): void {
    this.#isClosed = true;
  }

  #deliver(): void {
    const post = this.#queue.shift();
    if (!this.#isClosed && post !== undefined) this.#listener?.(post);
  }
}

/** The two ends of a channel. */
export function portPair(schedule: (run: () => void) => void): [MessagePort, MessagePort] {
  const ends = [new SimPort(schedule), new SimPort(schedule)] as const;
  ends[0].peer = ends[1];
  ends[1].peer = ends[0];
  return ends as unknown as [MessagePort, MessagePort];
}
