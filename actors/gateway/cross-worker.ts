/**
 * Transactions over several workers, as the client's worker runs them (docs/decisions/0030): lock
 * everywhere, log and sync what will be done, do it, unlock; when all of it is durable the intent is
 * removed. Messages: protocols/transactions.ts.
 *
 * Invariant: from the moment its intent is durable, a transaction is done wholly, whatever dies: a
 * part that was not acknowledged is asked for again, and every worker that starts has what it is
 * owed before it serves anybody.
 */
import type { Timers } from "../../runtime/base/clock.ts";
import { OP_IDS_MAX } from "../../runtime/base/limits.ts";
import { pack } from "../../runtime/codec/pack.ts";
import type {
  CommitAnswer,
  CommitMessage,
  Part,
  PrepareAnswer,
  PrepareMessage,
  ReleaseMessage,
  SyncMessage,
} from "../protocols/transactions.ts";
import type { Intent } from "../worker/intent-codec.ts";
import type { Intents } from "../worker/intents.ts";
import type { Participant } from "../worker/participant.ts";
import { byWorker, opIdsOf, vnodeOfPart } from "./cross-plan.ts";
import type { DispatchHost } from "./dispatcher.ts";
import {
  MESSAGE_COMMIT,
  MESSAGE_PREPARE,
  MESSAGE_RELEASE,
  MESSAGE_RESOLVE,
  MESSAGE_SYNC,
} from "./messages.ts";

// limits:
/** How long before an unanswered part is asked for again. */
export const RETRY_MS = 250;
/** How long a finished transaction's intent may stay, and how many of them. */
export const SETTLE_MS = 100;
export const UNSETTLED_MAX = 128;
/** Largest intent: it lies in the log as one op. */
export const INTENT_BYTES_MAX = 256 * 1024 * 1024;
/** What may wait to be written when one is logged: with it, it must fit into a frame. */
const PENDING_BYTES_MAX = 512 * 1024 * 1024;

/** The answer of one worker; what it shows may be shown once the gate is open. */
export type Asked<T> =
  | { readonly kind: "answer"; readonly value: T; readonly gate: number }
  | { readonly kind: "failed"; readonly text: string };

/** A transaction whose intent is logged and not yet removed. */
interface Open {
  readonly intent: Intent;
  /** Resolves when the intent is durable. */
  readonly logged: Promise<void>;
  /** Op ids that it takes on one vnode, at most. */
  readonly opIds: number;
  /** Every part has been acknowledged. */
  isDone: boolean;
  /** How often its parts are just being asked for again: until then their op ids are needed. */
  redos: number;
}

/** Where a test may end the process: the intent is logged, or the first of the parts is done. */
export type CrashPoint = "logged" | "half";

/** What the owners have locked for a transaction that is not logged yet. */
export interface Claim {
  readonly id: string;
  readonly workers: Set<number>;
  /** One of them has died: what it checked and locked is worth nothing. */
  isLost: boolean;
}

export class CrossWorker {
  readonly onPoint: ((point: CrashPoint) => void) | undefined;
  readonly #host: DispatchHost;
  readonly #participant: Participant;
  readonly #intents: Intents;
  readonly #timers: Timers;
  readonly #open = new Map<string, Open>();
  readonly #claims = new Set<Claim>();
  /** Op ids that the open intents take on one vnode, at most. */
  #openIds = 0;
  readonly #openIdsMax: number;
  #forget: SyncMessage["forget"] = [];
  #isSettling = false;
  #isSettleTimed = false;
  /** Resolves when the intents of the last start are done. */
  #redone: Promise<void> = Promise.resolve();

  constructor(options: {
    host: DispatchHost;
    participant: Participant;
    intents: Intents;
    timers: Timers;
    /** For tests: told of each point; parts are done one after the other then. */
    onPoint: ((point: CrashPoint) => void) | undefined;
  }) {
    this.#host = options.host;
    this.#participant = options.participant;
    this.#intents = options.intents;
    this.#timers = options.timers;
    this.onPoint = options.onPoint;
    // No op id may be forgotten while an intent can still ask for its part again.
    this.#openIdsMax = Math.floor(OP_IDS_MAX / (2 * options.host.config.workers));
  }

  /** Intents that are not removed yet. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Whether no more transactions can be begun now. */
  get isFull(): boolean {
    const { pendingBytes } = this.#host.gates;
    return this.#openIds >= this.#openIdsMax || pendingBytes > PENDING_BYTES_MAX;
  }

  /** Whether a transaction is logged, and so will be done. */
  isLogged(id: string): boolean {
    return this.#open.has(id);
  }

  newId(): string {
    const { random } = this.#host;
    return [random.u32(), random.u32()].map((n) => n.toString(16).padStart(8, "0")).join("");
  }

  // ---- asking -----------------------------------------------------------------------------------

