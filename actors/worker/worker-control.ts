/**
 * What the main thread may call of a worker, over its control port: rare calls, each with a
 * deadline there. Declared apart from the worker, so that both threads import the same type.
 */
import type { WorkerFacts } from "./worker-facts.ts";

export type WorkerControl = {
  facts(): WorkerFacts;
  /** Accepts no more clients, answers what is in flight; resolves when no client is left. */
  drain(): Promise<void>;
};
