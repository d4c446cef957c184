/**
 * What the gateway knows of one client: its connection, its settings, its transaction. Commands of
 * scope "session" work on it.
 */
import type { Request } from "../../runtime/codec/request.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { WorkerView } from "../worker/worker-view.ts";
import type { Connection } from "./connection.ts";

// limits:
/** Commands of one transaction. */
export const QUEUED_COMMANDS_MAX = 262_144;
/** What the watched keys of a client may take in memory, and what one takes besides its bytes. */
export const WATCHED_BYTES_MAX = 16 * 1024 * 1024;
export const WATCHED_KEY_BYTES = 256;

/** A command queued by MULTI, in a buffer of its own. */
export interface QueuedCommand {
  readonly bytes: Buffer;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/** A key that WATCH saw. */
export interface WatchedKey {
  readonly keyspace: number;
  readonly key: Buffer;
  /** What the key's cells were marked with; compared before EXEC. */
  readonly mark: string;
}

/** Which replies are sent: all, none, or all but those of CLIENT REPLY SKIP and the next command. */
export type ReplyMode = "on" | "off" | "skip" | "skipping";

/** Starts commands whose replies come later. */
export interface Router {
  /** EXEC: runs the queue as one transaction, on one thread or several. */
  execute(client: Client, queue: readonly QueuedCommand[], reply: RespWriter): void;
  /** WATCH: notes the marks of the keys, arguments 1.. of the request. */
  watch(client: Client, request: Request, reply: RespWriter): void;
}

export class Client {
  readonly id: number;
  readonly worker: WorkerView;
  readonly router: Router;
  /** Undefined for a handle in this process. */
  connection: Connection | undefined;
  /** On a direct port a key of another thread is answered with MOVED. */
  readonly isDirect: boolean;
  readonly connectedAtMs: number;
  /** A handle in this process: trusted, and of RESP3, also after RESET. */
  isHandle = false;
  keyspace = 0;
  name = "";
  libraryName = "";
  libraryVersion = "";
  isAuthenticated: boolean;
  /** Since when it has not been, if it is not: its connect, or RESET. */
  unauthenticatedSinceMs: number;
  /** READONLY was sent: any replica may answer. */
  isReadonly = false;
  noEvict = false;
  noTouch = false;
  replyMode: ReplyMode = "on";
  lastCommand = "";
  lastCommandAtMs: number;
  commandCount = 0;

  /** Commands since MULTI, or null outside of a transaction. */
  queue: QueuedCommand[] | null = null;
  queueBytes = 0;
  /** A command could not be queued: EXEC will be refused. */
  isQueueBroken = false;
  watched: WatchedKey[] = [];
  #watchedBytes = 0;
  /** The watched keys, with their keyspaces. */
  readonly #watchedNames = new Set<string>();

  constructor(options: {
    id: number;
    worker: WorkerView;
    router: Router;
    isDirect: boolean;
    isAuthenticated: boolean;
    nowMs: number;
  }) {
    this.id = options.id;
    this.worker = options.worker;
    this.router = options.router;
    this.isDirect = options.isDirect;
    this.isAuthenticated = options.isAuthenticated;
    this.connectedAtMs = options.nowMs;
    this.unauthenticatedSinceMs = options.nowMs;
    this.lastCommandAtMs = options.nowMs;
  }

  get protocol(): 2 | 3 {
    return this.connection?.out.protocol ?? 3;
  }

  /** Whether a queued command may change something. */
  queuesWrites = false;

  /** Whether the running command's reply is not sent, and moves CLIENT REPLY SKIP on. */
  mutesReply(): boolean {
    if (this.replyMode === "on") return false;
    if (this.replyMode === "skip") this.replyMode = "skipping";
    else if (this.replyMode === "skipping") this.replyMode = "on";
    return true;
  }

  /** Queues a command of the open transaction. False: it would be too much for one. */
  enqueue(request: Request, bytesMax: number): boolean {
    const count = request.count;
    const length = (request.ends[count - 1] as number) - (request.starts[0] as number);
    const queued = this.queue?.length ?? 0;
    if (queued >= QUEUED_COMMANDS_MAX || this.queueBytes + length > bytesMax) return false;
    const start = request.starts[0] as number;
    const bytes = Buffer.from(request.bytes.subarray(start, request.ends[count - 1] as number));
    const starts = request.starts.slice(0, count);
    const ends = request.ends.slice(0, count);
    for (let i = 0; i < count; i++) {
      starts[i] = (starts[i] as number) - start;
      ends[i] = (ends[i] as number) - start;
    }
    this.queue?.push({ bytes, starts, ends });
    this.queueBytes += bytes.length;
    return true;
  }

  /** A command of the open transaction, if there is one, was refused: EXEC will be. */
  breakQueue(): void {
    if (this.queue !== null) this.isQueueBroken = true;
  }

  /**
   * Watches a key, if it is not watched already: then what it had been marked with counts on. False:
   * too much is watched.
   */
  watch(key: WatchedKey): boolean {
    const name = `${key.keyspace}:${key.key.toString("latin1")}`;
    if (this.#watchedNames.has(name)) return true;
    const bytes = 2 * key.key.length + key.mark.length + WATCHED_KEY_BYTES;
    if (this.#watchedBytes + bytes > WATCHED_BYTES_MAX) return false;
    this.#watchedBytes += bytes;
    this.#watchedNames.add(name);
    this.watched.push(key);
    return true;
  }

  unwatch(): void {
    this.watched = [];
    this.#watchedBytes = 0;
    this.#watchedNames.clear();
  }

  /** Leaves the transaction, whatever became of it. */
  endTransaction(): void {
    this.queue = null;
    this.queueBytes = 0;
    this.isQueueBroken = false;
    this.queuesWrites = false;
    this.unwatch();
  }

  /** RESET: as if it had just connected. */
  reset(isAuthenticated: boolean): void {
    this.endTransaction();
    this.keyspace = 0;
    this.name = "";
    this.isAuthenticated = isAuthenticated || this.isHandle;
    this.unauthenticatedSinceMs = this.worker.nowMs;
    this.isReadonly = false;
    this.noEvict = false;
    this.noTouch = false;
    this.replyMode = "on";
    if (this.connection !== undefined) this.connection.out.protocol = this.isHandle ? 3 : 2;
  }
}
