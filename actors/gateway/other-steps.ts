/**
 * Commands that no key sends anywhere: on the client's session, on one partition, on every worker.
 *
 * Invariant: each calls back exactly once, with a whole reply.
 */
import { Request } from "../../runtime/codec/request.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { NodeCommand } from "../command.ts";
import type { Client } from "./client.ts";
import { REPLY_BYTES_MAX } from "./connection.ts";
import type { DispatchHost } from "./dispatcher.ts";
import { MESSAGE_COLLECT, MESSAGE_RUN } from "./messages.ts";
import { encodeError } from "./replies.ts";
import { collectSlices, everySlice, replySlices, sliceHere } from "./sliced.ts";
import { noteStepError, type Step } from "./steps.ts";
import { askWorker, headerOf } from "./worker-ask.ts";

/** A reply, and the commit that it waits for. */
export type OnReplied = (bytes: Buffer, gate: number) => void;

/** The same as a value. */
export interface Replied {
  readonly bytes: Buffer;
  readonly gate: number;
}

/** A request that outlives the buffer it was parsed in. */
export function copyOf(request: Request): Request {
  const copy = new Request();
  let first = request.starts[0] as number;
  let last = first;
  for (let i = 0; i < request.count; i++) {
    first = Math.min(first, request.starts[i] as number);
    last = Math.max(last, request.ends[i] as number);
  }
  copy.reset(Buffer.from(request.bytes.subarray(first, last)));
  for (let i = 0; i < request.count; i++) {
    copy.push((request.starts[i] as number) - first, (request.ends[i] as number) - first);
  }
  return copy;
}

/** Whether a command about every worker is about this one alone. */
export function isForOneWorker(host: DispatchHost, client: Client, command: NodeCommand): boolean {
  return host.config.workers === 1 || (client.isDirect && command.isPerWorker === true);
}

/** This worker's part of a node command. */
export function collectHere(
  host: DispatchHost,
  client: Client,
  command: NodeCommand,
  request: Request,
): unknown {
  host.executor.nowMs = host.nowMs;
  host.executor.gate = 0;
  return command.collect(host, request, client.keyspace, client.id);
}

const NOT_BY_ALL =
  "UNKNOWN a worker did not answer, or restarts: the others have executed the command; send it again";

/** Collects the parts of all workers and replies from them. The request must be a copy. */
export function collectEverywhere(
  host: DispatchHost,
  client: Client,
  command: NodeCommand,
  request: Request,
  done: OnReplied,
): void {
  const { workers } = host.config;
  // HELLO may change the client's protocol before all have answered.
  const { protocol } = client;
  const parts: unknown[] = new Array(workers);
  parts[host.index] = collectHere(host, client, command, request);
  const gate = Math.max(host.executor.gate, host.gates.gateOfAll(client.keyspace));
  let failure: string | null = null;
  let waiting = workers - 1;
  const collected = () => {
    if (--waiting > 0) return;
    if (failure !== null) {
      done(encodeError(command.flags.includes("readonly") ? failure : NOT_BY_ALL), 0);
      return;
    }
    const writer = replyWriter(protocol);
    command.answer(client, request, parts, writer);
    done(writer.take(), gate);
  };
  const header = headerOf(client, 0);
  for (let worker = 0; worker < workers; worker++) {
    if (worker === host.index) continue;
    askWorker(
      host,
      { worker, kind: MESSAGE_COLLECT, header, request, indexes: null },
      (buffer, start, end) => {
        parts[worker] = host.unpack(buffer.subarray(start, end));
        collected();
      },
      (text) => {
        failure = text;
        collected();
      },
    );
  }
}

/** Sends a request to the worker that runs it. */
export function forward(
  host: DispatchHost,
  client: Client,
  request: Request,
  { worker, partition }: { worker: number; partition: number },
  done: OnReplied,
): void {
  const header = headerOf(client, partition);
  askWorker(
    host,
    { worker, kind: MESSAGE_RUN, header, request, indexes: null },
    (buffer, start, end) => done(Buffer.from(buffer.subarray(start, end)), 0),
    (text) => done(encodeError(text), 0),
  );
}

/**
 * Runs a step of a transaction that reaches no other worker; `executor.gate` rises to the commit that
 * its reply waits for.
 */
export function runOtherHere(
  host: DispatchHost,
  client: Client,
  { entry, request, keyspace }: Step,
  reply: RespWriter,
): void {
  const { command } = entry;
  const { executor } = host;
  if (command.scope === "session") {
    command.execute(client, request, reply);
    return;
  }
  if (command.scope === "keys") {
    // It names no key: it only says what is wrong with it.
    executor.runOnKeys(command, keyspace, request, reply);
    return;
  }
  executor.gate = Math.max(executor.gate, host.gates.gateOfAll(keyspace));
  if (command.scope === "partition") {
    const partition = command.route(host, request, reply, keyspace, client.isDirect);
    if (partition >= 0) command.execute(host, keyspace, partition, request, reply);
  } else if (command.scope === "node") {
    if (command.check !== undefined && !command.check(client, request, reply)) return;
    const part = command.collect(host, request, keyspace, client.id);
    command.answer(client, request, [part], reply);
  } else if (command.scope === "sliced") {
    const sliceOf = (asked: Request) => sliceHere(host, entry, command, asked, keyspace);
    replySlices(everySlice(request, sliceOf), reply);
  }
}

/** Runs a step of a transaction that may reach other workers. */
export function runOther(host: DispatchHost, client: Client, step: Step): Promise<Replied> {
  const { entry, request, keyspace } = step;
  const { command } = entry;
  entry.stats.calls++;
  host.stats.commands++;
  const writer = replyWriter(client.protocol);
  return new Promise((resolve) => {
    const replied: OnReplied = (bytes, gate) => {
      noteStepError(host, step, bytes, 0, bytes.length);
      resolve({ bytes, gate });
    };
    if (command.scope === "sliced") {
      const job = { client, entry, command, request, keyspace };
      collectSlices(host, job, (error, pieces, gate) => {
        replied(error === null ? Buffer.concat(pieces) : encodeError(error), gate);
      });
      return;
    }
    if (command.scope === "node" && !isForOneWorker(host, client, command)) {
      if (command.check === undefined || command.check(client, request, writer)) {
        collectEverywhere(host, client, command, request, replied);
      } else replied(writer.take(), 0);
      return;
    }
    if (command.scope === "partition") {
      const partition = command.route(host, request, writer, keyspace, client.isDirect);
      const worker = partition < 0 ? host.index : host.ownerOf(keyspace, partition);
      if (worker !== host.index) {
        // Its errors are counted where it runs.
        forward(host, client, request, { worker, partition }, (bytes, gate) => {
          resolve({ bytes, gate });
        });
        return;
      }
      writer.reset();
    }
    host.executor.gate = 0;
    runOtherHere(host, client, step, writer);
    replied(writer.take(), host.executor.gate);
  });
}

function replyWriter(protocol: 2 | 3): RespWriter {
  const writer = new RespWriter({ bytesMax: REPLY_BYTES_MAX });
  writer.protocol = protocol;
  return writer;
}
