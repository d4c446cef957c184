/**
 * How the process ends, for scripts and service managers (sysexits where they have a word).
 */
import type { ErrorCode } from "../runtime/base/errors.ts";

export const EXIT_FAILED = 1;
/** `salvage`: done, and something is lost or may be. */
export const EXIT_LOSSES = 2;
/** The command line is wrong. */
export const EXIT_USAGE = 64;
/** A bug or a crash loop: the node ended by itself. */
export const EXIT_SOFTWARE = 70;
/** The configuration is wrong. */
export const EXIT_CONFIG = 78;

/** Code of an error that ended a command. */
export function exitCodeOf(code: ErrorCode): number {
  switch (code) {
    case "CONFIG_INVALID":
    case "CONFIG_UNREADABLE":
      return EXIT_CONFIG;
    case "CRASH_LOOP":
      return EXIT_SOFTWARE;
    default:
      return EXIT_FAILED;
  }
}
