/**
 * One transaction over several workers from its first lock to its reply: the steps of a client's
 * job, done by the owners of their partitions in two phases.
 *
 * Invariant: the client is answered once: with what was done, with why nothing was done, or, if a
 * worker died in between, with UNKNOWN, while the rest is done all the same.
 */
import { heapBytesMax } from "../../runtime/base/machine.ts";
import type {
  CommitAnswer,
  CommitMessage,
  Part,
  PrepareAnswer,
} from "../protocols/transactions.ts";
import { contentBytes, type KeyContent } from "../vnode/commands/key-content.ts";
import { DISK_REFUSES, execRefusal, FAILED_INSIDE, KEYS_TOO_LARGE } from "../worker/participant.ts";
import { gatheringOf, needsCopies, Peeks } from "./apart.ts";
import type { Connection, ReplySlot } from "./connection.ts";
import {
  bytesOf,
  byWorker,
  type Decision,
  opIdsOf,
  PART_IDS_MAX,
  partsOf,
  segmentsOf,
  stepReplies,
} from "./cross-plan.ts";
import { type Claim, type CrossWorker, INTENT_BYTES_MAX } from "./cross-worker.ts";
import type { DispatchHost } from "./dispatcher.ts";
import { MESSAGE_COMMIT } from "./messages.ts";
import { runOther } from "./other-steps.ts";
import { arrayOf, encodeError, isError, nilArray } from "./replies.ts";
import {
  forEachPartition,
  hasKeys,
  type Job,
  noteStepError,
  reachesOthers,
  type Step,
} from "./steps.ts";

// limits:
/** Memory that copies of a transaction's keys may take, most of it of JavaScript's heap. */
export const CONTENT_BYTES_MAX = Math.min(512 * 1024 * 1024, Math.floor(heapBytesMax() / 8));

const LOST =
  "TRYAGAIN a worker thread of this transaction restarts: nothing was changed; try again";
const UNKNOWN =
  "UNKNOWN a worker thread restarted while this was done: all of it will be done, but the replies are lost; read the keys before trying again";
const BUSY =
  "BUSY too many transactions over several worker threads are under way; try again later";
const OUT_OF_ORDER =
  "ERR a command about all keys (FLUSHALL, DBSIZE, KEYS ...) cannot stand before one of the same transaction that moves keys between worker threads: send it before MULTI";
const TOO_MANY_LOOKS = `ERR commands about all keys (DBSIZE, KEYS, SCAN ...) cut this transaction over several worker threads into more than ${PART_IDS_MAX} parts: send them apart`;

interface WantedKey {
  readonly keyspace: number;
  readonly key: Buffer;
}

export class CrossTransaction {
  readonly #host: DispatchHost;
  readonly #cross: CrossWorker;
  readonly #job: Job;
  readonly #connection: Connection;
  readonly #slot: ReplySlot;
  readonly #isWrite: boolean;
  #isAnswered = false;
  #gate = 0;
  /** The wall time of all of it, once everything is locked: its keys are as they are then. */
  #nowMs = 0;

  constructor(host: DispatchHost, cross: CrossWorker, job: Job) {
    this.#host = host;
    this.#cross = cross;
    this.#job = job;
    this.#connection = job.client.connection as Connection;
    this.#slot = this.#connection.defer(0, job.client.mutesReply());
    this.#isWrite = job.steps.some((step) => hasKeys(step) && step.entry.isWrite);
    this.#connection.block();
  }

