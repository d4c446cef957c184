/**
 * The worker of the worker host's tests: echoes, forwards to peers and dies in several ways.
 *
 *   ECHO     → ECHOED with the same payload
 *   FORWARD  payload: peer → VISIT to the peer → VISITED back → FORWARDED to main, or PEER_DOWN
 */
import { CoterieError } from "../../../runtime/base/errors.ts";
import type { BatchPort } from "../../../runtime/thread/batch-port.ts";
import { exposeControl } from "../../../runtime/thread/control.ts";
import type { Peer, WorkerContext } from "../../../runtime/thread/worker-context.ts";
import { openWorker } from "../../../runtime/thread/worker-context.ts";
import {
  ECHO,
  ECHOED,
  EXIT,
  FILL_HEAP,
  FORWARD,
  FORWARDED,
  PEER_DOWN,
  THROW,
  UP,
  VISIT,
  VISITED,
} from "./echo-kinds.ts";

export interface EchoArgs {
  readonly mode?: "normal" | "throws at start" | "cannot start" | "never stops" | "fails to stop";
}

export const echoApi = {
  index: () => context.index,
  connected: () => context.peers.map((port) => port?.connected ?? false),
};

let args: EchoArgs = {};
const context: WorkerContext = openWorker({
  portOptions: (peer) => ({
    onMessage: (kind, id, buffer, start, end) =>
      onMessage(peer, kind, id, buffer.toString("latin1", start, end)),
    onBatchEnd: flush,
  }),
  onPeerBack: (peer) => {
    say(context.peers[peer] as BatchPort, ECHO, 0, "welcome");
    flush();
  },
  onStop() {
    if (args.mode === "fails to stop") throw new Error("the last sync failed");
    return args.mode === "never stops" ? new Promise(() => undefined) : undefined;
  },
});
const channel = new BroadcastChannel(UP);
channel.postMessage(context.index);
channel.close();
args = (await context.args) as EchoArgs;

function onMessage(peer: Peer, kind: number, id: number, payload: string): void {
  const { main, peers } = context;
  if (kind === ECHO && peer === "main") say(main, ECHOED, id, payload);
  else if (kind === FORWARD) {
    const target = peers[Number(payload)] as BatchPort;
    if (!say(target, VISIT, id, payload)) say(main, PEER_DOWN, id, payload);
  } else if (kind === VISIT) say(peers[peer as number] as BatchPort, VISITED, id, payload);
  else if (kind === VISITED) say(main, FORWARDED, id, payload);
  else if (kind === THROW) throw new TypeError(payload);
  else if (kind === EXIT) process.exit(Number(payload));
  else if (kind === FILL_HEAP) fillHeap();
}

function say(port: BatchPort, kind: number, id: number, payload: string): boolean {
  const at = port.beginReply(kind, id, payload.length);
  if (at < 0) return false;
  port.end(port.out.write(payload, at, "latin1"));
  return true;
}

function flush(): void {
  context.main.flush();
  for (const port of context.peers) port?.flush();
}

function fillHeap(): void {
  const kept: unknown[] = [];
  for (;;) kept.push({ kept: kept.length });
}

if (args.mode === "throws at start") throw new Error("the recovery failed");
if (args.mode === "cannot start") {
  context.cannotStart(
    new CoterieError("DATA_FOLDER_FOREIGN", "not ours", { detail: { path: "/d" } }),
  );
}
exposeControl(echoApi, context.control);
context.ready();
