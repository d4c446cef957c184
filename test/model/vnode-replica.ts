/**
 * The real vnode as a replica under test: its partition, its commands, its state and its log as
 * bytes, driven by the scenarios that drive the model.
 *
 * A crash loads the last durable snapshot's bytes and replays the log after it, into a fresh
 * partition with a new origin; a join goes through the bytes of a whole state. `lazy` replicas scan
 * and free in slices of an item or two, in the background of the scenario.
 */

import type { KeyLookup } from "../../actors/command.ts";
import { CommandTable } from "../../actors/command-table.ts";
import { readContext, removeInContext, setInContext } from "../../actors/vnode/contexts.ts";
import type { KeyAccess } from "../../actors/vnode/key-access.ts";
import { sweepRecord } from "../../actors/vnode/sweep.ts";
import { Vnode } from "../../actors/vnode/vnode.ts";
import { below, seeded } from "../../runtime/base/prng.ts";
import { HybridClock } from "../../runtime/causality/hlc.ts";
import { OpWriters } from "../../runtime/causality/op.ts";
import { OpReader } from "../../runtime/causality/op-reader.ts";
import { formatOriginId } from "../../runtime/causality/origins.ts";
import { PARSED, RespReader } from "../../runtime/codec/resp-reader.ts";
import { RespWriter } from "../../runtime/codec/resp-writer.ts";
import { applyMutation } from "../../runtime/table/apply-mutation.ts";
import { KeyView } from "../../runtime/table/key-view.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import { SlabPool } from "../../runtime/table/slab-pool.ts";
import { loadState } from "../../runtime/table/state-loader.ts";
import { undoOneTry } from "../../runtime/table/undo.ts";
import { encodeCommand, plain, ReplyReader } from "../support/resp.ts";
import type {
  Bytes,
  CanonicalState,
  CanonicalValue,
  Made,
  MakeReplica,
  ModelCommand,
  ModelReply,
  NeutralMark,
  NeutralMutation,
  NeutralOp,
  Origin,
  ReplicaOptions,
  ReplicaUnderTest,
} from "./harness.ts";
import {
  exportOp,
  importOp,
  latin1,
  markOf,
  modelReply,
  neutralDot,
  parseOpId,
  replyBytes,
  replyOfBytes,
  type VnodeOp,
  writeMutation,
} from "./neutral-op.ts";
import { type Snapshot, VnodeSnapshots } from "./vnode-snapshots.ts";
import { canonicalState, canonicalValue, pastOf } from "./vnode-state.ts";

const SLAB_BYTES = 256 * 1024;
const HASH_KEY = { high: 7, low: 7 };
const SLICE_ITEMS_MAX = 2;

const commands = new CommandTable();

interface LogEntry {
  readonly sequence: number;
  readonly op: Buffer;
}

export interface VnodeReplicaOptions {
  /** Scans, judges and frees in tiny slices, whenever the scenario calls for background work. */
  readonly lazy?: boolean;
}

/** Vnodes; `lazy` says by their names which of them are. */
export function makeVnode(lazy: (name: string) => boolean): MakeReplica {
  return (settings) => new VnodeReplica(settings, { lazy: lazy(settings.name) });
}

