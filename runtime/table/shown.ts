/**
 * What is shown of cells with several versions, and what is marked or hidden, for those who read
 * and write a key through its view.
 */

import { assert } from "../base/assert.ts";
import type { Dot } from "../causality/cell.ts";
import { latestVersion } from "../causality/cell.ts";
import { shownBytes } from "../causality/counter-value.ts";
import type { KeyView } from "./key-view.ts";
import type { Partition } from "./partition.ts";
import type { Ref } from "./slab-pool.ts";

/** The dot of the version that the resolver shows of a head or an element. */
export function shownDot({ mutations, origins }: Partition, ref: Ref, view: KeyView): Dot {
  const all = mutations.cells.versions(ref);
  const top = latestVersion(view.live === null ? all : view.liveVersions(all), origins);
  assert(top !== undefined, "a shown cell has a version");
  return top;
}

/** The shown value of an element with siblings or adds. */
export function shownElement({ mutations, origins }: Partition, ref: Ref, view: KeyView): Buffer {
  const all = mutations.cells.versions(ref);
  return shownBytes(view.live === null ? all : view.liveVersions(all), origins);
}

/** The marks of a present key's cells, as a text to compare: dots, adds, undos, expiry, changes. */
export function markOf({ mutations, table }: Partition, view: KeyView): string {
  const marks = mutations.cells.versions(view.ref).map((head) => {
    const adds = head.adds.map((add) => `${add.slot}@${add.counter}`);
    const undos = head.undos.map((undo) => `${undo.slot}@${undo.counter}`);
    const expiry = head.expiry === null ? "" : `${head.expiry.at}/${head.expiry.hlc}`;
    return `${head.slot}@${head.counter}+${adds.join()}-${undos.join()}<${expiry}`;
  });
  const changed = view.block === 0 ? "" : table.blocks.changed(view.block);
  return `${view.type}|${marks.sort().join(";")}|${changed}`;
}

/** The cells of types that a view hides: what the next write to the key takes away. */
export function hiddenCells(partition: Partition, view: KeyView): { type: number; name: Buffer }[] {
  const { table, mutations } = partition;
  const { records } = table;
  const hidden: { type: number; name: Buffer }[] = [];
  for (let block = records.block(view.ref); block !== 0; block = table.blocks.next(block)) {
    if (block === view.block) continue;
    for (const ref of mutations.elementsOf(block)) {
      const at = records.keyAt(ref);
      const name = Buffer.from(records.bytes(ref).subarray(at, at + records.keyLength(ref)));
      hidden.push({ type: table.blocks.type(block), name });
    }
  }
  return hidden;
}
