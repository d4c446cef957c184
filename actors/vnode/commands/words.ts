/** Commands as words: for commands that are made of others (`Apart`). */

/** The words of a command: not all of a million elements, which are too many arguments. */
export function words(...parts: readonly (string | Buffer)[]): Buffer[] {
  return parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part));
}
