/**
 * What the write-ahead log costs: appending in place, a commit without and with its sync, and
 * reading it back. On a real folder ($BENCH_FOLDER or the system's temporary one: the disk is part
 * of the number). Each case returns a checksum, so that no work can be left out.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { systemTimers } from "../runtime/base/clock.ts";
import { systemRandom } from "../runtime/base/prng.ts";
import { systemFiles } from "../runtime/storage/files.ts";
import { Journal } from "../runtime/storage/journal.ts";
import { noManifests } from "../runtime/storage/manifest.ts";
import { recover } from "../runtime/storage/recovery.ts";

const NODE_ID = "00000000000000aa";
const VNODES = 256;
/** A SET of a 16-byte key and a 64-byte value, with its version and the op's own fields. */
const OP_BYTES = 120;
/** Ops that a turn brings: 50 connections, 16 commands each. */
const TURN_OPS = 800;

export interface WalFixture {
  readonly folder: string;
  readonly journal: Journal;
  readonly op: Buffer;
  readonly sequences: Float64Array;
  /** Called when a commit becomes durable. */
  waiting: (() => void) | undefined;
}

export async function openWal(): Promise<WalFixture> {
  const folder = await mkdtemp(`${process.env.BENCH_FOLDER ?? tmpdir()}/coterie-wal-`);
  const waiter: { fixture?: WalFixture } = {};
  const journal = await Journal.open({
    fs: systemFiles,
    folder,
    boot: 1,
    worker: 0,
    nodeId: NODE_ID,
    random: systemRandom(),
    timers: systemTimers,
    onDurable: () => waiter.fixture?.waiting?.(),
    onFailed: (error) => {
      throw error;
    },
  });
  journal.prepare();
  const op = Buffer.alloc(OP_BYTES, "op");
  const sequences = new Float64Array(VNODES);
  const fixture: WalFixture = { folder, journal, op, sequences, waiting: undefined };
  waiter.fixture = fixture;
  return fixture;
}

export async function closeWal({ journal, folder }: WalFixture): Promise<void> {
  await journal.close();
  await rm(folder, { recursive: true });
}

function append({ journal, op, sequences }: WalFixture, ops: number, durable: boolean): void {
  for (let i = 0; i < ops; i++) {
    const vnode = (i * 7) % VNODES;
    const sequence = (sequences[vnode] as number) + 1;
    sequences[vnode] = sequence;
    const at = journal.open(vnode, sequence, OP_BYTES + 40);
    op.copy(journal.arena, at, 0, OP_BYTES);
    journal.seal(OP_BYTES, durable);
  }
}

/** Appends ops and takes them back, a turn's worth at a time: no disk. An operation is an op. */
export function appendInPlace(fixture: WalFixture, operations: number): number {
  const { journal, sequences } = fixture;
  const before = sequences.slice();
  for (let left = operations; left > 0; left -= TURN_OPS) {
    const mark = journal.mark();
    append(fixture, Math.min(left, TURN_OPS), false);
    journal.rewind(mark);
    sequences.set(before);
  }
  return journal.arena[200] as number;
}

/** Commits a turn's ops without a sync. An operation is a commit of 800 ops. */
export async function commitUnsynced(fixture: WalFixture, operations: number): Promise<number> {
  const { journal } = fixture;
  for (let i = 0; i < operations; i++) {
    append(fixture, TURN_OPS, false);
    journal.commit();
    // Room is prepared in the background; a node's turns leave it the time.
    while (journal.pendingBytes > 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return journal.writtenThrough;
}

/** Commits 16 ops and waits until they are durable. An operation is one such commit. */
export async function commitDurable(fixture: WalFixture, operations: number): Promise<number> {
  const { journal } = fixture;
  for (let i = 0; i < operations; i++) {
    append(fixture, 16, true);
    await new Promise<void>((resolve) => {
      fixture.waiting = resolve;
      journal.commit();
    });
  }
  fixture.waiting = undefined;
  return journal.durableThrough;
}

/** Reads everything back that was committed. Returns the ops. */
export async function recoverAll({ folder }: WalFixture): Promise<number> {
  let bytes = 0;
  const { ops } = await recover({
    fs: systemFiles,
    folder,
    nodeId: NODE_ID,
    manifests: noManifests,
    filter: () => true,
    onOp: (op) => {
      bytes += op.end - op.start;
    },
  });
  return ops + bytes * 0;
}
