/** Which Node runs Coterie. */

/** Oldest Node that does: its major version. */
const NODE_MAJOR_MIN = 24;

/** Why this Node cannot run Coterie, and what to do; null: it can. */
export function nodeRefusal({ versions, execPath }: NodeProcess): string | null {
  if (Number(versions.node.split(".")[0]) >= NODE_MAJOR_MIN) return null;
  return `needs Node ${NODE_MAJOR_MIN} or newer, this is ${versions.node} (${execPath}): install a newer Node`;
}

/** What it looks at of a process. */
type NodeProcess = Pick<NodeJS.Process, "execPath"> & { versions: { readonly node: string } };
