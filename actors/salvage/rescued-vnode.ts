/**
 * One vnode being salvaged: a state that was read whole, and every later op of it that can be applied.
 *
 * Invariant: the state is one that the vnode really had: ops 1..through of its log, none left out. An
 * op behind a gap is counted, never applied: what it changed may be lost, and a state that claims
 * to have applied what it has not would make a replica drop it (design 4, "Join").
 */
import { hlcWallMs } from "../../runtime/causality/hlc.ts";
import { OpReader } from "../../runtime/causality/op-reader.ts";
import type { LooseSegment } from "../../runtime/storage/loose-frames.ts";
import type { Partition } from "../../runtime/table/partition.ts";

/** What became of a vnode. */
export interface VnodeOutcome {
  readonly id: number;
  /** The last op of its log that its state contains; 0: it is empty. */
  readonly through: number;
  /** When that was made, as far as it is known: wall time, ms. */
  readonly throughAtMs: number | undefined;
  /** The last op of it that is known to have been there. */
  readonly known: number;
  /** Ops behind a gap, and the stamp of the last; not applied. */
  readonly behindGap: number;
  readonly behindGapHlc: number;
  /** Ops that contradict those that were applied; not applied. */
  readonly contradicting: number;
}

export class RescuedVnode {
  readonly id: number;
  readonly partition: Partition;
  /** The stamp of the last op applied; 0: none was. */
  hlc = 0;
  /** Wall time of the snapshot that it was loaded from. */
  readonly snapshotAtMs: number | undefined;
  readonly #reader = new OpReader();
  #known: number;
  #behindGap = 0;
  #behindGapHlc = 0;
  #contradicting = 0;

  constructor(options: {
    readonly id: number;
    readonly partition: Partition;
    readonly snapshotAtMs: number | undefined;
    /** What a manifest says is in its snapshot. */
    readonly known: number;
  }) {
    this.id = options.id;
    this.partition = options.partition;
    this.snapshotAtMs = options.snapshotAtMs;
    this.#known = Math.max(options.known, options.partition.sequence);
  }

  /** A walk over the journals begins. */
  beginWalk(): void {
    this.#behindGap = 0;
    this.#behindGapHlc = 0;
    this.#contradicting = 0;
  }

  /** Takes the ops that are next; whether any was. */
  offer({ firstSequence, starts, ends }: LooseSegment, bytes: Buffer): boolean {
    const before = this.partition.sequence;
    for (let i = 0; i < starts.length; i++) {
      this.#take(firstSequence + i, bytes, starts[i] as number, ends[i] as number);
    }
    this.knows(firstSequence + starts.length - 1);
    return this.partition.sequence > before;
  }

  knows(sequence: number): void {
    this.#known = Math.max(this.#known, sequence);
  }

  #take(sequence: number, bytes: Buffer, start: number, end: number): void {
    const { partition } = this;
    const reader = this.#reader;
    const isOp = reader.open(bytes, start, end);
    const { origins } = partition;
    const slot = origins.find(reader.originHigh, reader.originLow);
    const applied = slot < 0 ? 0 : (origins.applied[slot] as number);
    if (isOp && sequence === partition.sequence + 1 && reader.counter === applied + 1) {
      partition.replay(bytes, start, end);
      this.hlc = reader.hlc;
    } else if (sequence > partition.sequence + 1) {
      this.#behindGap++;
      this.#behindGapHlc = Math.max(this.#behindGapHlc, reader.hlc);
      partition.clock.observe(reader.hlc);
    } else if (!isOp || sequence > partition.sequence || reader.counter > applied) {
      this.#contradicting++;
    }
  }

  get keys(): number {
    return this.partition.table.keyCount;
  }

  /** Nothing that is known to have been there is missing. */
  get isComplete(): boolean {
    return this.partition.sequence >= this.#known && this.#contradicting === 0;
  }

  get outcome(): VnodeOutcome {
    return {
      id: this.id,
      through: this.partition.sequence,
      throughAtMs: this.hlc === 0 ? this.snapshotAtMs : hlcWallMs(this.hlc),
      known: this.#known,
      behindGap: this.#behindGap,
      behindGapHlc: this.#behindGapHlc,
      contradicting: this.#contradicting,
    };
  }
}
