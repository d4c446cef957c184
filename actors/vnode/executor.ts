/**
 * Runs commands on the vnodes of one thread. A command, or a whole transaction, is one turn: all
 * its ops go into one frame of the journal or, if something throws, none does.
 *
 * Invariant: between two calls no op is open and no key access holds a reference.
 */

import type { Request } from "../../runtime/codec/request.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { partitionShift, slotOf } from "../../runtime/ring/slots.ts";
import type { OpId } from "../../runtime/table/op-ids.ts";
import type { KeyCommand, KeyLookup, KeysCommand } from "../command.ts";
import { KeyAccess } from "./key-access.ts";
import type { Vnode } from "./vnode.ts";

/** Finds or makes the vnodes that live on this thread. */
export interface VnodeSource {
  /** The vnode of a partition; made if there is none. */
  vnode(keyspace: number, partition: number): Vnode;
}

const NO_REPLY = Buffer.alloc(0);

export class Executor implements KeyLookup {
  /** The commit that the last command's reply must wait for; 0: none. */
  gate = 0;
  /** Wall time of the turn, ms. */
  nowMs = 0;
  /** The keyspace of the running command over several keys. */
  keyspace = 0;

  readonly #source: VnodeSource;
  readonly #shifts: readonly number[];
  readonly #touched: Vnode[] = [];
  #inTransaction = false;
  #running: Vnode | null = null;
  #key: KeyAccess | null = null;

  /** `partitions` of each keyspace. */
  constructor(source: VnodeSource, partitions: readonly number[]) {
    this.#source = source;
    this.#shifts = partitions.map(partitionShift);
  }

  get keyspaces(): number {
    return this.#shifts.length;
  }

  /** The partition of a key of a keyspace. */
  partitionOf(keyspace: number, key: Buffer, start: number, end: number): number {
    return this.partitionOfSlot(keyspace, slotOf(key, start, end));
  }

  /** The partition of a request's argument. */
  partitionOfArgument(keyspace: number, request: Request, i: number): number {
    const { slotAhead, starts, ends } = request;
    const isKnown = i === 1 && slotAhead >= 0;
    const slot = isKnown
      ? slotAhead
      : slotOf(request.bytes, starts[i] as number, ends[i] as number);
    return this.partitionOfSlot(keyspace, slot);
  }

  partitionOfSlot(keyspace: number, slot: number): number {
    return slot >>> (this.#shifts[keyspace] as number);
  }

  /** Runs a command whose keys are all in one partition. */
  runOnKey(
    command: KeyCommand,
    keyspace: number,
    partition: number,
    request: Request,
    reply: RespWriter,
  ): void {
    // Not the last command's, if this one finds no vnode.
    this.#running = null;
    const vnode = this.#source.vnode(keyspace, partition);
    if (this.#inTransaction) {
      this.#note(vnode);
      command.execute(vnode.key, request, reply);
      vnode.partition.finishInTransaction();
      return;
    }
    this.#running = vnode;
    const key = this.#enter(vnode);
    key.gate = 0;
    key.nowMs = this.nowMs;
    key.isChanged = false;
    command.execute(key, request, reply);
    if (key.isChanged) vnode.partition.finish();
    this.gate = key.gate;
  }

  /** The one access for commands on one key: what it is made of stays in the cache. */
  #enter(vnode: Vnode): KeyAccess {
    if (this.#key === null) this.#key = new KeyAccess(vnode, vnode.random);
    else this.#key.enter(vnode);
    return this.#key;
  }

  /** Runs a command over keys in several partitions. */
  runOnKeys(command: KeysCommand, keyspace: number, request: Request, reply: RespWriter): void {
    this.keyspace = keyspace;
    if (!this.#inTransaction) this.#begin();
    command.execute(this, request, reply);
    if (this.#inTransaction) {
      for (const vnode of this.#touched) vnode.partition.finishInTransaction();
      return;
    }
    this.gate = 0;
    for (const vnode of this.#touched) {
      vnode.partition.finish();
      if (vnode.key.gate > this.gate) this.gate = vnode.key.gate;
    }
    this.#touched.length = 0;
  }

  /** What ran before is not taken back by a throw. */
  #begin(): void {
    this.#touched.length = 0;
    this.#running = null;
  }

  at(request: Request, i: number): KeyAccess {
    const partition = this.partitionOfArgument(this.keyspace, request, i);
    const vnode = this.#source.vnode(this.keyspace, partition);
    this.#note(vnode);
    return vnode.key;
  }

  /** Remembers a vnode of the running turn; its gate begins at 0. */
  #note(vnode: Vnode): void {
    if (this.#touched.includes(vnode)) return;
    this.#touched.push(vnode);
    vnode.key.gate = 0;
    vnode.key.nowMs = this.nowMs;
  }

  /** The access to a partition, for a transaction that does more than run commands. */
  access(keyspace: number, partition: number): KeyAccess {
    const vnode = this.#source.vnode(keyspace, partition);
    this.#note(vnode);
    return vnode.key;
  }

  /**
   * Gives what the running transaction has done on a partition, if only nothing, the id of a call:
   * it is remembered with the op, so the call is not executed again.
   */
  nameCall(keyspace: number, partition: number, id: OpId): void {
    const vnode = this.#source.vnode(keyspace, partition);
    this.#note(vnode);
    if (!vnode.partition.isBusy) vnode.partition.begin();
    vnode.partition.nameOp(id, NO_REPLY);
    vnode.partition.finishInTransaction();
  }

  /** Removes every key of a vnode, as one op. */
  flush(vnode: Vnode): void {
    if (this.#inTransaction) this.#note(vnode);
    this.#running = vnode;
    vnode.key.gate = 0;
    vnode.key.flush();
    vnode.partition.finish();
    if (vnode.key.gate > this.gate) this.gate = vnode.key.gate;
  }

  /** Until `endTransaction`, commands are one: their ops are applied together or not at all. */
  beginTransaction(): void {
    this.#inTransaction = true;
    this.#begin();
    this.gate = 0;
  }

  endTransaction(): void {
    this.#inTransaction = false;
    for (const vnode of this.#touched) {
      vnode.partition.finishTransaction();
      if (vnode.key.gate > this.gate) this.gate = vnode.key.gate;
    }
    this.#touched.length = 0;
  }

  /** Gives the running command up after it threw; returns the vnodes that it may have touched. */
  abandon(): readonly Vnode[] {
    this.#inTransaction = false;
    const touched = [...this.#touched];
    if (this.#running !== null && !touched.includes(this.#running)) touched.push(this.#running);
    this.#touched.length = 0;
    this.#running = null;
    for (const vnode of touched) vnode.partition.abandon();
    return touched;
  }
}