  /** `vnodes`: what it touches, by worker. */
  async run(vnodes: ReadonlyMap<number, readonly number[]>): Promise<void> {
    const cross = this.#cross;
    await this.#connection.whenFirst(this.#slot);
    const { steps } = this.#job;
    const gathering = gatheringOf(this.#host, steps);
    const isBeside = needsCopies(steps, gathering);
    const refusal = isBeside && looksBetween(steps) ? OUT_OF_ORDER : this.#refusal();
    if (refusal !== null) {
      this.#refuse(refusal);
      return;
    }
    const id = cross.newId();
    const claim = cross.claim(this.#isWrite ? id : `r${id}`);
    try {
      const keys = isBeside ? this.#keys() : [];
      const contents = await this.#prepare(claim, vnodes, keys);
      if (contents === null) return;
      this.#nowMs = this.#host.nowMs;
      if (isBeside) await this.#runBeside(claim, keys, contents);
      else await this.#runInPlace(claim, gathering);
    } catch (error) {
      // What is logged is done by whoever starts in this worker's place.
      if (cross.isLogged(id)) throw error;
      this.#host.report({ level: "error", event: "transaction failed", error });
      this.#refuse(FAILED_INSIDE);
    } finally {
      cross.release(claim);
    }
  }

  #refusal(): string | null {
    if (!this.#isWrite) return null;
    if (this.#cross.isFull) return BUSY;
    const refusal = this.#host.refusesWrite(true);
    // This worker's memory is not what the owners' writes need; its log is.
    return refusal?.startsWith("MISCONF") === true ? refusal : null;
  }

  // ---- answers ------------------------------------------------------------------------------------

  #answer(bytes: Buffer): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#connection.fill(this.#slot, bytes, this.#gate);
    this.#connection.unblock();
  }

  /** Nothing was changed. */
  #refuse(text: string): void {
    this.#host.stats.noteError(text);
    this.#answer(encodeError(this.#job.isMulti ? execRefusal(text) : text));
  }

  #answerReplies(replies: readonly (Buffer | null)[]): void {
    if (replies.some((reply) => reply === null)) this.#answer(encodeError(UNKNOWN));
    else if (this.#job.isMulti) this.#answer(arrayOf(replies as readonly Buffer[]));
    else this.#answer(replies[0] as Buffer);
  }

  readonly #onUnknown = (): void => this.#answer(encodeError(UNKNOWN));

  // ---- the first phase ----------------------------------------------------------------------------

  /** Every key that the steps name, once. */
  #keys(): WantedKey[] {
    const keys = new Map<string, WantedKey>();
    for (const step of this.#job.steps) {
      if (!hasKeys(step)) continue;
      forEachPartition(this.#host, step, (_partition, _slot, index) => {
        const key = step.request.bytesAt(index);
        keys.set(`${step.keyspace}:${key.toString("latin1")}`, { keyspace: step.keyspace, key });
      });
    }
    return [...keys.values()];
  }

  /** Locks worker after worker; the wanted keys' contents, or null after the answer why not. */
  async #prepare(
    claim: Claim,
    vnodes: ReadonlyMap<number, readonly number[]>,
    keys: readonly WantedKey[],
  ): Promise<(KeyContent | null)[] | null> {
    const contents: (KeyContent | null)[] = keys.map(() => null);
    const workers = [...vnodes.keys()].sort((a, b) => a - b);
    let bytesLeft = CONTENT_BYTES_MAX;
    for (const worker of workers) {
      const places = [...keys.keys()].filter((i) => this.#ownerOf(keys[i] as WantedKey) === worker);
      const asked = await this.#cross.prepare(claim, worker, {
        vnodes: vnodes.get(worker) ?? [],
        watched: this.#job.watched.filter((key) => this.#ownerOf(key) === worker),
        keys: places.map((i) => keys[i] as WantedKey),
        contentBytesMax: bytesLeft,
        isWrite: this.#isWrite,
        deniesOom: this.#job.steps.some((step) => hasKeys(step) && step.entry.deniesOom),
      });
      if (asked.kind === "failed" || claim.isLost) {
        this.#refuse(LOST);
        return null;
      }
      const { value } = asked;
      if (value.kind !== "ready") {
        this.#refuseAnswer(value);
        return null;
      }
      this.#gate = Math.max(this.#gate, asked.gate);
      places.forEach((place, i) => {
        const content = value.contents[i] ?? null;
        contents[place] = content;
        if (content !== null) bytesLeft -= contentBytes(content);
      });
    }
    return contents;
  }

  #refuseAnswer(answer: Exclude<PrepareAnswer, { kind: "ready" }>): void {
    if (answer.kind === "refused") this.#refuse(answer.text);
    else this.#answer(nilArray(this.#job.client.protocol));
  }

  #ownerOf({ keyspace, key }: WantedKey): number {
    const partition = this.#host.executor.partitionOf(keyspace, key, 0, key.length);
    return this.#host.ownerOf(keyspace, partition);
  }

  // ---- the second phase ---------------------------------------------------------------------------

  /** Every command runs where its partition is. */
  async #runInPlace(claim: Claim, gathering: ReadonlySet<Step>): Promise<void> {
    const { steps } = this.#job;
    const decided = await this.#decide(claim, gathering);
    if (decided === null) return;
    const segments = segmentsOf(this.#host, steps, decided);
    const parts = segments.flatMap((segment) => segment.parts);
    if (!(await this.#log(claim, parts))) return;
    const replies: (Buffer | null)[] = steps.map(() => null);
    for (const segment of segments) {
      const isLast = segment === segments.at(-1);
      const found = await this.#commit(claim, segment.parts, isLast);
      for (const { index, reply } of stepReplies(segment, found)) replies[index] = reply;
      for (const index of segment.others) {
        const step = steps[index] as Step;
        // A client that was told "unknown" goes on already: nothing is changed under it.
        if (this.#isAnswered && step.entry.command.scope === "session") continue;
        replies[index] = await this.#runOther(step);
      }
    }
    this.#cross.done(claim.id);
    this.#answerReplies(replies);
  }

  /** What the steps do that peek at their keys; null after a refusal. */
  async #decide(
    claim: Claim,
    gathering: ReadonlySet<Step>,
  ): Promise<ReadonlyMap<number, Decision> | null> {
    const { client, steps } = this.#job;
    const peeks = new Peeks(this.#host, steps, gathering, client.protocol);
    for (let parts = peeks.next(); parts.length > 0; parts = peeks.next()) {
      const replies = await this.#peek(claim, parts);
      if (replies === null) return null;
      peeks.take(replies);
    }
    return peeks.decisions;
  }

  /** Has every owner run parts that read; null after a refusal. */
  async #peek(claim: Claim, parts: readonly Part[]): Promise<Map<Part, readonly Buffer[]> | null> {
    const found = new Map<Part, readonly Buffer[]>();
    const nowMs = this.#nowMs;
    const asks = [...byWorker(this.#host, parts)].map(async ([worker, own]) => {
      const message = { id: "", nowMs, protocol: 2, parts: own } satisfies CommitMessage;
      const asked = await this.#cross.ask<CommitAnswer>(worker, MESSAGE_COMMIT, message);
      if (asked.kind === "failed") return asked.text;
      this.#gate = Math.max(this.#gate, asked.gate);
      noteReplies(found, own, asked.value.replies);
      return null;
    });
    const failures = (await Promise.all(asks)).filter((text) => text !== null);
    const refusal = claim.isLost ? LOST : (failures[0] ?? failureIn([...found.values()].flat()));
    if (refusal === undefined) return found;
    this.#refuse(refusal);
    return null;
  }

  /** The commands run beside the data, and the owners take over what has changed. */
  async #runBeside(
    claim: Claim,
    keys: readonly WantedKey[],
    contents: readonly (KeyContent | null)[],
  ): Promise<void> {
    const host = this.#host;
    const { client, steps } = this.#job;
    const withKeys = steps.filter(hasKeys);
    const options = { protocol: client.protocol, nowMs: this.#nowMs };
    let ran: ReturnType<ReturnType<DispatchHost["newScratch"]>["run"]>;
    try {
      ran = host.newScratch().run(withKeys, keys, contents, options);
    } catch (error) {
      host.report({ level: "error", event: "transaction failed", error: String(error) });
      this.#refuse(FAILED_INSIDE);
      return;
    }
    if (ran.changes.length > 0) {
      const parts = partsOf(ran.changes);
      if (!(await this.#log(claim, parts))) return;
      await this.#commit(claim, parts, true);
      this.#cross.done(claim.id);
    }
    const replies: Buffer[] = [];
    const shown = ran.replies.values();
    for (const step of steps) {
      if (!hasKeys(step)) {
        replies.push(await this.#runOther(step));
        continue;
      }
      const reply = shown.next().value as Buffer;
      noteStepError(host, step, reply, 0, reply.length);
      replies.push(reply);
    }
    this.#answerReplies(replies);
  }

  /** Runs a step without keys: here, or on all workers. */
  async #runOther(step: Step): Promise<Buffer> {
    const { bytes, gate } = await runOther(this.#host, this.#job.client, step);
    this.#gate = Math.max(this.#gate, gate);
    return bytes;
  }

  /** Logs the intent of a transaction that changes something; false after a refusal. */
  async #log(claim: Claim, parts: readonly Part[]): Promise<boolean> {
    if (!this.#isWrite || parts.length === 0) return true;
    if (bytesOf(parts) > INTENT_BYTES_MAX) {
      this.#refuse(KEYS_TOO_LARGE);
      return false;
    }
    if (opIdsOf(parts) > PART_IDS_MAX) {
      this.#refuse(TOO_MANY_LOOKS);
      return false;
    }
    const secured = await this.#cross.secure(claim);
    const unsecured = secured === "full" ? DISK_REFUSES : LOST;
    const refusal = secured === "secured" ? this.#refusal() : unsecured;
    if (refusal !== null) {
      this.#refuse(refusal);
      return false;
    }
    await this.#cross.log(claim, parts, this.#nowMs);
    return true;
  }

  /** Has every owner run its parts; what they replied. */
  async #commit(
    claim: Claim,
    parts: readonly Part[],
    isLast: boolean,
  ): Promise<Map<Part, readonly Buffer[]>> {
    const found = new Map<Part, readonly Buffer[]>();
    const { protocol } = this.#job.client;
    const { onPoint } = this.#cross;
    const ask = async ([worker, own]: readonly [number, readonly Part[]]) => {
      const message = { id: claim.id, nowMs: this.#nowMs, protocol, parts: own };
      const { replies, gate } = await this.#cross.commit(worker, message, this.#onUnknown);
      this.#gate = Math.max(this.#gate, gate);
      noteReplies(found, own, replies);
      if (isLast) this.#cross.releaseOn(claim, worker);
    };
    const workers = [...byWorker(this.#host, parts)];
    if (onPoint === undefined || !this.#isWrite) await Promise.all(workers.map(ask));
    else {
      for (const worker of workers) {
        await ask(worker);
        onPoint("half");
      }
    }
    return found;
  }
}

/** The error among replies of peeks that says nothing of their keys: these are too large, say. */
function failureIn(replies: readonly Buffer[]): string | undefined {
  const texts = replies.flatMap((reply) => (isError(reply) ? [reply.toString("latin1", 1)] : []));
  return texts.find((text) => !text.startsWith("WRONGTYPE"))?.trimEnd();
}

/** Notes which part has replied what. */
function noteReplies(
  found: Map<Part, readonly Buffer[]>,
  parts: readonly Part[],
  replies: readonly Buffer[],
): void {
  let at = 0;
  for (const part of parts) {
    const end = at + part.entries.length;
    found.set(part, replies.slice(at, end));
    at = end;
  }
}

/** Whether a command about all keys stands before one on a key: beside the data it would come last. */
function looksBetween(steps: readonly Step[]): boolean {
  const first = steps.findIndex(reachesOthers);
  return first >= 0 && steps.slice(first).some(hasKeys);
}
