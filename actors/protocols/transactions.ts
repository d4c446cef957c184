/**
 * What workers say to each other about transactions over several of them: plain values, packed.
 *
 *   coordinator (the client's worker)            owners of the partitions, itself among them
 *     PREPARE  partitions, WATCH marks   ──────▶   lock, check, show contents
 *     COMMIT   peeks                     ──────▶   read
 *     SYNC                               ──────▶   make durable what they hold
 *     log the intent, sync it
 *     COMMIT   parts                     ──────▶   run each part at most once (by its op id)
 *     RELEASE                            ──────▶   unlock
 *     … later: SYNC                      ──────▶   parts are durable; then the intent is removed
 *
 *   EXEC     a transaction whose keys all live on one other worker
 *   MARKS    WATCH of another worker's keys
 *   RESOLVE  a worker has started: finish what you owe it, before it serves anybody
 */
import type { KeyContent } from "../vnode/commands/key-content.ts";

/** A command of a transaction. */
export interface StepMessage {
  readonly keyspace: number;
  readonly args: readonly Buffer[];
}

/** A key with what WATCH saw of it. */
export interface WatchMessage {
  readonly keyspace: number;
  readonly key: Buffer;
  readonly mark: string;
}

export interface ExecMessage {
  readonly protocol: 2 | 3;
  /** Ids of the vnodes that it touches. */
  readonly vnodes: readonly number[];
  readonly steps: readonly StepMessage[];
  readonly watched: readonly WatchMessage[];
}

/** Replies are encoded, one a step. */
export type ExecAnswer =
  | { readonly kind: "done"; readonly replies: readonly Buffer[] }
  | { readonly kind: "changed" }
  | { readonly kind: "refused"; readonly text: string };

export interface MarksMessage {
  readonly keyspace: number;
  readonly keys: readonly Buffer[];
}

export interface KeyMessage {
  readonly keyspace: number;
  readonly key: Buffer;
}

export interface PrepareMessage {
  /** The transaction: 16 hexadecimal digits; with an "r" in front if it only reads. */
  readonly id: string;
  readonly coordinator: number;
  /** Vnode ids to lock. */
  readonly vnodes: readonly number[];
  readonly watched: readonly WatchMessage[];
  /** Keys whose contents are asked for, and the memory that these may take (`contentBytes`). */
  readonly keys: readonly KeyMessage[];
  readonly contentBytesMax: number;
  /** It will change something; and may need memory for that. */
  readonly isWrite: boolean;
  readonly deniesOom: boolean;
}

export type PrepareAnswer =
  | { readonly kind: "ready"; readonly contents: readonly (KeyContent | null)[] }
  | { readonly kind: "changed" }
  | { readonly kind: "refused"; readonly text: string };

/** What a part does, in order: a command, or a key's whole new content (null: none). */
export type PartEntry =
  | { readonly kind: "command"; readonly args: readonly Buffer[] }
  | { readonly kind: "content"; readonly key: Buffer; readonly content: KeyContent | null };

/** What one partition does in a transaction. */
export interface Part {
  /** Its number in the transaction: with the transaction's id, the op id. */
  readonly number: number;
  readonly keyspace: number;
  readonly partition: number;
  readonly entries: readonly PartEntry[];
}

export interface CommitMessage {
  /** The transaction; empty: its peeks, which only read. */
  readonly id: string;
  /** The wall time that expiries count from, ms. */
  readonly nowMs: number;
  readonly protocol: 2 | 3;
  readonly parts: readonly Part[];
}

/** Replies of the commands of all parts, in order; empty ones where a part had been done before. */
export interface CommitAnswer {
  readonly replies: readonly Buffer[];
}

/** Asks for everything so far to be durable. */
export interface SyncMessage {
  /** Parts whose intents are gone for good: their op ids need not be remembered. */
  readonly forget: readonly {
    readonly id: string;
    readonly number: number;
    readonly vnode: number;
  }[];
}

/** Frees what a transaction has locked, or (empty id) all that a worker's transactions have. */
export interface ReleaseMessage {
  readonly id: string;
  readonly coordinator: number;
}
