/** Namespaces of its own for a process: a disk that is full, another container. */
import { spawnSync } from "node:child_process";

/** Whether this user may have those that `unshare` takes these flags for, and mount in them. */
export function mayUnshare(flags: string): boolean {
  return spawnSync("unshare", [flags, "sh", "-c", "mount -t tmpfs tmpfs /tmp"]).status === 0;
}
