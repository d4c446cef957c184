/**
 * A pool of threads for stateless CPU jobs (compression, Merkle rebuilds, scrub): piscina behind a
 * small interface. The only importer of piscina.
 *
 * Invariants: no thread and no piscina before the first job; at most `queueMax` jobs wait, more
 * are refused as OVERLOADED; after `close` nothing runs.
 */
import type { Piscina } from "piscina";
import { CoterieError } from "../base/errors.ts";
import type { JobArgs, JobName, JobValue } from "./jobs.ts";

// limits:
/** Jobs waiting for a pool thread: each holds a chunk of memory. */
export const POOL_QUEUE_MAX = 64;
/** Pool threads without work end after this long. */
export const POOL_IDLE_MS = 5_000;

export interface PoolOptions {
  readonly threadsMax: number;
  readonly queueMax?: number;
}

export interface Pool {
  /** Runs a job on another thread; `transfer` moves buffers there instead of copying them. */
  run<Name extends JobName>(
    name: Name,
    args: JobArgs<Name>,
    transfer?: readonly ArrayBuffer[],
  ): Promise<JobValue<Name>>;
  /** Refuses new jobs, finishes the running ones, drops the waiting ones, ends the threads. */
  close(): Promise<void>;
}

/** What `pool-entry` gets. */
export interface JobCall {
  readonly name: JobName;
  readonly args: unknown;
}

/** A pool that costs nothing before its first job. */
export function createPool(options: PoolOptions): Pool {
  let started: Promise<Piscina<JobCall, unknown>> | undefined;
  let closed = false;
  return {
    async run(name, args, transfer = []) {
      if (closed) throw poolClosed(name);
      started ??= startPool(options);
      const pool = await started;
      if (closed) throw poolClosed(name);
      try {
        const value = await pool.run({ name, args }, { transferList: [...transfer] });
        return value as JobValue<typeof name>;
      } catch (error) {
        throw failure(name, error);
      }
    },
    async close() {
      closed = true;
      const pool = await started;
      await pool?.close({ force: true });
    },
  };
}

async function startPool(options: PoolOptions): Promise<Piscina<JobCall, unknown>> {
  const { Piscina } = await import("piscina");
  // .ts in a checkout, .js in the published package.
  const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  return new Piscina<JobCall, unknown>({
    filename: new URL(`./pool-entry${extension}`, import.meta.url).href,
    name: "runJob",
    minThreads: 0,
    maxThreads: options.threadsMax,
    maxQueue: options.queueMax ?? POOL_QUEUE_MAX,
    idleTimeout: POOL_IDLE_MS,
  });
}

/** A job's value in the form that moves its buffers out of the pool thread. */
export async function movable(value: unknown, transfer: readonly ArrayBuffer[]): Promise<unknown> {
  const { move, transferableSymbol, valueSymbol } = await import("piscina");
  // Piscina types its symbols as plain ones, which no object type can name.
  return move({ [transferableSymbol]: [...transfer], [valueSymbol]: value } as never);
}

function poolClosed(name: string): CoterieError {
  return new CoterieError("WORKER_DOWN", `the pool was closed before the job ${name} was done`, {
    detail: { job: name },
  });
}

function failure(name: string, error: unknown): CoterieError {
  const why = error instanceof Error ? error.message : String(error);
  if (why === "Task queue is at limit") {
    const message = `the job ${name} was refused: too many jobs wait; try again later`;
    return new CoterieError("OVERLOADED", message, { detail: { job: name } });
  }
  if (error instanceof Error && error.name === "AbortError") return poolClosed(name);
  return new CoterieError("WORKER_DOWN", `the job ${name} failed: ${why}`, {
    detail: { job: name },
    cause: error,
  });
}
