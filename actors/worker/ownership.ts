/** Which worker has a vnode: fixed by the configuration, so every worker knows it of all. */
import { CoterieError } from "../../runtime/base/errors.ts";
import { workerOf } from "../../runtime/ring/slots.ts";
import { SYSTEM_KEYSPACE } from "../vnode/vnode-id.ts";
import type { WorkerArgs } from "./worker-args.ts";

/** Throws CONFIG_INVALID for a vnode of a keyspace that the configuration lacks. */
export function ownsVnode(
  { config, folder }: Pick<WorkerArgs, "config" | "folder">,
  worker: number,
  vnodeId: number,
): boolean {
  const { keyspaces, workers } = config;
  if (vnodeId >>> 16 === SYSTEM_KEYSPACE) return (vnodeId & 0xffff) % workers === worker;
  const keyspace = keyspaces[vnodeId >>> 16];
  if (keyspace === undefined) throw unknownKeyspace(vnodeId >>> 16, folder);
  return workerOf(vnodeId & 0xffff, keyspace.partitions, workers) === worker;
}

function unknownKeyspace(keyspace: number, folder: string): CoterieError {
  return new CoterieError(
    "CONFIG_INVALID",
    `the data folder ${folder} holds data of keyspace ${keyspace}, which the configuration does not ` +
      "have: add it again (keyspaces.count)",
    { detail: { path: folder, keyspace } },
  );
}
