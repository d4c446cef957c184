/**
 * Whether a worker's data may take more memory: its share of the node's limit, what blocks between
 * others leave unused included, and the slabs that refs can name.
 *
 * Values of many sizes that come and go leave holes that nothing fits in: the memory that is taken
 * from the system is more than what is used. It is bounded, too, or the system would end the node.
 */
import type { NodeConfig } from "../../runtime/config.ts";
import { SLAB_BYTES_MAX, type SlabPool } from "../../runtime/table/slab-pool.ts";

// limits:
/** Memory taken from the system, as a part of the limit, and beside that. */
const RESERVED_PART_MAX = 1.25;
const RESERVED_BYTES_BESIDE = 2 * SLAB_BYTES_MAX;
/** Slabs kept for the command that comes last. */
const SLABS_LEFT_MIN = 16;

export class MemoryLimit {
  readonly #pool: SlabPool;
  /** Bytes of data that this worker may hold. */
  bytesMax: number;

  constructor(pool: SlabPool, { memory, workers }: Pick<NodeConfig, "memory" | "workers">) {
    this.#pool = pool;
    this.bytesMax = memory.bytesMax / workers;
  }

  /** Commands that need memory are refused. */
  get isReached(): boolean {
    const { bytesUsed, bytesReserved, slabsLeft } = this.#pool;
    return (
      bytesUsed > this.bytesMax ||
      bytesReserved > this.bytesMax * RESERVED_PART_MAX + RESERVED_BYTES_BESIDE ||
      slabsLeft < SLABS_LEFT_MIN
    );
  }
}
