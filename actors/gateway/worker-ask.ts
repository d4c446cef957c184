/**
 * How one worker asks another to run a client's request, or its part of it.
 *
 * Invariant: what is sent names its client, so that the worker which runs it keeps that client's order.
 */
import type { Request } from "../../runtime/codec/request.ts";
import type { Client } from "./client.ts";
import type { Exchange, OnFailure, OnReply } from "./exchange.ts";
import { type RunHeader, runBytes, writeRun } from "./messages.ts";

/** What is asked, and of whom. */
export interface WorkerAsk {
  readonly worker: number;
  /** MESSAGE_RUN or MESSAGE_COLLECT. */
  readonly kind: number;
  readonly header: RunHeader;
  readonly request: Request;
  /** Which of its arguments are sent; null: all. */
  readonly indexes: readonly number[] | null;
  /** It goes on with what this worker has begun; else it may be refused where much is under way. */
  readonly isBegun?: boolean;
}

/** Sends the request; exactly one of the callbacks follows. */
export function askWorker(
  { exchange, nowMs }: { readonly exchange: Exchange; readonly nowMs: number },
  { worker, kind, header, request, indexes, isBegun = false }: WorkerAsk,
  onReply: OnReply,
  onFailure: OnFailure,
): void {
  exchange.ask(
    { worker, kind, isBegun },
    runBytes(request, indexes),
    (target, start) => writeRun(target, start, header, request, indexes),
    nowMs,
    onReply,
    onFailure,
  );
}

/** What a message says of a client's command on a partition. */
export function headerOf(
  { keyspace, protocol, id }: Pick<Client, "keyspace" | "protocol" | "id">,
  partition: number,
): RunHeader {
  return { keyspace, protocol, partition, client: id };
}
