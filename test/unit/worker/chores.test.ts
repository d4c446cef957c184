/** What a worker does between turns, among many vnodes: nobody's share is left undone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Chores, type ChoresOptions } from "../../../actors/worker/chores.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { VnodeReplica } from "../../model/vnode-replica.ts";

const VNODES = 200;
const NEVER_MS = 3_600_000;

/** What happens to the first vnode before each slice, for so many turns; a look takes so long. */
interface Meanwhile {
  readonly turns: number;
  readonly lookMs: number;
  before(first: VnodeReplica, nowMs: number): void;
}

/** Chores over so many vnodes, each with as many keys with a TTL as a sweep looks at. */
function chores(meanwhile?: Meanwhile, isFree: (id: number) => boolean = () => true) {
  const clock = new ManualClock();
  const lookMs = meanwhile?.lookMs ?? 0.02;
  let looks = 0;
  const costly = {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs() + looks++ * lookMs,
  };
  const replicas = Array.from({ length: VNODES }, (_, i) => {
    const replica = new VnodeReplica(
      { name: `r${i}`, random: seeded(i), siblingsMax: 4, graceMs: 0 },
      {},
    );
    replica.vnode.partition.table.garbage.eagerItemsMax = 64;
    for (let k = 0; k < 100; k++) {
      replica.run({ argv: ["SET", `key${k}`, "v", "PX", String(NEVER_MS)] }, clock.now());
    }
    return replica;
  });
  const stats = { expiredKeys: 0, sample: () => undefined };
  const soon: (() => void)[] = [];
  let slices = 0;
  const options = {
    clock: costly,
    timers: clock,
    exchange: { expire: () => undefined },
    locks: { expire: () => undefined, isFree },
    snapshots: { wantDue: () => undefined },
    stats,
    limits: { idleTimeoutMs: 0, handshakeTimeoutMs: 0 },
    clients: new Map(),
    vnodes: () => replicas.map(({ vnode }) => vnode),
    isSweeping: () => true,
    soon: (run: () => void) => void soon.push(run),
    schedule: () => undefined,
    clean: () => undefined,
    interval: null,
  } as unknown as ChoresOptions;
  new Chores(options);
  /** Ticks, and the turns that follow each at once. */
  const ticks = (count: number) => {
    for (let i = 0; i < count; i++) {
      clock.advance(100);
      for (let run = soon.shift(); run !== undefined; run = soon.shift()) {
        if (slices++ === meanwhile?.turns) return;
        meanwhile?.before(replicas[0] as VnodeReplica, clock.now());
        run();
      }
    }
  };
  return { clock, replicas, stats, ticks, turns: () => slices };
}

const HASH = Buffer.from("hash");

/** Makes a hash of so many fields and clears it: they are left to be freed. */
function leaveGarbage(replica: VnodeReplica, fields: number, nowMs: number): void {
  const { partition } = replica;
  const names = Array.from({ length: fields }, (_, i) => [`field${i}`, "v"]);
  replica.run({ argv: ["HSET", "hash", ...names.flat()] }, nowMs);
  partition.begin();
  partition.writer.clear(HASH, 0, HASH.length);
  partition.mutations.clear(HASH, 0, HASH.length, partition.table.op.covers);
  partition.finish();
  assert.ok(!partition.table.garbage.isEmpty);
}

test("what a clear leaves is freed in every vnode, whatever has a TTL in the others", () => {
  const { replicas, clock, ticks } = chores();
  const some = replicas.filter((_, at) => at === 0 || at === VNODES / 2 || at === VNODES - 1);
  for (const replica of some) leaveGarbage(replica, 10_000, clock.now());
  ticks(1);
  for (const { partition } of some) assert.ok(partition.table.garbage.isEmpty);
});

test("a vnode in which there is always more to free leaves the others their share", () => {
  const busy = (replica: VnodeReplica, nowMs: number) => leaveGarbage(replica, 5_000, nowMs);
  const { replicas, clock, ticks } = chores({ turns: 20, lookMs: 1.1, before: busy });
  const last = replicas[VNODES - 1] as VnodeReplica;
  leaveGarbage(last, 10_000, clock.now());
  ticks(1);
  assert.ok(last.partition.table.garbage.isEmpty);
});

test("a slice frees as much as it has time for, also of one vnode", () => {
  const { replicas, clock, ticks, turns } = chores();
  leaveGarbage(replicas[7] as VnodeReplica, 50_000, clock.now());
  ticks(1);
  assert.ok((replicas[7] as VnodeReplica).partition.table.garbage.isEmpty);
  assert.ok(turns() <= 2, `${turns()} turns beside the first slice`);

  const slow = chores({ turns: 100, lookMs: 1.1, before: () => undefined });
  leaveGarbage(slow.replicas[7] as VnodeReplica, 10_000, slow.clock.now());
  slow.ticks(1);
  assert.ok(slow.turns() >= 4, `${slow.turns()} turns`);
});

test("a vnode in which ever more expires leaves the others their share", () => {
  // All that is set was gone long ago.
  const expire = (replica: VnodeReplica, keys: number, nowMs: number) => {
    for (let i = 0; i < keys; i++) {
      replica.run({ argv: ["SET", `gone${i}`, "v", "PX", "10"] }, nowMs - 10_000);
    }
  };
  const busy = (replica: VnodeReplica, nowMs: number) => expire(replica, 200, nowMs);
  const { replicas, clock, ticks } = chores({ turns: 1_000, lookMs: 1.1, before: busy });
  const [first, last] = [replicas[0] as VnodeReplica, replicas[VNODES - 1] as VnodeReplica];
  expire(last, 50, clock.now());
  expire(first, 200, clock.now());
  ticks(VNODES);
  assert.equal(last.partition.table.keyCount, 100);
});

test("what has expired is cleared in every vnode, at once where there is much", () => {
  const { replicas, clock, stats, ticks } = chores();
  for (const { vnode } of replicas) assert.equal(vnode.partition.table.expiring, 100);
  const last = replicas[VNODES - 1] as VnodeReplica;
  for (let i = 0; i < 3_000; i++) {
    last.run({ argv: ["SET", `short${i}`, "v", "PX", "10"] }, clock.now());
  }
  ticks(10);
  assert.equal(stats.expiredKeys, 0, "their grace is not over");
  ticks(10);
  assert.equal(stats.expiredKeys, 3_000);
  assert.equal(last.vnode.partition.table.keyCount, 100);
});

test("what a transaction has locked is not swept until it is free", () => {
  const LOCKED = 9;
  let locked = true;
  const { replicas, clock, ticks } = chores(undefined, (id) => id !== LOCKED || !locked);
  Object.defineProperty(replicas[100]?.vnode, "id", { value: LOCKED });
  clock.shift(NEVER_MS + 1_100);
  ticks(3);
  const keys = replicas.map(({ partition }) => partition.table.keyCount);
  assert.deepEqual(keys.filter((count) => count > 0).length, 1, "of the one that is locked");
  locked = false;
  ticks(3);
  for (const { partition } of replicas) assert.equal(partition.table.keyCount, 0);
});

test("where nothing has expired, a tick takes one slice", () => {
  const { ticks, turns } = chores();
  ticks(10);
  assert.equal(turns(), 0);
});

test("where everything has expired, the turns go on until little is left", () => {
  const { replicas, clock, stats, ticks } = chores();
  clock.shift(NEVER_MS + 1_100);
  ticks(3);
  assert.equal(stats.expiredKeys, VNODES * 100);
  for (const { vnode } of replicas) assert.equal(vnode.partition.table.keyCount, 0);
});