export class VnodeReplica implements ReplicaUnderTest {
  readonly #options: ReplicaOptions;
  readonly #lazy: boolean;
  /** Decides what the background does; apart from the scenario's own dice. */
  readonly #dice = seeded(1);
  readonly #pool = new SlabPool({ slabBytes: SLAB_BYTES });
  readonly #writers = new OpWriters();
  readonly #clock: HybridClock;
  #nowMs = 0;
  #vnode: Vnode;
  #log: LogEntry[] = [];
  #lastOp: VnodeOp | undefined;
  readonly #snapshots = new VnodeSnapshots(() => this.#start().partition);
  /** Sequence of the last op in the log, or of the join whose snapshot stands for it. */
  #logged = 0;
  #durable: { snapshot: Snapshot | undefined; log: readonly LogEntry[] } = {
    snapshot: undefined,
    log: [],
  };

  constructor(options: ReplicaOptions, { lazy = false }: VnodeReplicaOptions) {
    this.#options = options;
    this.#lazy = lazy;
    this.#clock = new HybridClock({ now: () => this.#nowMs, monotonicMs: () => this.#nowMs });
    this.#vnode = this.#start();
  }

  get partition(): Partition {
    return this.#vnode.partition;
  }

  get vnode(): Vnode {
    return this.#vnode;
  }

  #start(): Vnode {
    const { random } = this.#options;
    const origin = { high: random.u32(), low: random.u32() };
    const log = {
      append: (_id: number, sequence: number, op: Buffer, start: number, end: number) => {
        if (sequence !== ++this.#logged) throw new Error("vnode sequences are dense");
        const bytes = Buffer.from(op.subarray(start, end));
        this.#log.push({ sequence, op: bytes });
        this.#lastOp = { bytes, past: pastOf(this.#vnode.partition) };
      },
    };
    const vnode = new Vnode({
      id: 0,
      pool: this.#pool,
      hashKey: HASH_KEY,
      origin,
      clock: this.#clock,
      writers: this.#writers,
      log,
      random,
      unsynced: null,
      lookups: { keyspaceHits: 0, keyspaceMisses: 0 },
    });
    if (this.#lazy) vnode.partition.table.garbage.eagerItemsMax = 0;
    return vnode;
  }

  origin(): Origin {
    const { originHigh: high, originLow: low } = this.partition;
    return formatOriginId(high, low);
  }

  // ---- ops made here ----------------------------------------------------------------------------

  run(command: ModelCommand, nowMs: number): Made {
    const id = command.opId === undefined ? undefined : parseOpId(command.opId);
    const { opIds } = this.partition;
    const known = id && opIds.find(id.high, id.low, id.sequence);
    if (known !== undefined) return { reply: replyOfBytes(known.reply) };
    return this.#making(nowMs, () => {
      const { context } = command;
      const reply =
        context === undefined
          ? this.#execute(command.argv)
          : this.#executeInContext(command.argv, context);
      if (id !== undefined && this.partition.isOpen) this.partition.nameOp(id, replyBytes(reply));
      return reply;
    });
  }

  mutate(mutations: readonly NeutralMutation[], nowMs: number): Made {
    return this.#making(nowMs, () => {
      const { partition } = this;
      partition.begin();
      const { writer } = partition;
      for (const mutation of mutations) writeMutation(writer, mutation);
      const reader = new OpReader();
      reader.open(writer.buffer, 0, writer.length);
      while (reader.next()) applyMutation(partition, reader);
      if (reader.isBroken) throw new Error("an op's mutations end inside it");
      return "OK";
    });
  }

  undo(nowMs: number): Made {
    return this.#making(nowMs, () => (undoOneTry(this.partition) ? 1 : 0));
  }

  sweep(key: Bytes, nowMs: number): Made {
    return this.#making(nowMs, () => {
      const { partition } = this;
      const bytes = latin1(key);
      const ref = partition.table.find(bytes, 0, bytes.length);
      if (ref === 0) return 0;
      const view = new KeyView(partition);
      return sweepRecord(partition, view, ref, nowMs, this.#options.graceMs) ? 1 : 0;
    });
  }

  #making(nowMs: number, make: () => ModelReply): Made {
    this.#nowMs = nowMs;
    this.#vnode.key.nowMs = nowMs;
    this.#lastOp = undefined;
    const reply = make();
    this.partition.finish();
    const op = this.#lastOp;
    this.#work();
    return op === undefined ? { reply } : { reply, op };
  }

  /** Runs commands as one transaction; the ops that it made, in order. */
  transaction(commandLines: readonly (readonly Bytes[])[], nowMs: number): VnodeOp[] {
    this.#nowMs = nowMs;
    this.#vnode.key.nowMs = nowMs;
    const ops: VnodeOp[] = [];
    const take = () => {
      if (this.#lastOp !== undefined) ops.push(this.#lastOp);
      this.#lastOp = undefined;
    };
    this.#lastOp = undefined;
    for (const argv of commandLines) {
      this.#execute(argv);
      take();
      this.partition.finishInTransaction();
    }
    this.partition.finishTransaction();
    take();
    return ops;
  }

  #execute(argv: readonly Bytes[]): ModelReply {
    // a command of the whole node, which makes an op of each vnode
    if (argv[0] === "FLUSHDB") {
      this.#vnode.key.flush();
      return "OK";
    }
    const reader = new RespReader();
    const bytes = encodeCommand(argv.map(latin1));
    if (reader.parse(bytes, 0, bytes.length) !== PARSED) throw new Error(reader.error);
    const { request } = reader;
    const command = commands.find(request)?.command;
    const writer = new RespWriter({ bytesMax: 1 << 20 });
    writer.protocol = 2;
    const { key } = this.#vnode;
    if (command?.scope === "key") command.execute(key, request, writer);
    else if (command?.scope === "keys") command.execute(lookupOf(key), request, writer);
    else throw new Error(`no command ${argv[0]}`);
    const replies = new ReplyReader();
    replies.push(writer.take());
    const reply = replies.next();
    if (reply === undefined) throw new Error("a command replies once");
    return modelReply(plain(reply));
  }

  #executeInContext(argv: readonly Bytes[], context: readonly NeutralMark[]): ModelReply {
    const [name = "", keyText = "", value = "", , until = "0"] = argv;
    const key = latin1(keyText);
    const access = this.#vnode.key;
    access.openKey(key, 0, key.length);
    const marks = context.map(markOf);
    if (name === "DEL") return removeInContext(access, key, marks) === "written" ? 1 : 0;
    const { siblingsMax } = this.#options;
    const outcome = setInContext(access, key, latin1(value), Number(until), marks, siblingsMax);
    return outcome === "written" ? "OK" : { error: "TOOMANYSIBLINGS" };
  }

  // ---- ops from elsewhere -----------------------------------------------------------------------

  deliver(op: unknown): void {
    this.partition.deliver((op as VnodeOp).bytes);
    this.#work();
  }

  join(from: ReplicaUnderTest): void {
    if (!(from instanceof VnodeReplica)) return;
    this.partition.join(from.#takeSnapshot().chunks);
    // A join is durable before anything follows it, and its state is in no log.
    const { sequence } = this.#takeSnapshot();
    this.#logged = sequence;
    this.partition.unpark();
    this.makeDurable();
  }

  // ---- files ------------------------------------------------------------------------------------

  background(): void {
    if (this.#lazy) {
      this.partition.table.garbage.collect(1);
      if (!this.#snapshots.isScanning) this.#snapshots.begin(this.partition);
    } else {
      this.partition.table.garbage.collect(Number.MAX_SAFE_INTEGER);
    }
  }

  /** What a lazy replica does after each step. */
  #work(): void {
    if (!this.#lazy) {
      this.partition.table.garbage.collect(Number.MAX_SAFE_INTEGER);
      return;
    }
    const snapshots = this.#snapshots;
    const canBegin = !snapshots.isScanning && below(this.#dice, 6) === 0;
    if (canBegin) snapshots.begin(this.partition);
    if (below(this.#dice, 40) === 0) snapshots.abort();
    if (snapshots.isScanning && below(this.#dice, 2) === 0) snapshots.advance(this.#sliceItems());
    if (below(this.#dice, 3) === 0) this.partition.table.garbage.collect(1);
  }

  #sliceItems(): number {
    return 1 + below(this.#dice, SLICE_ITEMS_MAX);
  }

  /** The state as it is now. */
  #takeSnapshot(): Snapshot {
    return this.#snapshots.take(this.partition, this.#sliceItems());
  }

  makeDurable(): void {
    if (!this.#lazy && below(this.#dice, 2) === 0) this.#takeSnapshot();
    const snapshot = this.#snapshots.last;
    if (snapshot !== undefined) {
      this.#log = this.#log.filter((entry) => entry.sequence > snapshot.sequence);
    }
    this.#durable = { snapshot, log: [...this.#log] };
  }

  crash(): void {
    this.partition.release();
    if (this.partition.table.heap.bytesUsed !== 0) throw new Error("a release gives all back");
    const { snapshot } = this.#durable;
    this.#snapshots.restart(snapshot);
    this.#log = [...this.#durable.log];
    this.#vnode = this.#start();
    const { partition } = this;
    if (snapshot !== undefined) loadState(partition, snapshot.chunks);
    for (const { op, sequence } of this.#log) {
      partition.replay(op, 0, op.length);
      if (partition.sequence !== sequence) throw new Error("a replay counts as the log does");
    }
    this.#logged = partition.sequence;
  }

  // ---- what it holds ----------------------------------------------------------------------------

  read(key: Bytes, nowMs: number): CanonicalValue {
    this.#vnode.key.nowMs = nowMs;
    return canonicalValue(this.#vnode.key, key);
  }

  readContext(key: Bytes): readonly NeutralMark[] {
    const access = this.#vnode.key;
    const bytes = latin1(key);
    access.openKey(bytes, 0, bytes.length);
    return readContext(access).map(({ dot, adds }) => ({
      dot: neutralDot(dot),
      adds: Object.fromEntries(adds.map((add) => [formatOriginId(add.high, add.low), add.counter])),
    }));
  }

  state(): CanonicalState {
    return canonicalState(this.partition);
  }

  exportOp(op: unknown): NeutralOp {
    return exportOp(op as VnodeOp);
  }

  importOp(op: NeutralOp): unknown {
    return importOp(op);
  }
}

function lookupOf(key: KeyAccess): KeyLookup {
  return { keyspace: 0, keyspaces: 1, at: () => key };
}
