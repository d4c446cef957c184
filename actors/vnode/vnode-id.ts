/** Ids of vnodes: 32 bits, | keyspace: 16 | partition: 16 |. */

/** The keyspace of what the node keeps for itself; no client can select it. */
export const SYSTEM_KEYSPACE = 0xffff;

/** The id of a partition's vnode on this node. */
export function vnodeId(keyspace: number, partition: number): number {
  return keyspace * 65536 + partition;
}
