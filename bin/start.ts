/**
 * `coterie start`: runs one node in the foreground until a signal or its own end.
 *
 * Invariant: exit code 0 means that the node stopped cleanly: accepted nothing more, finished what
 * was in flight, synced. Whatever else happens, the code is not 0.
 */

import { flushCompileCache } from "node:module";
import type { RunningNode, StartNode } from "../actors/node-api.ts";
import { bearThreads } from "../actors/supervisor/threads.ts";
import { type Clock, systemClock } from "../runtime/base/clock.ts";
import { CoterieError } from "../runtime/base/errors.ts";
import { logLine } from "../runtime/base/log.ts";
import type { NodeConfig } from "../runtime/config.ts";
import { type BannerFacts, bannerLine, bannerText } from "./banner.ts";
import { EXIT_SOFTWARE } from "./exit-codes.ts";
import { inlineMore } from "./inlining.ts";

/**
 * A signal within this time of the first is its echo: Ctrl-C reaches the node from the terminal
 * and from npm, which passes it on.
 */
const SIGNAL_ECHO_MS = 250;

const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;
type StopSignal = keyof typeof SIGNAL_NUMBERS;

/**
 * What Node does at them if nobody listens is not for a server: at the first it opens its debugger on
 * a port, where any user of the machine can run code in this process; at the second it ends.
 */
const IGNORED_SIGNALS = ["SIGUSR1", "SIGUSR2"] as const;

/** What starting needs from the process; a test gives its own. */
export interface StartSeams {
  readonly startNode: StartNode;
  readonly clock: Clock;
  readonly write: (text: string) => void;
  readonly onSignal: (signal: NodeJS.Signals, run: () => void) => void;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
}

/** Seams of this process. The node's code is loaded when signals are already listened to. */
export function processSeams(): StartSeams {
  // A closed pipe (`coterie start | head -1`) must not end the node.
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
  // Nor must a terminal that goes away: Node forgets that `nohup` had this signal ignored.
  process.on("SIGHUP", () => {});
  return {
    startNode: async (config) => {
      // They take longest: they come up while the node is loaded.
      const born = bearThreads(config);
      const node = await (await import("../actors/node.ts")).startNode(config, born);
      inlineMore();
      return node;
    },
    clock: systemClock,
    write: (text) => void process.stdout.write(text),
    onSignal: (signal, run) => void process.on(signal, run),
    exit: (code) => process.exit(code),
  };
}

/** Runs a node to its end; resolves with the exit code, rejects if it cannot start. */
export async function runNode(config: NodeConfig, seams: StartSeams): Promise<number> {
  refuseCluster(config);
  const say = (event: string, text: string, facts: object) => {
    seams.write(logLine(config.log, { level: "info", event, message: text, ...facts }));
  };
  const { stopped, listen } = stopSignals(seams);
  listen();
  for (const signal of IGNORED_SIGNALS) {
    seams.onSignal(signal, () => say("signal ignored", `${signal} is ignored`, { signal }));
  }
  const node = await seams.startNode(config);
  flushCompileCache();
  seams.write(bannerOf(config, node));
  const killed = node.killed.then((reason) => ({ kind: "killed" as const, reason }));
  const end = await Promise.race([stopped, killed]);
  if (end.kind === "killed") {
    if (end.reason !== undefined) throw new NodeEnded(end.reason);
    say("stopped", "SHUTDOWN by a client: stopped", { by: "SHUTDOWN" });
    return 0;
  }
  const { signal } = end;
  say("stopping", `${signal}: stopping (a second signal ends the node at once)`, { signal });
  await node.stop();
  say("stopped", "stopped", {});
  return 0;
}

/** The node ended by itself; the process must not exit with 0. */
export class NodeEnded extends Error {
  readonly exitCode = EXIT_SOFTWARE;
  readonly reason: CoterieError;

  constructor(reason: CoterieError) {
    super(reason.message);
    this.reason = reason;
  }
}

function refuseCluster({ nodes }: NodeConfig): void {
  if (nodes.length === 1) return;
  const message = `nodes: the configuration names ${nodes.length} nodes, and this version runs one; leave one entry`;
  throw new CoterieError("CONFIG_INVALID", message);
}

/** The first signal asks for a clean stop, also while starting; a second one ends the process. */
function stopSignals({ clock, onSignal, exit }: StartSeams) {
  const { promise, resolve } = Promise.withResolvers<{ kind: "stopped"; signal: StopSignal }>();
  let firstAt: number | undefined;
  const onStop = (signal: StopSignal) => {
    const now = clock.monotonicMs();
    if (firstAt === undefined) {
      firstAt = now;
      resolve({ kind: "stopped", signal });
    } else if (now - firstAt > SIGNAL_ECHO_MS) exit(128 + SIGNAL_NUMBERS[signal]);
  };
  const listen = () => {
    onSignal("SIGTERM", () => onStop("SIGTERM"));
    onSignal("SIGINT", () => onStop("SIGINT"));
  };
  return { stopped: promise, listen };
}

function bannerOf(config: NodeConfig, node: RunningNode): string {
  const facts: BannerFacts = { config, node, pid: process.pid };
  return config.log.format === "json" ? bannerLine(facts) : bannerText(facts);
}
