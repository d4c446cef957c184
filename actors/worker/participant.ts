/**
 * What the owner of partitions does for transactions over several workers: locks, checks, shows,
 * runs its parts, unlocks. Messages: protocols/transactions.ts.
 *
 * Invariant: a part runs at most once, however often it is asked for: its op id goes into the log
 * with what it did, if only nothing.
 */
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { DispatchHost } from "../gateway/dispatcher.ts";
import {
  MESSAGE_COMMIT,
  MESSAGE_EXEC,
  MESSAGE_MARKS,
  MESSAGE_PREPARE,
  MESSAGE_RELEASE,
  MESSAGE_SYNC,
} from "../gateway/messages.ts";
import { encodeError } from "../gateway/replies.ts";
import { markOfKey, noteStepError, runStep, type Step, stepOf } from "../gateway/steps.ts";
import type {
  CommitAnswer,
  CommitMessage,
  ExecAnswer,
  ExecMessage,
  MarksMessage,
  Part,
  PrepareAnswer,
  PrepareMessage,
  ReleaseMessage,
  SyncMessage,
  WatchMessage,
} from "../protocols/transactions.ts";
import {
  contentBytes,
  type KeyContent,
  putContent,
  takeContent,
} from "../vnode/commands/key-content.ts";
import { ABSENT } from "../vnode/key-access.ts";
import { vnodeId } from "../vnode/vnode-id.ts";

// limits:
/** All replies that one message asks for: what carries them has a bound, too. */
export const PARTS_REPLY_BYTES_MAX = 512 * 1024 * 1024;

const REPLIES_TOO_LONG = encodeError(
  "ERR the replies of this transaction are too long to be sent: it was done; read the keys apart",
);
/** What the transaction must carry from worker to worker is too much. */
export const KEYS_TOO_LARGE =
  "ERR these keys are too large to be moved between worker threads: use a {hash tag}";
const PEEKS_TOO_LONG = encodeError(KEYS_TOO_LARGE);
/** How often a part that throws is tried. */
const TRIES_MAX = 3;

/** What EXEC replies where it may not run now: Redis's words where writes are refused. */
export function execRefusal(text: string): string {
  const isRefused = /^(OOM|MISCONF) /.test(text);
  return isRefused ? discardedFor(text) : text;
}

/** EXEC's reply where the transaction fails with EXEC itself. */
export function discardedFor(text: string): string {
  return `EXECABORT Transaction discarded because of: ${text}`;
}

export const DISK_REFUSES =
  "MISCONF the disk is full: writes are refused until there is space again; reads go on";
export const FAILED_INSIDE =
  "ERR internal error: the command was not executed and its partition restarts; please report the log's lines about it";

/** Ends a request: its answer leaves when the gate is open. */
export type OnAnswer = (answer: unknown, gate: number) => void;

export class Participant {
  readonly #host: DispatchHost;
  readonly #replyBytesMax: number;
  /** Bytes that further replies to the running message may take. */
  #replyBytesLeft = 0;

  constructor(host: DispatchHost, replyBytesMax: number) {
    this.#host = host;
    this.#replyBytesMax = replyBytesMax;
  }

  /** Serves one message; RELEASE is not answered. */
  serve(kind: number, message: unknown, done: OnAnswer): void {
    switch (kind) {
      case MESSAGE_EXEC:
        this.#execute(message as ExecMessage, done);
        return;
      case MESSAGE_MARKS:
        this.#mark(message as MarksMessage, done);
        return;
      case MESSAGE_PREPARE:
        this.#prepare(message as PrepareMessage, done);
        return;
      case MESSAGE_COMMIT:
        this.#commit(message as CommitMessage, TRIES_MAX, done);
        return;
      case MESSAGE_RELEASE:
        this.#release(message as ReleaseMessage);
        return;
      case MESSAGE_SYNC:
        this.#sync(message as SyncMessage, done);
        return;
    }
  }

  // ---- a whole transaction ------------------------------------------------------------------------

