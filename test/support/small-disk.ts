/**
 * A small disk for servers, over their restarts: a tmpfs in namespaces of its own, which a process
 * holds until the test ends.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestServer } from "./server.ts";

const PIECE = Buffer.alloc(4096, "x");

export interface SmallDisk {
  /** Its folder as this process sees it. */
  readonly path: string;
  /** For ServerOptions: the server's data folder lies on this disk. */
  through(server: TestServer): readonly string[];
  /** Takes all room that is left, with a file of this name. */
  fill(name: string): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function smallDisk(megabytes: number): Promise<SmallDisk> {
  const folder = mkdtempSync(join(tmpdir(), "coterie-disk-"));
  const mounted = `mount -t tmpfs -o size=${megabytes}m tmpfs "$0" && echo mounted && exec cat`;
  const holder = spawn("unshare", ["-rm", "sh", "-c", mounted, folder], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(holder, "exit");
  await Promise.race([once(holder.stdout, "data"), ended]);
  const path = `/proc/${holder.pid}/root${folder}`;
  const enter = ["nsenter", "-t", String(holder.pid), "-U", "-m", "--preserve-credentials"];
  return {
    path,
    through(server) {
      if (!existsSync(server.data)) symlinkSync(folder, server.data);
      return [...enter, "sh", "-c", 'cd "$0" && exec "$@"', server.folder];
    },
    fill(name) {
      const file = openSync(join(path, name), "w");
      try {
        for (;;) writeSync(file, PIECE);
      } catch {
        // Until it is full.
      }
      closeSync(file);
    },
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}
