/**
 * Brings a worker's partitions up to date by the log, at its start; what may lie in the page cache
 * only is written again, in the order of the log, and synced.
 *
 * On a full disk that goes to the reserve's room, as what waits for room always does; where even
 * that is not enough, the start ends with DISK_FULL.
 */
import { CoterieError } from "../../runtime/base/errors.ts";
import { ARENA_BYTES } from "../../runtime/storage/frame-arena.ts";
import type { Journal } from "../../runtime/storage/journal.ts";
import { OpsByVnode } from "../../runtime/storage/ops-by-vnode.ts";
import { type RecoveredOp, type Recovery, replay } from "../../runtime/storage/recovery.ts";
import type { Reserve } from "../../runtime/storage/reserve.ts";
import type { Survey, SurveyOptions } from "../../runtime/storage/survey.ts";
import type { Vnode } from "../vnode/vnode.ts";
import type { WorkerLog } from "./worker-log.ts";

// limits:
/** Bytes of ops that recovery writes again in one frame, and a slice more: the arena need not grow. */
const REWRITE_BYTES_MAX = ARENA_BYTES / 2;

/** Makes and places vnodes during recovery. */
export interface RecoveryTarget {
  createVnode(id: number): Vnode;
  adopt(vnode: Vnode): void;
}

export interface LogReplay {
  readonly survey: Survey;
  readonly reading: SurveyOptions;
  /** Whether a vnode is this worker's. */
  readonly owns: (vnodeId: number) => boolean;
  readonly target: RecoveryTarget;
  /** As their snapshots have them; those that have none are added. */
  readonly vnodes: Map<number, Vnode>;
  readonly journal: Journal;
  readonly log: WorkerLog;
  readonly reserve: Reserve;
}

/** All of it is durable when this returns. */
export async function replayLog(options: LogReplay): Promise<Recovery> {
  const { survey, reading, owns, target, vnodes, journal, log } = options;
  const ops = new OpsByVnode();
  // Written again in the order of the log, frame by frame; applied vnode by vnode.
  const onOp = (op: RecoveredOp, provenDurable: boolean) => {
    ops.add(op.vnodeId, op.start, op.end);
    if (!provenDurable) log.rewrite(op.vnodeId, op.sequence, op.bytes, op.start, op.end);
  };
  const beforeMove = (bytes: Buffer) => {
    ops.drain((id, start, end) => replayOp(target, vnodes, id, bytes, start, end));
  };
  // A frame's ops stay together, but not all that is written again fits in one frame.
  const pause = async () => {
    if (journal.pendingBytes >= REWRITE_BYTES_MAX) await writeAgain(options);
  };
  const recovery = await replay(survey, { ...reading, filter: owns, onOp, beforeMove, pause });
  if (recovery.unprovenOps > 0) {
    await writeAgain(options);
    await new Promise<void>((resolve) => log.sync(resolve));
    // Said in the file, so that a later start need not write the same tail again.
    if (!journal.prove()) await squeeze(options);
  }
  return recovery;
}

async function writeAgain(options: LogReplay): Promise<void> {
  const { journal, log, reading } = options;
  journal.commit();
  await log.placed();
  const isWaiting = journal.full && journal.pendingBytes > 0;
  if (isWaiting && !(await squeeze(options)) && !journal.dead) {
    throw new CoterieError(
      "DISK_FULL",
      `cannot write again in ${reading.folder} what a crash may have kept from the disk: the disk ` +
        "is full; free some space and start again",
      { detail: { path: reading.folder } },
    );
  }
  await log.written();
}

/** Lends the reserve to what waits for room. False: it is not enough. */
async function squeeze({ journal, reserve }: LogReplay): Promise<boolean> {
  let fits = true;
  const isNeeded = () => journal.full;
  await reserve.lend(isNeeded, async (giveLast) => {
    fits = await journal.squeeze();
    if (fits) return;
    await giveLast();
    fits = await journal.squeeze();
  });
  return fits;
}

/** Applies an op that the log holds to its vnode, which is made if it is not among `vnodes`. */
export function replayOp(
  target: RecoveryTarget,
  vnodes: Map<number, Vnode>,
  id: number,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  let vnode = vnodes.get(id);
  if (vnode === undefined) {
    vnode = target.createVnode(id);
    vnodes.set(id, vnode);
  }
  vnode.partition.replay(bytes, start, end);
  vnode.logBytes += end - start;
}
