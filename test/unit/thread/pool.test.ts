/** The pool with real threads: a job's value, overload, deadline and close. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createPool, type PoolOptions } from "../../../runtime/thread/pool.ts";
import { until } from "../../support/until.ts";

const GOLDEN = new URL("../../golden/", import.meta.url);
const SNAPSHOT = "snapshot-0000065538-0000000000001234.snap";
const TIMEOUT_MS = 30_000;

/** A pool, and a folder with the golden snapshot. */
function opened(options: Partial<PoolOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "coterie-pool-"));
  writeFileSync(join(folder, SNAPSHOT), readFileSync(new URL("snapshot-v1.bin", GOLDEN)));
  const pool = createPool({ threadsMax: 1, timeoutMs: TIMEOUT_MS, ...options });
  return {
    pool,
    folder,
    verify: (name = SNAPSHOT) => pool.run("verify", { folder, name, end: 0 }),
    async [Symbol.asyncDispose]() {
      await pool.close();
      rmSync(folder, { recursive: true });
    },
  };
}

test("a job runs on another thread and answers plain data", async () => {
  await using at = opened();
  assert.deepEqual(await at.verify(), { kind: "whole", bytes: 29 });
  assert.deepEqual(await at.verify("snapshot-0000000001-0000000000000001.snap"), { kind: "gone" });
});

test("jobs beyond the queue are refused, and the others are done", async () => {
  await using at = opened({ queueMax: 1 });
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => at.verify()));
  const codes = results.map((result) =>
    result.status === "fulfilled" ? "done" : (result.reason as { code: string }).code,
  );
  assert.deepEqual([...new Set(codes)].sort(), ["OVERLOADED", "done"]);
});

test("a job that throws fails alone", async () => {
  await using at = opened();
  const bad = at.pool.run("verify", null as never);
  const good = at.verify();
  await assert.rejects(bad, { code: "WORKER_DOWN", message: /the job verify failed: / });
  assert.equal((await good).kind, "whole");
});

test("a job that is late is ended, and the next one runs", async () => {
  await using at = opened({ timeoutMs: 500 });
  const name = "snapshot-0000000001-0000000000000002.snap";
  // Nobody ever writes to it: a disk that does not answer.
  execFileSync("mkfifo", [join(at.folder, name)]);
  await assert.rejects(at.verify(name), { code: "TIMEOUT", message: /did not end within 500 ms/ });
  writeFileSync(join(at.folder, name), "", { flag: "r+" });
  await until(async () => ((await at.verify()).kind === "whole" ? true : undefined));
});

test("a closed pool refuses jobs, also one that never started", async () => {
  const pool = createPool({ threadsMax: 1, timeoutMs: TIMEOUT_MS });
  await pool.close();
  await assert.rejects(pool.run("verify", { folder: "/", name: "x", end: 0 }), {
    code: "WORKER_DOWN",
  });
});
