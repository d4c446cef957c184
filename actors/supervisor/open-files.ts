/**
 * How many clients there is room for, by the files and connections that this process may have open:
 * past that limit a worker could not open its journal's next file.
 */
import { CoterieError } from "../../runtime/base/errors.ts";
import type { NodeConfig } from "../../runtime/config.ts";

// limits:
/** What a node has open beside its clients: its threads' own, the admin port's connections … */
export const NODE_FILES = 128;
/** … and each worker: journals, snapshots, ports. */
export const WORKER_FILES = 24;

/** A configuration with no more clients than there is room for; `warning`: there is for fewer. */
export function withinOpenFiles(
  config: NodeConfig,
  filesMax: number,
): { config: NodeConfig; warning?: string } {
  const { clients, workers } = config;
  const own = NODE_FILES + WORKER_FILES * workers;
  const max = filesMax - own;
  if (max >= clients.max) return { config };
  const limit = `this process may have ${filesMax} files and connections open (ulimit -n)`;
  if (max < 1) {
    const message = `${limit}, and a node of ${workers} workers needs ${own + 1}: raise it, or give fewer --workers`;
    throw new CoterieError("CONFIG_INVALID", message);
  }
  const warning = `${limit}: ${max} clients can be connected, not the ${clients.max} of clients.max; raise it for more`;
  return { config: { ...config, clients: { ...clients, max } }, warning };
}
