/**
 * What other workers and the main thread ask of this one: commands on its partitions, its part of
 * a node command.
 */
import { Request } from "../../runtime/codec/request.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { CommandEntry } from "../command-table.ts";
import { copyOf, type DispatchHost } from "../gateway/dispatcher.ts";
import { MESSAGE_FAILED, MESSAGE_PART, MESSAGE_REPLY, type RunHeader, readRun } from "../gateway/messages.ts";

/** Sends an answer back to who asked; held until its gate is open. */
export type Answer = (kind: number, bytes: Buffer, start: number, end: number, gate: number) => void;

const FAILED_INSIDE =
  "ERR internal error: the command was not executed and its partition restarts; please report the log's lines about it";

export class RemoteRequests {
  readonly #host: DispatchHost;
  readonly #pack: (value: unknown) => Buffer;
  readonly #request = new Request();
  readonly #header: RunHeader = { keyspace: 0, protocol: 2, partition: 0 };
  readonly #writer: RespWriter;

  constructor(host: DispatchHost, pack: (value: unknown) => Buffer) {
    this.#host = host;
    this.#pack = pack;
    this.#writer = new RespWriter({ bytesMax: host.config.clients.outputHardBytes });
  }

  /** Runs a command on a partition of this worker. */
  run(source: Buffer, start: number, answer: Answer): void {
    readRun(source, start, this.#header, this.#request);
    const { keyspace, partition, protocol } = this.#header;
    this.runRequest(this.#request, keyspace, partition, protocol, answer);
  }

  /** Runs a request whose keys are this worker's. */
  runRequest(
    request: Request,
    keyspace: number,
    partition: number,
    protocol: 2 | 3,
    answer: Answer,
  ): void {
    const host = this.#host;
    const entry = host.table.find(request) as CommandEntry;
    if (entry.command.scope !== "keys" && !host.isReady(keyspace, partition)) {
      const kept = copyOf(request);
      host.whenReady(keyspace, partition, (error) => {
        if (error === null) this.runRequest(kept, keyspace, partition, protocol, answer);
        else this.#fail(`TRYAGAIN ${error.message}`, answer);
      });
      return;
    }
    const refusal = entry.isWrite ? host.refusesWrite(entry.deniesOom) : null;
    if (refusal !== null) {
      this.#fail(refusal, answer);
      return;
    }
    const writer = this.#writer;
    writer.reset();
    writer.protocol = protocol;
    const mark = host.mark();
    let gate = 0;
    try {
      gate = this.#execute(entry, request, keyspace, partition, writer);
    } catch (error) {
      host.rollBack(mark, error);
      this.#fail(FAILED_INSIDE, answer);
      return;
    }
    host.stats.commands++;
    answer(MESSAGE_REPLY, writer.buffer, 0, writer.at, gate);
  }

  #execute(
    entry: CommandEntry,
    request: Request,
    keyspace: number,
    partition: number,
    writer: RespWriter,
  ): number {
    const { executor } = this.#host;
    const { command } = entry;
    executor.nowMs = this.#host.nowMs;
    executor.gate = 0;
    if (command.scope === "key") {
      executor.runOnKey(command, keyspace, partition, request, writer);
    } else if (command.scope === "keys") {
      executor.runOnKeys(command, keyspace, request, writer);
    } else if (command.scope === "partition") {
      command.execute(this.#host, keyspace, partition, request, writer);
    }
    return executor.gate;
  }

  #fail(text: string, answer: Answer): void {
    const writer = this.#writer;
    writer.reset();
    writer.error(text);
    answer(MESSAGE_REPLY, writer.buffer, 0, writer.at, 0);
  }

  /** Collects this worker's part of a node command. */
  collect(source: Buffer, start: number, answer: Answer): void {
    const host = this.#host;
    readRun(source, start, this.#header, this.#request);
    const entry = host.table.find(this.#request);
    const command = entry?.command;
    if (command?.scope !== "node") {
      const text = Buffer.from("ERR no such node command");
      answer(MESSAGE_FAILED, text, 0, text.length, 0);
      return;
    }
    host.executor.nowMs = host.nowMs;
    host.executor.gate = 0;
    const part = this.#pack(command.collect(host, this.#request, this.#header.keyspace, 0));
    answer(MESSAGE_PART, part, 0, part.length, host.executor.gate);
  }
}
