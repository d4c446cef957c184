/**
 * Runs commands beside the data: on partitions that exist in memory only, filled with the contents
 * of the keys that the commands name, wherever those live. What has changed afterwards is what the
 * owners then take over.
 *
 * Invariant: nothing outside is read or changed.
 */
import type { Clock } from "../../runtime/base/clock.ts";
import type { Random } from "../../runtime/base/prng.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import type { KeyMessage } from "../protocols/transactions.ts";
import { type KeyContent, putContent, takeContent } from "../vnode/commands/key-content.ts";
import { Executor } from "../vnode/executor.ts";
import { ABSENT } from "../vnode/key-access.ts";
import type { Lookups } from "../vnode/open-key.ts";
import { Vnode } from "../vnode/vnode.ts";
import { vnodeId } from "../vnode/vnode-id.ts";
import type { Step } from "./steps.ts";

/** Size of the pieces of memory that a run takes; larger ones as they are needed. */
const SLAB_BYTES = 1024 * 1024;

export interface ScratchOptions {
  /** Partitions of each keyspace. */
  readonly partitions: readonly number[];
  readonly clock: Clock;
  readonly random: Random;
  readonly replyBytesMax: number;
  /** Counts what the commands read, as if they had read it where it is. */
  readonly lookups: Lookups;
}

/** A key that the commands have changed, with what it holds now; null: nothing. */
export interface Change extends KeyMessage {
  readonly partition: number;
  readonly content: KeyContent | null;
}

export class Scratch {
  readonly #options: ScratchOptions;
  readonly #executor: Executor;
  readonly #vnodes = new Map<number, Vnode>();
  readonly #pool = new SlabPool({ slabBytes: SLAB_BYTES });
  readonly #writers = new OpWriters();
  readonly #clock: HybridClock;

  constructor(options: ScratchOptions) {
    this.#options = options;
    this.#clock = new HybridClock(options.clock);
    const vnode = (keyspace: number, partition: number) => this.#vnode(keyspace, partition);
    this.#executor = new Executor({ vnode }, options.partitions);
  }

  #vnode(keyspace: number, partition: number): Vnode {
    const id = vnodeId(keyspace, partition);
    const known = this.#vnodes.get(id);
    if (known !== undefined) return known;
    const { random, lookups } = this.#options;
    const made = new Vnode({
      id,
      pool: this.#pool,
      hashKey: { high: random.u32(), low: random.u32() },
      origin: { high: random.u32(), low: random.u32() },
      clock: this.#clock,
      writers: this.#writers,
      log: { append: () => {} },
      random,
      unsynced: null,
      lookups,
    });
    this.#vnodes.set(id, made);
    return made;
  }

  /** Fills in the keys, each named once, runs the steps, and answers their replies. */
  run(
    steps: readonly Step[],
    keys: readonly KeyMessage[],
    contents: readonly (KeyContent | null)[],
    { protocol, nowMs }: { protocol: 2 | 3; nowMs: number },
  ): { replies: Buffer[]; changes: Change[] } {
    const executor = this.#executor;
    executor.nowMs = nowMs;
    keys.forEach((key, i) => {
      this.#fill(key, contents[i] ?? null, nowMs);
    });
    const before = keys.map((key) => this.#open(key, nowMs).access.mark());
    const replies = steps.map((step) => this.#runStep(step, protocol));
    const changes: Change[] = [];
    keys.forEach((key, i) => {
      const { access, partition, type } = this.#open(key, nowMs);
      if (access.mark() === before[i]) return;
      changes.push({ ...key, partition, content: type === ABSENT ? null : takeContent(access) });
    });
    return { replies, changes };
  }

  #open({ keyspace, key }: KeyMessage, nowMs: number) {
    const partition = this.#executor.partitionOf(keyspace, key, 0, key.length);
    const access = this.#vnode(keyspace, partition).key;
    access.nowMs = nowMs;
    const type = access.openKey(key, 0, key.length);
    return { access, partition, type };
  }

  #fill(key: KeyMessage, content: KeyContent | null, nowMs: number): void {
    if (content === null) return;
    const { access } = this.#open(key, nowMs);
    putContent(access, content);
    access.partition.finish();
  }

  #runStep({ entry, request, keyspace }: Step, protocol: 2 | 3): Buffer {
    const { command } = entry;
    const executor = this.#executor;
    const reply = new RespWriter({ bytesMax: this.#options.replyBytesMax, bytesStart: 64 });
    reply.protocol = protocol;
    entry.stats.calls++;
    if (command.scope === "keys") executor.runOnKeys(command, keyspace, request, reply);
    else if (command.scope === "key") {
      const keyAt = command.keys?.first ?? 1;
      const partition = executor.partitionOfArgument(keyspace, request, keyAt);
      executor.runOnKey(command, keyspace, partition, request, reply);
    }
    return reply.take();
  }
}
