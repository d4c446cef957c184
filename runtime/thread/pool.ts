/**
 * A pool of threads for stateless jobs (scrub; later Merkle rebuilds and backups): piscina behind a
 * small interface. The only importer of piscina.
 *
 * Invariants: no thread and no piscina before the first job; at most `queueMax` jobs wait, more
 * are refused as OVERLOADED; a job that is late is ended with its thread; after `close` nothing runs.
 */
import type { Piscina } from "piscina";
import { CoterieError } from "../base/errors.ts";
import type { JobArgs, JobName, JobValue } from "./jobs.ts";

// limits:
/** Jobs waiting for a pool thread. */
export const POOL_QUEUE_MAX = 64;
/** Pool threads without work end after this long. */
export const POOL_IDLE_MS = 5_000;

export interface PoolOptions {
  readonly threadsMax: number;
  readonly queueMax?: number;
  /** Longest time from `run` to a job's end. */
  readonly timeoutMs: number;
}

export interface Pool {
  /** Runs a job on another thread. */
  run<Name extends JobName>(name: Name, args: JobArgs<Name>): Promise<JobValue<Name>>;
  /** Refuses new jobs, ends the threads; what runs or waits fails. */
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
  let open = 0;
  // Piscina's own bound leaves out jobs with a deadline.
  const openMax = options.threadsMax + (options.queueMax ?? POOL_QUEUE_MAX);
  const run = async (call: JobCall): Promise<unknown> => {
    const { name } = call;
    started ??= startPool(options);
    const pool = await started;
    if (closed) throw poolClosed(name);
    const signal = AbortSignal.timeout(options.timeoutMs);
    try {
      return await pool.run(call, { signal });
    } catch (error) {
      if (closed) throw poolClosed(name);
      throw signal.aborted ? late(name, options.timeoutMs) : failure(name, error);
    }
  };
  return {
    async run(name, args) {
      if (closed) throw poolClosed(name);
      if (open >= openMax) throw overloaded(name);
      open++;
      try {
        return (await run({ name, args })) as JobValue<typeof name>;
      } finally {
        open--;
      }
    },
    async close() {
      closed = true;
      // One that could not be started has told its jobs so.
      const pool = await started?.catch(() => undefined);
      await pool?.destroy();
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
    idleTimeout: POOL_IDLE_MS,
  });
}

function late(name: string, timeoutMs: number): CoterieError {
  return new CoterieError("TIMEOUT", `the job ${name} did not end within ${timeoutMs} ms`, {
    detail: { job: name },
  });
}

function overloaded(name: string): CoterieError {
  const message = `the job ${name} was refused: too many jobs wait; try again later`;
  return new CoterieError("OVERLOADED", message, { detail: { job: name } });
}

function poolClosed(name: string): CoterieError {
  return new CoterieError("WORKER_DOWN", `the pool was closed before the job ${name} was done`, {
    detail: { job: name },
  });
}

function failure(name: string, error: unknown): CoterieError {
  const why = error instanceof Error ? error.message : String(error);
  return new CoterieError("WORKER_DOWN", `the job ${name} failed: ${why}`, {
    detail: { job: name },
    cause: error,
  });
}
