/** The threads of a node's workers; loads nothing else, so that they come up while the rest is loaded. */
import type { NodeConfig } from "../../runtime/config.ts";
import {
  newThreads,
  type ThreadOptions,
  type WorkerThread,
} from "../../runtime/thread/worker-thread.ts";

export function threadOptions({ workers, memory }: NodeConfig): ThreadOptions {
  const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  const mebibytes = memory.youngGenerationBytes / 1_048_576;
  return {
    entry: new URL(`../worker/worker${extension}`, import.meta.url),
    workers,
    resourceLimits: { maxYoungGenerationSizeMb: Math.ceil(mebibytes) },
  };
}

/** Threads for `startNode`. */
export function bearThreads(config: NodeConfig): WorkerThread[] {
  return newThreads(threadOptions(config));
}
