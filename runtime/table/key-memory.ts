/**
 * How much memory a key takes: its records as the heap rounds them, and its part of the indexes.
 * An estimate for people (MEMORY USAGE): elements are sampled, spans' waste is not counted.
 */
import { BLOCK_BYTES } from "./blocks.ts";
import type { KeyView } from "./key-view.ts";
import type { MemoryTable } from "./memory-table.ts";
import { recordBytes } from "./record.ts";
import type { Ref } from "./slab-pool.ts";

/** A record's slot in the hash index and its share of the ordered index (measured averages). */
const INDEX_BYTES = 13;

/** Bytes of the viewed key. Looks at `samples` of its elements, at all if `samples` is 0. */
export function keyBytes(table: MemoryTable, view: KeyView, samples: number): number {
  let bytes = recordBytesOf(table, view.ref);
  if (view.block === 0) return bytes;
  const { count } = view;
  const order = table.elements.orderOf(table.blocks.type(view.block));
  const wanted = samples === 0 ? count : Math.min(samples, count);
  let sampled = 0;
  let seen = 0;
  order.seek(table.blocks.root(view.block), 0);
  for (let ref = order.next(); ref !== 0 && seen < wanted; ref = order.next(), seen++) {
    sampled += recordBytesOf(table, ref);
  }
  if (seen > 0) bytes += Math.ceil((sampled / seen) * count);
  return bytes + BLOCK_BYTES;
}

function recordBytesOf({ records }: MemoryTable, ref: Ref): number {
  const key = records.keyLength(ref);
  const value = records.valueLength(ref);
  const bytes = recordBytes(records.kind(ref), records.flags(ref), key, value);
  return Math.ceil(bytes / 8) * 8 + INDEX_BYTES;
}
