/** How often keys came to be, as WATCH asks for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyBirths } from "../../../runtime/table/key-births.ts";
import { SlabPool } from "../../../runtime/table/slab-pool.ts";

test("a key that comes to be counts, and keys of the same name in other tables do not", () => {
  const pool = new SlabPool({ slabBytes: 64 * 1024 });
  const tables = Array.from({ length: 300 }, () => new KeyBirths(pool));
  const hash = 0x9abcdef1;
  const before = tables.map((births) => births.count(hash));
  tables[7]?.note(hash);
  const changed = tables.flatMap((births, i) => (births.count(hash) === before[i] ? [] : [i]));
  assert.deepEqual(changed, [7]);
});
