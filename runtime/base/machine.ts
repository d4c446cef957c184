/**
 * The machine as an argument. This file and no other asks how large it is.
 */
import { availableParallelism, totalmem } from "node:os";

export interface MachineFacts {
  readonly cores: number;
  /** The machine's memory, or the container's limit if that is less. */
  readonly memoryBytes: number;
}

/** Facts of the machine that this process runs on. */
export function thisMachine(): MachineFacts {
  const limit = process.constrainedMemory();
  const memoryBytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return { cores: availableParallelism(), memoryBytes };
}
