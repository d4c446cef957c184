/**
 * Messages between two threads: round trips one at a time and batched by 64, and one-way batches.
 * The peer is this same file, run as a worker, which echoes what it gets. Each case returns a
 * checksum of the replies.
 */

import type { MessagePort } from "node:worker_threads";
import { isMainThread, MessageChannel, parentPort, Worker, workerData } from "node:worker_threads";
import { readU32, writeU32 } from "../runtime/base/bytes.ts";
import { BatchPort } from "../runtime/thread/batch-port.ts";

const ECHO = 1;
const PEER = "batch-port bench peer";
/** A GET's key and its header, about. */
const PAYLOAD_BYTES = 32;

interface Running {
  readonly port: BatchPort;
  readonly worker: Worker;
  sum: number;
  replies: number;
  onBatchEnd: () => void;
}

let running: Running | undefined;

function peer(): Running {
  if (running !== undefined) return running;
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { role: PEER, port: port2 },
    transferList: [port2],
  });
  const made: Running = {
    worker,
    sum: 0,
    replies: 0,
    onBatchEnd: () => undefined,
    port: new BatchPort({
      onMessage(_kind, id, buffer, start) {
        made.sum = (made.sum + id + readU32(buffer, start)) | 0;
        made.replies++;
      },
      onBatchEnd: () => made.onBatchEnd(),
    }),
  };
  made.port.attach(port1);
  running = made;
  return made;
}

/** Ends the peer; the next case starts a new one. */
export async function closeBatchPortPeer(): Promise<void> {
  running?.port.peerDied();
  await running?.worker.terminate();
  running = undefined;
}

function exchange(iterations: number, batch: number): Promise<number> {
  const state = peer();
  const { port } = state;
  state.sum = 0;
  state.replies = 0;
  let sent = 0;
  return new Promise((resolve) => {
    const next = () => {
      if (state.replies < sent) return;
      if (sent >= iterations) {
        port.flush();
        resolve(state.sum);
        return;
      }
      const end = Math.min(iterations, sent + batch);
      for (; sent < end; sent++) {
        const at = port.begin(ECHO, sent, PAYLOAD_BYTES);
        writeU32(port.out, at, sent);
        port.end(PAYLOAD_BYTES);
      }
      port.flush();
    };
    state.onBatchEnd = next;
    next();
  });
}

/** One message, its wake-up and its reply: latency. */
export function benchBatchPortRoundTrip(iterations: number): Promise<number> {
  return exchange(iterations, 1);
}

/** 64 messages a batch, a message. */
export function benchBatchPortRoundTripOf64(iterations: number): Promise<number> {
  return exchange(iterations, 64);
}

/** 1024 messages a batch, a message: the cost without wake-ups. */
export function benchBatchPortRoundTripOf1024(iterations: number): Promise<number> {
  return exchange(iterations, 1024);
}

function echo(port: MessagePort): void {
  const batchPort = new BatchPort({
    onMessage(kind, id, buffer, start, end) {
      const at = batchPort.beginReply(kind, id, end - start);
      buffer.copy(batchPort.out, at, start, end);
      batchPort.end(end - start);
    },
    onBatchEnd: () => batchPort.flush(),
  });
  batchPort.attach(port);
}

if (!isMainThread && parentPort !== null && workerData?.role === PEER) echo(workerData.port);
