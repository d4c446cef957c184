/**
 * V8's flags for a running node, and the cache of compiled code that they must leave good: a real
 * process.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { emptyFolder, ended, environment, ROOT } from "../support/command-line.ts";

/** Prints V8's mark of what it compiles, and where a new thread's cache is: before and after. */
const SCRIPT = `
  import { cachedDataVersionTag } from "node:v8";
  import { Worker } from "node:worker_threads";
  import { inlineMore } from ${JSON.stringify(join(ROOT, "bin", "inlining.ts"))};
  const thread = 'console.log(String(require("node:module").getCompileCacheDir()))';
  async function tell() {
    console.log(cachedDataVersionTag());
    await new Promise((end) => new Worker(thread, { eval: true, execArgv: [] }).on("exit", end));
  }
  await tell();
  inlineMore();
  await tell();
`;

test("threads that start under the changed flags cannot spoil the cache of compiled code", async () => {
  using cache = emptyFolder();
  const child = spawn(process.execPath, ["--input-type=module", "--eval", SCRIPT], {
    cwd: ROOT,
    env: environment({ NODE_COMPILE_CACHE: cache.path }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { code, stdout, stderr } = await ended(child);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  const [tag, folder, otherTag, otherFolder] = stdout.trim().split("\n");
  assert.ok(folder?.startsWith(cache.path), folder);
  assert.notEqual(otherTag, tag);
  assert.equal(otherFolder, "undefined");
});
