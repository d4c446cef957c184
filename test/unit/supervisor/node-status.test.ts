/** What the status page says of a node, from what its workers say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Liveness } from "../../../actors/node-api.ts";
import { nodeStatus } from "../../../actors/supervisor/node-status.ts";
import type { WorkerView } from "../../../actors/supervisor/workers.ts";
import type { NodeConfig } from "../../../runtime/config.ts";

interface Said {
  readonly isMemoryFull?: boolean;
  readonly isRefusing?: boolean;
}

function statusOf(said: readonly (Said | undefined)[]) {
  const workers = said.map((one, index) => {
    const sums = { memoryBytes: 100, memoryMaxBytes: 500, commands: 1, clients: 2 };
    const info = { keys: [], sums, longestTurnMs: 0, ...one };
    return { index, state: "ready", restarts: 0, facts: one === undefined ? undefined : { info } };
  });
  const config = { workers: said.length, memory: { bytesMax: 600 }, clients: { max: 10 } };
  return nodeStatus({
    config: config as NodeConfig,
    liveness: {} as Liveness,
    nodeId: "0123456789abcdef",
    uptimeSeconds: 1,
    workers: workers as unknown as readonly WorkerView[],
  });
}

test("writes are refused where one worker has no memory left, or no room on the disk", () => {
  assert.deepEqual(statusOf([{}, {}]).writes, { accepted: true });
  const full = statusOf([{}, { isMemoryFull: true }]).writes;
  assert.ok(!full.accepted && /memory .* on a worker/.test(full.reason ?? ""));
  const disk = statusOf([{ isRefusing: true }, {}]).writes;
  assert.ok(!disk.accepted && /disk is full/.test(disk.reason ?? ""));
});

test("the memory limit is what the workers go by, and the configured one until they say it", () => {
  assert.equal(statusOf([{}, undefined, {}]).memoryBytesMax, 1500);
  assert.equal(statusOf([undefined, undefined]).memoryBytesMax, 600);
});
