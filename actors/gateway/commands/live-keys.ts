/**
 * The keys of a vnode as readers see them: expired ones, and ones of which only hidden cells remain,
 * are skipped. For commands that go through many keys in one turn.
 *
 * Invariant: nothing is changed but a key under a cut, which is settled as it is looked at; so the
 * references that the table gives of the others stay valid meanwhile.
 */
import { ABSENT } from "../../vnode/key-access.ts";
import type { Vnode } from "../../vnode/vnode.ts";

/** A command needs a partition whose vnode restarts. */
export const RESTARTING = "TRYAGAIN a partition of this keyspace restarts; try again";

/** Records that are looked at between two steps of a scan. */
const BATCH = 256;
const batch = new Uint32Array(BATCH);

/** Told of a key by the place of its name; false ends the walk. */
export type OnKey = (bytes: Buffer, start: number, end: number) => boolean;

/** Calls back with every live key, in hash order, until it answers false. */
export function forEachKey(vnode: Vnode, nowMs: number, onKey: OnKey): void {
  const { keys, records } = vnode.table;
  let cursor = 0;
  do {
    cursor = keys.scan(cursor, BATCH, batch);
    for (let i = 0; i < keys.scanned; i++) {
      const ref = keys.scannedRefs[i] as number;
      if (vnode.key.view.openRecord(ref, nowMs) === ABSENT) continue;
      const start = records.keyAt(ref);
      if (!onKey(records.bytes(ref), start, start + records.keyLength(ref))) return;
    }
  } while (cursor !== 0);
}
