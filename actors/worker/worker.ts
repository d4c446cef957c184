/**
 * Entry of a worker thread: recovers what the data folder holds of its partitions, listens, serves,
 * and stops in order.
 */

import { flushCompileCache } from "node:module";
import type { Server, Socket } from "node:net";
import { systemClock, systemTimers } from "../../runtime/base/clock.ts";
import { CoterieError } from "../../runtime/base/errors.ts";
import type { LogEvent } from "../../runtime/base/log.ts";
import { systemRandom } from "../../runtime/base/prng.ts";
import { pack } from "../../runtime/codec/pack.ts";
import { systemFiles } from "../../runtime/storage/files.ts";
import { exposeControl } from "../../runtime/thread/control.ts";
import { openWorker, type WorkerContext } from "../../runtime/thread/worker-context.ts";
import { listen } from "../gateway/listener.ts";
import { LocalHandles } from "../gateway/local-transport.ts";
import { isHandleMessage, MESSAGE_REPORT } from "../gateway/messages.ts";
import { writeReport } from "./report.ts";
import { SyncTimes } from "./sync-times.ts";
import type { WorkerBirth, WorkerReport } from "./worker-args.ts";
import type { WorkerControl } from "./worker-control.ts";
import { workerFacts } from "./worker-facts.ts";
import type { WorkerRuntime } from "./worker-runtime.ts";
import { openStorage, type WorkerStorage } from "./worker-storage.ts";

/** How long clients that do not read their last replies are waited for. */
const DRAIN_TIMEOUT_MS = 3_000;

const servers: Server[] = [];
const syncTimes = new SyncTimes(systemClock);
let runtime: WorkerRuntime | undefined;
let storage: WorkerStorage | undefined;
let draining: Promise<void> | undefined;
/** What becomes of a start, its end says. */
let isServing = false;

const context: WorkerContext = openWorker({
  portOptions: (peer) => ({
    onMessage: (kind, id, buffer, start, end) => {
      if (isHandleMessage(kind)) handles.serve(kind, id, buffer, start, end);
      else runtime?.peers.serve(peer, kind, id, buffer, start, end);
    },
    onBatchEnd: () => {
      if (peer === "main") handles.portMoved();
      runtime?.turn.schedule();
    },
  }),
  onPeerDied: (peer) => runtime?.peers.workerDied(peer),
  onStop: stop,
});

const handles = new LocalHandles({
  port: context.main,
  connect: (open) => runtime?.gateway.acceptHandle(open),
});
/** What the operator is told on stderr, by each worker. */
const DISK_FULL: LogEvent = {
  level: "error",
  event: "disk full",
  message:
    "the disk is full: free some space; writes are refused until then, reads and deletes go on",
};
const DISK_HAS_ROOM: LogEvent = { level: "warn", event: "disk has room again" };

start().catch((error: unknown) => {
  if (error instanceof CoterieError) context.cannotStart(error);
  throw error;
});

async function start(): Promise<void> {
  // Loaded while the main thread finds what this worker begins with.
  const loading = import("./worker-runtime.ts");
  const { args, found, parameters } = (await context.args) as WorkerBirth;
  const { WorkerRuntime } = await loading;
  const random = systemRandom();
  const opened = await openStorage({
    args,
    index: context.index,
    found,
    fs: systemFiles,
    timers: systemTimers,
    random,
    events: {
      onDurable: () => runtime?.onDurable(),
      onFailed: (error) => void journalFailed(error),
      onFull: (full) => {
        if (isServing) writeReport(args.config.log, full ? DISK_FULL : DISK_HAS_ROOM);
      },
      syncTimes,
    },
  });
  storage = opened;
  const made = new WorkerRuntime({
    args,
    index: context.index,
    clock: systemClock,
    timers: systemTimers,
    random,
    storage: opened,
    port: (peer) => (peer === "main" ? context.main : context.peers[peer]) ?? context.main,
    flushPorts: () => {
      context.main.flush();
      for (const peer of context.peers) peer?.flush();
    },
    onCrashLoop: (error) => {
      throw error;
    },
    released: (files) => tellMain({ kind: "released", files }),
    shutdown: () => tellMain({ kind: "shutdown" }),
  });
  made.parameters.set(parameters);
  made.parameters.onSet = (values) => tellMain({ kind: "configured", values });
  runtime = made;
  const facts = await opened.recover(made);
  context.openPorts();
  await made.peers.settle();
  const { bind } = args.config;
  const direct = args.directPorts[context.index] as number;
  const accept = (isDirect: boolean) => (socket: Socket) => made.gateway.accept(socket, isDirect);
  servers.push(
    await listen({ host: bind, port: args.gatewayPort, shared: true, accept: accept(false) }),
    await listen({ host: bind, port: direct, shared: false, accept: accept(true) }),
  );
  tellControl(made, opened);
  context.ready();
  isServing = true;
  if (opened.journal.full) writeReport(args.config.log, DISK_FULL);
  tellMain({ kind: "recovered", ...facts, keys: made.keyCount });
  flushCompileCache();
}

/**
 * The disk failed under the journal: what waits for it is unknown, so every connection ends without
 * an answer; the successor of this worker recovers what is proven. There is none if the files are
 * gone: it would serve what is in their place.
 */
async function journalFailed(error: CoterieError): Promise<void> {
  for (const server of servers) server.close();
  for (const client of runtime?.clients.values() ?? []) client.connection?.destroy();
  if (error.code === "DATA_FOLDER_FOREIGN") context.cannotStart(error);
  await storage?.distrust();
  throw error;
}

/** What the main thread may ask. */
function tellControl(view: WorkerRuntime, opened: WorkerStorage): void {
  const { exchange } = view;
  const { journal } = opened;
  const control: WorkerControl = {
    facts: () => workerFacts({ view, journal, exchange, syncs: syncTimes }),
    drain,
    resting: () => opened.resting(),
    replace: (name) => view.upkeep.replaceFile(name),
  };
  exposeControl(control, context.control);
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

/** Accepts no more clients, and ends those that are there once they have their replies. */
function drain(): Promise<void> {
  draining ??= drainNow();
  return draining;
}

async function drainNow(): Promise<void> {
  for (const server of servers) server.close();
  const late = systemTimers.after(DRAIN_TIMEOUT_MS, () => {
    for (const client of runtime?.clients.values() ?? []) client.connection?.destroy();
  });
  await runtime?.gateway.drain();
  late.cancel();
}

/** Syncs what is acknowledged. */
async function stop(): Promise<void> {
  await drain();
  await runtime?.stop();
  await storage?.close();
}
