/**
 * The threads of workers: born joined by ports to each other and to this thread, and able to come up
 * before anybody looks after them, since that takes long and needs nothing else.
 *
 * Invariant: what becomes of a thread is told once, to whoever looks after it, however late they come.
 */
import { MessageChannel, type MessagePort, type ResourceLimits, Worker } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-context.ts";

export interface ThreadOptions {
  /** Module that each worker runs; it calls `openWorker`. */
  readonly entry: URL;
  readonly workers: number;
  readonly resourceLimits?: ResourceLimits;
}

/** What a thread does. */
export interface ThreadEvents {
  message(message: FromWorker): void;
  error(error: unknown): void;
  exit(code: number): void;
}

/** Ports to the other workers, by worker. */
export type PeerPorts = readonly (MessagePort | undefined)[];

export class WorkerThread {
  /** This side of the worker's ports. */
  readonly main: MessagePort;
  readonly control: MessagePort;
  readonly #worker: Worker;
  #events: ThreadEvents | undefined;
  #untold: ((events: ThreadEvents) => void)[] = [];

  constructor({ entry, workers, resourceLimits }: ThreadOptions, index: number, peers: PeerPorts) {
    const main = new MessageChannel();
    const control = new MessageChannel();
    this.main = main.port1;
    this.control = control.port1;
    const start: WorkerStart = { index, workers, main: main.port2, control: control.port2, peers };
    const worker = new Worker(entry, {
      name: `coterie worker ${index}`,
      ...flagsOfWorker(process.execArgv, process.allowedNodeEnvironmentFlags),
      workerData: start,
      transferList: [main.port2, control.port2, ...peers.filter((port) => port !== undefined)],
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    });
    worker.on("message", (message: FromWorker) => this.#tell((events) => events.message(message)));
    worker.on("error", (error: unknown) => this.#tell((events) => events.error(error)));
    worker.on("exit", (code) => this.#tell((events) => events.exit(code)));
    this.#worker = worker;
  }

  #tell(what: (events: ThreadEvents) => void): void {
    if (this.#events === undefined) this.#untold.push(what);
    else what(this.#events);
  }

  /** Looks after the thread, once; is told at once what has become of it so far. */
  lookAfter(events: ThreadEvents): void {
    this.#events = events;
    for (const what of this.#untold.splice(0)) what(events);
  }

  send(message: ToWorker, transfer: readonly MessagePort[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  /** Ends it at once. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** A thread for each worker, with ports from each to each. */
export function newThreads(options: ThreadOptions): WorkerThread[] {
  const { workers } = options;
  const ports = Array.from({ length: workers }, () => {
    return new Array<MessagePort | undefined>(workers);
  });
  for (const [a, ofA] of ports.entries()) {
    for (const [b, ofB] of ports.entries()) {
      if (b <= a) continue;
      const { port1, port2 } = new MessageChannel();
      ofA[b] = port1;
      ofB[a] = port2;
    }
  }
  return ports.map((peers, index) => new WorkerThread(options, index, peers));
}

/** Nothing on a worker uses AsyncLocalStorage: its frames cost 3 % of a SET's CPU (decision 0059). */
const NO_ASYNC_FRAMES = "--no-async-context-frame";

/** Flags of Node for a worker, by those of this process and those that this Node knows. */
export function flagsOfWorker(
  own: readonly string[],
  known: ReadonlySet<string>,
): { readonly execArgv?: string[] } {
  // `node --input-type=module -e …`: how that text is to be read would be wrong for a thread's file.
  const isTextRun = own.some((flag) => flag.startsWith("--input-type"));
  // Flags are inherited if none are given, and not each of them can be given.
  if (own.length > 0 && !isTextRun) return {};
  return { execArgv: known.has(NO_ASYNC_FRAMES) ? [NO_ASYNC_FRAMES] : [] };
}
