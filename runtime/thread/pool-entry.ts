/** What a pool thread loads: runs one job by name. */
import type { JobArgs, JobName } from "./jobs.ts";
import { jobs } from "./jobs.ts";
import type { JobCall } from "./pool.ts";

/** Called by piscina with what `Pool.run` was given. */
export function runJob(call: JobCall): unknown {
  return jobs[call.name](call.args as JobArgs<JobName>);
}
