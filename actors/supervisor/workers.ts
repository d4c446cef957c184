/**
 * The worker threads of a node as its main thread sees them: started together, restarted one by
 * one, asked for their facts, stopped in order.
 *
 * Invariant: a question to a worker ends within its deadline, with the answer or with why there is
 * none.
 */
import { systemClock, systemTimers } from "../../runtime/base/clock.ts";
import { CoterieError } from "../../runtime/base/errors.ts";
import { systemRandom } from "../../runtime/base/prng.ts";
import { unpack } from "../../runtime/codec/pack.ts";
import { type Control, wrapControl } from "../../runtime/thread/control.ts";
import { WorkerHost } from "../../runtime/thread/worker-host.ts";
import type { ThreadOptions, WorkerThread } from "../../runtime/thread/worker-thread.ts";
import { isHandleMessage, MESSAGE_REPORT } from "../gateway/messages.ts";
import type { WorkerBirth, WorkerReport } from "../worker/worker-args.ts";
import type { RestingFile, WorkerControl } from "../worker/worker-control.ts";
import type { Handles } from "./handles.ts";
import type { WorkerState } from "./metrics.ts";

// limits:
/** How long a worker has to tell its facts. */
export const FACTS_TIMEOUT_MS = 2_000;
/** How long all workers may take to part from their clients. */
export const DRAIN_TIMEOUT_MS = 8_000;
/** How long a worker may take to sync and end. */
export const STOP_TIMEOUT_MS = 10_000;

export interface WorkersOptions {
  /** What a worker is given to begin with, each time it is born; may come after its thread is up. */
  readonly birth: (worker: number) => Promise<WorkerBirth>;
  readonly handles: Handles;
  readonly threads: ThreadOptions;
  /** The first ones, if they come up already. */
  readonly born?: readonly WorkerThread[];
  reported(worker: number, report: WorkerReport): void;
  /** A worker ended; it is restarted unless that happens too often. */
  down(worker: number, reason: CoterieError): void;
  /** Workers end again and again: the node must stop. */
  crashLoop(reason: CoterieError): void;
}

/** A worker's state with what is wrong, for people. */
export interface WorkerView extends WorkerState {
  readonly problem: string | undefined;
}

interface Slot {
  state: WorkerState["state"];
  restarts: number;
  problem: string | undefined;
  control: Control<WorkerControl> | undefined;
}

export class Workers {
  readonly #options: WorkersOptions;
  readonly #host: WorkerHost;
  readonly #slots: readonly Slot[];

  constructor(options: WorkersOptions) {
    const { threads, born, birth, handles } = options;
    this.#options = options;
    this.#slots = Array.from({ length: threads.workers }, () => {
      return { state: "starting", restarts: 0, problem: undefined, control: undefined };
    });
    this.#host = new WorkerHost({
      ...threads,
      ...(born === undefined ? {} : { threads: born }),
      args: birth,
      portOptions: (worker) => ({
        onMessage: (kind, id, buffer, start, end) => {
          if (isHandleMessage(kind)) handles.serve(kind, id, buffer, start, end);
          else if (kind === MESSAGE_REPORT) this.#reported(worker, buffer.subarray(start, end));
        },
        onBatchEnd: () => {
          handles.portMoved(worker);
          this.#host.ports[worker]?.flush();
        },
      }),
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      onWorkerUp: (worker, port) => {
        const slot = this.#slot(worker);
        const waiting = { timers: systemTimers, timeoutMs: DRAIN_TIMEOUT_MS };
        slot.control = wrapControl<WorkerControl>(port, waiting);
        slot.state = "ready";
        slot.problem = undefined;
        handles.workerUp();
      },
      onWorkerDown: (worker, reason) => this.#down(worker, reason),
      onCrashLoop: (reason) => options.crashLoop(reason),
    });
    handles.attach(this.#host.ports, (worker) => this.#host.isReady(worker));
  }

  /** Resolves once every worker serves. */
  start(): Promise<void> {
    return this.#host.start();
  }

  #slot(worker: number): Slot {
    return this.#slots[worker] as Slot;
  }

  #down(worker: number, reason: CoterieError): void {
    const slot = this.#slot(worker);
    slot.state = "down";
    slot.restarts++;
    slot.problem = reason.message;
    slot.control = undefined;
    const text = `${reason.message}; what was sent to it and not answered may or may not have happened`;
    const unknown = new CoterieError("UNKNOWN_OUTCOME", text, { cause: reason });
    this.#options.handles.workerDown(worker, unknown);
    this.#options.down(worker, reason);
  }

  #reported(worker: number, bytes: Buffer): void {
    const unpacked = unpack(bytes);
    if (unpacked.kind === "value") this.#options.reported(worker, unpacked.value as WorkerReport);
  }

  /** Why the workers do not all serve; undefined: they do. */
  get whyNotReady(): string | undefined {
    const reasons = this.#slots.flatMap(({ state, problem }, worker) => {
      if (state === "ready") return [];
      if (state === "starting") return [`worker ${worker} is recovering its partitions`];
      return [`worker ${worker} is down and restarts: ${problem ?? "no reason known"}`];
    });
    return reasons.length === 0 ? undefined : reasons.join("\n");
  }

  /** Every worker's state, with the facts of those that answer in time. */
  states(): Promise<WorkerView[]> {
    return Promise.all(
      this.#slots.map(async ({ state, restarts, problem, control }, index): Promise<WorkerView> => {
        const view = { index, state, restarts, facts: undefined, problem };
        if (control === undefined) return view;
        const answer = control.call("facts").catch((error: Error) => error.message);
        const facts = await Promise.race([answer, after(FACTS_TIMEOUT_MS)]);
        if (typeof facts === "object") return { ...view, facts };
        return { ...view, problem: facts ?? `no answer within ${FACTS_TIMEOUT_MS} ms` };
      }),
    );
  }

  /** A worker's files that rest on the disk; undefined: it does not say now. */
  async resting(worker: number): Promise<readonly RestingFile[] | undefined> {
    return this.#slot(worker)
      .control?.call("resting")
      .catch(() => undefined);
  }

  /** Makes a worker write anew what a damaged file holds, if it is there. */
  async replaceFile(worker: number, name: string): Promise<void> {
    await this.#slot(worker)
      .control?.call("replace", name)
      .catch(() => undefined);
  }

  /**
   * Parts from all clients, then syncs and ends the threads. Rejects if what was acknowledged may
   * not be durable.
   */
  async stop(): Promise<void> {
    // First all of them answer what is in flight: it may need the others.
    await Promise.allSettled(this.#slots.map(({ control }) => control?.call("drain")));
    const { forced, failed } = await this.#host.stop(STOP_TIMEOUT_MS);
    if (failed[0] !== undefined) throw failed[0];
    if (forced.length === 0) return;
    const message = `worker ${forced.join(", ")} did not stop within ${STOP_TIMEOUT_MS} ms and was ended: what was acknowledged with a durability other than always may not be on the disk`;
    throw new CoterieError("TIMEOUT", message, { detail: { workers: forced } });
  }
}

function after(ms: number): Promise<undefined> {
  return new Promise((resolve) => void systemTimers.after(ms, () => resolve(undefined)));
}
