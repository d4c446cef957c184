/** Which flags of Node a worker is started with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { flagsOfWorker } from "../../../runtime/thread/worker-thread.ts";

const NO_FRAMES = "--no-async-context-frame";
const known = process.allowedNodeEnvironmentFlags;

test("a worker carries no async frames", () => {
  assert.deepEqual(flagsOfWorker([], known), { execArgv: [NO_FRAMES] });
});

test("a Node that knows nothing of async frames is not told of them", () => {
  assert.deepEqual(flagsOfWorker([], new Set()), { execArgv: [] });
});

test("flags of the process are inherited: a thread does not take each of them", () => {
  assert.deepEqual(flagsOfWorker(["--max-old-space-size=500"], known), {});
});

test("how a text is to be read says nothing of a worker's file", () => {
  assert.deepEqual(flagsOfWorker(["--input-type=module", "-e"], known), { execArgv: [NO_FRAMES] });
});
