/**
 * Errors of the kernel for a process that runs: strace attaches to it and makes system calls fail,
 * so that what is tested is the path that a real disk's error takes.
 *
 * Invariant: the process runs on as it was once `[Symbol.asyncDispose]` has resolved.
 */
import { spawn } from "node:child_process";

export interface Injection {
  readonly pid: number;
  /** The call that fails, and how. */
  readonly call: "fdatasync" | "pwrite64";
  readonly error: "EIO" | "ENOSPC";
  /** Only calls on this file; default: all. */
  readonly path?: string;
}

/** Makes a call fail from when this resolves on; `count` says how often it has. */
export async function inject({ pid, call, error, path }: Injection) {
  const where = path === undefined ? [] : ["-P", path];
  const what = ["-e", `trace=${call}`, "-e", `inject=${call}:error=${error}`];
  const child = spawn("strace", ["-f", "-p", String(pid), ...where, ...what], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let text = "";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.stderr.on("data", (chunk) => {
    text += chunk;
    if (/ attached with \d+ threads/.test(text)) resolve();
  });
  void ended.then(() => reject(new Error(`strace ended: ${text}`)));
  await promise;
  return {
    get count() {
      return text.split("(INJECTED)").length - 1;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGINT");
      await ended;
    },
  };
}
