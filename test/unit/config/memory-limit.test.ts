/** The memory limit that a configuration gives. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveConfig } from "../../../runtime/config/resolve.ts";

const GIGABYTE = 1024 ** 3;

test("the memory limit is at most what the workers can address", () => {
  const machine = { cores: 4, memoryBytes: 256 * GIGABYTE };
  for (const [workers, memory, gigabytes] of [
    [1, "75%", 24],
    [1, "500gb", 24],
    [3, "75%", 72],
    [20, "75%", 192],
  ] as const) {
    const flags = { workers: String(workers), memory };
    const result = resolveConfig({ folder: "/", machine, readLine: () => "", flags, env: {} });
    assert.ok(result.kind === "resolved");
    assert.equal(result.config.memory.bytesMax, gigabytes * GIGABYTE, `${workers} ${memory}`);
  }
});
