/**
 * Gives back the memory of what has expired (design 4.6): a leading vnode clears keys that have been
 * absent for longer than a grace, and removes elements that have been past their own copy of the
 * expiry as long, by ordinary ops. No replica removes anything by itself.
 *
 * A slice looks at keys in hash order from where the last one ended, and makes one op of what it
 * finds. With N = 1 the only clock is the vnode's own, so the grace only keeps a key that has just
 * expired from being cleared while its client still asks about it; with more replicas it must be
 * longer than the skew bound, and a fresh take-over comes first.
 *
 * Invariant: what is cleared was absent to every reader, and stays so.
 */
import { emptyCellName } from "../../runtime/causality/cell-name.ts";
import { ABSENT, KeyView } from "../../runtime/table/key-view.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import { BLOB, COLLECTION, EXPIRY, HEADLESS } from "../../runtime/table/record.ts";
import type { Ref } from "../../runtime/table/slab-pool.ts";
import type { Vnode } from "./vnode.ts";

// limits:
/** How long something has been absent before a sweep clears it, where N = 1. */
export const EXPIRY_GRACE_MS = 1000;
/** Keys that a slice of a sweep looks at: some 20 µs. */
export const EXPIRY_SWEEP_ITEMS = 100;
/** Bytes of a sweep's op before it is closed. */
const SWEEP_OP_BYTES_MAX = 64 * 1024;

/** Scratch of one call. */
const found = new Uint32Array(256);
const cell = emptyCellName();

/** Looks at about `itemsMax` keys. Returns how many it cleared: expired keys. */
export function sweep(
  vnode: Vnode,
  nowMs: number,
  itemsMax: number,
  graceMs = EXPIRY_GRACE_MS,
): number {
  const { partition } = vnode;
  const { keys } = partition.table;
  if (partition.table.expiring === 0) {
    vnode.sweepCursor = 0;
    return 0;
  }
  const view = new KeyView(partition);
  const limit = Math.min(itemsMax, found.length);
  const next = keys.scan(vnode.sweepCursor, limit, found);
  const { scannedRefs, scanned } = keys;
  let expired = 0;
  for (let i = 0; i < scanned; i++) {
    // What an op has no room for waits for the next round.
    if (partition.writer.length > SWEEP_OP_BYTES_MAX) break;
    if (sweepRecord(partition, view, scannedRefs[i] as number, nowMs, graceMs)) expired++;
  }
  vnode.sweepCursor = next;
  partition.finish();
  return expired;
}

/** Sweeps one key in the open or a new op. Returns whether the key was cleared. */
export function sweepRecord(
  partition: Partition,
  view: KeyView,
  ref: Ref,
  nowMs: number,
  graceMs: number,
): boolean {
  const { records } = partition.table;
  if ((records.flags(ref) & (EXPIRY | BLOB | COLLECTION | HEADLESS)) === 0) return false;
  if (partition.table.isSettling(ref)) return false;
  if (view.openRecord(ref, nowMs) !== ABSENT) {
    if (view.live !== null) removeDead(partition, view, nowMs, graceMs);
    return false;
  }
  // A pass may have ended with nothing left of the key.
  if (view.ref === 0 || view.openRecord(ref, nowMs - graceMs) !== ABSENT) return false;
  if (!partition.isOpen) partition.begin();
  const key = nameOf(partition, ref);
  partition.writer.clear(key, 0, key.length);
  partition.mutations.clear(key, 0, key.length, partition.table.op.covers);
  return true;
}

/** Removes the elements of a present key that have been past their copy for a grace. */
function removeDead(partition: Partition, view: KeyView, nowMs: number, graceMs: number): void {
  const { table, mutations } = partition;
  const { ref, block } = view;
  const key = nameOf(partition, ref);
  const dead = view.dead();
  view.openRecord(ref, nowMs - graceMs);
  const long = new Set(view.dead());
  view.openRecord(ref, nowMs);
  for (const element of dead) {
    // A sibling lives in its cell, or did until lately.
    if (!long.has(element) || mutations.cells.versions(element).length > 1) continue;
    if (!partition.isOpen) partition.begin();
    const name = nameOf(partition, element);
    cell.key = key;
    cell.keyEnd = key.length;
    cell.type = table.blocks.type(block);
    cell.name = name;
    cell.nameEnd = name.length;
    partition.writer.remove(cell);
    mutations.remove(cell, table.op.covers);
  }
  table.setBlockCopyMin(block, smallestCopy(partition, block));
}

/** The smallest copy that an element still has: the collection is plain again if it lies ahead. */
function smallestCopy({ mutations }: Partition, block: Ref): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (const element of mutations.elementsOf(block)) {
    for (const { copyAt } of mutations.cells.versions(element)) {
      if (copyAt !== 0 && copyAt < smallest) smallest = copyAt;
    }
  }
  return smallest;
}

function nameOf({ table }: Partition, ref: Ref): Buffer {
  const { records } = table;
  const at = records.keyAt(ref);
  return Buffer.from(records.bytes(ref).subarray(at, at + records.keyLength(ref)));
}
