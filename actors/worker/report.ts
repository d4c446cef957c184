/** What a worker says on stderr. */
import { type LogConfig, type LogEvent, logLine } from "../../runtime/base/log.ts";

export function writeReport(log: LogConfig, event: LogEvent): void {
  process.stderr.write(logLine(log, event));
}
