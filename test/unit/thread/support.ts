/** Ports and waits for tests with real threads: everything waited for is bounded. */
import { MessageChannel } from "node:worker_threads";
import type { BatchPortOptions } from "../../../runtime/thread/batch-port.ts";
import { BatchPort } from "../../../runtime/thread/batch-port.ts";

export interface Received {
  readonly kind: number;
  readonly id: number;
  readonly payload: string;
}

/** One end of a port that remembers what it received. */
export interface End {
  readonly port: BatchPort;
  readonly received: Received[];
  batches: number;
}

export function end(options: Partial<BatchPortOptions> = {}): End {
  const received: Received[] = [];
  const made: End = {
    received,
    batches: 0,
    port: new BatchPort({
      onMessage(kind, id, buffer, start, stop) {
        received.push({ kind, id, payload: buffer.toString("latin1", start, stop) });
      },
      onBatchEnd() {
        made.batches++;
      },
      ...options,
    }),
  };
  return made;
}

/** Two ends of one port in this thread. */
export function pair(
  left: Partial<BatchPortOptions> = {},
  right: Partial<BatchPortOptions> = {},
): { readonly a: End; readonly b: End; close(): void } {
  const { port1, port2 } = new MessageChannel();
  const a = end(left);
  const b = end(right);
  a.port.attach(port1);
  b.port.attach(port2);
  return {
    a,
    b,
    close() {
      a.port.peerDied();
      b.port.peerDied();
    },
  };
}

/** Writes one message; says whether the port took it. */
export function send(port: BatchPort, message: Received, reply = false): boolean {
  const { kind, id, payload } = message;
  const at = reply
    ? port.beginReply(kind, id, payload.length)
    : port.begin(kind, id, payload.length);
  if (at < 0) return false;
  port.end(port.out.write(payload, at, "latin1"));
  return true;
}

/** Lets the loop turn until `condition` holds; fails after `turnsMax` turns. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = process.hrtime.bigint() + 10_000_000_000n;
  while (!condition()) {
    if (process.hrtime.bigint() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}
