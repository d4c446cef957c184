/** How the workers' recoveries went that a node's start waits for. */
import type { RecoverySummary } from "../node-api.ts";
import type { WorkerReport } from "../worker/worker-args.ts";

export class Recoveries {
  /** Resolves when every worker has recovered. */
  readonly done: Promise<void>;
  readonly #resolve: () => void;
  #left: number;
  #summary: RecoverySummary = { durationMs: 0, keys: 0, ops: 0, tornBytes: 0 };

  constructor(workers: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#left = workers;
  }

  get summary(): RecoverySummary {
    return this.#summary;
  }

  add({ keys, ops, tornBytes }: WorkerReport & { kind: "recovered" }): void {
    if (this.#left === 0) return; // a worker that came back
    const { durationMs, ...sum } = this.#summary;
    this.#summary = {
      durationMs,
      keys: sum.keys + keys,
      ops: sum.ops + ops,
      // Every worker is told of all files of earlier boots, so each counts the same bytes.
      tornBytes: Math.max(sum.tornBytes, tornBytes),
    };
    if (--this.#left === 0) this.#resolve();
  }

  /** The node serves, this long after its start began. */
  took(durationMs: number): void {
    this.#summary = { ...this.#summary, durationMs };
  }
}
