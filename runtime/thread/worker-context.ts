/**
 * A worker's side of its host: who it is, its ports to the other threads, and its orderly end.
 *
 * Invariant: ports carry nothing before `openPorts`; what peers send earlier waits in their bounded
 * ports, so a recovering worker is not disturbed.
 */
import type { MessagePort } from "node:worker_threads";
import { parentPort, workerData } from "node:worker_threads";
import { assert, unreachable } from "../base/assert.ts";
import type { CoterieError, ErrorCode } from "../base/errors.ts";
import type { BatchPortOptions } from "./batch-port.ts";
import { BatchPort } from "./batch-port.ts";

/** What a worker is born with (`workerData`). */
export interface WorkerStart {
  readonly index: number;
  readonly workers: number;
  readonly main: MessagePort;
  readonly control: MessagePort;
  /** By worker; none for itself and for peers that are down. */
  readonly peers: readonly (MessagePort | undefined)[];
}

export type ToWorker =
  | { readonly kind: "begin"; readonly args: unknown }
  | { readonly kind: "peer died"; readonly peer: number }
  | { readonly kind: "new peer"; readonly peer: number; readonly port: MessagePort }
  | { readonly kind: "stop" };

export type FromWorker =
  | { readonly kind: "ready" }
  | {
      readonly kind: "cannot start";
      readonly code: ErrorCode;
      readonly message: string;
      readonly detail: Record<string, unknown>;
    };

/** The other end of a port: a worker's index, or the main thread. */
export type Peer = number | "main";

export interface WorkerContextOptions {
  readonly portOptions: (peer: Peer) => BatchPortOptions;
  /** Everything outstanding with this worker is unknown; its port refuses until it is back. */
  readonly onPeerDied?: (peer: number) => void;
  /** The peer's successor can be sent to. */
  readonly onPeerBack?: (peer: number) => void;
  /** Finish, sync, close. The thread ends when the promise does. */
  readonly onStop: () => void | Promise<void>;
}

export interface WorkerContext {
  readonly index: number;
  readonly workers: number;
  /** Checked by the worker, which knows what its own host passes: it may come long after birth. */
  readonly args: Promise<unknown>;
  readonly control: MessagePort;
  readonly main: BatchPort;
  /** By worker; undefined for itself. The objects stay over restarts of the peers. */
  readonly peers: readonly (BatchPort | undefined)[];
  /** Opens the ports: peers can talk to this worker, which does not serve yet. */
  openPorts(): void;
  /** Opens the ports, if they are not open, and tells the host that this worker serves. */
  ready(): void;
  /** Tells the host why there is no point in another try (a bad folder), then ends the thread, at once. */
  cannotStart(error: CoterieError): void;
}

/** Takes up the connection to the host; called once, by a worker's entry module. */
export function openWorker(options: WorkerContextOptions): WorkerContext {
  assert(parentPort !== null, "a worker's entry runs in a worker");
  const host = parentPort;
  const start = workerData as WorkerStart;
  const post = (message: FromWorker) => host.postMessage(message);
  const main = new BatchPort(options.portOptions("main"));
  const peers = Array.from({ length: start.workers }, (_, peer) =>
    peer === start.index ? undefined : new BatchPort(options.portOptions(peer)),
  );
  // Ports that wait for `ready`.
  const waiting = new Map<number, MessagePort>();
  for (const [peer, port] of start.peers.entries()) if (port) waiting.set(peer, port);
  const args = Promise.withResolvers<unknown>();
  let open = false;
  let isReady = false;
  const openPorts = () => {
    if (open) return;
    open = true;
    main.attach(start.main);
    for (const [peer, port] of waiting) peers[peer]?.attach(port);
    waiting.clear();
  };

  host.on("message", (message: ToWorker) => {
    switch (message.kind) {
      case "begin":
        args.resolve(message.args);
        return;
      case "peer died":
        waiting.delete(message.peer);
        peers[message.peer]?.peerDied();
        if (open) options.onPeerDied?.(message.peer);
        return;
      case "new peer":
        if (!open) {
          waiting.set(message.peer, message.port);
          return;
        }
        peers[message.peer]?.attach(message.port);
        options.onPeerBack?.(message.peer);
        return;
      case "stop":
        void end(options.onStop);
        return;
      default:
        unreachable(message);
    }
  });

  return {
    index: start.index,
    workers: start.workers,
    args: args.promise,
    control: start.control,
    main,
    peers,
    openPorts,
    ready() {
      assert(!isReady, "a worker becomes ready once");
      isReady = true;
      openPorts();
      post({ kind: "ready" });
    },
    cannotStart(error) {
      const { code, message, detail } = error;
      post({ kind: "cannot start", code, message, detail: { ...detail } });
      process.exit(1);
    },
  };
}

// A stop that fails is an uncaught error: the host hears of it and the exit code says so.
async function end(onStop: () => void | Promise<void>): Promise<void> {
  await onStop();
  process.exit(0);
}
