/**
 * The main thread's side of the workers: starts them, joins all threads in a full mesh of batch
 * ports, restarts what dies and stops everything with a deadline.
 *
 * Invariant: when a worker dies, its peers are told (`peerDied`) before its successor exists, and
 * get a fresh port for the successor; no message of the dead one is mixed with the new one's.
 * A worker that dies more often than the policy allows is not started again, unless the disk is full.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { RestartPolicy } from "../actor/supervision.ts";
import { RESTART_POLICY, RestartWindow } from "../actor/supervision.ts";
import { assert } from "../base/assert.ts";
import type { Clock, Timers } from "../base/clock.ts";
import { CoterieError } from "../base/errors.ts";
import type { Random } from "../base/prng.ts";
import type { BatchPortOptions } from "./batch-port.ts";
import { BatchPort } from "./batch-port.ts";
import { newThreads, type ThreadOptions, WorkerThread } from "./worker-thread.ts";

export interface WorkerHostOptions extends ThreadOptions {
  /** The first threads, if they come up already; made with the same options. */
  readonly threads?: readonly WorkerThread[];
  /**
   * Structured-cloneable; what worker `index` finds as `args`. Asked at each birth: a thread comes up
   * while they are still being found. Nobody begins if they never are; a worker for which they cannot
   * be found ends for that reason.
   */
  readonly args: (index: number) => Promise<unknown>;
  readonly portOptions: (worker: number) => BatchPortOptions;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly policy?: Partial<RestartPolicy>;
  /** A worker is ready, for the first time or again; `control` is its fresh control port. */
  readonly onWorkerUp?: (index: number, control: MessagePort) => void;
  /** A worker ended; everything outstanding with it is unknown. Not of a host that has failed. */
  readonly onWorkerDown?: (index: number, reason: CoterieError) => void;
  /** A worker ended too often, or cannot start again: the node must stop. Called once. */
  readonly onCrashLoop: (reason: CoterieError) => void;
}

/** Which workers had to be ended by force, and why others failed while they stopped. */
export interface StopResult {
  readonly forced: readonly number[];
  readonly failed: readonly CoterieError[];
}

interface Slot {
  worker: WorkerThread | undefined;
  /** The worker has what it begins with. */
  begun: boolean;
  ready: boolean;
  /** What the worker said or did last before its end. */
  reason: CoterieError | undefined;
  readonly window: RestartWindow;
}

export class WorkerHost {
  /** This thread's port to each worker; the objects stay over restarts. */
  readonly ports: readonly BatchPort[];
  readonly #options: WorkerHostOptions;
  readonly #slots: readonly Slot[];
  #phase: "new" | "starting" | "running" | "failed" | "stopping" = "new";
  #onStarted: ((failure: CoterieError | undefined) => void) | undefined;
  #onExit: (() => void) | undefined;
  readonly #failedStops: CoterieError[] = [];

