/**
 * Version sets as bytes: what is written reads back, with the slots of the reader.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  VersionsReader,
  versionsBytesMax,
  writeVersions,
} from "../../../runtime/causality/version-codec.ts";
import { textOf, versions } from "./support.ts";

test("versions read back as they were written, in no more bytes than was said", () => {
  fc.assert(
    fc.property(versions, fc.nat(9), (all, start) => {
      const max = versionsBytesMax(all);
      const target = Buffer.alloc(start + max);
      const end = writeVersions(target, start, all);
      const reader = new VersionsReader();
      assert.equal(textOf(reader.read(target, start, end)), textOf(all));
      assert.equal(reader.at, end);
      assert.ok(end - start <= max);
    }),
    { numRuns: 500 },
  );
});

test("a reader with other slots gets its own, in dots, adds, undos and registers", () => {
  fc.assert(
    fc.property(versions, (all) => {
      const target = Buffer.alloc(versionsBytesMax(all));
      const end = writeVersions(target, 0, all);
      const slots = [7, 5, 6, 4];
      const moved = new VersionsReader().read(target, 0, end, slots);
      const at = (slot: number) => slots[slot] as number;
      const expected = all.map((v) => ({
        ...v,
        slot: at(v.slot),
        expiry: v.expiry && { ...v.expiry, slot: at(v.expiry.slot) },
        adds: v.adds.map((add) => ({ ...add, slot: at(add.slot) })),
        undos: v.undos.map((undo) => ({ ...undo, slot: at(undo.slot) })),
      }));
      assert.equal(textOf(moved), textOf(expected));
    }),
  );
});

test("versions that end early are no versions", () => {
  const target = Buffer.alloc(200);
  const version = {
    slot: 300,
    counter: 2 ** 40,
    hlc: 2 ** 50,
    type: 1,
    counterKind: 0,
    value: Buffer.from("value"),
    copyAt: 2 ** 41,
    expiry: null,
    adds: [],
    undos: [],
  };
  const end = writeVersions(target, 0, [version]);
  assert.throws(() => new VersionsReader().read(target, 0, end - 1), /ends inside/);
});
