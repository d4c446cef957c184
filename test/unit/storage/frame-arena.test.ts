/** The arena: what a frame holds after any appends and rewinds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readU32, readU64 } from "../../../runtime/base/bytes.ts";
import { FrameArena } from "../../../runtime/storage/frame-arena.ts";
import {
  ENTRY_BYTES,
  FRAME_HEADER_BYTES,
  RECORD_HEADER_BYTES,
} from "../../../runtime/storage/journal-format.ts";

/** Reads every vnode's ops back along the links, last to first. */
function readByLinks(arena: FrameArena): Map<number, string[]> {
  const found = new Map<number, string[]>();
  const segments = arena.segments;
  const directory = arena.layDirectory();
  for (let i = 0; i < segments; i++) {
    const entry = directory + i * ENTRY_BYTES;
    const ops: string[] = [];
    for (let at = readU32(arena.bytes, entry + 16); at !== 0; at = readU32(arena.bytes, at + 12)) {
      const start = at + RECORD_HEADER_BYTES;
      ops.unshift(arena.bytes.toString("latin1", start, start + readU32(arena.bytes, at)));
      assert.equal(readU32(arena.bytes, at + 8), i);
      assert.ok(readU32(arena.bytes, at + 12) < at, "links lead back");
    }
    assert.equal(readU32(arena.bytes, entry + 4), ops.length);
    found.set(readU32(arena.bytes, entry), ops);
  }
  return found;
}

function put(arena: FrameArena, vnode: number, sequence: number, text: string): void {
  const at = arena.open(vnode, sequence, text.length + 9);
  arena.bytes.write(text, at, "latin1");
  arena.seal(text.length, false);
}

test("links lead through exactly the ops that were kept", () => {
  const step = fc.record({ vnode: fc.nat(100), mark: fc.boolean(), rewind: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const arena = new FrameArena(512);
      let kept: { vnode: number; text: string }[] = [];
      let mark = { at: arena.at, kept: 0 };
      for (const [i, { vnode, mark: marks, rewind }] of steps.entries()) {
        if (marks) mark = { at: arena.at, kept: kept.length };
        const sequence = 1 + kept.filter((op) => op.vnode === vnode).length;
        put(arena, vnode, sequence, `op ${i}`);
        kept.push({ vnode, text: `op ${i}` });
        if (rewind) {
          arena.rewind(mark.at);
          kept = kept.slice(0, mark.kept);
        }
      }
      const expected = new Map<number, string[]>();
      for (const { vnode, text } of kept) {
        expected.set(vnode, [...(expected.get(vnode) ?? []), text]);
      }
      assert.equal(arena.ops, kept.length);
      assert.deepEqual(readByLinks(arena), expected);
    }),
  );
});

test("a segment names the place of the vnode's previous one", () => {
  const arena = new FrameArena(512);
  put(arena, 7, 1, "a");
  arena.layDirectory();
  arena.reset(3, 4096);
  put(arena, 8, 1, "other");
  put(arena, 7, 2, "b");
  const directory = arena.layDirectory();
  const places = [0, ENTRY_BYTES].map((at) => [
    readU32(arena.bytes, directory + at),
    readU32(arena.bytes, directory + at + 20),
    readU64(arena.bytes, directory + at + 24),
  ]);
  assert.deepEqual(places, [
    [8, 0, 0],
    [7, 3, 4096],
  ]);
});

test("an arena that grew for a giant is given up after it", () => {
  const arena = new FrameArena(1024);
  put(arena, 1, 1, "g".repeat(20 * 1024 * 1024));
  assert.ok(arena.bytes.length > 20 * 1024 * 1024);
  arena.reset(1, 512);
  assert.equal(arena.bytes.length, 1024);
});

test("a file's account holds the largest sequence of each vnode, also after a restart", () => {
  const arena = new FrameArena(1024);
  for (let sequence = 1; sequence <= 5; sequence++) put(arena, 1, sequence, "x");
  arena.reset(1, 512);
  arena.restartVnode(1);
  put(arena, 1, 3, "again");
  arena.reset(1, 1024);
  assert.deepEqual([...arena.fileUse().sequences], [5]);
  arena.startFile();
  put(arena, 1, 4, "again");
  arena.reset(2, 512);
  assert.deepEqual([...arena.fileUse().sequences], [4]);
});

test("an op appended in words is the op written in place", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 70 }), { minLength: 1 }),
      (ops) => {
        const [inPlace, inWords] = [new FrameArena(512), new FrameArena(512)];
        for (const [i, op] of ops.entries()) {
          const text = Buffer.from(op).toString("latin1");
          put(inPlace, 1, i + 1, text);
          const writer = Buffer.alloc(128, 0xff);
          writer.set(op);
          const words = new Int32Array(writer.buffer, writer.byteOffset, writer.length >>> 2);
          assert.ok(inWords.append(1, i + 1, words, op.length, false));
        }
        const [a, b] = [inPlace, inWords].map((arena) => {
          const from = FRAME_HEADER_BYTES;
          return arena.bytes.subarray(from, arena.layDirectory() + ENTRY_BYTES);
        });
        assert.deepEqual(a, b);
      },
    ),
  );
});