  constructor(options: WorkerHostOptions) {
    assert(options.workers >= 1, "a node has at least one worker");
    const policy = { ...RESTART_POLICY, ...options.policy };
    this.#options = options;
    const indexes = Array.from({ length: options.workers }, (_, index) => index);
    this.ports = indexes.map((index) => new BatchPort(options.portOptions(index)));
    this.#slots = indexes.map(() => ({
      worker: undefined,
      begun: false,
      ready: false,
      reason: undefined,
      window: new RestartWindow(policy),
    }));
  }

  /** Resolves once every worker is ready; rejects if one cannot start or crashes in a loop. */
  start(): Promise<void> {
    assert(this.#phase === "new", "a host is started once");
    this.#phase = "starting";
    return new Promise((resolve, reject) => {
      this.#onStarted = (failure) => (failure === undefined ? resolve() : reject(failure));
      this.#spawnAll();
    });
  }

  isReady(index: number): boolean {
    return this.#slot(index).ready;
  }

  /** Ends a worker at once, as a crash would: for tests and for the console's "kill". */
  async kill(index: number): Promise<void> {
    await this.#slot(index).worker?.terminate();
  }

  /**
   * Asks all workers to stop; ends by force those that have not after `deadlineMs`. Also after a
   * failed `start` and a crash loop.
   */
  async stop(deadlineMs: number): Promise<StopResult> {
    this.#phase = "stopping";
    this.#onStarted?.(new CoterieError("WORKER_DOWN", "the node was stopped while it started"));
    this.#onStarted = undefined;
    for (const { worker, begun } of this.#slots) {
      // Who has not begun has nothing to finish, and may not be up to hear of it.
      if (begun && worker) worker.send({ kind: "stop" });
      else void worker?.terminate();
    }
    await new Promise<void>((resolve) => {
      const deadline = this.#options.timers.after(deadlineMs, resolve);
      this.#onExit = () => {
        if (this.#slots.some((slot) => slot.worker !== undefined)) return;
        deadline.cancel();
        resolve();
      };
      this.#onExit();
    });
    const forced = this.#slots.flatMap((slot, index) => (slot.worker ? [index] : []));
    const failed = [...this.#failedStops];
    await Promise.all(this.#slots.map((slot) => slot.worker?.terminate()));
    return { forced, failed };
  }

  #spawnAll(): void {
    const threads = this.#options.threads ?? newThreads(this.#options);
    for (const [index, thread] of threads.entries()) this.#adopt(index, thread);
  }

  #respawn(index: number): void {
    if (this.#phase !== "running" && this.#phase !== "starting") return;
    const ports: (MessagePort | undefined)[] = new Array(this.#slots.length);
    this.#slots.forEach((peer, other) => {
      if (other === index || peer.worker === undefined) return;
      const { port1, port2 } = new MessageChannel();
      ports[other] = port1;
      peer.worker.send({ kind: "new peer", peer: index, port: port2 }, [port2]);
    });
    this.#adopt(index, new WorkerThread(this.#options, index, ports));
  }

  #adopt(index: number, worker: WorkerThread): void {
    const slot = this.#slot(index);
    slot.worker = worker;
    slot.begun = false;
    slot.reason = undefined;
    (this.ports[index] as BatchPort).attach(worker.main);
    this.#options
      .args(index)
      .then((args) => {
        worker.send({ kind: "begin", args });
        slot.begun ||= slot.worker === worker;
      })
      .catch((error: unknown) => {
        if (slot.worker !== worker) return;
        slot.reason = error instanceof CoterieError ? error : reasonOf(index, error);
        if (error instanceof CoterieError) this.#cannotStart(slot);
        void worker.terminate();
      });
    worker.lookAfter({
      message: (message) => {
        if (message.kind === "ready") {
          this.#workerReady(index, worker.control);
          return;
        }
        const { code, message: text, detail } = message;
        slot.reason = new CoterieError(code, text, { detail });
        this.#cannotStart(slot);
      },
      error: (error) => {
        slot.reason ??= reasonOf(index, error);
      },
      exit: (code) => {
        worker.control.close();
        this.#workerDown(index, code);
      },
    });
  }

  #workerReady(index: number, control: MessagePort): void {
    this.#slot(index).ready = true;
    this.#options.onWorkerUp?.(index, control);
    if (this.#phase !== "starting" || this.#slots.some((slot) => !slot.ready)) return;
    this.#phase = "running";
    this.#onStarted?.(undefined);
    this.#onStarted = undefined;
  }

  /** Trying again would not help: a bad folder, a port in use. */
  #cannotStart(slot: Slot): void {
    if (this.#phase === "starting" && slot.reason !== undefined) this.#giveUp(slot.reason);
  }

  #workerDown(index: number, code: number): void {
    const slot = this.#slot(index);
    const reason = slot.reason ?? exitReason(index, code);
    slot.worker = undefined;
    slot.ready = false;
    (this.ports[index] as BatchPort).peerDied();
    for (const peer of this.#slots) {
      peer.worker?.send({ kind: "peer died", peer: index });
    }
    if (this.#phase === "stopping") {
      if (code !== 0 && slot.begun) this.#failedStops.push(reason);
      this.#onExit?.();
      return;
    }
    // Nobody is brought back by a host that has failed; why it has, was said.
    if (this.#phase !== "running" && this.#phase !== "starting") return;
    if (reason.code === "DATA_FOLDER_FOREIGN") {
      // A successor would serve what is in the folder's place now.
      this.#giveUp(reason);
      return;
    }
    this.#options.onWorkerDown?.(index, reason);
    const { clock, random, timers } = this.#options;
    if (reason.code === "DISK_FULL") {
      // Space may come at any time, and the others serve: no number of tries is too many.
      timers.after(slot.window.delayMsMax, () => this.#respawn(index));
      return;
    }
    const verdict = slot.window.fail(clock.monotonicMs(), random);
    switch (verdict.kind) {
      case "restart":
        timers.after(verdict.delayMs, () => this.#respawn(index));
        return;
      case "give up":
        this.#giveUp(
          new CoterieError(
            "CRASH_LOOP",
            `worker ${index} ended ${verdict.failures} times in a row; last: ${reason.message}`,
            { detail: { worker: index, failures: verdict.failures }, cause: reason },
          ),
        );
    }
  }

  #giveUp(reason: CoterieError): void {
    const starting = this.#onStarted;
    this.#phase = "failed";
    this.#onStarted = undefined;
    if (starting !== undefined) starting(reason);
    else this.#options.onCrashLoop(reason);
  }

  #slot(index: number): Slot {
    const slot = this.#slots[index];
    assert(slot !== undefined, "a worker's index is below the number of workers");
    return slot;
  }
}

/** A worker's uncaught error in words that an operator can act on. */
function reasonOf(index: number, error: unknown): CoterieError {
  const detail = { worker: index };
  if (error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new CoterieError(
      "WORKER_DOWN",
      `worker ${index} ran out of JavaScript heap; values live outside of it, so this is a bug ` +
        "or a limit (resourceLimits) that is too small",
      { detail: { ...detail, outOfMemory: true }, cause: error },
    );
  }
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new CoterieError("WORKER_DOWN", `worker ${index} failed: ${what}`, {
    detail,
    cause: error,
  });
}

function exitReason(index: number, code: number): CoterieError {
  return new CoterieError("WORKER_DOWN", `worker ${index} ended by itself with exit code ${code}`, {
    detail: { worker: index, exitCode: code },
  });
}