  /** Asks a worker, this one included. */
  async ask<T>(worker: number, kind: number, message: unknown): Promise<Asked<T>> {
    const host = this.#host;
    host.beginTurn();
    if (worker === host.index) {
      return new Promise((resolve) => {
        this.#participant.serve(kind, message, (value, gate) => {
          host.schedule();
          resolve({ kind: "answer", value: value as T, gate });
        });
      });
    }
    const outcome = await host.exchange.request(worker, kind, pack(message), host.nowMs);
    if (outcome.kind === "failed") return outcome;
    return { kind: "answer", value: host.unpack(outcome.bytes) as T, gate: 0 };
  }

  #tell(worker: number, kind: number, message: ReleaseMessage): void {
    const host = this.#host;
    if (worker === host.index) this.#participant.serve(kind, message, () => {});
    else host.exchange.tell(worker, kind, pack(message));
  }

  // ---- the two phases -----------------------------------------------------------------------------

  /** Begins a transaction: nobody has promised anything yet. */
  claim(id: string): Claim {
    const claim = { id, workers: new Set<number>(), isLost: false };
    this.#claims.add(claim);
    return claim;
  }

  /** Asks one owner to lock and check. */
  async prepare(
    claim: Claim,
    worker: number,
    message: Omit<PrepareMessage, "id" | "coordinator">,
  ): Promise<Asked<PrepareAnswer>> {
    claim.workers.add(worker);
    const { id } = claim;
    const coordinator = this.#host.index;
    return this.ask(worker, MESSAGE_PREPARE, { ...message, id, coordinator });
  }

  /** Unlocks on one owner: its parts are done. */
  releaseOn(claim: Claim, worker: number): void {
    if (!claim.workers.delete(worker)) return;
    this.#tell(worker, MESSAGE_RELEASE, { id: claim.id, coordinator: this.#host.index });
  }

  /** Unlocks everywhere. */
  release(claim: Claim): void {
    this.#claims.delete(claim);
    for (const worker of claim.workers) {
      this.#tell(worker, MESSAGE_RELEASE, { id: claim.id, coordinator: this.#host.index });
    }
  }

  /**
   * Has the owners make durable what they hold: what is logged now must not be done again, after a
   * power loss, to keys that lack what came before it. Or one of them has died, or has no room.
   */
  async secure(claim: Claim): Promise<"secured" | "lost" | "full"> {
    const asks = [...claim.workers].map((worker) => {
      return this.ask<boolean>(worker, MESSAGE_SYNC, { forget: [] } satisfies SyncMessage);
    });
    const answers = await Promise.all(asks);
    if (claim.isLost || answers.some(({ kind }) => kind === "failed")) return "lost";
    return answers.every(isYes) ? "secured" : "full";
  }

  /** Logs what will be done; resolves when that is durable: from now on it will be done. */
  async log(claim: Claim, parts: readonly Part[], nowMs: number): Promise<Intent> {
    const host = this.#host;
    const intent = { id: claim.id, nowMs, parts };
    const gate = this.#intents.put(intent);
    host.schedule();
    const commit = Math.floor(gate / 2);
    const logged = new Promise<void>((resolve) => host.gates.whenDurable(commit, resolve));
    this.#opened(intent, logged);
    this.#claims.delete(claim);
    await logged;
    this.onPoint?.("logged");
    return intent;
  }

  #opened(intent: Intent, logged: Promise<void>): void {
    const opIds = opIdsOf(intent.parts);
    this.#open.set(intent.id, { intent, logged, opIds, isDone: false, redos: 0 });
    this.#openIds += opIds;
  }

  /** Runs some parts on their owner, until it says that they are done. `onUnknown`: it may take long. */
  async commit(
    worker: number,
    message: CommitMessage,
    onUnknown: (text: string) => void,
  ): Promise<{ replies: readonly Buffer[]; gate: number }> {
    for (;;) {
      const asked = await this.ask<CommitAnswer>(worker, MESSAGE_COMMIT, message);
      if (asked.kind === "answer") return { replies: asked.value.replies, gate: asked.gate };
      onUnknown(asked.text);
      await this.#pause();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#timers.after(RETRY_MS, resolve));
  }

  /** All parts are done: the intent goes once they are durable. */
  done(id: string): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    open.isDone = true;
    if (this.#open.size >= UNSETTLED_MAX) void this.#settle();
    else this.#settleLater();
  }

  #settleLater(): void {
    if (this.#isSettleTimed) return;
    this.#isSettleTimed = true;
    this.#timers.after(SETTLE_MS, () => {
      this.#isSettleTimed = false;
      void this.#settle();
    });
  }

  /** Has the parts of what is done made durable, then removes the intents. */
  async #settle(): Promise<void> {
    if (this.#isSettling) return;
    this.#isSettling = true;
    const done = [...this.#open.values()].filter(isSettleable);
    const forget = this.#forget;
    this.#forget = [];
    // Their intents must be gone for good before anybody forgets.
    const isGone = forget.length === 0 || (await this.#host.gates.settled());
    const isDurable = isGone && (await this.#sync(done, forget));
    // Meanwhile a worker may have started and asked for what it is owed.
    if (isDurable) this.#remove(done.filter(isSettleable));
    else this.#forget = [...forget, ...this.#forget];
    this.#isSettling = false;
    if (!isDurable || this.#forget.length > 0 || [...this.#open.values()].some((o) => o.isDone)) {
      this.#settleLater();
    }
  }

  /** Whether every owner of these parts says that they are durable. */
  async #sync(done: readonly Open[], forget: SyncMessage["forget"]): Promise<boolean> {
    const host = this.#host;
    const workers = new Set<number>();
    for (const { intent } of done) {
      for (const part of intent.parts) workers.add(host.ownerOf(part.keyspace, part.partition));
    }
    for (const { vnode } of forget) workers.add(host.ownerOf(vnode >>> 16, vnode & 0xffff));
    const asks = [...workers].map((worker) => {
      const own = forget.filter(
        ({ vnode }) => host.ownerOf(vnode >>> 16, vnode & 0xffff) === worker,
      );
      return this.ask<boolean>(worker, MESSAGE_SYNC, { forget: own } satisfies SyncMessage);
    });
    return (await Promise.all(asks)).every(isYes);
  }

  /** Removes intents; their op ids are forgotten at the next settling, when that is durable. */
  #remove(done: readonly Open[]): void {
    if (done.length === 0) return;
    this.#intents.remove(done.map(({ intent }) => intent.id));
    this.#host.schedule();
    const forget = [...this.#forget];
    for (const { intent, opIds } of done) {
      this.#open.delete(intent.id);
      this.#openIds -= opIds;
      for (const part of intent.parts) {
        forget.push({ id: intent.id, number: part.number, vnode: vnodeOfPart(part) });
      }
    }
    this.#forget = forget;
  }

  // ---- starts and deaths ----------------------------------------------------------------------------

  /**
   * Settles the past before this worker serves: does what its log says was begun, has the others do
   * what they owe it, frees what its predecessor held.
   */
  async start(): Promise<void> {
    this.#redone = this.#redo();
    await this.#redone;
    const host = this.#host;
    const peers = Array.from({ length: host.config.workers }, (_, worker) => worker).filter(
      (worker) => worker !== host.index,
    );
    await Promise.all(peers.map((peer) => this.#resolveWith(peer)));
  }

  async #redo(): Promise<void> {
    for (const intent of this.#intents.all()) {
      this.#opened(intent, Promise.resolve());
    }
    for (const open of [...this.#open.values()]) {
      await this.#redoParts(open, () => true);
      this.done(open.intent.id);
    }
  }

  /** Asks for an intent's parts once more, those of some workers only. */
  async #redoParts(open: Open, isMeant: (worker: number) => boolean): Promise<void> {
    const { id, nowMs, parts } = open.intent;
    open.redos++;
    for (const [worker, own] of byWorker(this.#host, parts)) {
      if (isMeant(worker)) {
        await this.commit(worker, { id, nowMs, protocol: 2, parts: own }, () => {});
      }
    }
    open.redos--;
  }

  async #resolveWith(peer: number): Promise<void> {
    this.#tell(peer, MESSAGE_RELEASE, { id: "", coordinator: this.#host.index });
    for (;;) {
      const asked = await this.ask(peer, MESSAGE_RESOLVE, null);
      if (asked.kind === "answer") return;
      await this.#pause();
      this.#tell(peer, MESSAGE_RELEASE, { id: "", coordinator: this.#host.index });
    }
  }

  /** Another worker has started: gives it what it is owed, then calls back. */
  resolve(worker: number, done: () => void): void {
    void this.#give(worker).then(done);
  }

  async #give(worker: number): Promise<void> {
    await this.#redone;
    // In the order in which they were logged.
    for (const one of [...this.#open.values()]) {
      await one.logged;
      // It may be settled by now, and its op ids forgotten: it would be done twice.
      if (this.#open.get(one.intent.id) !== one) continue;
      await this.#redoParts(one, (owner) => owner === worker);
    }
  }

  /** A worker died, and what it has promised to transactions that are not logged yet with it. */
  workerDied(worker: number): void {
    for (const claim of this.#claims) if (claim.workers.has(worker)) claim.isLost = true;
  }
}

/** Whether nobody needs an intent any more, once its parts are durable. */
function isSettleable({ isDone, redos }: Open): boolean {
  return isDone && redos === 0;
}

function isYes(asked: Asked<boolean>): boolean {
  return asked.kind === "answer" && asked.value;
}
