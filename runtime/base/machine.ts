/**
 * The machine as an argument. This file and no other asks how large it is.
 */
import { availableParallelism, totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";

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

/** How many files and connections this process may have open at once (ulimit -n). */
export function openFilesMax(): number {
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft: number | "unlimited" } };
  };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === "number" ? soft : Number.POSITIVE_INFINITY;
}

/** What the JavaScript heap of this thread may grow to. */
export function heapBytesMax(): number {
  return getHeapStatistics().heap_size_limit;
}
