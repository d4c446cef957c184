/**
 * Entry of a worker thread: recovers what the data folder holds of its partitions, listens, serves,
 * and stops in order.
 */
import type { Server, Socket } from "node:net";
import { systemClock } from "../../runtime/base/clock.ts";
import { CoterieError } from "../../runtime/base/errors.ts";
import { openWorker, type WorkerContext } from "../../runtime/thread/worker-context.ts";
import { pack } from "../../runtime/codec/pack.ts";
import { listen } from "../gateway/listener.ts";
import { MESSAGE_REPORT } from "../gateway/messages.ts";
import { openStorage, type WorkerStorage } from "./worker-storage.ts";
import { WorkerRuntime } from "./worker-runtime.ts";
import type { WorkerArgs, WorkerReport } from "./worker-args.ts";

const servers: Server[] = [];
let runtime: WorkerRuntime | undefined;
let storage: WorkerStorage | undefined;

const context: WorkerContext = openWorker({
  portOptions: (peer) => ({
    onMessage: (kind, id, buffer, start, end) => {
      runtime?.serve(peer, kind, id, buffer, start, end);
    },
    onBatchEnd: () => runtime?.turn.schedule(),
  }),
  onPeerDied: (peer) => runtime?.exchange.workerDied(peer),
  onStop: stop,
});

const args = context.args as WorkerArgs;
start().catch((error: unknown) => {
  if (error instanceof CoterieError) context.cannotStart(error);
  throw error;
});

async function start(): Promise<void> {
  const opened = await openStorage(args, context.index, {
    onDurable: () => runtime?.onDurable(),
    onFailed: (error) => {
      throw error;
    },
  });
  storage = opened;
  const made = new WorkerRuntime({
    args,
    index: context.index,
    clock: systemClock,
    random: opened.random,
    journal: opened.journal,
    log: opened.log,
    port: (peer) => (peer === "main" ? context.main : context.peers[peer]) ?? context.main,
    flushPorts: () => {
      context.main.flush();
      for (const peer of context.peers) peer?.flush();
    },
    recover: (id) => opened.recoverVnode(id, made),
    onCrashLoop: (error) => {
      throw error;
    },
    shutdown: () => tellMain({ kind: "shutdown" }),
  });
  runtime = made;
  const facts = await opened.recover(made);
  const { bind } = args.config;
  const direct = args.directPorts[context.index] as number;
  const accept = (isDirect: boolean) => (socket: Socket) => made.accept(socket, isDirect);
  servers.push(
    await listen({ host: bind, port: args.gatewayPort, shared: true, accept: accept(false) }),
    await listen({ host: bind, port: direct, shared: false, accept: accept(true) }),
  );
  context.ready();
  tellMain({ kind: "recovered", ...facts, keys: made.keyCount });
}

/** Something that the main thread must know. */
function tellMain(report: WorkerReport): void {
  const bytes = pack(report);
  const at = context.main.beginReply(MESSAGE_REPORT, 0, bytes.length);
  if (at < 0) return;
  bytes.copy(context.main.out, at);
  context.main.end(bytes.length);
  context.main.flush();
}

/** Accepts no more, answers what is in flight, syncs. */
async function stop(): Promise<void> {
  for (const server of servers) server.close();
  await runtime?.drain();
  await storage?.close();
}
