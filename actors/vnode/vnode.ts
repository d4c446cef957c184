/**
 * One replica of one partition: the only reader and writer of its table and its part of the log.
 *
 * A command runs in one turn: it reads the table, changes it through one op, and the op goes into
 * the worker's journal in the same turn; the reply leaves when the journal holds the op to the
 * keyspace's durability.
 *
 * Invariant: replaying snapshot and log rebuilds exactly this table.
 */

import type { HashKey } from "../../runtime/base/hash.ts";
import type { Random } from "../../runtime/base/prng.ts";
import type { HybridClock } from "../../runtime/causality/hlc.ts";
import type { OpWriters } from "../../runtime/causality/op.ts";
import type { MemoryTable } from "../../runtime/table/memory-table.ts";
import { type OpSink, Partition } from "../../runtime/table/partition.ts";
import type { SlabPool } from "../../runtime/table/slab-pool.ts";
import { KeyAccess } from "./key-access.ts";
import type { Lookups, Place, UnsyncedKeys } from "./open-key.ts";

/** Where a vnode's ops go. */
export interface VnodeLog {
  /** Takes an op into the running turn's frame. Throws if it cannot: the vnode restarts. */
  append(vnodeId: number, sequence: number, op: Buffer, start: number, end: number): void;
}

export interface VnodeOptions {
  /** keyspace · 65536 + partition. */
  readonly id: number;
  readonly pool: SlabPool;
  readonly hashKey: HashKey;
  readonly origin: { readonly high: number; readonly low: number };
  /** See PartitionOptions. */
  readonly isAlone?: boolean;
  readonly clock: HybridClock;
  readonly writers: OpWriters;
  readonly log: VnodeLog;
  /** For commands that pick elements (SPOP). */
  readonly random: Random;
  /** Null where no reader ever waits for a sync (durability interval and os). */
  readonly unsynced: UnsyncedKeys | null;
  /** Counts reads. */
  readonly lookups: Lookups;
}

export class Vnode implements OpSink, Place {
  readonly id: number;
  readonly partition: Partition;
  readonly table: MemoryTable;
  readonly unsynced: UnsyncedKeys | null;
  readonly lookups: Lookups;
  readonly random: Random;
  /** Bytes of ops appended since the last snapshot. */
  logBytes = 0;
  /** Sequence of the last op that a snapshot holds. */
  snapshotSequence = 0;
  /** Bytes of the table when that was taken; 0: there is none. */
  snapshotTableBytes = 0;
  /** A sweep has something to look at (see sweep.ts). */
  sweepCursor = 0;
  readonly #log: VnodeLog;
  #key: KeyAccess | null = null;

  constructor(options: VnodeOptions) {
    this.id = options.id;
    this.partition = new Partition({ ...options, sink: this });
    this.table = this.partition.table;
    this.#log = options.log;
    this.unsynced = options.unsynced;
    this.lookups = options.lookups;
    this.random = options.random;
  }

  /** For the partition: an op goes into the log. */
  take(op: Buffer, start: number, end: number): void {
    this.logBytes += end - start;
    this.#log.append(this.id, this.partition.sequence, op, start, end);
  }

  /** Access of its own, for who looks at keys of several partitions at a time. */
  get key(): KeyAccess {
    this.#key ??= new KeyAccess(this, this.random);
    return this.#key;
  }

  get opsSinceSnapshot(): number {
    return this.partition.sequence - this.snapshotSequence;
  }

  get keyspace(): number {
    return this.id >>> 16;
  }

  get partitionNumber(): number {
    return this.id & 0xffff;
  }
}
