/**
 * The bounds that several files share or that users meet. Units last; each line says what it bounds
 * and why that much. A bound of one mechanism stands in its own file under `// limits:` (decision 0050).
 */

/** Redis Cluster's number of hash slots. */
export const SLOTS = 16384;
/** Partitions of a keyspace unless configured (a power of two). */
export const PARTITIONS_DEFAULT = 256;
/** Keyspaces = Redis databases that SELECT can pick. */
export const KEYSPACES_DEFAULT = 16;

/** Longest key, hash field, set member: they live in memory and in every index. */
export const KEY_BYTES_MAX = 65_535;
/** Largest value in bytes (Redis: 512 MB). */
export const VALUE_BYTES_MAX = 512 * 1024 * 1024;
/** Siblings of a cell with contexts before its coordinator refuses another (Riak's bound). */
export const SIBLINGS_MAX = 100;
/** Memory for data of a worker: three quarters of what its refs can name, the rest is for holes. */
export const WORKER_MEMORY_BYTES_MAX = 24 * 1024 ** 3;
/** Origins that a vnode's table can name: one a start of the actor. */
export const ORIGINS_MAX = 65_535;
/** Ops waiting for their past, a vnode. */
export const PARKED_OPS_MAX = 10_000;
/** Retry-safe calls that a vnode remembers. */
export const OP_IDS_MAX = 10_000;
