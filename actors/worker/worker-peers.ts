/**
 * What other threads send to a worker: commands for its partitions, parts of transactions, answers
 * to what it asked.
 *
 * Invariants: commands and transactions wait until the worker has settled what it had begun before
 * its start, in the order in which they came; answers do not. What a worker asked before its death is
 * not answered to its successor, which counts its own requests from 1.
 */
import { pack } from "../../runtime/codec/pack.ts";
import { Request } from "../../runtime/codec/request.ts";
import type { Peer } from "../../runtime/thread/worker-context.ts";
import type { CrossWorker } from "../gateway/cross-worker.ts";
import type { DispatchHost } from "../gateway/dispatch-host.ts";
import {
  isTransactionMessage,
  MESSAGE_COLLECT,
  MESSAGE_FAILED,
  MESSAGE_PART,
  MESSAGE_RELEASE,
  MESSAGE_RESOLVE,
  MESSAGE_RUN,
  type RunHeader,
  waitsForService,
} from "../gateway/messages.ts";
import type { Participant } from "./participant.ts";
import { type Answer, RemoteRequests } from "./remote-requests.ts";

export interface WorkerPeersOptions {
  readonly host: DispatchHost;
  readonly cross: CrossWorker;
  readonly participant: Participant;
  /** Reads the clock: a message begins a turn. */
  readonly readClock: () => void;
}

export class WorkerPeers {
  readonly #host: DispatchHost;
  readonly #cross: CrossWorker;
  readonly #participant: Participant;
  readonly #remote: RemoteRequests;
  readonly #readClock: () => void;
  /** What peers have asked since this worker started, until it serves; null: it does. */
  #waiting: { readonly peer: Peer; readonly serve: () => void }[] | null = [];
  /** How often each peer has died. */
  readonly #deaths = new Map<Peer, number>();

  constructor(options: WorkerPeersOptions) {
    this.#host = options.host;
    this.#cross = options.cross;
    this.#participant = options.participant;
    this.#remote = new RemoteRequests(options.host, pack);
    this.#readClock = options.readClock;
  }

  /** Serves one message of a peer. */
  serve(peer: Peer, kind: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (this.#waiting !== null && waitsForService(kind)) {
      const kept = Buffer.from(buffer.subarray(start, end));
      const serve = () => this.serve(peer, kind, id, kept, 0, kept.length);
      this.#waiting.push({ peer, serve });
      return;
    }
    this.#readClock();
    if (isTransactionMessage(kind)) {
      this.#serveTransaction(peer, kind, id, buffer.subarray(start, end));
      return;
    }
    const { exchange } = this.#host;
    if (kind !== MESSAGE_RUN && kind !== MESSAGE_COLLECT) {
      exchange.answered(id, kind === MESSAGE_FAILED, buffer, start, end);
      return;
    }
    const deaths = this.#deaths.get(peer);
    const answer: Answer = (answerKind, bytes, from, to, gate) => {
      this.#host.schedule();
      if (this.#deaths.get(peer) === deaths)
        exchange.reply(peer, answerKind, id, bytes, from, to, gate);
    };
    if (kind === MESSAGE_RUN) this.#remote.run(buffer, start, answer);
    else this.#remote.collect(buffer, start, answer);
  }

  #serveTransaction(peer: Peer, kind: number, id: number, bytes: Buffer): void {
    const host = this.#host;
    const deaths = this.#deaths.get(peer);
    const answer = (value: unknown, gate: number) => {
      if (kind === MESSAGE_RELEASE || this.#deaths.get(peer) !== deaths) return;
      const packed = pack(value);
      host.exchange.reply(peer, MESSAGE_PART, id, packed, 0, packed.length, gate);
    };
    host.schedule();
    if (kind === MESSAGE_RESOLVE) this.#cross.resolve(peer as number, () => answer(true, 0));
    else this.#participant.serve(kind, host.unpack(bytes), answer);
  }

  /** Runs a part of a request as if a peer had asked; the reply's bytes hold until the next call. */
  runPart(
    request: Request,
    indexes: readonly number[],
    header: RunHeader,
    done: (reply: Buffer, gate: number) => void,
  ): void {
    const part = partOf(request, indexes);
    this.#remote.runRequest(part, header, (_kind, bytes, start, end, gate) => {
      done(bytes.subarray(start, end), gate);
    });
  }

  /** Settles what was begun before this start; then peers' requests are served. */
  async settle(): Promise<void> {
    await this.#cross.start();
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const { serve } of waiting) serve();
  }

  /** Another worker has died. */
  workerDied(worker: number): void {
    this.#deaths.set(worker, (this.#deaths.get(worker) ?? 0) + 1);
    this.#waiting = this.#waiting?.filter(({ peer }) => peer !== worker) ?? null;
    this.#cross.workerDied(worker);
    this.#host.exchange.workerDied(worker);
  }
}

/** A request of some of another's arguments, in the same buffer. */
function partOf(request: Request, indexes: readonly number[]): Request {
  const part = new Request();
  part.reset(request.bytes);
  for (const index of indexes) {
    part.push(request.starts[index] as number, request.ends[index] as number);
  }
  return part;
}
