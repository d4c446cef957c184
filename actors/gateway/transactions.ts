/**
 * WATCH, EXEC, and commands whose keys belong to several workers.
 *
 * Where all keys live on this thread a transaction is one turn: its ops go into one frame, applied
 * together or not at all, and nobody sees half of it. Where all live on one other worker, that one
 * runs it so. Else it is cut into parts (cross-plan.ts) and done in two phases (cross-worker.ts).
 *
 * Invariants: EXEC replies once; a transaction that may have been done is never said not to be; what
 * reaches other workers begins when everything that the client sent before has been answered, so
 * that none of it can still be waiting there.
 */
import type { Request } from "../../runtime/codec/request.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { CommandEntry } from "../command-table.ts";
import type { ExecAnswer, ExecMessage, WatchMessage } from "../protocols/transactions.ts";
import { vnodeId } from "../vnode/vnode-id.ts";
import { execRefusal, FAILED_INSIDE } from "../worker/participant.ts";
import { CROSS_SLOT } from "./admission.ts";
import type { Client, QueuedCommand, Router, WatchedKey } from "./client.ts";
import { type Connection, REPLY_BYTES_MAX } from "./connection.ts";
import { vnodesByWorker } from "./cross-plan.ts";
import { CrossTransaction } from "./cross-transaction.ts";
import type { CrossWorker } from "./cross-worker.ts";
import type { DispatchHost } from "./dispatcher.ts";
import { MESSAGE_EXEC, MESSAGE_MARKS } from "./messages.ts";
import { runOther, runOtherHere } from "./other-steps.ts";
import { arrayOf, encodeError, nilArray } from "./replies.ts";
import {
  argumentsOf,
  forEachPartition,
  hasKeys,
  type Job,
  markOfKey,
  noteStepError,
  reachesOthers,
  runStep,
  type Step,
  stepsOf,
  vnodesOf,
  workerOfVnode,
} from "./steps.ts";

export class Transactions implements Router {
  readonly #host: DispatchHost;
  readonly #cross: CrossWorker;

  constructor(host: DispatchHost, cross: CrossWorker) {
    this.#host = host;
    this.#cross = cross;
  }

  // ---- WATCH --------------------------------------------------------------------------------------

  watch(client: Client, request: Request, reply: RespWriter): void {
    const host = this.#host;
    const { keyspace } = client;
    const { executor } = host;
    const keys: Buffer[] = [];
    for (let i = 1; i < request.count; i++) keys.push(request.bytesAt(i));
    const partitions = keys.map((key) => executor.partitionOf(keyspace, key, 0, key.length));
    const isHere = partitions.every((partition) => {
      const isOwn = host.ownerOf(keyspace, partition) === host.index;
      return isOwn && host.canRun(keyspace, partition);
    });
    if (!isHere) {
      void this.#watchElsewhere(client, keys, partitions);
      return;
    }
    const isWatched = keys.every((key) => {
      return client.watch({ keyspace, key, mark: markOfKey(host, keyspace, key) });
    });
    if (isWatched) reply.ok();
    else reply.error(WATCHES_TOO_MUCH);
  }

