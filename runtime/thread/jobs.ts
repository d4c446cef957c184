/**
 * Stateless jobs that the pool runs on its own threads, and the entry that those threads load.
 *
 * Invariant: what a job does depends on its cloneable arguments and on the files that they name, which
 * it only reads; no state, clock or randomness.
 */
import { uncachedFiles } from "../storage/files.ts";
import { type Verification, type VerifyArgs, verifyFile } from "../storage/verify.ts";

/** Every job by name. */
export const jobs = {
  /** Reads a file of the data folder again, as the disk has it, and checks it. */
  verify: (args: VerifyArgs): Promise<Verification> => verifyFile(uncachedFiles, args),
} as const;

export type Jobs = typeof jobs;
export type JobName = keyof Jobs;
export type JobArgs<Name extends JobName> = Parameters<Jobs[Name]>[0];
export type JobValue<Name extends JobName> = Awaited<ReturnType<Jobs[Name]>>;
