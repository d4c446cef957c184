/**
 * What a pool thread loads: runs one job by name.
 *
 * Invariant: results leave by transfer, not by copy.
 */
import type { JobArgs, JobName } from "./jobs.ts";
import { jobs } from "./jobs.ts";
import type { JobCall } from "./pool.ts";
import { movable } from "./pool.ts";

/** Called by piscina with what `Pool.run` was given. */
export async function runJob(call: JobCall): Promise<unknown> {
  const { value, transfer } = jobs[call.name](call.args as JobArgs<JobName>);
  return movable(value, transfer);
}
