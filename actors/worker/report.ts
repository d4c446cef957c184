/** What a worker says on stderr: one line of JSON an event. */

export function writeReport(facts: object): void {
  process.stderr.write(`${JSON.stringify(facts, reportError)}\n`);
}

function reportError(_key: string, value: unknown): unknown {
  return value instanceof Error ? { message: value.message, stack: value.stack } : value;
}
