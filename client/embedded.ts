/**
 * A node inside an application: `import { startNode } from "coterie"`. It runs on its own worker
 * threads, serves the same ports as a node of the command line, and gives the application typed
 * clients that need no socket.
 *
 *   const node = await startNode({ data: "./data", port: 0 });
 *   const client = node.client();
 *   await client.set("greeting", "hello");
 *   await node.stop();
 */
import { startNode as startConfigured } from "../actors/node.ts";
import type { RunningNode } from "../actors/node-api.ts";
import { systemClock, systemTimers } from "../runtime/base/clock.ts";
import { CoterieError } from "../runtime/base/errors.ts";
import { thisMachine } from "../runtime/base/machine.ts";
import { nodeRefusal } from "../runtime/base/node-version.ts";
import { embeddedConfig, type NodeOptions } from "../runtime/config/embedded.ts";
import { CALL_TIMEOUT_MS, CallQueue } from "./call-queue.ts";
import { encodeCommand } from "./command.ts";
import { LocalClient } from "./local-client.ts";
import { asBytes, asText, type Decode } from "./replies.ts";

export type {
  NodeStatus,
  RecoverySummary,
  RunningNode,
  WorkerStatus,
} from "../actors/node-api.ts";
export { CoterieError, type ErrorCode, type Remedy } from "../runtime/base/errors.ts";
export type { LogLevel } from "../runtime/base/log.ts";
export type { NodeOptions } from "../runtime/config/embedded.ts";
export type { Durability, NodePorts } from "../runtime/config.ts";
export type { Argument, Command } from "./command.ts";
export type { Data, Integer, LocalClient, SetOptions } from "./local-client.ts";
export type { Reply } from "./replies.ts";

// limits:
/** Longest time of a call: more makes a timer fire at once. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

export interface ClientOptions {
  /** Index of the keyspace, as SELECT; default 0. */
  readonly keyspace?: number;
  /** How byte strings in replies are shown; default text (UTF-8). */
  readonly replies?: "text" | "bytes";
  /** Longest time of a call; default 30 s. After it the outcome is unknown. */
  readonly timeoutMs?: number;
}

/** A running node with clients of its own. */
export interface EmbeddedNode extends RunningNode {
  /** A client; make one, or a few: each has one worker that parses for it. */
  client(options: ClientOptions & { readonly replies: "bytes" }): LocalClient<Buffer>;
  client(options?: ClientOptions): LocalClient<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a node; resolves when it serves. Rejects with a CoterieError (CONFIG_INVALID, PORT_IN_USE,
 * DATA_FOLDER_IN_USE ...) having closed what it had opened. Signals are the application's: call
 * `stop` before the process ends.
 */
export async function startNode(options: NodeOptions = {}): Promise<EmbeddedNode> {
  const refusal = nodeRefusal(process);
  if (refusal !== null) throw new CoterieError("NODE_TOO_OLD", `coterie ${refusal}`);
  const config = embeddedConfig(options, { folder: process.cwd(), machine: thisMachine() });
  if (config.nodes.length > 1) {
    const message = `nodes: the configuration names ${config.nodes.length} nodes, and this version runs one; leave one entry`;
    throw new CoterieError("CONFIG_INVALID", message);
  }
  const node = await startConfigured(config);

  function client(wanted?: ClientOptions): LocalClient<string>;
  function client(wanted: ClientOptions & { replies: "bytes" }): LocalClient<Buffer>;
  function client({ keyspace = 0, replies = "text", timeoutMs }: ClientOptions = {}) {
    if (config.keyspaces[keyspace] === undefined) {
      const message = `there is no keyspace ${keyspace}: there are 0 to ${config.keyspaces.length - 1}`;
      throw new CoterieError("CONFIG_INVALID", message);
    }
    const isTime = timeoutMs === undefined || (timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS_MAX);
    if (!isTime) {
      const message = `timeoutMs: ${timeoutMs} is no time; give 1 to ${TIMEOUT_MS_MAX} milliseconds`;
      throw new CoterieError("CONFIG_INVALID", message);
    }
    const made = <Text extends string | Buffer>(decode: Decode<Text>) => {
      const queue = new CallQueue<Text>({
        handles: node.handles,
        clock: systemClock,
        timers: systemTimers,
        decode,
        timeoutMs: timeoutMs ?? CALL_TIMEOUT_MS,
        preamble: keyspace === 0 ? [] : [encodeCommand(["SELECT", keyspace])],
      });
      return new LocalClient<Text>(queue);
    };
    return replies === "bytes" ? made(asBytes) : made(asText);
  }

  return {
    nodeId: node.nodeId,
    version: node.version,
    ports: node.ports,
    dataFolder: node.dataFolder,
    recovery: node.recovery,
    killed: node.killed,
    stop: () => node.stop(),
    client: client as EmbeddedNode["client"],
    [Symbol.asyncDispose]: () => node.stop(),
  };
}
