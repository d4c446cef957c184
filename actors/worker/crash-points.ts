/**
 * Ends the process at a chosen point of a transaction over several workers: for tests only, by
 * COTERIE_TEST_COMMANDS=1 and COTERIE_TEST_CRASH_POINT=logged:7 (the seventh time).
 */
import type { CrashPoint } from "../gateway/cross-worker.ts";

/** What is to be told of points; undefined: no test asks for it. */
export function crashPoints(
  setting: string | undefined,
  isAllowed: boolean,
): ((point: CrashPoint) => void) | undefined {
  const [wanted, count] = (setting ?? "").split(":");
  if (!isAllowed || wanted === "" || count === undefined) return undefined;
  let left = Number(count);
  return (point) => {
    if (point === wanted && --left === 0) process.kill(process.pid, "SIGKILL");
  };
}
