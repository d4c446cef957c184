/**
 * Waits for what has no event to wait for: asks again and again, without sleeping, for a bounded
 * time.
 */

const UNTIL_TIMEOUT_MS = 30_000;

/** Resolves with the first answer that is not undefined; an ask that throws has no answer yet. */
export async function until<T>(ask: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const end = Date.now() + UNTIL_TIMEOUT_MS;
  let last: unknown;
  while (Date.now() < end) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    await new Promise((next) => setImmediate(next));
  }
  throw new Error("what was waited for did not come in time", { cause: last });
}
