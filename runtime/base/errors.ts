/**
 * Operating errors at an edge: a closed set of codes, each with one heading in docs/errors.md.
 * Only `code` is matched by callers; `message` says what, why and what to do.
 */

/** What the caller can do: try again, go elsewhere, change something, or tell us. */
export type Remedy = "retry" | "redirect" | "fix" | "report";

const REMEDIES = {
  NODE_TOO_OLD: "fix",
  CONFIG_INVALID: "fix",
  CONFIG_UNREADABLE: "fix",
  PORT_IN_USE: "fix",
  DATA_FOLDER_IN_USE: "fix",
  DATA_FOLDER_UNREADABLE: "fix",
  DATA_FOLDER_FOREIGN: "fix",
  DISK_READ_ONLY: "fix",
  DISK_FULL: "fix",
  DISK_FAILED: "report",
  CORRUPT: "report",
  FORMAT_UNKNOWN: "fix",
  OVERLOADED: "retry",
  TIMEOUT: "retry",
  UNKNOWN_OUTCOME: "retry",
  ACTOR_DOWN: "retry",
  WORKER_DOWN: "retry",
  CRASH_LOOP: "report",
  NODE_UNREACHABLE: "retry",
  COMMAND_FAILED: "fix",
} as const satisfies Record<string, Remedy>;

export type ErrorCode = keyof typeof REMEDIES;

/** An operating error. `detail` carries machine-readable facts (paths, ports, offsets). */
export class CoterieError extends Error {
  override readonly name = "CoterieError";
  readonly code: ErrorCode;
  readonly remedy: Remedy;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { detail?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = REMEDIES[code];
    this.detail = options.detail ?? {};
  }
}

/** Every code with its remedy, for the docs test. */
export const errorCodes: Readonly<Record<ErrorCode, Remedy>> = REMEDIES;
