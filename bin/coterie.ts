#!/usr/bin/env node
/**
 * Entry of the command line: sets what must be set before anything else runs, then loads the rest.
 *
 * libuv reads the size of its thread pool at first use, and V8's compile cache must be on before
 * modules are loaded (80 modules: 208 ms without, 76 ms with; a worker 218 and 54 ms). Hence the
 * dynamic import: nothing here may use the pool first.
 */
import { existsSync, mkdirSync } from "node:fs";
import * as nodeModule from "node:module";
import { availableParallelism, homedir } from "node:os";
import { dirname } from "node:path";
import { nodeRefusal } from "../runtime/base/node-version.ts";

/** Pool threads besides one journal sync and one preallocation a worker. */
const POOL_THREADS_SPARE = 4;
const POOL_THREADS_MAX = 128;

const refusal = nodeRefusal(process);
if (refusal !== null) {
  process.stderr.write(`coterie: ${refusal}\n`);
  process.exit(1);
}

const threads = 2 * availableParallelism() + POOL_THREADS_SPARE;
process.env.UV_THREADPOOL_SIZE ??= String(Math.min(POOL_THREADS_MAX, threads));

/** Where compiled code is kept: the user's own folder, never a shared /tmp: code is read back. */
function cacheFolder(): string | undefined {
  const caches = process.env.XDG_CACHE_HOME || homeCaches();
  if (caches === undefined) return undefined;
  // Not recursive: what is above must be there already (a service's user may have no home).
  if (!existsSync(caches) && existsSync(dirname(caches))) {
    try {
      mkdirSync(caches);
    } catch {
      return undefined;
    }
  }
  return existsSync(caches) ? `${caches}/coterie` : undefined;
}

function homeCaches(): string | undefined {
  try {
    return `${homedir()}/.cache`;
  } catch {
    return undefined; // neither HOME nor an entry in passwd: a container's arbitrary user
  }
}

if (!process.env.NODE_COMPILE_CACHE && !process.env.NODE_DISABLE_COMPILE_CACHE) {
  const folder = cacheFolder();
  if (folder !== undefined) {
    // A folder that cannot be written only means no cache. Worker threads read the variable.
    process.env.NODE_COMPILE_CACHE = folder;
    nodeModule.enableCompileCache(folder);
  }
}

const { main } = await import("./main.ts");
await main(process.argv.slice(2));
