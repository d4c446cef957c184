/** The pool with real threads: a job's result, moved buffers, overload and close. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
import { checksum } from "../../../runtime/base/hash.ts";
import { createPool } from "../../../runtime/thread/pool.ts";

test("a chunk is compressed on another thread and its checksum covers what is stored", async () => {
  const pool = createPool({ threadsMax: 1 });
  const chunk = Buffer.from(new ArrayBuffer(100_000)).fill("coterie ");
  const { checksum: sum, bytes } = await pool.run("checksumAndCompress", { bytes: chunk }, [
    chunk.buffer,
  ]);
  const stored = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  assert.equal(chunk.length, 0, "the chunk moved");
  assert.equal(sum, checksum(stored));
  assert.ok(stored.length < 1000);
  assert.deepEqual(zstdDecompressSync(stored), Buffer.alloc(100_000, "coterie "));
  await pool.close();
});

test("jobs beyond the queue are refused, and the others are done", async () => {
  const pool = createPool({ threadsMax: 1, queueMax: 1 });
  const run = () => pool.run("checksumAndCompress", { bytes: new Uint8Array(1_000_000) });
  const results = await Promise.allSettled(Array.from({ length: 8 }, run));
  const codes = results.map((result) =>
    result.status === "fulfilled" ? "done" : (result.reason as { code: string }).code,
  );
  assert.ok(codes.includes("done"));
  assert.ok(codes.includes("OVERLOADED"));
  assert.deepEqual([...new Set(codes)].sort(), ["OVERLOADED", "done"]);
  await pool.close();
});

test("a job that throws fails alone", async () => {
  const pool = createPool({ threadsMax: 1 });
  const bad = pool.run("checksumAndCompress", { bytes: "text" as unknown as Uint8Array });
  await pool.run("checksumAndCompress", { bytes: new Uint8Array(1) });
  assert.ok(await bad);
  await assert.rejects(pool.run("checksumAndCompress", { bytes: 7 as unknown as Uint8Array }), {
    code: "WORKER_DOWN",
    message: /checksumAndCompress failed/,
  });
  await pool.close();
});

test("a closed pool refuses jobs, also one that never started", async () => {
  const pool = createPool({ threadsMax: 1 });
  await pool.close();
  await assert.rejects(pool.run("checksumAndCompress", { bytes: new Uint8Array(1) }), {
    code: "WORKER_DOWN",
  });
});
