/** Vnodes over a worker's log, as a worker makes them: with a pool, a clock and writers of their own. */
import { Vnode } from "../../actors/vnode/vnode.ts";
import type { WorkerLog } from "../../actors/worker/worker-log.ts";
import { ManualClock } from "../../runtime/base/clock.ts";
import type { Random } from "../../runtime/base/prng.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";

const SLAB_BYTES = 4 * 1024 * 1024;

/** Makes vnodes by id, each under a new origin; none of their readers waits for a sync. */
export function vnodeMaker(log: WorkerLog, random: Random): (id: number) => Vnode {
  const shared = {
    pool: new SlabPool({ slabBytes: SLAB_BYTES }),
    hashKey: { high: 7, low: 7 },
    isAlone: true,
    clock: new HybridClock(new ManualClock()),
    writers: new OpWriters(),
    log,
    unsynced: null,
    lookups: { keyspaceHits: 0, keyspaceMisses: 0 },
    random,
  };
  return (id) => new Vnode({ id, origin: { high: random.u32(), low: random.u32() }, ...shared });
}
