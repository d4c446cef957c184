/**
 * A data folder that is a volume of two containers: another network namespace, another path.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { ENTRY, emptyFolder, ended, environment } from "../support/command-line.ts";
import { mayUnshare } from "../support/namespaces.ts";
import { startServer } from "../support/server.ts";

test("a folder that another container's node has is refused, and free once that one is gone", async (context) => {
  if (!mayUnshare("-rmn")) return context.skip("this user cannot make namespaces");
  await using server = await startServer({ workers: 1 });
  using folder = emptyFolder();
  const mounted = 'mount --bind "$0" "$1" && shift && exec "$@"';
  const start = () => {
    const node = [process.execPath, ENTRY, "start", "--port", "0", "--data", folder.path];
    const words = ["-rmn", "sh", "-c", mounted, server.data, folder.path, ...node];
    const options = { cwd: folder.path, env: environment({}) };
    return spawn("unshare", words, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  };
  const refused = start();
  refused.stdout.once("data", () => refused.kill("SIGKILL")); // it serves
  const { code, stderr } = await ended(refused);
  assert.match(stderr, new RegExp(`in use by process ${server.pid}: .*DATA_FOLDER_IN_USE`));
  assert.equal(code, 1);
  const client = await server.connect();
  assert.equal(await client.call("SET", "k", "v"), "OK");

  await server.kill9();
  const second = start();
  await new Promise((resolve) => second.stdout.once("data", resolve));
  second.kill("SIGTERM");
  assert.equal((await ended(second)).code, 0);
});
