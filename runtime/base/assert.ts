/**
 * Assertions for programmer errors: the actor that fails one dies and is restarted from its log.
 * Never caught, never used for input from outside.
 */

/** Thrown by `assert`: a bug in this process, not an operating error. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** States what must hold here. `message` says the rule in present tense. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Ends an exhaustive `switch`. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
