/**
 * The known name nearest to a misspelt one, for messages. Pure.
 */

/** Edits (insert, delete, replace, swap of neighbours) from one text to the other. */
export function editDistance(source: string, target: string): number {
  const width = target.length + 1;
  let before = new Array<number>(width).fill(0);
  let last = Array.from({ length: width }, (_, index) => index);
  for (let i = 1; i <= source.length; i++) {
    const row = [i];
    for (let j = 1; j < width; j++) {
      const same = source[i - 1] === target[j - 1];
      let edits = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      edits = Math.min(edits, (last[j - 1] ?? 0) + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && source[i - 1] === target[j - 2];
      if (swapped && source[i - 2] === target[j - 1]) {
        edits = Math.min(edits, (before[j - 2] ?? 0) + 1);
      }
      row.push(edits);
    }
    before = last;
    last = row;
  }
  return last[width - 1] ?? 0;
}

/** Longest name that is compared: a longer one is nobody's typing error. */
const NAME_LENGTH_MAX = 64;

/** The nearest of the names, if it is near enough to be meant. Case, dashes and dots count little. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  if (name.length > NAME_LENGTH_MAX) return undefined;
  const plain = (value: string) => value.toLowerCase().replaceAll(/[-_.\s]/g, "");
  const wanted = plain(name);
  let best: string | undefined;
  let bestEdits = Math.max(1, Math.ceil(wanted.length / 3)) + 1;
  for (const candidate of names) {
    const other = plain(candidate);
    const prefix = wanted.length >= 3 && (other.startsWith(wanted) || wanted.startsWith(other));
    const edits = prefix ? Math.min(1, editDistance(wanted, other)) : editDistance(wanted, other);
    if (edits < bestEdits) {
      best = candidate;
      bestEdits = edits;
    }
  }
  return best;
}
