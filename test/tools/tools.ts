/**
 * Redis's own command-line tools, run against a server of this repo: to their end, or on a terminal
 * of their own (a pty by `script`), where redis-cli is interactive.
 *
 * Invariant: a tool that was started here is ended by its own pid when its test is over.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { type Ended, ended, environment } from "../support/command-line.ts";

/** No tool of a test runs longer; a hang is a failure. */
export const TOOL_TIMEOUT_MS = 60_000;

/** Without colours, history files and settings of whoever runs the tests. */
const ENV = { REDISCLI_HISTFILE: "/dev/null", REDISCLI_RCFILE: "/dev/null", TERM: "xterm" };

/** Runs a tool to its end; input, if any, is what it reads. A signal that ends it is an error. */
export async function run(tool: string, args: readonly string[], input = ""): Promise<Ended> {
  const child = spawn(tool, args, {
    env: environment(ENV),
    stdio: ["pipe", "pipe", "pipe"],
    timeout: TOOL_TIMEOUT_MS,
  });
  child.stdin.on("error", () => {}); // a tool may end before it has read all
  child.stdin.end(input, "latin1");
  const end = await ended(child);
  if (child.signalCode === null) return end;
  throw new Error(`${tool} was ended by ${child.signalCode}: ${end.stdout}${end.stderr}`);
}

export class Terminal {
  readonly #child: ChildProcess;
  readonly #end: Promise<Ended>;
  #text = "";
  #changed = Promise.withResolvers<void>();

  constructor(commandLine: string) {
    // A width, so that redis-cli need not ask the terminal where its cursor is.
    this.#child = spawn("script", ["-qfec", `stty cols 200; exec ${commandLine}`, "/dev/null"], {
      env: environment(ENV),
      stdio: ["pipe", "pipe", "pipe"],
      timeout: TOOL_TIMEOUT_MS,
    });
    this.#end = ended(this.#child);
    this.#child.stdin?.on("error", () => {});
    this.#child.stdout?.on("data", (chunk) => {
      this.#text += chunk;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
    void this.#end.then(() => this.#changed.resolve());
  }

  /** Types a line. Only at a prompt: redis-cli throws away what was typed before it. */
  type(line: string): void {
    this.#child.stdin?.write(`${line}\r`);
  }

  /** Waits for a text on the screen; what came up to its end is returned, and not looked at again. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#text);
      if (found !== null) {
        const end = found.index + found[0].length;
        const before = this.#text.slice(0, end);
        this.#text = this.#text.slice(end);
        return before;
      }
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the tool ended before ${pattern}: ${this.#text}`);
      }
      await this.#changed.promise;
    }
  }

  get ended(): Promise<Ended> {
    return this.#end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#end;
  }
}
