/**
 * What the main thread may call of a worker, over its control port: rare calls, each with a
 * deadline there. Declared apart from the worker, so that both threads import the same type.
 */
import type { WorkerFacts } from "./worker-facts.ts";

/** A snapshot, or a journal file that takes no more frames. */
export interface RestingFile {
  readonly name: string;
  /** Of a journal file: where its last frame ends. */
  readonly end: number;
}

export type WorkerControl = {
  facts(): WorkerFacts;
  /** Accepts no more clients, answers what is in flight; resolves when no client is left. */
  drain(): Promise<void>;
  /** The files that hold this worker's data and are not written any more. */
  resting(): RestingFile[];
  /** Such a file is damaged: makes it unneeded, from what is in memory. */
  replace(name: string): void;
};