  #execute(message: ExecMessage, done: OnAnswer): void {
    const host = this.#host;
    const steps = message.steps.map(({ keyspace, args }) => stepOf(host, keyspace, args));
    const vnodes = [...message.vnodes];
    this.#whenReady(vnodes, (refusal) => {
      if (refusal === null) this.#executeNow(message, steps, done);
      else done({ kind: "refused", text: refusal } satisfies ExecAnswer, 0);
    });
  }

  #executeNow(message: ExecMessage, steps: readonly Step[], done: OnAnswer): void {
    const host = this.#host;
    if (!this.#isUnchanged(message.watched)) {
      done({ kind: "changed" } satisfies ExecAnswer, 0);
      return;
    }
    for (const { entry } of steps) {
      const refusal = entry.isWrite ? host.refusesWrite(entry.deniesOom) : null;
      if (refusal === null) continue;
      done({ kind: "refused", text: refusal } satisfies ExecAnswer, 0);
      return;
    }
    const { executor } = host;
    const mark = host.mark();
    const replies: Buffer[] = [];
    this.#replyBytesLeft = this.#replyBytesMax;
    try {
      executor.nowMs = host.nowMs;
      executor.beginTransaction();
      for (const step of steps) replies.push(this.#run(step, message.protocol));
      executor.endTransaction();
    } catch (error) {
      host.rollBack(mark, error);
      done({ kind: "refused", text: FAILED_INSIDE } satisfies ExecAnswer, 0);
      return;
    }
    done({ kind: "done", replies } satisfies ExecAnswer, executor.gate);
  }

  #run(step: Step, protocol: 2 | 3, isPeek = false): Buffer {
    const writer = new RespWriter({ bytesMax: this.#replyBytesLeft, bytesStart: 64 });
    writer.protocol = protocol;
    step.entry.stats.calls++;
    if (!isPeek) this.#host.stats.commands++;
    runStep(this.#host, step, writer);
    if (writer.overflowed) return isPeek ? PEEKS_TOO_LONG : REPLIES_TOO_LONG;
    // What a peek says is no client's reply yet: who peeks makes one of it.
    if (!isPeek) noteStepError(this.#host, step, writer.buffer, 0, writer.at);
    this.#replyBytesLeft -= writer.at;
    return writer.take();
  }

  // ---- WATCH --------------------------------------------------------------------------------------

  #mark({ keyspace, keys }: MarksMessage, done: OnAnswer): void {
    const host = this.#host;
    const { executor } = host;
    const vnodes = keys.map((key) => {
      return vnodeId(keyspace, executor.partitionOf(keyspace, key, 0, key.length));
    });
    this.#whenReady(vnodes, (refusal) => {
      if (refusal !== null) done(refusal, 0);
      else
        done(
          keys.map((key) => markOfKey(host, keyspace, key)),
          0,
        );
    });
  }

  #isUnchanged(watched: readonly WatchMessage[]): boolean {
    return watched.every(
      ({ keyspace, key, mark }) => markOfKey(this.#host, keyspace, key) === mark,
    );
  }

  // ---- parts of a transaction -----------------------------------------------------------------------

  #prepare(message: PrepareMessage, done: OnAnswer): void {
    const { locks, nowMs } = this.#host;
    const { id, coordinator } = message;
    locks.lock(message.vnodes, { holder: id, coordinator }, nowMs, (refusal) => {
      if (refusal !== null) done({ kind: "refused", text: refusal } satisfies PrepareAnswer, 0);
      else this.#whenServing(message.vnodes, (error) => this.#check(message, error, done));
    });
  }

  /** Everything is locked and serves: says whether the transaction may go on. */
  #check(message: PrepareMessage, error: string | null, done: OnAnswer): void {
    const { answer, gate } = this.#judge(message, error);
    if (answer.kind !== "ready") this.#host.locks.release(message.id);
    done(answer, gate);
  }

  #judge(message: PrepareMessage, error: string | null): { answer: PrepareAnswer; gate: number } {
    const host = this.#host;
    const refused = (text: string) => ({ answer: { kind: "refused", text } as const, gate: 0 });
    const refusal = error ?? (message.isWrite ? host.refusesWrite(message.deniesOom) : null);
    if (refusal !== null) return refused(refusal);
    if (!this.#isUnchanged(message.watched)) return { answer: { kind: "changed" }, gate: 0 };
    const found = this.#contentsOf(message);
    if (found === null) return refused(KEYS_TOO_LARGE);
    return { answer: { kind: "ready", contents: found.contents }, gate: found.gate };
  }

  /** What keys hold, and the gate of who sees it; null: it takes too much memory. */
  #contentsOf({ keys, contentBytesMax }: PrepareMessage) {
    let gate = 0;
    let bytesLeft = contentBytesMax;
    const contents: (KeyContent | null)[] = [];
    for (const { keyspace, key } of keys) {
      const access = this.#accessOf(keyspace, key);
      const isThere = access.openKey(key, 0, key.length) !== ABSENT;
      const content = isThere ? takeContent(access, bytesLeft) : null;
      if (isThere && content === null) return null;
      if (content !== null) bytesLeft -= contentBytes(content);
      gate = Math.max(gate, access.gate);
      contents.push(content);
    }
    return { contents, gate };
  }

  #accessOf(keyspace: number, key: Buffer) {
    const { executor, nowMs, vnodesHere } = this.#host;
    const partition = executor.partitionOf(keyspace, key, 0, key.length);
    const access = vnodesHere.vnode(keyspace, partition).key;
    access.nowMs = nowMs;
    access.gate = 0;
    return access;
  }

  #commit(message: CommitMessage, tries: number, done: OnAnswer): void {
    const host = this.#host;
    const vnodes = message.parts.map(({ keyspace, partition }) => vnodeId(keyspace, partition));
    this.#whenServing(vnodes, (refusal) => {
      if (refusal !== null) {
        // What is logged is done, if not now.
        if (tries > 0) this.#commit(message, tries, done);
        return;
      }
      const mark = host.mark();
      let replies: Buffer[];
      try {
        replies = this.#runParts(message);
      } catch (error) {
        host.rollBack(mark, error);
        if (tries > 1) this.#commit(message, tries - 1, done);
        else done({ replies: this.#giveUp(message, error) } satisfies CommitAnswer, 0);
        return;
      }
      done({ replies } satisfies CommitAnswer, host.executor.gate);
    });
  }

  #runParts(message: CommitMessage): Buffer[] {
    const { executor } = this.#host;
    const replies: Buffer[] = [];
    this.#replyBytesLeft = this.#replyBytesMax;
    executor.nowMs = message.nowMs;
    executor.beginTransaction();
    for (const part of message.parts) {
      for (const reply of this.#runPart(part, message)) replies.push(reply);
    }
    executor.endTransaction();
    return replies;
  }

  #runPart(part: Part, message: CommitMessage): Buffer[] {
    const { executor } = this.#host;
    const { keyspace, partition, entries } = part;
    const access = executor.access(keyspace, partition);
    const id = callId(message.id, part.number);
    if (id !== null && access.partition.opIds.find(id.high, id.low, id.sequence) !== undefined) {
      return entries.map(() => NOTHING);
    }
    const replies: Buffer[] = [];
    for (const entry of entries) {
      if (entry.kind === "command") {
        const step = stepOf(this.#host, keyspace, entry.args);
        replies.push(this.#run(step, message.protocol, message.id === ""));
        continue;
      }
      const { key, content } = entry;
      access.openKey(key, 0, key.length);
      if (content === null) access.deleteKey();
      else putContent(access, content);
      access.partition.finishInTransaction();
      replies.push(NOTHING);
    }
    if (id !== null) executor.nameCall(keyspace, partition, id);
    return replies;
  }

  /** A part throws whenever it is run: the node serves on without it, and says so. */
  #giveUp({ id, parts }: CommitMessage, error: unknown): Buffer[] {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const facts = {
      level: "error" as const,
      event: "transaction part failed",
      transaction: id,
      error: text,
    };
    this.#host.report(facts);
    const reply = Buffer.from(`-${FAILED_INSIDE}\r\n`);
    return parts.flatMap(({ entries }) => entries.map(() => reply));
  }

  #release({ id, coordinator }: ReleaseMessage): void {
    if (id === "") this.#host.locks.releaseAll(coordinator);
    else this.#host.locks.release(id);
  }

  /**
   * Answers whether everything so far is durable, once it is or finds no room on the disk; forgets the
   * ids of calls that nobody repeats.
   */
  #sync({ forget }: SyncMessage, done: OnAnswer): void {
    const { vnodesHere, gates } = this.#host;
    for (const { id, number, vnode } of forget) {
      const call = callId(id, number);
      if (call !== null)
        vnodesHere.find(vnode >>> 16, vnode & 0xffff)?.partition.opIds.forget(call);
    }
    void gates.settled().then((isDurable) => done(isDurable, 0));
  }

  // ---- waiting ------------------------------------------------------------------------------------

  /** Calls back when these vnodes serve and nobody holds them. */
  #whenReady(vnodes: readonly number[], done: (refusal: string | null) => void): void {
    const host = this.#host;
    const next = vnodes.find((id) => !host.canRun(id >>> 16, id & 0xffff));
    if (next === undefined) {
      done(null);
      return;
    }
    host.whenReady(next >>> 16, next & 0xffff, (error) => {
      if (error === null) this.#whenReady(vnodes, done);
      else done(error);
    });
  }

  /** Calls back when these vnodes serve, whoever holds them. */
  #whenServing(vnodes: readonly number[], done: (refusal: string | null) => void): void {
    const { vnodesHere } = this.#host;
    const next = vnodes.find((id) => !vnodesHere.isReady(id >>> 16, id & 0xffff));
    if (next === undefined) {
      done(null);
      return;
    }
    vnodesHere.whenReady(next >>> 16, next & 0xffff, (error) => {
      if (error === null) this.#whenServing(vnodes, done);
      else done(`TRYAGAIN ${error.message}`);
    });
  }
}

const NOTHING = Buffer.alloc(0);

/** The op id of a part; null: a transaction that only reads has none. */
function callId(transaction: string, number: number) {
  if (!/^[0-9a-f]{16}$/.test(transaction)) return null;
  return {
    high: Number.parseInt(transaction.slice(0, 8), 16),
    low: Number.parseInt(transaction.slice(8), 16),
    sequence: number,
  };
}