  async #watchElsewhere(
    client: Client,
    keys: readonly Buffer[],
    partitions: readonly number[],
  ): Promise<void> {
    const host = this.#host;
    const connection = client.connection as Connection;
    const { keyspace } = client;
    const slot = connection.defer(0, client.mutesReply());
    connection.block();
    await connection.whenFirst(slot);
    const workers = new Set(partitions.map((partition) => host.ownerOf(keyspace, partition)));
    const watched: WatchedKey[] = [];
    let refusal: string | null = null;
    for (const worker of workers) {
      const own = keys.filter((_, i) => {
        return host.ownerOf(keyspace, partitions[i] as number) === worker;
      });
      const message = { keyspace, keys: own };
      const asked = await this.#cross.ask<string[] | string>(worker, MESSAGE_MARKS, message);
      if (asked.kind === "failed") refusal = asked.text;
      else if (typeof asked.value === "string") refusal = asked.value;
      else {
        const marks = asked.value;
        own.forEach((key, i) => {
          watched.push({ keyspace, key, mark: marks[i] ?? "" });
        });
      }
    }
    if (refusal === null && !watched.every((key) => client.watch(key))) refusal = WATCHES_TOO_MUCH;
    connection.fill(slot, refusal === null ? OK : encodeError(refusal), 0);
    connection.unblock();
  }

  // ---- EXEC ---------------------------------------------------------------------------------------

  execute(client: Client, queue: readonly QueuedCommand[], reply: RespWriter): void {
    const host = this.#host;
    const { watched } = client;
    const steps = stepsOf(host, client, queue);
    if (client.isDirect && isCrossSlot(host, steps)) {
      reply.error(CROSS_SLOT);
      return;
    }
    const vnodes = vnodesOf(host, steps);
    for (const { keyspace, key } of watched) {
      vnodes.add(vnodeId(keyspace, host.executor.partitionOf(keyspace, key, 0, key.length)));
    }
    const workers = new Set([...vnodes].map((id) => workerOfVnode(host, id)));
    const isHere = workers.size === 0 || (workers.size === 1 && workers.has(host.index));
    const isAlone = host.config.workers === 1 || !steps.some(reachesOthers);
    if (isHere && isAlone) {
      if (this.#unready(vnodes) === undefined) this.#runNow(client, steps, watched, reply);
      else this.#runWhenReady(client, steps, vnodes);
      return;
    }
    const job = { client, steps, watched, isMulti: true };
    if (workers.size === 1 && isAlone) {
      const [worker] = workers;
      void this.#forward(job, worker as number, vnodes);
      return;
    }
    void new CrossTransaction(host, this.#cross, job).run(vnodesByWorker(host, vnodes));
  }

  /** A command whose keys belong to several workers, in a request of its own. */
  runAcross(client: Client, request: Request, entry: CommandEntry): void {
    const host = this.#host;
    const steps = [{ entry, request, keyspace: client.keyspace }];
    const job = { client, steps, watched: [], isMulti: false };
    const vnodes = vnodesByWorker(host, vnodesOf(host, steps));
    void new CrossTransaction(host, this.#cross, job).run(vnodes);
  }

  /** A vnode that cannot run commands now. */
  #unready(vnodes: ReadonlySet<number>): number | undefined {
    return [...vnodes].find((id) => !this.#host.canRun(id >>> 16, id & 0xffff));
  }

  #runNow(
    client: Client,
    steps: readonly Step[],
    watched: readonly WatchedKey[],
    reply: RespWriter,
  ): void {
    const host = this.#host;
    const isChanged = watched.some(({ keyspace, key, mark }) => {
      return markOfKey(host, keyspace, key) !== mark;
    });
    if (isChanged) {
      reply.nilArray();
      return;
    }
    const refusal = this.#refusal(steps);
    if (refusal !== null) reply.error(refusal);
    else this.#runHere(client, steps, reply);
  }

  /** Why a transaction cannot run, or null. */
  #refusal(steps: readonly Step[]): string | null {
    for (const { entry } of steps) {
      const refusal = entry.isWrite ? this.#host.refusesWrite(entry.deniesOom) : null;
      if (refusal !== null) return execRefusal(refusal);
    }
    return null;
  }

  #runHere(client: Client, steps: readonly Step[], reply: RespWriter): void {
    const host = this.#host;
    const { executor } = host;
    const mark = host.mark();
    const start = reply.at;
    try {
      reply.array(steps.length);
      executor.nowMs = host.nowMs;
      executor.beginTransaction();
      for (const step of steps) {
        step.entry.stats.calls++;
        host.stats.commands++;
        const from = reply.at;
        if (hasKeys(step)) runStep(host, step, reply);
        else runOtherHere(host, client, step, reply);
        noteStepError(host, step, reply.buffer, from, reply.at);
      }
      executor.endTransaction();
    } catch (error) {
      host.rollBack(mark, error);
      executor.gate = 0;
      reply.rewind(start);
      reply.error(FAILED_INSIDE);
    }
  }

  /** Partitions restart, or another transaction holds them: this one waits for all of them. */
  #runWhenReady(client: Client, steps: readonly Step[], vnodes: ReadonlySet<number>): void {
    const host = this.#host;
    const connection = client.connection as Connection;
    const { watched } = client;
    const slot = connection.defer(0, client.mutesReply());
    connection.block();
    const answer = (bytes: Buffer, gate: number) => {
      connection.fill(slot, bytes, gate);
      connection.unblock();
    };
    const run = () => {
      const waiting = this.#unready(vnodes);
      if (waiting !== undefined) {
        host.whenReady(waiting >>> 16, waiting & 0xffff, (error) => {
          if (error === null) run();
          else answer(encodeError(error), 0);
        });
        return;
      }
      const writer = new RespWriter({ bytesMax: REPLY_BYTES_MAX });
      writer.protocol = client.protocol;
      host.executor.gate = 0;
      this.#runNow(client, steps, watched, writer);
      const { gate } = host.executor;
      host.schedule();
      if (writer.overflowed) connection.destroy();
      else answer(writer.take(), gate);
    };
    run();
  }

  async #forward(job: Job, worker: number, vnodes: ReadonlySet<number>): Promise<void> {
    const connection = job.client.connection as Connection;
    const slot = connection.defer(0, job.client.mutesReply());
    connection.block();
    await connection.whenFirst(slot);
    await this.#finish(job, worker, vnodes, (bytes, gate) => connection.fill(slot, bytes, gate));
    connection.unblock();
  }

  /** Has the worker that owns all keys run the steps; the steps without keys run here after it. */
  async #finish(
    { client, steps, watched }: Job,
    worker: number,
    vnodes: ReadonlySet<number>,
    done: (bytes: Buffer, gate: number) => void,
  ): Promise<void> {
    const host = this.#host;
    const withKeys = steps.filter(hasKeys);
    const message: ExecMessage = {
      protocol: client.protocol,
      vnodes: [...vnodes],
      steps: withKeys.map(({ keyspace, request }) => {
        return { keyspace, args: argumentsOf(request, null) };
      }),
      watched: watched as readonly WatchMessage[],
    };
    const asked = await this.#cross.ask<ExecAnswer>(worker, MESSAGE_EXEC, message);
    if (asked.kind === "failed") {
      done(encodeError(asked.text), 0);
      return;
    }
    const { value } = asked;
    if (value.kind === "changed") {
      done(nilArray(client.protocol), 0);
      return;
    }
    if (value.kind === "refused") {
      done(encodeError(execRefusal(value.text)), 0);
      return;
    }
    const replies = value.replies.values();
    const all: Buffer[] = [];
    let { gate } = asked;
    for (const step of steps) {
      if (hasKeys(step)) all.push(replies.next().value as Buffer);
      else {
        const other = await runOther(host, client, step);
        all.push(other.bytes);
        gate = Math.max(gate, other.gate);
      }
    }
    done(arrayOf(all), gate);
  }
}

const WATCHES_TOO_MUCH = "ERR too many keys are watched: send UNWATCH, or watch fewer";

const OK = Buffer.from("+OK\r\n");

/** Whether the steps' keys are in several slots. */
function isCrossSlot(host: DispatchHost, steps: readonly Step[]): boolean {
  const slots = new Set<number>();
  for (const step of steps) {
    if (hasKeys(step)) forEachPartition(host, step, (_partition, slot) => slots.add(slot));
  }
  return slots.size > 1;
}
