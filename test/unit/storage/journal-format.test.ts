/** Frame headers are valid in their own place only. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeFileHeader,
  decodeFrameHeader,
  emptyFrameHeader,
  encodeFileHeader,
  encodeFrameHeader,
  encodeFrameIdentity,
  frameIsWhole,
  journalFileName,
  parseJournalFileName,
} from "../../../runtime/storage/journal-format.ts";
import { NODE_ID } from "./support.ts";

const FILE = {
  boot: 3,
  worker: 2,
  number: 7,
  nodeId: NODE_ID,
  journalId: "00112233aabbccdd",
  generation: "ffeeddcc99887766",
};

function frameAt(offset: number): Buffer {
  const bytes = Buffer.alloc(offset + 512);
  const frame = bytes.subarray(offset);
  encodeFrameIdentity(frame, FILE);
  encodeFrameHeader(frame, offset, {
    ...emptyFrameHeader(),
    commit: 2 ** 40 + 5,
    durableThrough: 2 ** 40 + 4,
    length: 512,
    directoryOffset: 96,
  });
  return bytes;
}

test("a frame header is read back in its own place", () => {
  const bytes = frameAt(1024);
  const frame = emptyFrameHeader();
  assert.ok(decodeFrameHeader(bytes, 1024, bytes.length, FILE, frame));
  assert.equal(frame.commit, 2 ** 40 + 5);
  assert.equal(frame.durableThrough, 2 ** 40 + 4);
  assert.ok(frameIsWhole(bytes, 1024, bytes.length, frame));
  bytes[1024 + 300] = 1;
  assert.ok(!frameIsWhole(bytes, 1024, bytes.length, frame));
});

test("a frame header at another offset, of another file or use is none", () => {
  const bytes = frameAt(1024);
  const frame = emptyFrameHeader();
  const moved = bytes.subarray(512);
  assert.ok(!decodeFrameHeader(moved, 512, moved.length, FILE, frame));
  for (const other of [
    { boot: 4 },
    { worker: 1 },
    { number: 8 },
    { generation: "ffeeddcc99887767" },
  ]) {
    assert.ok(!decodeFrameHeader(bytes, 1024, bytes.length, { ...FILE, ...other }, frame));
  }
  const { boot, worker, number } = FILE;
  assert.ok(decodeFrameHeader(bytes, 1024, bytes.length, { boot, worker, number }, frame));
});

test("a frame header that the file ends in is none", () => {
  const bytes = frameAt(1024);
  assert.ok(!decodeFrameHeader(bytes, 1024, 1024 + 95, FILE, emptyFrameHeader()));
});

test("a file header is read back under its own name only", () => {
  const bytes = encodeFileHeader(FILE);
  assert.deepEqual(decodeFileHeader(bytes, 512, FILE), { kind: "valid", header: FILE });
  assert.equal(decodeFileHeader(bytes, 512, { ...FILE, number: 8 }).kind, "none");
  assert.equal(decodeFileHeader(bytes, 511, FILE).kind, "none");
});

test("file names sort as their numbers and are read back", () => {
  const name = journalFileName(FILE);
  assert.equal(name, "journal-00000003-002-00000007.log");
  assert.deepEqual(parseJournalFileName(name), { boot: 3, worker: 2, number: 7 });
  assert.equal(parseJournalFileName(`${name}.tmp`), undefined);
});
