/**
 * Snapshots as the worker takes them: in slices, whatever state a vnode is in.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Vnode } from "../../../actors/vnode/vnode.ts";
import {
  Snapshots,
  type SnapshotsOptions,
  type TakenSnapshot,
} from "../../../actors/worker/snapshots.ts";
import type { WorkerLog } from "../../../actors/worker/worker-log.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { HLC_EPOCH_MS } from "../../model/harness.ts";
import { VnodeReplica } from "../../model/vnode-replica.ts";
import { setStrings } from "../../support/partitions.ts";
import { vnodeMaker } from "../../support/vnode-maker.ts";
import { FOLDER, newDisk } from "../storage/support.ts";

const NOW = HLC_EPOCH_MS + 1_000_000;
const ELEMENTS = 3000;

function replica(seed: number): VnodeReplica {
  return new VnodeReplica({ name: "r", random: seeded(seed), siblingsMax: 4, graceMs: 1000 }, {});
}

/** Three vnodes and their snapshots, of which none is due by itself. */
async function three(told: Pick<SnapshotsOptions, "isRoomShort" | "taken" | "failed">) {
  const disk = await newDisk();
  const make = vnodeMaker({ append: () => undefined } as unknown as WorkerLog, seeded(1));
  const vnodes = [1, 2, 3].map(make);
  const snapshots = new Snapshots({
    ...told,
    fs: disk.mount(),
    folder: FOLDER,
    clock: new ManualClock(NOW),
    config: { logBytesMin: 1_000_000 },
    find: (id) => vnodes[id - 1],
    pause: () => Promise.resolve(),
  });
  return { disk, vnodes, snapshots };
}

test("a snapshot waits for the slices of a pass before it begins", async () => {
  const [at, left, right] = [replica(1), replica(2), replica(3)];
  const cell = (i: number) => ({ key: "key", type: "set", element: `m${i}` }) as const;
  const sets = Array.from({ length: ELEMENTS }, (_, i) => {
    return { kind: "set", cell: cell(i), type: "set", value: "" } as const;
  });
  at.deliver(left.mutate(sets, NOW).op);
  at.deliver(right.mutate(sets.slice(0, 1), NOW).op);
  const clear = left.mutate([{ kind: "clear", key: "key" }], NOW).op as { bytes: Buffer };
  at.partition.deliver(clear.bytes);
  const { table } = at.partition;
  const taken: TakenSnapshot[] = [];
  let slicesUnderCut = 0;
  const snapshots = new Snapshots({
    fs: (await newDisk()).mount(),
    folder: FOLDER,
    clock: new ManualClock(NOW),
    config: { logBytesMin: 1 },
    find: () => at.vnode,
    pause: () => {
      if (table.hasCuts) slicesUnderCut++;
      return Promise.resolve();
    },
    isRoomShort: () => false,
    taken: async (more) => void taken.push(...more),
    failed: (error) => {
      throw error;
    },
  });
  snapshots.want(at.vnode);
  await snapshots.idle();

  assert.equal(taken[0]?.sequence, at.partition.sequence);
  assert.ok(slicesUnderCut > 3, `${slicesUnderCut} slices`);
});

test("where room is short, the manifest names each snapshot before the next one is taken", async () => {
  let isShort = false;
  let batches: number[] = [];
  const { vnodes, snapshots } = await three({
    isRoomShort: () => isShort,
    taken: async (more) => void batches.push(more.length),
    failed: (error) => {
      throw error;
    },
  });
  for (const short of [false, true]) {
    isShort = short;
    batches = [];
    for (const vnode of vnodes) {
      setStrings(vnode.partition, [["key", "value"]]);
      snapshots.want(vnode);
    }
    await snapshots.idle();
    assert.deepEqual(batches, short ? [1, 1, 1] : [3]);
  }
});

test("a disk that takes no snapshot is told once a round, and damaged ones are tried again", async () => {
  const taken: number[] = [];
  let failures = 0;
  const { disk, vnodes, snapshots } = await three({
    isRoomShort: () => false,
    taken: async (more) => void taken.push(...more.map(({ vnodeId }) => vnodeId)),
    failed: () => void failures++,
  });
  disk.fault = ({ kind }) => (kind === "create" ? "ENOENT" : undefined);
  for (const vnode of vnodes) {
    setStrings(vnode.partition, [["key", "value"]]);
    snapshots.want(vnode);
  }
  snapshots.renew(vnodes[2] as Vnode);
  await snapshots.idle();
  assert.equal(failures, 1);

  disk.fault = () => undefined;
  snapshots.wantDue(vnodes);
  await snapshots.idle();
  assert.deepEqual([failures, taken], [1, [3]]);
  snapshots.wantDue(vnodes);
  await snapshots.idle();
  assert.deepEqual(taken, [3]);
});

test("names last before a manifest may name them, and what no sync proves is taken anew", async () => {
  const calls: string[] = [];
  const errors: unknown[] = [];
  let isShort = false;
  const { disk, vnodes, snapshots } = await three({
    isRoomShort: () => isShort,
    taken: async (more) => void calls.push(`named ${more.length}`),
    failed: (error) => void errors.push(error),
  });
  const failing = ({ kind }: { kind: string }) => (kind === "syncFolder" ? "EIO" : undefined);
  for (const short of [false, true]) {
    isShort = short;
    disk.fault = failing;
    for (const vnode of vnodes) {
      setStrings(vnode.partition, [["key", "value"]]);
      snapshots.want(vnode);
    }
    await snapshots.idle();
    assert.equal(calls.length, 0);
    assert.match(String(errors[0]), /^CoterieError: cannot sync .*EIO/);
    disk.fault = ({ kind }) => {
      if (kind === "rename" || kind === "syncFolder") calls.push(kind);
      return undefined;
    };
    // Nothing was written since.
    snapshots.wantDue(vnodes);
    await snapshots.idle();
    const one = ["rename", "syncFolder", "named 1"];
    const all = ["rename", "rename", "rename", "syncFolder", "named 3"];
    assert.deepEqual(calls.splice(0), short ? [...one, ...one, ...one] : all);
  }
});
