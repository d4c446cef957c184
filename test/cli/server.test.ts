/**
 * A real node as a user starts it, through npm: banner, signals, exit codes, process settings.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { coterie, emptyFolder, ended, environment, ROOT } from "../support/command-line.ts";

/** Longest time from start to banner. */
const START_TIMEOUT_MS = 60_000;

interface Started {
  readonly child: ChildProcess;
  readonly banner: string;
  readonly pid: number;
  readonly end: ReturnType<typeof ended>;
}

/** Starts `npm start -- WORDS` in the checkout and waits for the banner. */
async function npmStart(data: string, words: readonly string[] = []): Promise<Started> {
  const all = ["start", "--silent", "--", "--port", "0", "--data", data, ...words];
  const child = spawn("npm", all, {
    cwd: ROOT,
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: START_TIMEOUT_MS,
  });
  const end = ended(child);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  child.stdout?.on("data", (chunk) => {
    text += chunk;
    if (/redis-cli .*\n/.test(text)) resolve(text);
  });
  void end.then(({ stderr }) => reject(new Error(`the node ended before its banner: ${stderr}`)));
  const banner = await promise;
  return { child, banner, pid: Number(/pid (\d+)/.exec(banner)?.[1]), end };
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Resolves when the port of the banner answers PING. */
async function ping(banner: string): Promise<string> {
  const port = Number(/redis-cli -p (\d+)/.exec(banner)?.[1]);
  const socket = createConnection(port, "127.0.0.1");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.on("connect", () => socket.write("PING\r\n"));
  socket.on("data", (chunk) => resolve(chunk.toString()));
  socket.on("error", reject);
  const reply = await promise;
  socket.destroy();
  return reply;
}

test("npm start prints a banner and serves; SIGTERM to npm stops the node with 0", async () => {
  using folder = emptyFolder();
  const { child, banner, pid, end } = await npmStart(folder.path);
  assert.match(banner, /^Coterie \d+\.\d+\.\d+ {2}node n1 \([0-9a-f-]+\) {2}pid \d+$/m);
  assert.equal(await ping(banner), "+PONG\r\n");
  child.kill("SIGTERM");
  const { code, stdout, stderr } = await end;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /SIGTERM: stopping.*\nstopped\n$/);
  assert.equal(alive(pid), false);
});

test("Ctrl-C, which the node gets twice through npm, is one clean stop", async () => {
  using folder = emptyFolder();
  const { child, pid, end } = await npmStart(folder.path);
  process.kill(pid, "SIGINT");
  child.kill("SIGINT");
  const { stdout } = await end;
  assert.match(stdout, /SIGINT: stopping.*\nstopped\n$/);
});

test("killing npm leaves the node, and the next start on its data folder names its pid", async () => {
  using folder = emptyFolder();
  const { child, banner, pid, end } = await npmStart(folder.path);
  try {
    child.kill("SIGKILL");
    const words = ["start", "--port", "0", "--data", folder.path];
    const second = await coterie(words, { folder: folder.path });
    assert.equal(second.code, 1);
    assert.match(second.stderr, new RegExp(`\\b${pid}\\b.*\\(DATA_FOLDER_IN_USE\\)`, "s"));
    assert.equal(await ping(banner), "+PONG\r\n");
  } finally {
    process.kill(pid, "SIGTERM");
  }
  await end;
});

test("the thread pool is sized before its first use", async (context) => {
  if (process.platform !== "linux") return context.skip("reads /proc");
  using folder = emptyFolder();
  const { child, pid, end } = await npmStart(folder.path);
  const names = readdirSync(`/proc/${pid}/task`).map((task) =>
    readFileSync(`/proc/${pid}/task/${task}/comm`, "utf8").trim(),
  );
  const pool = names.filter((name) => name === "libuv-worker").length;
  child.kill("SIGTERM");
  await end;
  assert.equal(pool, 2 * availableParallelism() + 4);
});
